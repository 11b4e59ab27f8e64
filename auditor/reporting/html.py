"""A statement as one self-contained HTML page.

The page loads nothing: style, plots and plotly.js stand in it, and its content security policy forbids any
request. It works from a disk and in a frame whose sandbox allows scripts and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auditor.reporting.comparison import places
from auditor.reporting.costs import accounts
from auditor.reporting.figures import count, energy, fixed, percent, signed
from auditor.reporting.lookup import Statement, figure, metered_j, records, text, why
from auditor.reporting.marks import Plot
from auditor.reporting.names import cleaned, shortened
from auditor.reporting.plots import plots
from auditor.reporting.view import build_view

_MOST_ACCOUNTS = 400
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


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
    from jinja2 import Environment, StrictUndefined

    statement = cleaned(statement)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.filters |= {"count_of": count, "energy": energy, "percent": percent}
    template = environment.from_string(
        files("auditor.reporting").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    )
    drawn = plots(statement)
    return template.render(
        view=build_view(statement),
        plots=drawn,
        figures=script_json([_for_script(plot) for plot in drawn.values()]),
        plotly=_plotly_js() if drawn else "",
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


def script_json(value: Any) -> str:
    """JSON that can stand in a ``<script>`` element: nothing in it can end the element or begin a comment."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_IN_SCRIPT)


def _for_script(plot: Plot) -> dict[str, Any]:
    return {key: value for key, value in asdict(plot).items() if key != "text"}


def _plotly_js() -> str:
    """plotly.js as the installed plotly ships it, found without importing plotly."""
    spec = find_spec("plotly")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        script = Path(folder, "package_data", "plotly.min.js")
        if script.is_file():
            return script.read_text(encoding="utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")
    raise FileNotFoundError("plotly.min.js: expected in package_data of the installed plotly package")


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
