"""Value against energy: the Pareto front, and the hypervolume of studies with several objectives."""

from __future__ import annotations

from typing import Any

from auditor.analysis.pareto import hypervolume, pareto_front, reference_point
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord, Trial
from auditor.statement.draws import full_fidelity, value_at_full_fidelity
from auditor.statement.objections import info
from auditor.statement.usage import Usage
from auditor.statement.values import finite
from auditor.statement.volumes import valued_trials


def front_sections(record: StudyRecord, usage: Usage) -> tuple[dict[str, Any], list[Finding]]:
    """The sections ``pareto`` and ``hypervolume``; energies in joules.

    Only trials that completed at full fidelity enter, with the energy of the attempt that completed: a trial that was
    cut short is cheap, but gives no model.
    """
    return _of_values(record, usage) if record.directions else _of_energy(record, usage)


def _of_energy(record: StudyRecord, usage: Usage) -> tuple[dict[str, Any], list[Finding]]:
    full = full_fidelity(record.trials)
    entered = [
        (trial, value, energy_j)
        for trial in record.trials
        if (value := value_at_full_fidelity(trial, full)) is not None
        and (energy_j := _training_j(trial, usage)) is not None
    ]
    found = [
        info("one-objective", "hypervolume is null: the study has one objective, and its scale against energy is free.")
    ]
    if not entered:
        found.append(
            info("no-pareto", "pareto is null: no trial completed at full fidelity with a value and energy booked.")
        )
        return {"pareto": None, "hypervolume": None}, found
    chosen = pareto_front(
        [(value, energy_j) for _, value, energy_j in entered], maximize=(record.direction != "minimize", False)
    )
    rows = [
        {"trial": entered[i][0].number, "value": entered[i][1], "values": None, "energy_j": entered[i][2]}
        for i in chosen
    ]
    return {"pareto": rows, "hypervolume": None}, found


def _of_values(record: StudyRecord, usage: Usage) -> tuple[dict[str, Any], list[Finding]]:
    maximize = [direction != "minimize" for direction in record.directions]
    entered = valued_trials(record)
    if not entered:
        why = "no trial completed with a finite value of every objective"
        return {"pareto": None, "hypervolume": None}, [info("no-pareto", f"pareto and hypervolume are null: {why}.")]
    points = [trial.values for trial in entered]
    chosen = pareto_front(points, maximize=maximize)
    rows = [
        {
            "trial": entered[i].number,
            "value": None,
            "values": list(entered[i].values),
            "energy_j": _training_j(entered[i], usage),
        }
        for i in chosen
    ]
    found = [
        info("several-objectives", "pareto[].value is null: the study has several objectives, in pareto[].values.")
    ]
    reference = reference_point([points], maximize=maximize)
    volume = None if reference is None else finite(hypervolume(points, reference=reference, maximize=maximize))
    if any(row["energy_j"] is None for row in rows):
        found.append(info("no-pareto-energy", "pareto[].energy_j is null where nothing is booked for a trial."))
    if volume is None or reference is None:
        found.append(info("no-hypervolume", "hypervolume is null: no reference point can be had of these values."))
        return {"pareto": rows, "hypervolume": None}, found
    return {"pareto": rows, "hypervolume": {"value": volume, "reference": list(reference)}}, found


def _training_j(trial: Trial, usage: Usage) -> float | None:
    """Energy of the attempt that completed, in joules; ``None`` where nothing is booked for it."""
    energy_uj = usage.by_attempt.get((trial.number, trial.attempts[-1].number)) if trial.attempts else None
    return None if energy_uj is None else uj_to_j(energy_uj)
