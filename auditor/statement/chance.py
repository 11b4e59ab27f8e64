"""What random search would have given: its expected maximum, and a random arm at equal energy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from auditor.analysis.expected_max import expected_maximum, expected_maximum_at_energy
from auditor.analysis.groups import Course, relative_improvement
from auditor.analysis.incumbents import incumbents
from auditor.analysis.random_arm import FAIR_SHARE, random_arm_difference
from auditor.domain.study import Finding, StudyRecord
from auditor.statement.advice import Advice, advice_on
from auditor.statement.course import by_order, ranked_trials
from auditor.statement.draws import Draws, draws_of
from auditor.statement.gain import Gain
from auditor.statement.objections import info, warning
from auditor.statement.usage import Usage, is_metered
from auditor.statement.values import counted, finite, percent

_LEAST_ORDERS, _MOST_ORDERS = 100, 2000
_MOST_STEPS = 4_000_000
"""Random orders of the draws to average over: fewer of very many draws, whose means vary less."""


def chance_sections(record: StudyRecord, usage: Usage, gain: Gain) -> tuple[dict[str, Any], list[Finding]]:
    """The sections ``expected_max``, ``expected_max_basis`` and ``random_arm``; energies in joules.

    Args:
        record: The study.
        usage: Its accounts by purpose.
        gain: Its comparison with the default, at whose value draws enter that gave nothing.
    """
    draws = draws_of(record, usage)
    expected, basis, found = _expected(draws, gain, advice_on(record))
    arm, arm_found = _arm(record, usage, gain, draws)
    return {"expected_max": expected, "expected_max_basis": basis, "random_arm": arm}, [*found, *arm_found]


def _expected(
    draws: Draws | None, gain: Gain, advice: Advice
) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None, list[Finding]]:
    null = "expected_max and expected_max_basis are null"
    if draws is None:
        why = "no training of the study is known to be an independent draw, and an adaptive sampler's are none"
        return None, None, [info("not-iid", f"{null}: {why}; {advice.draws}.")]
    start = gain.default_value
    lacking = draws.without_value
    if lacking and start is None:
        why = (
            f"{lacking} of {counted(len(draws.values), 'draw')} gave no value, and there is no default whose value "
            "they could enter at; leaving them out would overstate it"
        )
        return None, None, [info("no-expected-max", f"{null}: {why}.")]
    values = [start if value is None else value for value in draws.values]
    curve = expected_maximum([v for v in values if v is not None], maximize=gain.maximize)
    if curve is None or lacking == len(draws.values):
        return None, None, [info("no-expected-max", f"{null}: none of the draws completed with a value.")]
    energies = [energy_j for energy_j in draws.energies_j if energy_j is not None]
    mean_j = sum(energies) / len(energies) if len(energies) == len(draws.energies_j) else None
    found = []
    if start is None:
        found.append(info("no-start", "expected_max_basis.start is null: there is no default, and no draw needed it."))
    if mean_j is None:
        found.append(info("no-draw-energy", "expected_max[].energy_j is null: nothing is booked for some draws."))
    if curve.low is None or curve.high is None or None in (*curve.low, *curve.high):
        found.append(
            info(
                "band-open",
                f"expected_max[].low or .high is null where {counted(len(values), 'draw')} bound it on no side: the "
                "band is of the median and holds for all n at once (95 %).",
            )
        )
    at_energy: Sequence[float | None] = [None] * len(curve.n)
    if mean_j is not None:
        at_energy = expected_maximum_at_energy(
            [v for v in values if v is not None],
            energies,
            [n * mean_j for n in curve.n],
            start=start,
            maximize=gain.maximize,
            permutations=max(_LEAST_ORDERS, min(_MOST_ORDERS, _MOST_STEPS // len(values))),
        )
    rows = [
        {
            "n": n,
            "tang": tang,
            "dodge": dodge,
            "low": None if curve.low is None else curve.low[place],
            "high": None if curve.high is None else curve.high[place],
            "energy_j": None if mean_j is None else n * mean_j,
            "at_energy": at_energy[place],
        }
        for place, (n, tang, dodge) in enumerate(zip(curve.n, curve.tang, curve.dodge, strict=True))
    ]
    basis = {"source": draws.source, "draws": len(values), "without_value": lacking, "start": start}
    return rows, basis, found


def _arm(
    record: StudyRecord, usage: Usage, gain: Gain, draws: Draws | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    null = "random_arm is null"
    if draws is None or not draws.apart:
        return None, [info("no-random-arm", f"{null}: {advice_on(record).arm}.")]
    known = [(value, energy_j) for value, energy_j in zip(draws.values, draws.energies_j, strict=True)]
    if not is_metered(record) or any(energy_j is None for _, energy_j in known):
        return None, [info("no-arm-energy", f"{null}: nothing is booked for some of its draws.")]
    energies = [energy_j or 0.0 for _, energy_j in known]
    spent = list(accumulate(energies))
    completed = [(value, at) for (value, _), at in zip(known, spent, strict=True) if value is not None]
    path = incumbents([v for v, _ in completed], [at for _, at in completed], maximize=gain.maximize)
    random = Course(energy=[s.energy for s in path], value=[s.value for s in path], end=spent[-1])
    search = _course_of_trainings(record, usage, maximize=gain.maximize)
    found = random_arm_difference(search, random, maximize=gain.maximize)
    if found is None:
        why = f"search or arm had no result by {percent(FAIR_SHARE)} of the arm's energy, up to where one run is fair"
        return None, [info("no-fair-energy", f"{null}: {why}; give the arm a larger share.")]
    best = None if gain.best is None else gain.best.value
    relative, relative_error = relative_improvement(
        [] if best is None else [best], [v for v, _ in completed], maximize=gain.maximize
    )
    section = {
        "energy_j": found.energy,
        "best": found.best,
        "random": found.random,
        "delta": found.delta,
        "ci95": None,
        "draws": len(draws.values),
        "total_j": spent[-1],
        "relative_percent": finite(relative),
        "relative_error_percent": finite(relative_error),
        "course": {"search": _steps(search), "arm": _steps(random)},
    }
    remarks = [
        warning(
            "order-only",
            "random_arm.ci95 is null: one run says which of search and random arm was ahead, not by how much another "
            "run would be; repeat the search under other seeds (auditor search --repeat).",
        )
    ]
    if section["relative_error_percent"] is None:
        remarks.append(
            info("no-relative-error", "random_arm.relative_error_percent is null: the values are no accuracies.")
        )
    if section["relative_percent"] is None:
        remarks.append(
            info("no-relative", "random_arm.relative_percent is null: random search's mean is 0, or no trial is best.")
        )
    return section, remarks


def _steps(course: Course) -> list[dict[str, float]]:
    return [{"energy_j": at, "value": value} for at, value in zip(course.energy, course.value, strict=True)]


def _course_of_trainings(record: StudyRecord, usage: Usage, *, maximize: bool) -> Course:
    """The search against the energy of its trainings and its sampler.

    What serves search and arm alike (orchestration, tracking, the audit) is on neither axis.
    """
    ranked = ranked_trials(record)
    axis = by_order(record, usage, ranked)
    trials_uj = sum(usage.by_trial.values())
    scale = 1.0 + usage.sampler_uj / trials_uj if trials_uj else 1.0
    path = incumbents([trial.value or 0.0 for trial in ranked], axis.at_completion, maximize=maximize)
    return Course(
        energy=[scale * step.energy for step in path], value=[step.value for step in path], end=scale * axis.end
    )
