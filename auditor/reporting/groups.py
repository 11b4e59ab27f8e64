"""What a comparison of groups shows, formatted once for every renderer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auditor.reporting.figures import (
    MOST_DECIMALS,
    NOT_AVAILABLE,
    count,
    decimals,
    duration,
    energy,
    fixed,
    signed,
)
from auditor.reporting.lookup import Statement, at, figure, interval, records, text, texts
from auditor.reporting.notes import Note, notes

GRADES = {
    "shown": "Verdict: a difference is shown",
    "not shown": "Verdict: no difference is shown",
    "refused": "No verdict",
    "cannot say": "No verdict: nothing in common",
    "one group": "Summary of one group",
}
"""What each grade is called."""

_PLACES = {
    "equal energy": "equal energy",
    "equal trials": "equal trials",
    "the end": "each run's end",
    "test": "test, winners",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLine:
    """A group; all fields formatted, an interval is half its width (``± 0.025``), empty where there is none."""

    name: str
    samplers: str
    runs: str
    best: str
    best_error: str
    test: str
    test_error: str
    energy: str
    energy_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLine:
    """Two groups at one place; all fields formatted."""

    place: str
    where: str
    first: str
    second: str
    first_mean: str
    second_mean: str
    difference: str
    interval: str
    better: str
    decided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run of a group; all fields formatted."""

    group: str
    label: str
    seed: str
    trials: str
    best: str
    test: str
    energy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegretLine:
    """A sampler's regret at each budget; all fields formatted."""

    name: str
    cells: Sequence[str]
    errors: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayView:
    """What was replayed, and the regret by sampler and budget."""

    about: str
    budgets: Sequence[str]
    trials: Sequence[str]
    lines: Sequence[RegretLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Everything that a page or a terminal shows of a comparison."""

    title: str
    subtitle: str
    metric: str
    test_metric: str
    grade: str
    grade_name: str
    headline: str
    sentence: str
    groups: Sequence[GroupLine]
    pairs: Sequence[PairLine]
    runs: Sequence[RunLine]
    replay: ReplayView | None
    notes: Sequence[Note]
    origin: str


def comparison_view(comparison: Statement) -> ComparisonView:
    """Format a comparison; hand in one whose names are :func:`auditor.reporting.names.cleaned`."""
    groups, metric = records(comparison, "groups"), text(comparison, "metric") or "value"
    grade = text(comparison, "verdict.grade")
    better = "lower" if text(comparison, "direction") == "minimize" else "higher"
    names = [text(group, "name") for group in groups]
    version = text(comparison, "generated.auditor")
    return ComparisonView(
        title=" against ".join(names) if len(names) < 5 else f"{len(names)} groups",
        subtitle=f"{metric}, {better} is better · {count(sum(len(records(g, 'runs')) for g in groups))} runs",
        metric=metric,
        test_metric=text(comparison, "test_metric") or "test value",
        grade=grade,
        grade_name=GRADES.get(grade, "Comparison"),
        headline=text(comparison, "verdict.headline"),
        sentence=text(comparison, "verdict.sentence"),
        groups=_groups(groups),
        pairs=_pairs(records(comparison, "comparisons"), refused=grade == "refused"),
        runs=_runs(groups),
        replay=_replay(comparison),
        notes=notes(comparison),
        origin=f"nas-auditor {version}" if version else "",
    )


def value_places(groups: Sequence[Statement], key: str) -> int:
    """Decimals for a figure of every group: two digits of the smallest error, else as the values need."""
    errors = [_error(group, key) for group in groups]
    found = [_digits(error) for error in errors if error]
    if found:
        return max(found)
    return decimals(figure(run, key) for group in groups for run in records(group, "runs"))


def _digits(error: float) -> int:
    """Decimals that show two digits of an error."""
    return max(0, min(MOST_DECIMALS, 1 - int(f"{error:.1e}".split("e")[1])))


def _error(group: Statement, key: str) -> float | None:
    ends = interval(group, f"{key}.ci95")
    return None if ends is None else (ends[1] - ends[0]) / 2.0


def _groups(groups: Sequence[Statement]) -> list[GroupLine]:
    best, test = value_places(groups, "best"), value_places(groups, "test")
    lines = []
    for group in groups:
        energy_error = _error(group, "energy_j")
        lines.append(
            GroupLine(
                name=text(group, "name"),
                samplers=", ".join(texts(group, "samplers")),
                runs=count(len(records(group, "runs"))),
                best=fixed(figure(group, "best.mean"), best),
                best_error=_shown(_error(group, "best"), best),
                test=fixed(figure(group, "test.mean"), test),
                test_error=_shown(_error(group, "test"), test),
                energy=energy(figure(group, "energy_j.mean")),
                energy_error="" if not energy_error else f"± {energy(energy_error)}",
            )
        )
    return lines


def _shown(error: float | None, places: int) -> str:
    return "" if error is None else f"± {fixed(error, places)}"


def _pairs(pairs: Sequence[Statement], *, refused: bool) -> list[PairLine]:
    lines = []
    for pair in pairs:
        ends, difference = interval(pair, "ci95"), figure(pair, "difference")
        width = None if ends is None else (ends[1] - ends[0]) / 2.0
        means = [figure(pair, "first_mean"), figure(pair, "second_mean")]
        digits = _digits(width) if width else decimals([*means, difference])
        winner, x = text(pair, "better"), figure(pair, "x")
        place = text(pair, "at")
        where = "" if x is None else energy(x) if place == "equal energy" else f"{count(round(x))} trials"
        lines.append(
            PairLine(
                place=_PLACES.get(place, place),
                where=where,
                first=text(pair, "first"),
                second=text(pair, "second"),
                first_mean=fixed(means[0], digits),
                second_mean=fixed(means[1], digits),
                difference=signed(difference, digits),
                interval=NOT_AVAILABLE if ends is None else " to ".join(signed(end, digits) for end in ends),
                better=winner or _why_none(difference, ends, refused=refused),
                decided=bool(winner),
            )
        )
    return lines


def _why_none(difference: float | None, ends: tuple[float, float] | None, *, refused: bool) -> str:
    if difference is None:
        return NOT_AVAILABLE
    if refused or (ends is not None and not ends[0] <= 0.0 <= ends[1]):
        return "no verdict"
    return "not shown" if ends is not None else "one run"


def _runs(groups: Sequence[Statement]) -> list[RunLine]:
    every = [(text(group, "name"), run) for group in groups for run in records(group, "runs")]
    best, test = (decimals(figure(run, key) for _, run in every) for key in ("best", "test"))
    return [
        RunLine(
            group=name,
            label=text(run, "label"),
            seed="not known" if at(run, "seed") is None else str(at(run, "seed")),
            trials=count(int(figure(run, "trials") or 0)),
            best=fixed(figure(run, "best"), best),
            test=fixed(figure(run, "test"), test),
            energy=energy(figure(run, "energy_j")),
        )
        for name, run in every
    ]


def _replay(comparison: Statement) -> ReplayView | None:
    lines = [(text(line, "name"), records(line, "at")) for line in records(comparison, "replay.regret")]
    if not lines:
        return None
    errors = [_half(at_) for _, cells in lines for at_ in cells]
    digits = max((_digits(error) for error in errors if error), default=decimals(errors))
    known = figure(comparison, "replay.configurations")
    best = fixed(figure(comparison, "replay.optimum"), 2)
    return ReplayView(
        about=f"{text(comparison, 'replay.source')}: the best of {count(int(known or 0))} configurations has {best}",
        budgets=[duration(figure(cell, "budget_s")) for cell in lines[0][1]],
        trials=[
            _trials([figure(cell, "trials") for cell in cells])
            for cells in zip(*(cells for _, cells in lines), strict=False)
        ],
        lines=[
            RegretLine(
                name=name,
                cells=[fixed(figure(cell, "mean"), digits) for cell in cells],
                errors=[_shown(_half(cell), digits) for cell in cells],
            )
            for name, cells in lines
        ],
    )


def _trials(counts: Sequence[float | None]) -> str:
    """Trials that had ended by a budget: the range of the groups' means."""
    known = [count_ for count_ in counts if count_ is not None]
    if not known:
        return NOT_AVAILABLE
    low, high = f"{min(known):,.1f}", f"{max(known):,.1f}"
    return low if low == high else f"{low}–{high}"


def _half(cell: Statement) -> float | None:
    ends = interval(cell, "ci95")
    return None if ends is None else (ends[1] - ends[0]) / 2.0


def has_figures(lines: Iterable[str]) -> bool:
    """Whether any of some formatted figures is one."""
    return any(line != NOT_AVAILABLE for line in lines)
