"""A comparison on a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from auditor.reporting.figures import NOT_AVAILABLE
from auditor.reporting.groups import (
    ComparisonView,
    GroupLine,
    PairLine,
    RegretLine,
    ReplayView,
    comparison_view,
    has_figures,
)
from auditor.reporting.lookup import Statement
from auditor.reporting.markdown import bullets, escaped, table
from auditor.reporting.names import cleaned
from auditor.reporting.terminal import figure_table, findings, verdict_panel

_STYLES = {"shown": "green", "not shown": "yellow", "refused": "red", "cannot say": "cyan", "one group": "cyan"}


def render_comparison_terminal(comparison: Statement) -> RenderableType:
    """A comparison for a rich console of 80 columns and more: the verdict, groups, comparisons, findings."""
    view = comparison_view(cleaned(comparison))
    parts = [
        verdict_panel(
            f"{view.title} · {view.subtitle}",
            view.grade_name,
            view.headline,
            view.sentence,
            style=_STYLES.get(view.grade, "cyan"),
        ),
        _groups(view),
    ]
    if view.pairs:
        parts.append(_pairs(view))
    if view.replay is not None:
        parts.append(_regret(view.replay))
    return Group(*parts, findings(view.notes))


def render_comparison_markdown(comparison: Statement) -> str:
    """A comparison as Markdown, ending in a line feed; names in it are escaped."""
    view = comparison_view(cleaned(comparison))
    blocks = [
        f"# {escaped(view.title)}: {escaped(view.headline)}",
        escaped(view.subtitle) + ".",
        f"**{escaped(view.grade_name)}.** {escaped(view.sentence)}",
        "## Groups",
        table(
            ("Group", "Runs", "Best", "Test", "Energy"),
            [
                (
                    line.name,
                    line.runs,
                    f"{line.best} {line.best_error}".rstrip(),
                    f"{line.test} {line.test_error}".rstrip(),
                    f"{line.energy} {line.energy_error}".rstrip(),
                )
                for line in view.groups
            ],
        ),
        "Means over runs (search seeds), with half the width of their 95 % interval.",
        *(_markdown_pairs(view.pairs) if view.pairs else []),
        *(_markdown_regret(view.replay) if view.replay is not None else []),
        "## Findings",
        bullets(f"{note.severity}: {note.message}" for note in view.notes) or "No findings.",
    ]
    return "\n\n".join(blocks) + "\n"


def _markdown_pairs(pairs: Sequence[PairLine]) -> list[str]:
    return [
        "## Comparisons",
        table(
            ("At", "Pair", "Difference", "95 % interval", "Better"),
            [
                (
                    f"{line.place} ({line.where})" if line.where else line.place,
                    f"{line.first} over {line.second}",
                    line.difference,
                    line.interval,
                    line.better,
                )
                for line in pairs
            ],
        ),
        "Positive where the first of a pair is better.",
    ]


def _groups(view: ComparisonView) -> RenderableType:
    tested = has_figures(line.test for line in view.groups)
    columns = ["Runs", "Best", *(["Test"] if tested else []), "Energy"]
    made = figure_table("Groups: means over runs, half the width of the 95 % interval", "Group", *columns)
    for line in view.groups:
        made.add_row(Text(line.name, style="bold"), *map(Text, _figures(line, tested=tested)))
    return made


def _figures(line: GroupLine, *, tested: bool) -> list[str]:
    test = [f"{line.test} {line.test_error}".rstrip()] if tested else []
    return [line.runs, f"{line.best} {line.best_error}".rstrip(), *test, line.energy]


def _pairs(view: ComparisonView) -> RenderableType:
    made = figure_table("Comparisons: positive where the first is better", "Pair", "At", "Difference", "95 % interval")
    made.columns[1].justify, made.columns[1].no_wrap = "left", False
    made.add_column("Better", overflow="fold", min_width=9)
    last = ""
    for line in view.pairs:
        pair = f"{line.first} over {line.second}"
        place = line.where if line.where and line.place.startswith("equal") else ""
        made.add_row(
            Text(pair if pair != last else "", style="bold"),
            Text(f"{line.place}, {place}" if place else line.place),
            Text(line.difference, style="dim" if line.difference == NOT_AVAILABLE else ""),
            Text(line.interval, style="dim" if line.interval == NOT_AVAILABLE else ""),
            Text(line.better, style="bold green" if line.decided else "dim"),
        )
        last = pair
    return made


_ENDED = "trials by then"
_REGRET = "by how much the best configuration there is betters the chosen one"


def _regret(replay: ReplayView) -> RenderableType:
    made = figure_table(f"Regret: {_REGRET}", "Group", *replay.budgets)
    for line in replay.lines:
        made.add_row(Text(line.name, style="bold"), *map(Text, _with_errors(line)))
    made.add_row(Text(_ENDED, style="dim"), *(Text(trials, style="dim") for trials in replay.trials))
    made.caption, made.caption_justify = Text(replay.about, style="dim"), "left"
    return made


def _markdown_regret(replay: ReplayView) -> list[str]:
    return [
        "## Regret",
        f"{escaped(replay.about)}. Regret is {_REGRET}.",
        table(
            ("Group", *replay.budgets),
            [*((line.name, *_with_errors(line)) for line in replay.lines), (_ENDED, *replay.trials)],
        ),
    ]


def _with_errors(line: RegretLine) -> list[str]:
    return [f"{cell} {error}".rstrip() for cell, error in zip(line.cells, line.errors, strict=True)]
