"""Groups of searches side by side: at equal energy, at equal trials, at the end, and on test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from auditor.analysis.groups import Course, GroupDifference, common_end, compare_at, mean_course
from auditor.analysis.mean import mean_interval
from auditor.domain.study import Finding
from auditor.statement.compared import Run, Subject, differences, measured, run_of
from auditor.statement.contest import EQUAL_ENERGY, PLACES, TEST, THE_END, verdict
from auditor.statement.objections import findings_section, info, warning
from auditor.statement.values import counted, number
from auditor.statement.volumes import common_reference

SCHEMA = "auditor.comparison/1"
LEAST_RUNS = 2
METHOD_RUNS = 5
"""Runs a side from which a claim about a method, and not about some runs, is sensible."""

__all__ = ["SCHEMA", "Subject", "compare_statement"]

_Groups = Mapping[str, Sequence[Run]]


def compare_statement(
    groups: Mapping[str, Sequence[Subject]],
    *,
    version: str,
    replay: Mapping[str, Any] | None = None,
    more: Sequence[Finding] = (),
) -> dict[str, Any]:
    """Compare groups of searches; each with each, in the order given.

    Where spaces, metrics or protocols differ all figures are given, but no verdict: what differs is said. The order of
    runs within a group changes nothing.

    Args:
        groups: At least one group with at least one run: the same method under other search seeds, by its name.
        version: Version of the auditor, written into the comparison.
        replay: Section on the recorded truth, where the searches were replayed.
        more: Findings of whoever made the studies.

    Returns:
        A mapping that ``json.dumps(..., allow_nan=False)`` can write; ``comparison.schema.json`` describes it.
    """
    ordered = {name: sorted(group, key=_rank) for name, group in groups.items()}
    every = [subject for group in ordered.values() for subject in group]
    first = every[0].record
    reference = common_reference([subject.record for subject in every])
    maximize = first.direction != "minimize"
    unlike = differences(every)
    measures = list(dict.fromkeys(filter(None, (measured(subject.record) for subject in every))))
    runs = {
        name: [run_of(subject, maximize=maximize, reference=reference) for subject in group]
        for name, group in ordered.items()
    }
    comparisons = [
        _comparison(a, b, place, runs, maximize, refused=bool(unlike) or (place == EQUAL_ENERGY and len(measures) > 1))
        for a, b in combinations(runs, 2)
        for place in PLACES
    ]
    sections = [_group(name, group) for name, group in runs.items()]
    findings = [
        *(warning("not-comparable", f"No verdict: {difference}.") for difference in unlike),
        *_on_measures(measures, runs),
        *_on_runs(runs),
        *_on_seeds(ordered),
        *_on_comparisons(comparisons),
        *_on_studies(every),
        *_on_reference(reference),
    ]
    return {
        "schema": SCHEMA,
        "generated": {"auditor": version},
        "metric": first.metric or None if reference is None else "hypervolume",
        "reference": None if reference is None else list(reference),
        "test_metric": first.test_metric,
        "direction": "maximize" if maximize else "minimize",
        "comparable": not unlike,
        "verdict": verdict(comparisons, unlike, sections),
        "groups": sections,
        "comparisons": comparisons,
        "courses": [_course(name, group) for name, group in runs.items()],
        "replay": None if replay is None else dict(replay),
        "findings": findings_section([*more, *findings]),
    }


def _on_reference(reference: Sequence[float] | None) -> list[Finding]:
    if reference is None:
        return []
    point = ", ".join(map(number, reference))
    message = f"Values are hypervolumes of the front so far, up to the reference ({point}), the same for all."
    return [info("reference", message)]


def _rank(subject: Subject) -> tuple[float, str]:
    return (math.inf if subject.seed is None else subject.seed, subject.label)


def _comparison(first: str, second: str, place: str, runs: _Groups, maximize: bool, *, refused: bool) -> dict[str, Any]:
    found = _difference(runs[first], runs[second], place, maximize)
    shown = None if found is None or found.low is None or found.high is None else (found.low, found.high)
    better = None
    if shown is not None and shown[0] < shown[1] and not refused:
        better = first if shown[0] > 0.0 else second if shown[1] < 0.0 else None
    return {
        "first": first,
        "second": second,
        "at": place,
        "x": None if found is None or not math.isfinite(found.x) else found.x,
        "first_mean": None if found is None else found.first_mean,
        "second_mean": None if found is None else found.second_mean,
        "difference": None if found is None else found.difference,
        "ci95": None if shown is None else list(shown),
        "runs": [len(runs[first]), len(runs[second])],
        "better": better,
    }


def _difference(first: Sequence[Run], second: Sequence[Run], place: str, maximize: bool) -> GroupDifference | None:
    sides = [[_side(run, place) for run in group] for group in (first, second)]
    known = [[course for course in side if course is not None] for side in sides]
    if any(len(some) < len(side) for some, side in zip(known, sides, strict=True)):
        return None
    x = math.inf if place in (THE_END, TEST) else common_end([*known[0], *known[1]])
    return compare_at(known[0], known[1], x, maximize=maximize)


def _side(run: Run, place: str) -> Course | None:
    """What of a run is compared at a place; ``None`` where it has nothing there."""
    if place == TEST:
        return None if run.test is None else Course(energy=[0.0], value=[run.test])
    return run.by_energy if place == EQUAL_ENERGY else run.by_trials


def _group(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "name": name,
        "samplers": sorted({run.subject.record.sampler for run in runs if run.subject.record.sampler}),
        "best": _mean([run.best for run in runs]),
        "test": _mean([run.test for run in runs]),
        "energy_j": _mean([run.energy_j for run in runs]),
        "runs": [
            {
                "label": run.subject.label,
                "study": run.subject.record.name,
                "seed": run.subject.seed,
                "trials": run.ended,
                "best": run.best,
                "test": run.test,
                "energy_j": run.energy_j,
            }
            for run in runs
        ],
    }


def _mean(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean over runs with Student's interval; ``None`` unless every run has a figure."""
    known = [value for value in values if value is not None]
    found = mean_interval(known)
    if found is None or len(known) < len(values):
        return None
    return {"mean": found.mean, "ci95": None if found.low is None or found.high is None else [found.low, found.high]}


def _course(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Mean best so far along energy with its interval; empty where not every run has a course."""
    known = [run.by_energy for run in runs if run.by_energy is not None]
    course = mean_course(known) if len(known) == len(runs) else None
    if course is None:
        return {"name": name, "energy_j": [], "mean": [], "low": None, "high": None}
    return {
        "name": name,
        "energy_j": list(course.x),
        "mean": list(course.mean),
        "low": None if course.low is None else list(course.low),
        "high": None if course.high is None else list(course.high),
    }


def _on_measures(measures: Sequence[str], runs: _Groups) -> list[Finding]:
    if len(measures) < 2 or len(runs) < 2:
        return []
    shown = "; or ".join(measures[:2])
    return [
        warning("measured-differently", f"No verdict at equal energy: energy is not known in the same way ({shown}).")
    ]


def _on_runs(runs: _Groups) -> list[Finding]:
    found = []
    if alone := [name for name, group in runs.items() if len(group) < LEAST_RUNS]:
        found.append(warning("one-run", f"One run only in {_listed(alone)}: without 2 there is no interval."))
    if few := [f"{name} ({len(group)})" for name, group in runs.items() if LEAST_RUNS <= len(group) < METHOD_RUNS]:
        found.append(
            info(
                "few-runs",
                f"Few runs in {_listed(few)}: a claim about a method takes at least {METHOD_RUNS} search seeds.",
            )
        )
    every = [run for group in runs.values() for run in group]
    for code, message, lacking in (
        ("no-value", "no trial completed at full fidelity with a value", [run for run in every if run.best is None]),
        (
            "no-course",
            "no energy or no value is known, so it is not compared at equal energy",
            [run for run in every if run.by_energy is None],
        ),
        ("no-test", "there is no test figure, so it is not compared on test", [r for r in every if r.test is None]),
    ):
        if lacking:
            which = "Every run" if len(lacking) == len(every) else _listed([run.subject.label for run in lacking])
            found.append(info(code, f"{which}: {message}."))
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _on_seeds(groups: Mapping[str, Sequence[Subject]]) -> list[Finding]:
    """Runs that are no independent ones."""
    found = []
    for name, group in groups.items():
        seeds = [subject.seed for subject in group if subject.seed is not None]
        if len(set(seeds)) < len(seeds):
            found.append(
                warning("same-seed", f"Group {name} has runs under the same search seed: they are not independent.")
            )
    return found


def _on_comparisons(comparisons: Sequence[Mapping[str, Any]]) -> list[Finding]:
    found = []
    if still := [each for each in comparisons if each["ci95"] is not None and each["ci95"][0] == each["ci95"][1]]:
        pairs = _listed([f"{each['first']} and {each['second']} at {each['at']}" for each in still])
        found.append(
            warning("no-variation", f"No verdict on {pairs}: no run differs from the others of its group there.")
        )
    judged = sum(each["ci95"] is not None for each in comparisons)
    if len(comparisons) > len(PLACES):
        found.append(
            info(
                "many-comparisons",
                f"{counted(judged, 'interval')} of 95 % each: about {0.05 * judged:.1f} of so many miss by chance.",
            )
        )
    return found


def _on_studies(subjects: Sequence[Subject]) -> list[Finding]:
    found = []
    if open_ := [s.label for s in subjects if not s.record.imported and not s.record.books.sealed]:
        found.append(warning("not-ended", f"Not at its end yet, or cut off: {_listed(open_)}."))
    if any(not subject.record.space for subject in subjects) and len(subjects) > 1:
        found.append(
            info("space-by-names", "Spaces without a name are taken for the same where their parameters' names agree.")
        )
    return found
