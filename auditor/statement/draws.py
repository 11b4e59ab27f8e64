"""Which trainings of a study were drawn independently of each other, so that they say what random search would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.domain.quantities import MICROJOULES_PER_JOULE
from auditor.domain.study import Run, StudyRecord, Trial, TrialState
from auditor.statement.usage import Usage
from auditor.statement.values import finite

STARTUP_TRIALS = 10
"""Finished trials before which Optuna's TPE draws at random (``n_startup_trials``, unless told otherwise)."""

_RANDOM = frozenset({"random", "randomsampler"})
_TPE = frozenset({"tpe", "tpesampler"})
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Independent draws in the order in which they began; those that gave nothing are among them.

    Attributes:
        source: Where they come from, for people.
        values: Values at full fidelity, ``(n,)``; ``None`` for one that was pruned, failed or was lost.
        energies_j: What each used, ``(n,)``; ``None`` where nothing is booked.
        apart: Whether they are no trials of the search itself.
    """

    source: str
    values: tuple[float | None, ...]
    energies_j: tuple[float | None, ...]
    apart: bool

    @property
    def without_value(self) -> int:
        """How many gave nothing."""
        return sum(value is None for value in self.values)


def draws_of(record: StudyRecord, usage: Usage) -> Draws | None:
    """The draws a study has: its random arm, else its trials by a random sampler, else those before TPE knew anything.

    Returns:
        ``None`` where no training of the study is known to be an independent draw.
    """
    return _arm(record, usage) or _random_trials(record, usage) or _startup(record, usage)


def full_fidelity(trials: Sequence[Trial]) -> float | None:
    """The largest fidelity of the trials that completed with a value; ``None`` where none of them has any."""
    ended = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    valued = [trial for trial in ended if finite(trial.value) is not None or trial.values]
    return max((f for trial in valued if (f := finite(trial.fidelity)) is not None), default=None)


def value_at_full_fidelity(trial: Trial, full: float | None) -> float | None:
    """The value of a trial that completed at full fidelity; ``None`` for any other."""
    whole = full is None or trial.fidelity == full
    return finite(trial.value) if trial.state is TrialState.COMPLETE and whole else None


def _arm(record: StudyRecord, usage: Usage) -> Draws | None:
    runs: dict[int, Run] = {}
    for run in record.runs:
        if run.draw is not None:
            runs[run.draw] = run  # a draw that was lost and tried again: its last run counts
    if not runs:
        return None
    numbers = sorted(runs)
    completed = {n: run for n, run in runs.items() if run.state is TrialState.COMPLETE}
    return Draws(
        source="the random arm",
        values=tuple(finite(completed[n].value) if n in completed else None for n in numbers),
        energies_j=tuple(_joules(usage.by_draw.get(n)) for n in numbers),
        apart=True,
    )


def _random_trials(record: StudyRecord, usage: Usage) -> Draws | None:
    if record.sampler.lower() in _RANDOM:
        return _of_trials(record, usage, record.trials, "the trials of the random sampler")
    told = tuple(trial for trial in record.trials if trial.random)
    return _of_trials(record, usage, told, "the trials drawn at random") if told else None


def _startup(record: StudyRecord, usage: Usage) -> Draws | None:
    """Trials that began before TPE had seen enough to do more than draw at random."""
    if record.sampler.lower() not in _TPE:
        return None
    ends = sorted(t.end_ns for t in record.trials if t.state in _FINISHED and t.end_ns is not None)
    begun = [(t, t.begin_ns) for t in record.trials if t.begin_ns is not None and t.end_ns is not None]
    if not begun or len(begun) < len(record.trials):
        return None
    enough_ns = ends[STARTUP_TRIALS - 1] if len(ends) >= STARTUP_TRIALS else None
    early = tuple(t for t, begin_ns in begun if enough_ns is None or begin_ns < enough_ns)
    return _of_trials(record, usage, early, f"the start-up draws of TPE (before {STARTUP_TRIALS} trials had finished)")


def _of_trials(record: StudyRecord, usage: Usage, trials: Sequence[Trial], source: str) -> Draws | None:
    if not trials:
        return None
    full = full_fidelity(record.trials)
    return Draws(
        source=source,
        values=tuple(value_at_full_fidelity(trial, full) for trial in trials),
        energies_j=tuple(_joules(usage.by_trial.get(trial.number)) for trial in trials),
        apart=False,
    )


def _joules(energy_uj: int | None) -> float | None:
    return None if energy_uj is None else energy_uj / MICROJOULES_PER_JOULE
