"""A statement as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.reporting.comparison import places
from auditor.reporting.costs import accounts
from auditor.reporting.figures import energy, fixed, signed
from auditor.reporting.lookup import Statement, figure, metered_j, records, text, why
from auditor.reporting.names import cleaned, shortened
from auditor.reporting.page import render_page
from auditor.reporting.plots import plots
from auditor.reporting.view import build_view

_MOST_ACCOUNTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """One step of the best value so far; all fields formatted, the last two empty for the first step."""

    trial: str
    value: str
    energy: str
    step_energy: str
    step_gain: str


def render_html(statement: Statement) -> str:
    """One HTML file with the verdict, the figures, the plots and how each was computed.

    Args:
        statement: As read from ``statement.json``; any figure in it may be ``None``.

    Returns:
        The page, about 5 MB, most of it plotly.js.

    Raises:
        FileNotFoundError: the installed plotly ships no plotly.js.
    """
    statement = cleaned(statement)
    return render_page(
        "report.html.j2",
        plots(statement),
        view=build_view(statement),
        improvements=_improvements(statement),
        no_improvements=_why_no_improvement(statement),
        accounts=_largest(accounts(statement)),
        total=energy(metered_j(statement)),
        windows=[
            {"node": text(part, "node"), "start": text(part, "start"), "end": text(part, "end")}
            for part in records(statement, "energy.window")
        ],
        metric=shortened(text(statement, "study.metric"), 20) or "value",
        origin=_origin(statement),
    )


def _improvements(statement: Statement) -> list[Improvement]:
    digits = places(statement)
    steps = {figure(part, "to_trial"): part for part in records(statement, "marginal")}
    lines = []
    for part in records(statement, "incumbents"):
        trial = figure(part, "trial")
        step = steps.get(trial) if trial is not None else None
        lines.append(
            Improvement(
                trial="" if trial is None else str(int(trial)),
                value=fixed(figure(part, "value"), digits),
                energy=energy(figure(part, "cumulative_j")),
                step_energy=energy(figure(step, "joules")) if step else "",
                step_gain=signed(figure(step, "gain"), digits) if step else "",
            )
        )
    return lines


def _why_no_improvement(statement: Statement) -> str:
    nothing_complete = figure(statement, "trials.complete") == 0
    return why(statement, "incumbents") or ("no trial was completed" if nothing_complete else "")


def _origin(statement: Statement) -> str:
    parts = {
        "nas-auditor": text(statement, "generated.auditor"),
        "books closed": text(statement, "generated.books_closed_at"),
        "study": text(statement, "study.uuid"),
    }
    return " · ".join(f"{label} {value}" for label, value in parts.items() if value)


def _largest(books: dict[str, float]) -> Sequence[tuple[str, float]]:
    """The accounts with most energy, and the rest of them in one line."""
    lines = sorted(books.items(), key=lambda line: (-line[1], line[0]))
    rest = lines[_MOST_ACCOUNTS:]
    if rest:
        lines = [*lines[:_MOST_ACCOUNTS], (f"{len(rest)} smaller accounts", sum(part for _, part in rest))]
    return lines
