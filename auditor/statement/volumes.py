"""Studies with several objectives as they are compared: by the hypervolume of their front, up to one reference."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.analysis.pareto import hypervolume, pareto_front, reference_point
from auditor.domain.study import StudyRecord, Trial, TrialState
from auditor.statement.draws import full_fidelity
from auditor.statement.values import finite


def valued_trials(record: StudyRecord) -> tuple[Trial, ...]:
    """Trials that completed at full fidelity with a finite value of every objective."""
    full = full_fidelity(record.trials)
    return tuple(
        trial
        for trial in record.trials
        if trial.state is TrialState.COMPLETE
        and len(trial.values) == len(record.directions)
        and all(finite(value) is not None for value in trial.values)
        and (full is None or trial.fidelity == full)
    )


def common_reference(records: Sequence[StudyRecord]) -> tuple[float, ...] | None:
    """The one reference point for all that are compared; ``None`` where they have one objective, or no values."""
    directions = records[0].directions
    if not directions or any(record.directions != directions for record in records):
        return None
    points = [[trial.values for trial in valued_trials(record)] for record in records]
    return reference_point([each for each in points if each], maximize=_maximize(directions))


def growing_volumes(
    trials: Sequence[Trial], directions: Sequence[str], reference: Sequence[float]
) -> tuple[float, ...]:
    """Hypervolume of the front of the first 1, 2, … of some trials, in the product of the objectives' units."""
    maximize = _maximize(directions)
    front: list[tuple[float, ...]] = []
    volume, found = 0.0, []
    for trial in trials:
        points = [*front, trial.values]
        kept = pareto_front(points, maximize=maximize)
        if len(points) - 1 in kept:  # else nothing grows
            front = [points[place] for place in kept]
            volume = hypervolume(front, reference=reference, maximize=maximize) or volume
        found.append(volume)
    return tuple(found)


def _maximize(directions: Sequence[str]) -> list[bool]:
    return [direction != "minimize" for direction in directions]
