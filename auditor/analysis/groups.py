"""Groups of runs against each other: best so far at equal energy, at equal trials, at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.analysis.mean import mean_interval
from auditor.analysis.welch import mean_difference

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Best so far of one run: a step function that holds each value from its energy on.

    Attributes:
        energy: ``(k,)`` rising places on a cumulative axis, such as energy or started trials.
        value: ``(k,)`` best so far from there on.
        end: Where the run ended, on the same axis; ``None``: at the last place. The last improvement comes
            before the end as a rule.
    """

    energy: Sequence[float]
    value: Sequence[float]
    end: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """Two groups of runs at one place of the axis.

    Attributes:
        x: The place.
        first_mean: Mean best so far of the first group.
        second_mean: Mean best so far of the second group.
        difference: By how much the first is the better one, in the unit of the values; positive for better,
            also where lower is better.
        low: Lower end of Welch's interval over runs; ``None`` with fewer than 2 runs a side.
        high: Upper end, likewise.
        runs: Runs of the first group and of the second.
    """

    x: float
    first_mean: float
    second_mean: float
    difference: float
    low: float | None
    high: float | None
    runs: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCourse:
    """Two groups of runs along the axis: ``(k,)`` of what ``GroupDifference`` has at one place.

    The interval holds for each place by itself, not for the whole course at once.

    Attributes:
        x: Places, evenly spaced.
        first_mean: Mean best so far of the first group.
        second_mean: Mean best so far of the second group.
        difference: By how much the first is the better one.
        low: Lower ends of Welch's interval; ``None`` with fewer than 2 runs a side.
        high: Upper ends, likewise.
        runs: Runs of the first group and of the second.
    """

    x: tuple[float, ...]
    first_mean: tuple[float, ...]
    second_mean: tuple[float, ...]
    difference: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    runs: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCourse:
    """Mean best so far of one group of runs along the axis: ``(k,)`` of each.

    The interval holds for each place by itself, not for the whole course at once.

    Attributes:
        x: Places, evenly spaced.
        mean: Mean over runs.
        low: Lower ends of Student's interval over runs; ``None`` with fewer than 2 runs.
        high: Upper ends, likewise.
    """

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


def end_of(course: Course) -> float | None:
    """How far a run went on its axis; ``None`` for one without a place or an end."""
    if course.end is not None:
        return course.end
    return float(course.energy[-1]) if len(course.energy) else None


def best_at(course: Course, x: float) -> float | None:
    """Best so far at a place; ``None`` before the first completion, and for a place that is no number.

    Beyond the end of a run its last value stands: ``common_end`` says how far a comparison is fair.
    """
    value = float(_along(course, [x])[0])
    return None if math.isnan(value) else value


def common_end(courses: Sequence[Course]) -> float:
    """Largest place that all runs reach; 0 without runs, or where one has none."""
    ends = [end_of(course) for course in courses]
    return min((0.0 if end is None else end for end in ends), default=0.0)


def compare_at(
    first: Sequence[Course], second: Sequence[Course], x: float, *, maximize: bool = True, level: float = 0.95
) -> GroupDifference | None:
    """Best so far of two groups at one place, with Welch's interval over independent runs.

    Both must search the same space by the same protocol: this can't see it.

    Args:
        first: ``(m,)`` runs that differ by the seed of the search only.
        second: ``(n,)`` runs of another method.
        x: Place on the axis; infinite: each run at its own end, whatever it used.
        maximize: Whether higher is better.
        level: Confidence level, between 0 and 1.

    Returns:
        The difference; ``None`` where a group is empty, or a run ends before ``x`` or has nothing there yet.

    Source: Welch, Biometrika 34 (1947), over search seeds.
    """
    if not x <= common_end([*first, *second]) and x != math.inf:
        return None
    course = _compare(first, second, np.array([x]), maximize, level)
    if course is None:
        return None
    return GroupDifference(
        x=x,
        first_mean=course.first_mean[0],
        second_mean=course.second_mean[0],
        difference=course.difference[0],
        low=None if course.low is None else course.low[0],
        high=None if course.high is None else course.high[0],
        runs=course.runs,
    )


def compare_courses(
    first: Sequence[Course],
    second: Sequence[Course],
    *,
    maximize: bool = True,
    points: int = 100,
    level: float = 0.95,
) -> GroupCourse | None:
    """The same from where all runs have a value to where the first of them ends.

    Args:
        first: ``(m,)`` runs that differ by the seed of the search only.
        second: ``(n,)`` runs of another method.
        maximize: Whether higher is better.
        points: Places, at least 1.
        level: Confidence level at each place, between 0 and 1.

    Returns:
        ``None`` where a group is empty, or one run ends before another has a value.
    """
    runs = [*first, *second]
    if not all(len(run.energy) for run in runs):
        return None
    start, end = max((float(run.energy[0]) for run in runs), default=0.0), common_end(runs)
    return _compare(first, second, np.linspace(start, end, points), maximize, level) if start <= end else None


def mean_course(runs: Sequence[Course], *, points: int = 100, level: float = 0.95) -> MeanCourse | None:
    """Mean best so far of a group, from where all its runs have a value to where the first of them ends.

    Args:
        runs: ``(m,)`` runs that differ by the seed of the search only.
        points: Places, at least 1.
        level: Confidence level at each place, between 0 and 1.

    Returns:
        ``None`` without runs, or where one run ends before another has a value.
    """
    if not runs or not all(len(run.energy) for run in runs):
        return None
    start, end = max(float(run.energy[0]) for run in runs), common_end(runs)
    if start > end:
        return None
    x = np.linspace(start, end, points)
    values = np.array([_along(run, x) for run in runs])
    means = [mean for at in values.T if (mean := mean_interval(at, level=level)) is not None]
    low = tuple(mean.low for mean in means if mean.low is not None)
    high = tuple(mean.high for mean in means if mean.high is not None)
    return MeanCourse(
        x=tuple(x.tolist()),
        mean=tuple(mean.mean for mean in means),
        low=low or None,
        high=high or None,
    )


def relative_improvement(
    values: Sequence[float], random_values: Sequence[float], *, maximize: bool = True, top: float | None = None
) -> tuple[float | None, float | None]:
    """By how many per cent the mean of a method betters that of random search: on value and on error.

    Error is what is missing to a faultless result. The same gain is a small share of a high accuracy and a
    large one of a small error: give both.

    Args:
        values: ``(m,)`` final values of a method's runs; what is not finite is skipped.
        random_values: ``(n,)`` those of random search in the same space, likewise.
        maximize: Whether higher is better.
        top: Value of a faultless result; ``None``: 1 where all values lie between 0 and 1, else 100 where all
            lie between 0 and 100, as accuracies do.

    Returns:
        Per cent of the mean of random search, positive where the method is better: of the value, and of the
        error. ``None`` where a side is empty or random search's mean is 0; the error also where lower values
        are better, or values lie above ``top`` or not as accuracies do.

    Source: Yang, Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020.
    """
    method, random = (np.asarray(x, dtype=np.float64) for x in (values, random_values))
    method, random = method[np.isfinite(method)], random[np.isfinite(random)]
    if not len(method) or not len(random):
        return None, None
    ours, theirs = float(method.mean()), float(random.mean())
    on_value = _per_cent(ours - theirs if maximize else theirs - ours, theirs)
    every = np.concatenate((method, random))
    if top is None and every.min() >= 0.0:
        top = 1.0 if every.max() <= 1.0 else 100.0
    if not maximize or top is None or every.max() > top:
        return on_value, None
    return on_value, _per_cent(ours - theirs, top - theirs)


def _per_cent(gain: float, of: float) -> float | None:
    """A gain in per cent of the size of something; ``None`` of 0."""
    return 100.0 * gain / abs(of) if of else None


def _along(course: Course, places: ArrayLike) -> Floats:
    """``(k,)`` best so far at ``(k,)`` places; NaN before the first completion."""
    x = np.asarray(places, dtype=np.float64)
    last = np.searchsorted(np.asarray(course.energy, dtype=np.float64), x, side="right")
    values = np.concatenate(([np.nan], np.asarray(course.value, dtype=np.float64)))
    return np.where(np.isnan(x), np.nan, values[last])


def _compare(
    first: Sequence[Course], second: Sequence[Course], x: Floats, maximize: bool, level: float
) -> GroupCourse | None:
    """Two groups at ``(k,)`` places; ``None`` where a group is empty or a run has nothing at a place."""
    if not len(first) or not len(second):
        return None
    a = np.array([_along(run, x) for run in first])
    b = np.array([_along(run, x) for run in second])
    if np.isnan(a).any() or np.isnan(b).any():
        return None
    better, worse = (a, b) if maximize else (b, a)
    intervals = [mean_difference(p, q, level=level) for p, q in zip(better.T, worse.T, strict=True)]
    known = [interval for interval in intervals if interval is not None]
    return GroupCourse(
        x=tuple(x.tolist()),
        first_mean=tuple(a.mean(axis=0).tolist()),
        second_mean=tuple(b.mean(axis=0).tolist()),
        difference=tuple((better.mean(axis=0) - worse.mean(axis=0)).tolist()),
        low=tuple(interval.low for interval in known) if known else None,
        high=tuple(interval.high for interval in known) if known else None,
        runs=(len(first), len(second)),
    )
