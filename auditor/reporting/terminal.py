"""A statement on a terminal: rich renderables, for 80 columns and more."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from auditor.reporting.facts import Fact
from auditor.reporting.figures import NOT_AVAILABLE, count, energy, percent
from auditor.reporting.lookup import Statement, metered_j
from auditor.reporting.names import cleaned
from auditor.reporting.notes import Note
from auditor.reporting.view import Measurement, Verdict, View, build_view

_GRADE_STYLES = {"paid": "green", "not paid": "red", "not shown": "yellow", "cannot say": "cyan"}
_MEASUREMENT_STYLES = {"good": "green", "limited": "yellow", "reported": "yellow"}
_SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def render_terminal(statement: Statement) -> RenderableType:
    """The statement for a rich console: the verdict first, then what it cost, what it gained, and findings.

    Args:
        statement: As read from ``statement.json``; any figure in it may be ``None``.

    Returns:
        A renderable whose texts are plain: names are never read as markup.
    """
    statement = cleaned(statement)
    view = build_view(statement)
    return Group(
        _verdict(view.title, view.subtitle, view.verdict),
        _measurement(view.measurement),
        _facts("Key figures", view.key_facts),
        _costs(view, energy(metered_j(statement))),
        *([_trainings(view)] if view.trainings else []),
        *(_of_search(view) if view.subject == "search" else []),
        findings(view.notes),
    )


def _verdict(title: str, subtitle: str, verdict: Verdict) -> RenderableType:
    return verdict_panel(
        f"{title} · {subtitle}" if subtitle else title,
        verdict.title,
        verdict.headline,
        verdict.sentence,
        next_step=verdict.next,
        style=_GRADE_STYLES.get(verdict.grade, "cyan"),
    )


def verdict_panel(
    name: str, title: str, headline: str, sentence: str, *, style: str, next_step: str = ""
) -> RenderableType:
    """The name of what was judged, and its verdict in a box."""
    body = Text(headline, style=f"bold {style}")
    body.append("\n" + sentence, style="default not bold")
    if next_step:
        body.append("\n\nNext: ", style="default bold").append(next_step, style="default not bold")
    return Group(
        Text(name, style="dim"),
        Panel(
            body,
            title=Text(title, style=f"bold {style}"),
            title_align="left",
            border_style=style,
            padding=(1, 2),
        ),
    )


def _measurement(measurement: Measurement) -> RenderableType:
    style = _MEASUREMENT_STYLES.get(measurement.grade, "red")
    body = Text("How far to trust the figures: ", style="bold")
    body.append(f"{measurement.headline[0].lower()}{measurement.headline[1:]}", style=style)
    bounds = next(fact for fact in measurement.facts if fact.path == "energy.range.low_j")
    lines = [body, *(Text(f"- {reason}") for reason in measurement.reasons)]
    basis = f" ({bounds.note})" if bounds.note else ""
    lines.append(Text(f"- {bounds.label}: {bounds.value}{basis}"))
    return Padding(Group(*lines), (1, 1, 0, 1))


def figure_table(title: str, *columns: str) -> Table:
    """A table whose first column has names and whose others have figures."""
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        pad_edge=True,
    )
    first, *others = columns
    table.add_column(Text(first), overflow="fold", min_width=18)
    for column in others:
        table.add_column(Text(column), justify="right", no_wrap=True)
    return table


def _facts(title: str, facts: Sequence[Fact]) -> RenderableType:
    table = figure_table(title, "", "")
    table.show_header = False
    table.add_column(overflow="fold")
    for fact in facts:
        table.add_row(Text(fact.label), _figure(fact.value, "bold"), Text(fact.note, style="dim"))
    return table


def _known_facts(title: str, facts: Sequence[Fact]) -> list[RenderableType]:
    """Facts that could be had; why the others could not is among the findings."""
    known = [fact for fact in facts if not fact.missing]
    return [_facts(title, known)] if known else []


def _costs(view: View, total: str) -> RenderableType:
    if not view.costs:
        return _missing("What it cost", f"not available; {view.no_costs or 'there are no accounts'}")
    table = figure_table("What it cost", "Account", "Energy", "Share")
    table.add_column("", overflow="fold")
    for line in view.costs:
        style = "dim" if line.part or line.outside else ""
        table.add_row(
            Text(("  " if line.part else "") + line.label, style=style),
            Text(energy(line.energy_j), style=style),
            Text(percent(line.share), style=style),
            Text(line.note, style="dim"),
        )
    table.add_section()
    table.add_row(Text(view.sum_label, style="bold"), _figure(total, "bold"), Text(), Text())
    return table


def _of_search(view: View) -> list[RenderableType]:
    return [
        _outcomes(view),
        _contenders(view),
        _facts("The winner over the default", view.gain_facts),
        *_known_facts("What random search would have given", view.chance_facts),
        *_known_facts("When it is repaid", view.repay_facts),
    ]


def _trainings(view: View) -> RenderableType:
    table = figure_table("Where the energy went", "Run and phase", "Energy", "Share")
    table.add_column("", overflow="fold")
    for line in view.trainings:
        style = "dim" if line.part else ""
        table.add_row(
            Text(("  " if line.part else "") + line.label, style=style),
            _figure(line.energy, style),
            _figure(line.share, style),
            Text(line.note, style="dim"),
        )
    return table


def _outcomes(view: View) -> RenderableType:
    if all(line.energy_j is None for line in view.outcomes):
        reason = view.no_outcomes or "no energy of trials is known"
        return _missing("Where the trials' energy went", f"not available; {reason}")
    table = figure_table("Where the trials' energy went", "Ended as", "Trials", "Energy", "Share")
    for line in view.outcomes:
        table.add_row(
            Text(line.state),
            _figure(count(line.trials)),
            _figure(energy(line.energy_j)),
            _figure(percent(line.share)),
        )
    return table


def _contenders(view: View) -> RenderableType:
    if not view.contenders:
        return Group()
    table = figure_table("What it gained", "Model", "Validation", "Test", "Energy to get it")
    for line in view.contenders:
        name = Text(line.name, style="bold" if line.role == "winner" else "")
        if line.best:
            name.append(" (best alternative)", style="dim")
        table.add_row(name, _figure(line.value), _figure(line.test_value), _figure(line.energy))
    return table


def findings(notes: Sequence[Note]) -> RenderableType:
    """Findings, or that there are none."""
    if not notes:
        return _missing("Findings", "none")
    table = Table(
        title=Text("Findings", style="bold"),
        title_justify="left",
        box=None,
        show_header=False,
        padding=(0, 1),
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for note in notes:
        style = _SEVERITY_STYLES.get(note.severity, "dim")
        message = Text(note.message).append(f"  {note.code}", style="dim")
        table.add_row(Text(note.severity, style=style), message)
    return table


def _missing(title: str, reason: str) -> RenderableType:
    return Padding(Text(f"{title}: ", style="bold").append(reason, style="dim not bold"), (1, 1, 0, 1))


def _figure(value: str, style: str = "") -> Text:
    return Text(value, style="dim" if value == NOT_AVAILABLE else style)
