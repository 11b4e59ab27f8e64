"""What is said of a plain training: what it cost, and that nothing was searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding
from auditor.statement.energy import scaled_range
from auditor.statement.measurement import TRUSTED
from auditor.statement.objections import OF_SEARCHES, info
from auditor.statement.trainings import OTHER, carried
from auditor.statement.values import counted, duration, energy, number, percent
from auditor.statement.verdict import VerdictGrade, on_books

_NULL = ("space", "sampler", "metric", "test_metric", "direction")
_LEAST_SHARE = 0.01
_MOST_PHASES = 2
_MOSTLY = 0.5


def training_verdict(
    parameters: Parameters, statement: Mapping[str, Any], trainings: list[dict[str, Any]]
) -> dict[str, Any]:
    """The ``verdict`` section of a plain training: its cost in plain words; nothing is judged.

    Args:
        parameters: Written into ``worth``, as a search has them.
        statement: The sections ``energy``, ``compute``, ``cost`` and ``measurement``.
        trainings: The section ``trainings``.
    """
    return {
        "grade": VerdictGrade.CANNOT_SAY.value,
        "worth": {
            "gain": parameters.worth_gain or 0.0,
            "cost": parameters.worth_cost,
            "currency": parameters.currency,
        },
        "sentence": _sentence(statement, trainings),
        "reasons": [
            "Nothing was searched: there is no other architecture or setting to compare this one with.",
            *on_books(statement["measurement"]["grade"]),
        ],
        "next": _next_step(statement),
    }


def training_only() -> Finding:
    """The one reason for everything that only a search can have."""
    paths = [
        *(f"study.{key}" for key in _NULL),
        "energy.times_default",
        "gain",
        "tail_share",
        *OF_SEARCHES,
        "alternatives",
    ]
    return info(
        "training-only",
        f"{', '.join(paths[:-1])} and {paths[-1]} are null, incumbents and marginal are empty: this is a plain "
        "training, nothing was searched.",
    )


def _sentence(statement: Mapping[str, Any], trainings: list[dict[str, Any]]) -> str:
    several = len(trainings) > 1
    opening = f"{len(trainings)} trainings, not a search: " if several else "A training, not a search: "
    search_uj = statement["energy"]["search_uj"]
    if search_uj is None:
        return f"{opening}what {'they' if several else 'it'} used was not metered."
    parts = [f"{opening}{'they' if several else 'it'} used {_used(statement)}{_time(statement, trainings)}"]
    parts += filter(None, [_cost(statement), _phases(search_uj, trainings)])
    earlier_uj, sessions = carried((training["carried_uj"], training["carried_from"]) for training in trainings)
    in_all = ""
    if earlier_uj > 0:
        earlier = counted(sessions, "earlier session") if sessions else "what earlier sessions used"
        in_all = f" With {earlier}, {energy(uj_to_j(search_uj + earlier_uj))} in all."
    return f"{'; '.join(parts)}.{in_all}"


def _used(statement: Mapping[str, Any]) -> str:
    text = energy(uj_to_j(statement["energy"]["search_uj"]))
    bounds = scaled_range(statement["energy"])
    if bounds is not None and bounds[0] < bounds[1]:
        text += f" (about {energy(bounds[0])} to {energy(bounds[1])}, given how it was measured)"
    return text


def _time(statement: Mapping[str, Any], trainings: list[dict[str, Any]]) -> str:
    """How long the runs took, one after the other; where one has no end, from the first reading to the last."""
    times = [training["wall_s"] for training in trainings]
    wall_s = sum(times) if times and None not in times else statement["compute"]["wall_s"]
    return "" if wall_s is None else f" in {duration(wall_s)}"


def _cost(statement: Mapping[str, Any]) -> str:
    cost = statement["cost"]
    return "" if cost["total"] is None else f"it cost {number(cost['total'])} {cost['currency']}"


def _phases(search_uj: int, trainings: list[dict[str, Any]]) -> str:
    """The phases that most of the energy went to, with their shares."""
    sums: dict[str, int] = {}
    for training in trainings:
        for phase, energy_uj in training["phases"].items():
            sums[phase] = sums.get(phase, 0) + energy_uj
    largest = sorted((phase for phase in sums if phase != OTHER), key=lambda phase: -sums[phase])
    said = [
        f"{percent(sums[phase] / search_uj)} {'' if place else 'went '}to {phase}"
        for place, phase in enumerate(largest[:_MOST_PHASES])
        if search_uj and sums[phase] >= _LEAST_SHARE * search_uj
    ]
    return ", ".join(said)


def _next_step(statement: Mapping[str, Any]) -> str:
    grade, parts = statement["measurement"]["grade"], statement["energy"]["components"]
    if statement["energy"]["search_uj"] is None:
        return "Run auditor doctor: it says which meters work here."
    if grade == "contradicted":
        return "Settle first what contradicts these figures: the findings name it."
    weak = [part for part in parts if Provenance(part["provenance"]) not in TRUSTED]
    if sum(part["share"] or 0.0 for part in weak) > _MOSTLY:
        names = ", ".join(dict.fromkeys(part["component"] for part in weak))
        return f"Run auditor doctor: it says what would measure {names} better; most of the energy is an estimate."
    return "To judge an architecture or its settings, compare it with others: auditor search."
