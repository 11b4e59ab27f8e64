"""Plots of the judgement: random search, the front, luck in picking the best, and when the search is repaid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from auditor.reporting import marks
from auditor.reporting.comparison import places, winner_name
from auditor.reporting.figures import energy, fixed, number
from auditor.reporting.lookup import Statement, figure, interval, joules, numbers, records, text
from auditor.reporting.marks import Plot, axis_unit

_POINTS = 60


def judging_plots(statement: Statement) -> list[Plot | None]:
    """The plots of the judgement; ``None`` for one that the statement has no figures for."""
    return [
        _random_arm(statement),
        _expected_max(statement),
        _pareto(statement),
        _optimism(statement),
        _break_even(statement),
    ]


def _random_arm(statement: Statement) -> Plot | None:
    """Best so far of search and random arm against the energy of their trainings."""
    paths = {
        name: [
            (at_j, value)
            for part in records(statement, f"random_arm.course.{key}")
            if (at_j := figure(part, "energy_j")) is not None and (value := figure(part, "value")) is not None
        ]
        for name, key in (("search", "search"), ("random arm", "arm"))
    }
    if not all(paths.values()):
        return None
    digits = places(statement)
    fair_j = figure(statement, "random_arm.energy_j") or 0.0
    end_j = max(figure(statement, "random_arm.total_j") or 0.0, *(path[-1][0] for path in paths.values()))
    factor, unit = axis_unit(end_j)
    data = []
    said = []
    for (name, path), colour in zip(paths.items(), ("accent", "second"), strict=True):
        data.append(_steps(name, path, end_j, factor, f"var(--{colour})"))
        data.append(
            _markers(
                [at_j / factor for at_j, _ in path],
                [value for _, value in path],
                [f"{name}: {fixed(value, digits)} after {energy(at_j)}" for at_j, value in path],
                f"var(--{colour})",
            )
        )
        said.append(f"{name} " + ", ".join(f"{fixed(value, digits)} after {energy(at_j)}" for at_j, value in path))
    layout = marks.layout(
        280,
        {"title": {"text": f"energy of trainings ({unit})"}, "rangemode": "tozero", "tickformat": "~g"},
        {"title": {"text": _metric(statement)}, "automargin": True, "tickformat": "~g"},
    )
    layout |= marks.legend()
    layout["shapes"] = [marks.line("x", fair_j / factor, dash="dot")]
    summary = f"Best so far at equal energy: {'; '.join(said)}; compared at {energy(fair_j)}, the dotted line."
    return Plot(key="random-arm", text=summary, data=data, layout=layout)


def _expected_max(statement: Statement) -> Plot | None:
    """Expected best of n random trainings with its band, against the winner and the default."""
    rows = [row for row in records(statement, "expected_max") if figure(row, "n") and figure(row, "tang") is not None]
    if len(rows) < 2:
        return None
    digits = places(statement)
    n = [figure(row, "n") or 0.0 for row in rows]
    tang, dodge = ([figure(row, key) for row in rows] for key in ("tang", "dodge"))
    data: list[dict[str, Any]] = []
    closed = [
        (at, low, high)
        for at, row in zip(n, rows, strict=True)
        if (low := figure(row, "low")) is not None and (high := figure(row, "high")) is not None
    ]
    if len(closed) > 1:
        x, lower, upper = ([point[place] for point in closed] for place in range(3))
        data += marks.between(x, lower, upper, "95 % band (median, all n at once)")
    data.append(_line("with replacement (Dodge)", n, dodge, "var(--muted)", dash="dot"))
    data.append(_line("expected best (Tang)", n, tang, "var(--second)"))
    layout = marks.layout(
        280,
        {"title": {"text": "random trainings"}, "type": "log" if n[-1] > 20 else "linear", "tickformat": "~g"},
        {"title": {"text": _metric(statement)}, "automargin": True, "tickformat": "~g"},
    )
    layout |= marks.legend()
    layout["shapes"], layout["annotations"] = [], []
    log = n[-1] > 20
    for name, path in ((winner_name(statement), "gain.best.value"), ("default", "gain.baseline.value")):
        if (level := figure(statement, path)) is not None:
            layout["shapes"].append(marks.line("y", level, dash="dash"))
            layout["annotations"].append(marks.level_label(level, f"{name} {fixed(level, digits)}"))
            data.append(marks.unseen([n[0]], [level]))
    summary = "Expected best of random trainings: " + "; ".join(
        f"of {number(at)} {fixed(value, digits)}" for at, value in _some(list(zip(n, tang, strict=True)))
    )
    return Plot(key="expected-max", text=f"{summary}{' (logarithmic axis)' if log else ''}.", data=data, layout=layout)


def _pareto(statement: Statement) -> Plot | None:
    """Trials that no other beats in value and energy of training."""
    found = [
        (int(figure(row, "trial") or 0), value, energy_j)
        for row in records(statement, "pareto")
        if (value := figure(row, "value")) is not None and (energy_j := figure(row, "energy_j")) is not None
    ]
    if len(found) < 2:
        return None
    digits = places(statement)
    found.sort(key=lambda point: point[2])
    factor, unit = axis_unit(found[-1][2])
    said = [f"trial {trial}: {fixed(value, digits)} for {energy(energy_j)}" for trial, value, energy_j in found]
    x, y = [point[2] / factor for point in found], [point[1] for point in found]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "line": {"shape": "hv", "color": "var(--line)", "width": 2},
            "hoverinfo": "skip",
        },
        _markers(x, y, said, "var(--accent)"),
    ]
    layout = marks.layout(
        260,
        {"title": {"text": f"energy of the trial’s training ({unit})"}, "rangemode": "tozero", "tickformat": "~g"},
        {"title": {"text": _metric(statement)}, "automargin": True, "tickformat": "~g"},
    )
    return Plot(key="pareto", text=f"Front of value and energy: {'; '.join(said)}.", data=data, layout=layout)


def _optimism(statement: Statement) -> Plot | None:
    """The winner's validation result in the search, on fresh seeds, and on test."""
    best = figure(statement, "gain.best.value")
    fresh = numbers(statement, "gain.winner_values")
    if best is None or not fresh:
        return None
    digits = places(statement)
    rows: list[tuple[str, Sequence[float], str]] = [
        ("in the search", [best], "warn"),
        ("fresh seeds", fresh, "accent"),
    ]
    if tests := numbers(statement, "gain.winner_test_values"):
        rows.append(("on test", tests, "second"))
    data = []
    for place, (name, values, colour) in enumerate(rows):
        mean = sum(values) / len(values)
        said = [f"{name}: {fixed(value, digits)}" for value in values]
        data.append(marks.points(values, place, f"var(--{colour})", "circle", said))
        if len(values) > 1:
            data.append(
                marks.points([mean], place, "var(--ink)", "line-ns-open", [f"{name}: mean {fixed(mean, digits)}"])
            )
    layout = marks.layout(
        70 + 34 * len(rows),
        {"title": {"text": _metric(statement)}, "tickformat": "~g", "nticks": 6},
        {
            "automargin": True,
            "tickvals": list(range(len(rows))),
            "ticktext": [name for name, _, _ in rows],
            "range": [len(rows) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    said_rows = [f"{name} {', '.join(fixed(value, digits) for value in values)}" for name, values, _ in rows]
    return Plot(key="optimism", text=f"The winner {'; '.join(said_rows)}.", data=data, layout=layout)


def _break_even(statement: Statement) -> Plot | None:
    """All energy with and without the search against the number of inferences, with what is not known for sure."""
    search_j = joules(statement, "energy.search_uj")
    rows = {text(row, "subject"): row for row in records(statement, "inference")}
    base_j = figure(statement, "break_even.trainings.base_j")
    new_j = figure(statement, "break_even.trainings.new_j")
    if search_j is None or base_j is None or new_j is None or not {"default", "winner"} <= rows.keys():
        return None
    even = figure(statement, "break_even.inference.n")
    most = 10.0 * even if even else search_j / (figure(rows["winner"], "energy_j") or 1.0)
    n = [10 ** (place * math.log10(max(most, 10.0)) / (_POINTS - 1)) for place in range(_POINTS)]
    low_j, high_j = _search_range(statement, search_j)
    lines = {
        "default": (rows["default"], base_j, base_j, base_j, "muted"),
        "search and winner": (rows["winner"], search_j + new_j, low_j + new_j, high_j + new_j, "accent"),
    }
    factor, unit = axis_unit(search_j + new_j + n[-1] * (figure(rows["default"], "energy_j") or 0.0))
    data = []
    for name, (row, fixed_j, least_j, greatest_j, colour) in lines.items():
        each = figure(row, "energy_j") or 0.0
        ends = interval(row, "ci95") or (each, each)
        low = [(least_j + at * ends[0]) / factor for at in n]
        high = [(greatest_j + at * ends[1]) / factor for at in n]
        data += marks.between(n, low, high)
        data.append(_line(name, n, [(fixed_j + at * each) / factor for at in n], f"var(--{colour})"))
    layout = marks.layout(
        280,
        {"title": {"text": "inferences"}, "type": "log", "tickformat": "~s"},
        {"title": {"text": f"all energy ({unit})"}, "automargin": True, "type": "log", "dtick": 1, "tickformat": "~g"},
    )
    layout |= marks.legend()
    summary = f"All energy against inferences: the default {energy(figure(rows['default'], 'energy_j'))} each, "
    summary += f"the winner {energy(figure(rows['winner'], 'energy_j'))} each after a search of {energy(search_j)}"
    if even:
        layout["shapes"] = [marks.line("x", even, dash="dot")]
        summary += f"; they meet at {number(even)} inferences"
    return Plot(key="break-even", text=summary + ".", data=data, layout=layout)


def _search_range(statement: Statement, search_j: float) -> tuple[float, float]:
    """Least and most that the search could have used, by how it was measured."""
    low_j, high_j = figure(statement, "energy.range.low_j"), figure(statement, "energy.range.high_j")
    metered_j = joules(statement, "energy.metered_uj")
    if low_j is None or high_j is None or not metered_j:
        return search_j, search_j
    return low_j * search_j / metered_j, high_j * search_j / metered_j


def _metric(statement: Statement) -> str:
    return marks.safe_label(text(statement, "study.metric") or "value", 40)


def _some(items: Sequence[Any], most: int = 6) -> Sequence[Any]:
    """A few of many, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _steps(name: str, path: Sequence[tuple[float, float]], end_j: float, factor: float, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [at_j / factor for at_j, _ in path] + [end_j / factor],
        "y": [value for _, value in path] + [path[-1][1]],
        "line": {"shape": "hv", "color": colour, "width": 2.5},
        "hoverinfo": "skip",
    }


def _line(name: str, x: Sequence[Any], y: Sequence[Any], colour: str, dash: str = "solid") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": 2.5, "dash": dash},
        "hoverinfo": "skip",
    }


def _markers(x: Sequence[float], y: Sequence[float], said: Sequence[str], colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(x),
        "y": list(y),
        "marker": {"color": colour, "size": 9, "line": {"color": "var(--card)", "width": 1.5}},
        "text": list(said),
        "hoverinfo": "text",
        "showlegend": False,
    }
