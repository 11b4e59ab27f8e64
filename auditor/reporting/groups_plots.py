"""Plots of a comparison: the mean best so far along energy, and one point a run for best and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auditor.reporting import marks
from auditor.reporting.figures import energy, fixed
from auditor.reporting.groups import value_places
from auditor.reporting.lookup import Statement, figure, numbers, records, text
from auditor.reporting.marks import Plot, axis_unit

_COLOURS = ("accent", "second", "bad", "good", "muted", "warn")
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
_BAND = 0.16


def comparison_plots(comparison: Statement) -> dict[str, Plot]:
    """Every plot that a comparison has the figures for, by key."""
    metric = text(comparison, "metric") or "value"
    test_metric = text(comparison, "test_metric") or "test value"
    made = (
        _courses(comparison, metric),
        _points(comparison, "best", f"best {metric}"),
        _points(comparison, "test", test_metric),
    )
    return {plot.key: plot for plot in made if plot is not None}


def _look(place: int) -> tuple[str, str, str]:
    """Colour, dash and symbol of a group; dashes and symbols tell them apart without colours too."""
    colour = _COLOURS[place % len(_COLOURS)]
    return f"var(--{colour})", _DASHES[place % len(_DASHES)], _SYMBOLS[place % len(_SYMBOLS)]


def _courses(comparison: Statement, metric: str) -> Plot | None:
    """Mean best so far along energy for every group, with its interval as a band."""
    lines = [
        (place, part, numbers(part, "energy_j"), numbers(part, "mean"))
        for place, part in enumerate(records(comparison, "courses"))
    ]
    lines = [line for line in lines if line[2] and len(line[2]) == len(line[3])]
    if not lines:
        return None
    factor, unit = axis_unit(max(x[-1] for _, _, x, _ in lines))
    digits = value_places(records(comparison, "groups"), "best")
    bands: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    said = []
    for place, part, x, mean in lines:
        name, (colour, dash, _) = text(part, "name"), _look(place)
        at = [energy_j / factor for energy_j in x]
        low, high = numbers(part, "low"), numbers(part, "high")
        if len(low) == len(high) == len(x):
            bands.append(_band(at, low, high, colour))
        drawn.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": marks.safe_label(name),
                "x": at,
                "y": mean,
                "line": {"color": colour, "width": 2.5, "dash": dash},
                "text": [
                    f"{marks.safe_label(name)}: {fixed(y, digits)} at {energy(e)}" for e, y in zip(x, mean, strict=True)
                ],
                "hoverinfo": "text",
            }
        )
        said.append(
            f"{name} from {fixed(mean[0], digits)} at {energy(x[0])} to {fixed(mean[-1], digits)} at {energy(x[-1])}"
        )
    layout = marks.layout(
        340,
        {"title": {"text": f"energy of the search ({unit})"}, "rangemode": "tozero", "tickformat": "~g"},
        {"title": {"text": marks.safe_label(metric, 40)}, "automargin": True, "tickformat": "~g"},
    )
    layout |= marks.legend()
    summary = f"Mean best {metric} so far along energy: {'; '.join(said)}."
    return Plot(key="courses", text=summary, data=[*bands, *drawn], layout=layout)


def _band(x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [*high, *reversed(low)],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": _BAND,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _points(comparison: Statement, key: str, label: str) -> Plot | None:
    """One point a run, a row a group, a tick for the mean."""
    groups = records(comparison, "groups")
    digits = value_places(groups, key)
    rows = []
    for place, group in enumerate(groups):
        known = [(run, value) for run in records(group, "runs") if (value := figure(run, key)) is not None]
        if known:
            rows.append((place, text(group, "name"), known, figure(group, f"{key}.mean")))
    if not rows:
        return None
    data = []
    said_rows = []
    for row, (place, name, known, mean) in enumerate(rows):
        colour, _, symbol = _look(place)
        shown = marks.safe_label(name)
        said = [f"{shown}, {marks.safe_label(text(run, 'label'), 40)}: {fixed(value, digits)}" for run, value in known]
        data.append(marks.points([value for _, value in known], row, colour, symbol, said))
        if mean is not None and len(known) > 1:
            label_ = f"{shown}: mean {fixed(mean, digits)}"
            data.append(marks.points([mean], row, "var(--ink)", "line-ns-open", [label_]))
        said_rows.append(f"{name} {', '.join(fixed(value, digits) for _, value in known)}")
    layout = marks.layout(
        70 + 36 * len(rows),
        {"title": {"text": marks.safe_label(label, 40)}, "tickformat": "~g", "nticks": 6},
        {
            "automargin": True,
            "tickvals": list(range(len(rows))),
            "ticktext": [marks.safe_label(name) for _, name, _, _ in rows],
            "range": [len(rows) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    return Plot(key=f"runs-{key}", text=f"{label} by run: {'; '.join(said_rows)}.", data=data, layout=layout)
