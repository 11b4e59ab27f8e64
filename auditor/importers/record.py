"""From an imported study to its record: energy is reported or worked out from durations, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditor.domain.accounts import trial_account
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial, Told
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Attempt, Books, ComponentBook, Finding, Run, Severity, StudyRecord, Trial, TrialState

ELSEWHERE = "elsewhere"
"""Node of everything that was not metered here."""

MOST_DISAGREEMENT = 0.1
"""How far, relatively, trials may use more than a second meter saw of the whole study, for their errors."""

_RANDOM = {"random", "randomsampler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Energy:
    """Energy by trial and how it is known; ``None``: nothing is known of that trial."""

    by_trial_uj: tuple[int | None, ...]
    component: ComponentBook | None
    findings: tuple[Finding, ...] = ()


def record_of(study: ImportedStudy, told: Told, uuid: str) -> StudyRecord:
    """The record of an imported study.

    Args:
        study: As its importer read it.
        told: What the user says of it.
        uuid: Identity of the study folder.

    Raises:
        InputError: what the user says does not fit the study.
    """
    energy = _energy(study, told)
    sampler = told.sampler or study.sampler
    every_random = sampler.lower() in _RANDOM
    trials = tuple(_trial(trial, every_random) for trial in study.trials)
    return StudyRecord(
        uuid=uuid,
        name=study.name,
        space="",
        sampler=sampler,
        metric=study.metric,
        direction=study.direction,
        directions=study.directions,
        test_metric=study.test_metric or _test_metric(study, told),
        books=_books(study, told, energy),
        trials=trials,
        runs=_baselines(study, told),
        imported=True,
        pue_inside=told.pue_inside if energy.component is None or _reported(energy.component) else 1.0,
        findings=(*study.findings, *energy.findings, *_second(told, energy)),
    )


def _trial(trial: ImportedTrial, every_random: bool) -> Trial:
    attempt = Attempt(number=1, state=trial.state, begin_ns=trial.begin_ns, end_ns=trial.end_ns)
    return Trial(
        number=trial.number,
        params=trial.params,
        state=trial.state,
        value=trial.value if trial.state is TrialState.COMPLETE else None,
        values=trial.values if trial.state is TrialState.COMPLETE else (),
        test_value=trial.test_value,
        intermediate=trial.intermediate,
        attempts=(attempt,),
        fidelity=trial.fidelity,
        random=True if every_random else trial.random,
    )


def _test_metric(study: ImportedStudy, told: Told) -> str | None:
    """The metric's own name, where test figures are there and nobody named their metric."""
    given = any(b.test_value is not None for b in told.baselines) or any(t.test_value is not None for t in study.trials)
    return f"{study.metric or 'value'} (test)" if given else None


def _baselines(study: ImportedStudy, told: Told) -> tuple[Run, ...]:
    runs = [
        Run(kind="baseline", name=b.name, state=TrialState.COMPLETE, value=b.value, test_value=b.test_value)
        for b in told.baselines
    ]
    if told.baseline_trial is None:
        return tuple(runs)
    if any(run.name == "default" for run in runs):
        raise InputError("--baseline-trial: the default is given by --baseline already; expected one of the two")
    if study.directions:
        raise InputError(f"--baseline-trial: the study has {len(study.directions)} objectives; a default needs one")
    chosen = next((trial for trial in study.trials if trial.number == told.baseline_trial), None)
    if chosen is None:
        raise InputError(f"--baseline-trial {told.baseline_trial}: there is no such trial in {study.name}")
    if chosen.state is not TrialState.COMPLETE or chosen.value is None:
        raise InputError(
            f"--baseline-trial {told.baseline_trial}: that trial is {chosen.state.value}; expected one that completed "
            "with a value"
        )
    default = Run(
        kind="baseline",
        name="default",
        state=TrialState.COMPLETE,
        trial=chosen.number,
        value=chosen.value,
        test_value=chosen.test_value,
    )
    return (default, *runs)


def _energy(study: ImportedStudy, told: Told) -> _Energy:
    """Energy of every trial: what the source reports, or duration times power, or nothing."""
    reported = [trial.energy_j for trial in study.trials]
    if any(energy_j is not None for energy_j in reported):
        if told.power is not None:
            raise InputError(
                f"--power-w or --hardware: the study reports energy already ({study.energy_source}); expected one of "
                "the two"
            )
        return _reported_energy(study, told, reported)
    if told.pue_inside is not None:
        raise InputError("--pue-inside: the study reports no energy that could hold it; expected an energy column")
    if told.power is None:
        hint = "give --power-w, or --gpus and --hardware" if any(t.ran_s for t in study.trials) else "none can be known"
        missing = Finding(
            code="no-energy",
            severity=Severity.WARNING,
            message=f"The study reports no energy and nothing says what its trials drew: {hint}.",
        )
        return _Energy(by_trial_uj=(None,) * len(reported), component=None, findings=(missing,))
    return _modelled_energy(study, told)


def _reported_energy(study: ImportedStudy, told: Told, reported: Sequence[float | None]) -> _Energy:
    """What the source reports, less the PUE it holds."""
    inside = told.pue_inside or 1.0
    by_trial = tuple(None if energy_j is None else round(energy_j * 1e6 / inside) for energy_j in reported)
    component = ComponentBook(
        node=ELSEWHERE,
        component="reported",
        meter=study.energy_source or "somebody else's",
        provenance=Provenance.REPORTED,
        metered_uj=sum(energy_uj or 0 for energy_uj in by_trial),
        detail=f"as {study.energy_source or 'the source'} gives it"
        + (f", less the PUE of {told.pue_inside:g} it holds" if told.pue_inside is not None else ""),
    )
    return _Energy(
        by_trial_uj=by_trial, component=component, findings=_lacking(study, by_trial, "No energy is reported")
    )


def _modelled_energy(study: ImportedStudy, told: Told) -> _Energy:
    """Duration times power."""
    power = told.power
    assert power is not None
    durations = [trial.ran_s for trial in study.trials]
    by_trial = tuple(None if ran_s is None else round(ran_s * power.typical_w * 1e6) for ran_s in durations)
    total_uj = sum(energy_uj or 0 for energy_uj in by_trial)
    known_s = sum(ran_s or 0.0 for ran_s in durations)
    found = _lacking(study, by_trial, "No duration is known")
    if total_uj == 0:
        return _Energy(by_trial_uj=by_trial, component=None, findings=found)
    bounded = power.low_w < power.high_w  # one figure for the power says nothing of what it could have been
    component = ComponentBook(
        node=ELSEWHERE,
        component="gpu" if told.gpus else "machine",
        meter="duration times power",
        provenance=Provenance.MODELLED,
        metered_uj=total_uj,
        low_uj=min(total_uj, round(known_s * power.low_w * 1e6)) if bounded else None,
        high_uj=max(total_uj, round(known_s * power.high_w * 1e6)) if bounded else None,
        detail=power.detail,
    )
    return _Energy(by_trial_uj=by_trial, component=component, findings=found)


def _lacking(study: ImportedStudy, by_trial: Sequence[int | None], why: str) -> tuple[Finding, ...]:
    lacking = [trial.number for trial, energy_uj in zip(study.trials, by_trial, strict=True) if energy_uj is None]
    if not lacking:
        return ()
    listed = ", ".join(map(str, lacking[:10])) + (", …" if len(lacking) > 10 else "")
    return (
        Finding(
            code="attempt-without-energy",
            severity=Severity.WARNING,
            message=f"{why} for {len(lacking):,} of {len(study.trials):,} trials ({listed}): the study used more than "
            "the books hold.",
        ),
    )


def _books(study: ImportedStudy, told: Told, energy: _Energy) -> Books:
    accounts = {
        trial_account(study.name, trial.number, 1): energy_uj
        for trial, energy_uj in zip(study.trials, energy.by_trial_uj, strict=True)
        if energy_uj is not None
    }
    durations = [trial.ran_s for trial in study.trials]
    held_s = sum(ran_s for ran_s in durations if ran_s is not None)
    device_s = {"gpu": told.gpus * held_s} if told.gpus and held_s > 0 else {}
    times, cumulative = _course(study.trials, energy.by_trial_uj)
    begins = [trial.begin_ns for trial in study.trials if trial.begin_ns is not None]
    ends = [trial.end_ns for trial in study.trials if trial.end_ns is not None]
    return Books(
        policy="reserved",
        accounts=accounts,
        metered_uj=sum(accounts.values()),
        components=() if energy.component is None else (energy.component,),
        wall_s=max(0.0, (max(ends) - min(begins)) / 1e9) if begins and ends else 0.0,
        device_s=device_s,
        search_device_s=device_s,
        cumulative_ns=times,
        cumulative_uj=cumulative,
    )


def _course(
    trials: Sequence[ImportedTrial], by_trial_uj: Sequence[int | None]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cumulative energy of all trials over time, work in flight included; empty where an end is not known.

    A trial's energy is spread evenly from its begin to its end; where its begin is not known all of it is at its end.
    Trials of which no energy is known add nothing.
    """
    used = [(t, e) for t, e in zip(trials, by_trial_uj, strict=True) if e is not None]
    if len(used) < 2 or any(trial.end_ns is None for trial, _ in used):
        return (), ()
    end = np.array([t.end_ns for t, _ in used], dtype=np.int64)
    begin = np.array([t.end_ns if t.begin_ns is None else min(t.begin_ns, t.end_ns or 0) for t, _ in used], np.int64)
    energy = np.array([energy_uj for _, energy_uj in used], dtype=np.float64)
    times = np.unique(np.concatenate([begin, end]))
    spans = end > begin
    power = np.zeros(len(times))
    rate = energy[spans] / (end[spans] - begin[spans])
    np.add.at(power, np.searchsorted(times, begin[spans]), rate)
    np.add.at(power, np.searchsorted(times, end[spans]), -rate)
    grown = np.concatenate([[0.0], np.cumsum(np.cumsum(power)[:-1] * np.diff(times))])
    at_once = np.zeros(len(times))
    np.add.at(at_once, np.searchsorted(times, end[~spans]), energy[~spans])
    total_uj = sum(energy_uj for _, energy_uj in used)  # exact and of any size, where floats and int64 are not
    rising = np.maximum.accumulate(np.rint(grown + np.cumsum(at_once)))
    return tuple(times.tolist()), (*(min(int(uj), total_uj) for uj in rising[:-1].tolist()), total_uj)


def _reported(component: ComponentBook) -> bool:
    return component.provenance is Provenance.REPORTED


def _second(told: Told, energy: _Energy) -> tuple[Finding, ...]:
    """The study's energy against that of a second meter, which sees whole jobs and so must not see less."""
    if told.second_j is None:
        return ()
    whole = f"{told.second_meter} says {told.second_j:,.4g} J for the whole study"
    if energy.component is None:
        return (_info("second-meter", f"{whole}; how much each trial used is not known."),)
    ours_j = uj_to_j(energy.component.metered_uj)
    low_uj = energy.component.low_uj
    least_j = ours_j if low_uj is None else uj_to_j(low_uj)
    if least_j > told.second_j * (1.0 + MOST_DISAGREEMENT):
        message = f"{whole}, but the trials alone sum to {ours_j:,.4g} J (at least {least_j:,.4g} J)."
        return (Finding(code="meters-disagree", severity=Severity.ERROR, message=message),)
    return (
        _info("second-meter", f"{whole}, the trials sum to {ours_j:,.4g} J: it also sees what lies around the trials."),
    )


def _info(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.INFO, message=message)
