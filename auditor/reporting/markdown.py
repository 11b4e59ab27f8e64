"""A statement as Markdown: for the description of an MLflow run, a pull request, a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from auditor.reporting.facts import Fact
from auditor.reporting.figures import count, energy, percent
from auditor.reporting.lookup import Statement, metered_j
from auditor.reporting.names import cleaned
from auditor.reporting.view import View, build_view

_SPECIAL = re.compile(r"[\\`*_\[\]#|~$]|:(?=//)|(?<=www)\.")
_LIST_MARK = re.compile(r"^([-+]|\d+[.)])(?=\s)")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render_markdown(statement: Statement) -> str:
    """A summary: the verdict, the key figures, what it cost, what it gained, and findings.

    Args:
        statement: As read from ``statement.json``; any figure in it may be ``None``.

    Returns:
        Markdown (tables as GitHub and MLflow read them), ending in a line feed; names in it are escaped.
    """
    statement = cleaned(statement)
    view = build_view(statement)
    blocks = [
        f"# {escaped(view.title)}: {escaped(_lower(view.verdict.headline))}",
        f"**{escaped(view.verdict.title)}.** {escaped(view.verdict.sentence)}",
        f"**Next:** {escaped(view.verdict.next)}" if view.verdict.next else "",
        f"**How far to trust the figures:** {escaped(_lower(view.measurement.headline))}.",
        bullets(view.measurement.reasons),
        "## Key figures",
        _facts(view.key_facts),
        "## What it cost",
        table(
            ("Account", "Energy", "Share"),
            [
                (("– " if line.part else "") + line.label, energy(line.energy_j), percent(line.share))
                for line in view.costs
            ]
            + [(view.sum_label, energy(metered_j(statement)), "")],
        ),
        *(_trainings(view) if view.trainings else []),
        *(_of_search(view) if view.subject == "search" else []),
        "## How it was measured",
        table(
            ("Part", "Energy", "Share", "How measured"),
            [
                (" ".join(filter(None, (part.node, part.component))), part.energy, part.share, part.how)
                for part in view.components
            ],
            text_last=True,
        )
        if view.components
        else "",
        _facts(view.measurement.facts),
        "## Findings",
        bullets(f"{note.severity}: {note.message}" for note in view.notes) or "No findings.",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _trainings(view: View) -> list[str]:
    return [
        "## Where the energy went",
        table(
            ("Run and phase", "Energy", "Share", "Note"),
            [(("– " if line.part else "") + line.label, line.energy, line.share, line.note) for line in view.trainings],
            text_last=True,
        ),
    ]


def _of_search(view: View) -> list[str]:
    return [
        "## Where the trials' energy went",
        table(
            ("Ended as", "Trials", "Energy", "Share"),
            [(line.state, count(line.trials), energy(line.energy_j), percent(line.share)) for line in view.outcomes],
        ),
        "## What it gained",
        table(
            ("Model", "Validation", "Test", "Energy to get it"),
            [
                (
                    f"{line.name}, best alternative" if line.best else line.name,
                    line.value,
                    line.test_value,
                    line.energy,
                )
                for line in view.contenders
            ],
        )
        if view.contenders
        else "",
        _facts(view.gain_facts),
        "## What random search would have given",
        _facts(view.chance_facts),
        "## When it is repaid",
        _facts(view.repay_facts),
        "## Value against energy, and the pruner",
        _facts(view.front_facts),
    ]


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is: ``a|b`` becomes ``a\|b``, ``<b>`` becomes ``&lt;b&gt;``.

    Bare addresses do not become links.
    """
    return _LIST_MARK.sub(_mark, _SPECIAL.sub(r"\\\g<0>", text.translate(_ENTITIES)))


def _mark(found: re.Match[str]) -> str:
    return f"{found[1][:-1]}\\{found[1][-1]}"


def _lower(headline: str) -> str:
    return headline[:1].lower() + headline[1:]


def bullets(texts: Iterable[str]) -> str:
    """A list; empty without texts."""
    return "\n".join(f"- {escaped(text)}" for text in texts)


def _facts(facts: Sequence[Fact]) -> str:
    return table(("Figure", "Value", "Note"), [(fact.label, fact.value, fact.note) for fact in facts], text_last=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text_last: bool = False) -> str:
    """A table: names in the first column, figures in the others (text in the last, if ``text_last``)."""
    rules = [":---", *["---:"] * (len(head) - 1)]
    if text_last:
        rules[-1] = ":---"
    lines = [head, rules, *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
