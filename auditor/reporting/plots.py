"""The plots of a report as plain data for plotly.js, each with a text that stands for it.

Colours are written ``var(--name)``; the page puts the values of its style sheet there, so that plots follow a
light, dark or printed page. Names are escaped, since plotly reads its texts as HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auditor.reporting import marks
from auditor.reporting.comparison import difference_places, places, winner_name
from auditor.reporting.costs import Cost, Outcome, costs, outcomes
from auditor.reporting.figures import energy, fixed, percent, signed
from auditor.reporting.judging_plots import judging_plots
from auditor.reporting.lookup import Statement, figure, interval, numbers, records, text
from auditor.reporting.marks import Plot, axis_unit

_ACCOUNT_PX = 46  # as high as the lines of the table beside it
_OUTCOME_COLOURS = {
    "complete": "good",
    "pruned": "accent",
    "failed": "bad",
    "lost": "warn",
    "running": "outside",
}


def plots(statement: Statement) -> dict[str, Plot]:
    """Every plot that the statement has the figures for, by key."""
    made = (
        _accounts(costs(statement)),
        _outcomes(outcomes(statement)),
        _incumbents(statement),
        _runs(statement),
        _gain(statement),
        *judging_plots(statement),
    )
    return {plot.key: plot for plot in made if plot is not None}


def _accounts(lines: Sequence[Cost]) -> Plot | None:
    lines = [line for line in lines if not line.part]
    if not lines:
        return None
    said = [f"{energy(line.energy_j)} ({percent(line.share)})" for line in lines]
    return Plot(
        key="accounts",
        text="Energy by account: " + _listed([line.label for line in lines], said),
        data=[
            marks.bars(
                [line.label for line in lines],
                [line.energy_j for line in lines],
                [percent(line.share) for line in lines],
                ["var(--outside)" if line.outside else "var(--accent)" for line in lines],
                said,
            )
        ],
        layout=marks.bar_layout(len(lines), max(line.energy_j for line in lines), bar_px=_ACCOUNT_PX),
    )


def _outcomes(lines: Sequence[Outcome]) -> Plot | None:
    known = [(line, line.energy_j) for line in lines if line.energy_j is not None]
    if not any(energy_j for _, energy_j in known):
        return None
    said = [f"{energy(energy_j)} ({percent(line.share)})" for line, energy_j in known]
    return Plot(
        key="outcomes",
        text="Energy of the trials by how they ended: " + _listed([line.state for line, _ in known], said),
        data=[
            marks.bars(
                [line.state for line, _ in known],
                [energy_j for _, energy_j in known],
                [percent(line.share) for line, _ in known],
                [f"var(--{_OUTCOME_COLOURS[line.state]})" for line, _ in known],
                said,
            )
        ],
        layout=marks.bar_layout(len(known), max(energy_j for _, energy_j in known)),
    )


def _incumbents(statement: Statement) -> Plot | None:
    """Best value so far against cumulative energy, held to the end of the search."""
    steps = [
        (trial, cumulative_j, value)
        for part in records(statement, "incumbents")
        if (trial := figure(part, "trial")) is not None
        and (cumulative_j := figure(part, "cumulative_j")) is not None
        and (value := figure(part, "value")) is not None
    ]
    if not steps:
        return None
    digits = places(statement)
    metric = text(statement, "study.metric") or "value"
    end_j = max((figure(statement, "energy.search_uj") or 0.0) / 1e6, steps[-1][1])
    factor, unit = axis_unit(end_j)
    said = [
        f"trial {int(trial)}: {fixed(value, digits)} after {energy(cumulative_j)}"
        for trial, cumulative_j, value in steps
    ]
    best = steps[-1][2]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [step[1] / factor for step in steps] + [end_j / factor],
            "y": [step[2] for step in steps] + [best],
            "line": {"shape": "hv", "color": "var(--accent)", "width": 2.5},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [step[1] / factor for step in steps],
            "y": [step[2] for step in steps],
            "marker": {"color": "var(--accent)", "size": 9, "line": {"color": "var(--card)", "width": 1.5}},
            "text": said,
            "hoverinfo": "text",
        },
    ]
    layout = marks.layout(
        300,
        {"title": {"text": f"energy so far ({unit})"}, "rangemode": "tozero", "tickformat": "~g"},
        {"title": {"text": marks.safe_label(metric, 40)}, "automargin": True, "tickformat": "~g"},
    )
    summary = f"Best {metric} so far against energy: " + "; ".join(said)
    default = figure(statement, "gain.baseline.value")
    if default is not None:
        layout["shapes"] = [marks.line("y", default, dash="dash")]
        layout["annotations"] = [marks.level_label(default, f"default {fixed(default, digits)}")]
        data.append(marks.unseen([0], [default]))
        summary += f"; the default has {fixed(default, digits)}"
    return Plot(key="incumbents", text=summary + ".", data=data, layout=layout)


def _runs(statement: Statement) -> Plot | None:
    """One point for each fresh seed, for default and winner; one for each alternative."""
    digits = places(statement)
    rows = [
        (
            text(statement, "gain.baseline.name") or "default",
            numbers(statement, "gain.baseline_test_values"),
            "muted",
        ),
        (winner_name(statement), numbers(statement, "gain.winner_test_values"), "accent"),
    ]
    for part in records(statement, "gain.alternatives_tried"):
        value = figure(part, "test_value")
        rows.append((text(part, "name") or "unnamed", [] if value is None else [value], "second"))
    rows = [row for row in rows if row[1]]
    if not rows:
        return None
    metric = text(statement, "gain.test_metric") or "test value"
    data: list[dict[str, Any]] = []
    for place, (name, values, colour) in enumerate(rows):
        mean = sum(values) / len(values)
        several = len(values) > 1
        said = [f"{marks.safe_label(name)}: {fixed(value, digits)}" for value in values]
        data.append(marks.points(values, place, f"var(--{colour})", "circle" if several else "diamond", said))
        if several:
            data.append(
                marks.points(
                    [mean],
                    place,
                    "var(--ink)",
                    "line-ns-open",
                    [f"{marks.safe_label(name)}: mean {fixed(mean, digits)}"],
                )
            )
    said_rows = [f"{name} {', '.join(fixed(value, digits) for value in values)}" for name, values, _ in rows]
    layout = marks.layout(
        70 + 34 * len(rows),
        {"title": {"text": marks.safe_label(metric, 40)}, "tickformat": "~g", "nticks": 6},
        {
            "automargin": True,
            "tickvals": list(range(len(rows))),
            "ticktext": [marks.safe_label(name) for name, _, _ in rows],
            "range": [len(rows) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    return Plot(key="runs", text=f"{metric} by seed: {'; '.join(said_rows)}.", data=data, layout=layout)


def _gain(statement: Statement) -> Plot | None:
    """The winner's gain on test with its interval, against zero and what could be seen at all."""
    delta, ends = figure(statement, "gain.delta_test"), interval(statement, "gain.ci95")
    if delta is None or ends is None:
        return None
    digits = difference_places(statement)
    detectable = figure(statement, "gain.detectable")
    said = f"{signed(delta, digits)}, 95 % interval {signed(ends[0], digits)} to {signed(ends[1], digits)}"
    reach = max(abs(ends[0]), abs(ends[1]), abs(delta), detectable or 0.0) * 1.15 or 1.0
    point = marks.points([delta], 0, "var(--accent)", "circle", [said])
    point["error_x"] = {
        "type": "data",
        "symmetric": False,
        "array": [ends[1] - delta],
        "arrayminus": [delta - ends[0]],
        "color": "var(--accent)",
        "thickness": 2.5,
        "width": 7,
    }
    layout = marks.layout(
        125,
        {
            "title": {"text": "gain on test (right of zero: better)"},
            "range": [-reach, reach],
            "tickformat": "~g",
            "nticks": 7,
        },
        {"range": [-1, 1], "showticklabels": False, "showgrid": False},
    )
    layout["shapes"] = [marks.line("x", 0.0)]
    summary = f"Gain of the winner over the default on test: {said}"
    if detectable is not None:
        layout["shapes"].insert(0, marks.band(-detectable, detectable))
        summary += f"; gains under {fixed(detectable, digits)} could not be seen"
    return Plot(key="gain", text=summary + ".", data=[point], layout=layout)


def _listed(labels: Sequence[str], said: Sequence[str]) -> str:
    return "; ".join(f"{label} {figures}" for label, figures in zip(labels, said, strict=True)) + "."
