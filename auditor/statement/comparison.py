"""Groups of searches side by side: at equal energy, at equal trials, at the end, and on test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from auditor.analysis.groups import Course, GroupDifference, common_end, compare_at, compare_courses
from auditor.analysis.incumbents import incumbents
from auditor.analysis.mean import mean_interval
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord, Trial
from auditor.statement.course import axis_of, ranked_trials
from auditor.statement.draws import full_fidelity, value_at_full_fidelity
from auditor.statement.gain import gain_of
from auditor.statement.objections import findings_section, info, warning
from auditor.statement.usage import usage_of
from auditor.statement.values import counted, energy, number, signed

SCHEMA = "auditor.comparison/1"
LEAST_RUNS = 2
METHOD_RUNS = 5
"""Runs a side from which a claim about a method, and not about some runs, is sensible."""

PLACES = ("equal energy", "equal trials", "the end", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A study to compare.

    Attributes:
        label: What people know it by, for example its folder.
        record: The study.
        protocol: What must be the same for two studies to be comparable, beside space, metric and direction: how
            models are trained, for example. The sampler and its seed are none of it.
        seed: Seed of the search; ``None`` where it is not known.
    """

    label: str
    record: StudyRecord
    protocol: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A study as it is compared: best so far against energy and against trials."""

    subject: Subject
    by_energy: Course | None
    by_trials: Course
    best: float | None
    test: float | None
    energy_j: float | None


def compare_statement(groups: Mapping[str, Sequence[Subject]], *, version: str) -> dict[str, Any]:
    """Compare groups of searches; each with each, in the order given.

    Where spaces, metrics or protocols differ all figures are given, but no verdict: what differs is said.

    Args:
        groups: Runs of each group by its name: the same method under other search seeds.
        version: Version of the auditor, written into the comparison.

    Returns:
        A mapping that ``json.dumps(..., allow_nan=False)`` can write.
    """
    every = [subject for group in groups.values() for subject in group]
    maximize = every[0].record.direction != "minimize" if every else True
    differences = _differences(every)
    runs = {name: [_run(subject, maximize) for subject in group] for name, group in groups.items()}
    comparisons = [
        _comparison(first, second, place, runs, maximize, refused=bool(differences))
        for first, second in combinations(groups, 2)
        for place in PLACES
    ]
    findings = [
        *(warning("not-comparable", f"No verdict: {difference}.") for difference in differences),
        *_on_runs(runs),
        *_on_seeds(groups),
    ]
    return {
        "schema": SCHEMA,
        "generated": {"auditor": version},
        "metric": every[0].record.metric or None if every else None,
        "direction": "maximize" if maximize else "minimize",
        "comparable": not differences,
        "verdict": _verdict(comparisons, differences, groups),
        "groups": [_group(name, group, maximize) for name, group in runs.items()],
        "comparisons": comparisons,
        "courses": _courses(runs, maximize),
        "findings": findings_section(findings),
    }


def _run(subject: Subject, maximize: bool) -> _Run:
    record = subject.record
    usage = usage_of(record)
    full = full_fidelity(record.trials)
    ranked = tuple(t for t in ranked_trials(record) if value_at_full_fidelity(t, full) is not None)
    values = [trial.value or 0.0 for trial in ranked]
    axis = axis_of(record, usage, ranked)
    by_energy = None
    if axis is not None and ranked:
        path = incumbents(values, axis.at_completion, maximize=maximize)
        by_energy = Course(energy=[s.energy for s in path], value=[s.value for s in path], end=axis.end)
    places = _places(record)
    path = incumbents(values, [places[trial.number] for trial in ranked], maximize=maximize)
    gain = gain_of(record, usage)
    return _Run(
        subject=subject,
        by_energy=by_energy,
        by_trials=Course(energy=[s.energy for s in path], value=[s.value for s in path], end=float(len(record.trials))),
        best=max(values, key=lambda v: v if maximize else -v, default=None),
        test=gain.winner_test,
        energy_j=None if axis is None else uj_to_j(usage.search_uj),
    )


def _places(record: StudyRecord) -> dict[int, float]:
    """How many trials had ended with each one, by its number."""
    known = all(trial.end_ns is not None for trial in record.trials)

    def key(trial: Trial) -> tuple[int, int]:
        return (trial.end_ns or 0 if known else 0, trial.number)

    return {trial.number: float(place) for place, trial in enumerate(sorted(record.trials, key=key), start=1)}


def _differences(subjects: Sequence[Subject]) -> list[str]:
    """What differs between studies that must be the same to be compared."""
    found = []
    about = {
        "search spaces": [s.record.space or None for s in subjects],
        "metrics": [s.record.metric or None for s in subjects],
        "directions": [s.record.direction or None for s in subjects],
        "parameters searched": [_searched(s.record) for s in subjects],
        **{
            f"settings of {key}": [_text(s.protocol.get(key)) for s in subjects]
            for key in sorted({key for subject in subjects for key in subject.protocol})
        },
    }
    for what, values in about.items():
        distinct = list(dict.fromkeys(values))
        if len(distinct) > 1:
            shown = " and ".join("none" if value is None else f"'{value}'" for value in distinct[:2])
            found.append(f"the {what} differ ({shown})")
    return found


def _searched(record: StudyRecord) -> str | None:
    """Names of the parameters that most trials have; conditional ones come and go."""
    names: dict[str, int] = {}
    for trial in record.trials:
        for name in trial.params:
            names[name] = names.get(name, 0) + 1
    always = sorted(name for name, count in names.items() if count == len(record.trials))
    return ", ".join(always) or None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _comparison(
    first: str, second: str, place: str, runs: Mapping[str, Sequence[_Run]], maximize: bool, *, refused: bool
) -> dict[str, Any]:
    found = _difference(runs[first], runs[second], place, maximize)
    shown = None if found is None or found.low is None or found.high is None else (found.low, found.high)
    winner = None
    if shown is not None and not refused:
        winner = first if shown[0] > 0.0 else second if shown[1] < 0.0 else None
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
        "better": winner,
    }


def _difference(first: Sequence[_Run], second: Sequence[_Run], place: str, maximize: bool) -> GroupDifference | None:
    if place == "test":
        tested = [[_constant(run.test) for run in group if run.test is not None] for group in (first, second)]
        if len(tested[0]) < len(first) or len(tested[1]) < len(second):
            return None
        return compare_at(tested[0], tested[1], math.inf, maximize=maximize)
    if place == "equal energy":
        a = [run.by_energy for run in first if run.by_energy is not None]
        b = [run.by_energy for run in second if run.by_energy is not None]
        if len(a) < len(first) or len(b) < len(second):
            return None
    else:
        a, b = [run.by_trials for run in first], [run.by_trials for run in second]
    x = math.inf if place == "the end" else common_end([*a, *b])
    return compare_at(a, b, x, maximize=maximize)


def _constant(value: float) -> Course:
    return Course(energy=[0.0], value=[value])


def _group(name: str, runs: Sequence[_Run], maximize: bool) -> dict[str, Any]:
    best = [run.best for run in runs if run.best is not None]
    tests = [run.test for run in runs if run.test is not None]
    energies = [run.energy_j for run in runs if run.energy_j is not None]
    return {
        "name": name,
        "samplers": sorted({run.subject.record.sampler for run in runs if run.subject.record.sampler}),
        "best": _mean(best, len(runs)),
        "test": _mean(tests, len(runs)),
        "energy_j": _mean(energies, len(runs)),
        "runs": [
            {
                "label": run.subject.label,
                "study": run.subject.record.name,
                "seed": run.subject.seed,
                "trials": len(run.subject.record.trials),
                "best": run.best,
                "test": run.test,
                "energy_j": run.energy_j,
            }
            for run in runs
        ],
    }


def _mean(values: Sequence[float], runs: int) -> dict[str, Any] | None:
    """Mean over runs with Student's interval; ``None`` unless every run has a figure."""
    found = mean_interval(values)
    if found is None or len(values) < runs:
        return None
    return {"mean": found.mean, "ci95": None if found.low is None or found.high is None else [found.low, found.high]}


def _courses(runs: Mapping[str, Sequence[_Run]], maximize: bool) -> list[dict[str, Any]]:
    """Means of the first two groups along energy, for a plot; empty where there are none."""
    names = list(runs)[:2]
    if len(names) < 2:
        return []
    a, b = ([run.by_energy for run in runs[name] if run.by_energy is not None] for name in names)
    course = compare_courses(a, b, maximize=maximize) if len(a) == len(runs[names[0]]) else None
    if course is None or len(b) < len(runs[names[1]]):
        return []
    return [
        {"name": names[0], "energy_j": list(course.x), "mean": list(course.first_mean)},
        {"name": names[1], "energy_j": list(course.x), "mean": list(course.second_mean)},
    ]


def _on_runs(runs: Mapping[str, Sequence[_Run]]) -> list[Finding]:
    found = []
    for name, group in runs.items():
        if len(group) < LEAST_RUNS:
            found.append(
                warning("one-run", f"Group {name} has {counted(len(group), 'run')}: without 2 there is no interval.")
            )
        elif len(group) < METHOD_RUNS:
            found.append(
                info(
                    "few-runs",
                    f"Group {name} has {len(group)} runs: a claim about the method takes at least {METHOD_RUNS} search "
                    "seeds.",
                )
            )
        if lacking := [run.subject.label for run in group if run.by_energy is None]:
            found.append(
                info("no-course", f"No comparison at equal energy: {', '.join(lacking[:3])} has no energy or no value.")
            )
        if lacking := [run.subject.label for run in group if run.test is None]:
            found.append(info("no-test", f"No comparison on test: {', '.join(lacking[:3])} has no test figure."))
    return found


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


def _verdict(
    comparisons: Sequence[Mapping[str, Any]], differences: Sequence[str], groups: Mapping[str, Sequence[Subject]]
) -> dict[str, Any]:
    if differences:
        return {
            "grade": "refused",
            "sentence": f"No verdict: {'; '.join(differences)}. Studies compare only on the same space and protocol.",
        }
    if len(groups) < 2:
        return {"grade": "one group", "sentence": "One group: there is nothing to compare it with."}
    shown = [_sentence(each) for each in comparisons]
    decided = any(each["better"] is not None for each in comparisons)
    text = " ".join(part for part in shown if part)
    return {
        "grade": "shown" if decided else "not shown",
        "sentence": text or "Nothing can be compared: the runs have no values in common.",
    }


def _sentence(each: Mapping[str, Any]) -> str:
    """One comparison in words; empty where there is none."""
    if each["difference"] is None:
        return ""
    place = {
        "equal energy": "" if each["x"] is None else f"At equal energy ({energy(each['x'])})",
        "equal trials": "" if each["x"] is None else f"At equal trials ({number(each['x'])})",
        "the end": "At the end, whatever each used",
        "test": "On test",
    }[each["at"]]
    if each["ci95"] is None:
        return (
            f"{place}, {each['first']} is {signed(each['difference'], uncertainty=0.0)} over {each['second']}; one run "
            "on a side can't tell that from chance."
        )
    low, high = each["ci95"]
    width = (high - low) / 2.0
    ahead, behind, sign = each["first"], each["second"], 1.0
    if each["better"] == each["second"]:
        ahead, behind, sign, low, high = behind, ahead, -1.0, -high, -low
    verb = "beats" if each["better"] is not None else "is not told apart from"
    return (
        f"{place}, {ahead} {verb} {behind}: {signed(sign * each['difference'], uncertainty=width)} "
        f"(95 % {signed(low, uncertainty=width)} to {signed(high, uncertainty=width)})."
    )
