"""Studies as they are compared: best so far along energy and trials, and what must be the same for a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.analysis.groups import Course
from auditor.analysis.incumbents import incumbents
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import ComponentBook, StudyRecord, Trial, TrialState
from auditor.statement.course import axis_of, ranked_trials
from auditor.statement.draws import full_fidelity, value_at_full_fidelity
from auditor.statement.gain import gain_of
from auditor.statement.usage import Usage, usage_of
from auditor.statement.values import finite
from auditor.statement.volumes import growing_volumes, valued_trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A study to compare.

    Attributes:
        label: What people know it by, for example its folder.
        record: The study.
        protocol: What must be the same for two studies to be comparable, beside space, metrics and direction: how
            models are trained, for example. The sampler and its seed are none of it.
        seed: Seed of the search; ``None`` where it is not known.
    """

    label: str
    record: StudyRecord
    protocol: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A study as it is compared.

    Attributes:
        subject: The study.
        by_energy: Best so far against the energy of the search in J; ``None`` where energy or values are not known.
        by_trials: Best so far against trials that ended, whatever became of them.
        best: Best value of a trial that completed at full fidelity; ``None`` where there is none.
        test: Test value of that trial: the mean over fresh seeds, or what an imported study says of it.
        energy_j: Energy of the search; ``None`` where none is on the books.
        ended: Trials that ended.
    """

    subject: Subject
    by_energy: Course | None
    by_trials: Course
    best: float | None
    test: float | None
    energy_j: float | None
    ended: int


def run_of(subject: Subject, *, maximize: bool, reference: Sequence[float] | None = None) -> Run:
    """A study as it is compared.

    Args:
        subject: The study.
        maximize: Whether higher values are better.
        reference: Reference point of all that are compared, where they have several objectives: their value is the
            hypervolume up to it then, of which more is better.
    """
    record = subject.record
    usage = usage_of(record)
    if reference is not None:
        return _run_of_volumes(subject, usage, reference)
    full = full_fidelity(record.trials)
    ranked = tuple(t for t in ranked_trials(record) if value_at_full_fidelity(t, full) is not None)
    values = [trial.value or 0.0 for trial in ranked]
    axis = axis_of(record, usage, ranked)
    places = _places(record)
    sign = 1.0 if maximize else -1.0
    best = max(ranked, key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)
    retrained = gain_of(record, usage).winner_test
    return Run(
        subject=subject,
        by_energy=None if axis is None else _course(values, axis.at_completion, axis.end, maximize),
        by_trials=_course(values, [places[trial.number] for trial in ranked], float(len(places)), maximize),
        best=None if best is None else best.value,
        test=retrained if retrained is not None or best is None else finite(best.test_value),
        energy_j=None if axis is None else uj_to_j(usage.search_uj),
        ended=len(places),
    )


def _run_of_volumes(subject: Subject, usage: Usage, reference: Sequence[float]) -> Run:
    record = subject.record
    places = _places(record)
    ranked = tuple(sorted(valued_trials(record), key=lambda trial: places[trial.number]))
    volumes = growing_volumes(ranked, record.directions, reference)
    axis = axis_of(record, usage, ranked)
    return Run(
        subject=subject,
        by_energy=None if axis is None else _course(volumes, axis.at_completion, axis.end, maximize=True),
        by_trials=_course(volumes, [places[trial.number] for trial in ranked], float(len(places)), maximize=True),
        best=volumes[-1] if volumes else None,
        test=None,
        energy_j=None if axis is None else uj_to_j(usage.search_uj),
        ended=len(places),
    )


def _course(values: Sequence[float], places: Sequence[float], end: float, maximize: bool) -> Course:
    path = incumbents(values, places, maximize=maximize)
    return Course(energy=[step.energy for step in path], value=[step.value for step in path], end=end)


def _places(record: StudyRecord) -> dict[int, float]:
    """How many trials had ended with each one, by its number; in the order of numbers where an end is not known."""
    ended = [trial for trial in record.trials if trial.state is not TrialState.RUNNING]
    known = all(trial.end_ns is not None for trial in ended)

    def key(trial: Trial) -> tuple[int, int]:
        return (trial.end_ns or 0 if known else 0, trial.number)

    return {trial.number: float(place) for place, trial in enumerate(sorted(ended, key=key), start=1)}


def differences(subjects: Sequence[Subject]) -> list[str]:
    """What differs between studies that must be the same for a verdict, each as part of a sentence."""
    records = [subject.record for subject in subjects]
    keys = sorted({key for subject in subjects for key in subject.protocol})
    about: dict[str, list[str | None]] = {
        "search spaces": [record.space or None for record in records],
        "metrics": [record.metric or None for record in records],
        "directions": [record.direction or ", ".join(record.directions) or None for record in records],
        "test metrics": [record.test_metric for record in records],
        **{f"settings of {key}": [_text(subject.protocol.get(key)) for subject in subjects] for key in keys},
    }
    found = []
    for what, values in about.items():
        distinct = list(dict.fromkeys(values))
        if len(distinct) > 1:
            shown = " and ".join("not given" if value is None else f"'{value}'" for value in distinct[:2])
            found.append(f"the {what} differ ({shown})")
    return [*found, *_parameters_differ(subjects)]


def _parameters_differ(subjects: Sequence[Subject]) -> list[str]:
    """Whether one study always draws a parameter that another never does, where no space has a name.

    Conditional parameters come and go within one space, so no more than this can be held against it.
    """
    unnamed = [subject for subject in subjects if not subject.record.space]
    drawn = [[set(trial.params) for trial in subject.record.trials if trial.params] for subject in unnamed]
    always = [set.intersection(*sets) if sets else set() for sets in drawn]
    ever = [set.union(*sets) if sets else set() for sets in drawn]
    for names, one in zip(always, unnamed, strict=True):
        for others, other in zip(ever, unnamed, strict=True):
            if others and (lacking := sorted(names - others)):
                return [f"the parameters searched differ ('{lacking[0]}' is in {one.label}, not in {other.label})"]
    return []


def measured(record: StudyRecord) -> str:
    """Which parts of the machines the books hold and how that is known, for people; the same text: the same way."""
    return ", ".join(sorted({_how(part, record.imported) for part in record.books.components}))


def _how(part: ComponentBook, imported: bool) -> str:
    kind = part.component.partition(":")[0]
    detail = f" ({part.detail})" if imported and part.detail else ""
    return f"{kind} {part.provenance.value}{detail}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
