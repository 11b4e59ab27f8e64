"""Whether what the search found pays back what the search used, and what a point of the metric cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from auditor.analysis.break_even import BreakEven, break_even_trainings
from auditor.domain.accounts import Phase, evaluated
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord, TrialState
from auditor.statement.gain import Gain
from auditor.statement.objections import info
from auditor.statement.usage import Usage, is_metered
from auditor.statement.values import mean

_NO_TRAINING = frozenset({Phase.TEST.value, Phase.PREDICT.value})


def repay_section(
    record: StudyRecord, usage: Usage, gain: Gain, cost: float | None
) -> tuple[dict[str, Any], list[Finding]]:
    """The section ``break_even``; energies in joules.

    Args:
        record: The study.
        usage: Its accounts by purpose.
        gain: Its comparison with the default.
        cost: What the search cost, in the currency of the parameters; ``None`` without a price.
    """
    search_j = uj_to_j(usage.search_uj) if is_metered(record) else None
    trainings, found = _trainings(record, usage, gain, search_j)
    winner_j = mean(_training_j(record, usage, gain, "winner"))
    reuse = None if search_j is None or not winner_j else search_j / winner_j
    if reuse is None:
        found.append(info("no-reuse", "break_even.reuse is null: no retraining of the winner is on the books."))
    points = gain.delta_test if gain.delta_test is not None and gain.delta_test > 0.0 else None
    section = {
        "inference": None,
        "trainings": trainings,
        "tasks": None,
        "reuse": reuse,
        "energy_per_gain_j": None if points is None or search_j is None else search_j / points,
        "cost_per_gain": None if points is None or cost is None else cost / points,
    }
    if section["energy_per_gain_j"] is None:
        why = "nothing was gained on test" if points is None else "no energy is on the books"
        found.append(info("no-energy-per-gain", f"break_even.energy_per_gain_j is null: {why}."))
    if section["cost_per_gain"] is None:
        why = "nothing was gained on test" if points is None else "no price was given"
        found.append(info("no-cost-per-gain", f"break_even.cost_per_gain is null: {why}."))
    found.append(
        info("no-inference-energy", "break_even.inference is null: the energy of an inference was not measured.")
    )
    return section, found


def _trainings(
    record: StudyRecord, usage: Usage, gain: Gain, search_j: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """After how many trainings of the winner, instead of the default, the search is repaid."""
    base, new = (_training_j(record, usage, gain, subject) for subject in ("default", "winner"))
    if search_j is None or not base or not new:
        why = "winner and default need retrainings on fresh seeds with energy on the books"
        return None, [info("no-break-even", f"break_even.trainings is null: {why} (evaluation.seeds).")]
    found = break_even_trainings(search_j, base, new)
    section = {**asdict(found), "base_j": mean(base), "new_j": mean(new), "equal_accuracy": _equal(gain)}
    return section, [*_on_trainings(found), *_on_accuracy(gain)]


def _on_trainings(found: BreakEven) -> list[Finding]:
    if found.status == "established":
        return []
    nulls = [f"break_even.trainings.{key}" for key in ("n", "low", "high") if getattr(found, key) is None]
    why = (
        "a training of the winner uses more than one of the default"
        if found.status == "never"
        else "the two may use the same within their spread over seeds, which is not the same as never"
    )
    return [info("break-even-open", f"{', '.join(nulls)} {'is' if len(nulls) == 1 else 'are'} null: {why}.")]


def _on_accuracy(gain: Gain) -> list[Finding]:
    if gain.interval is not None:
        return []
    why = "the gain on test has no interval"
    return [info("accuracy-unknown", f"break_even.trainings.equal_accuracy is null: {why}.")]


def _equal(gain: Gain) -> bool | None:
    """Whether winner and default may be equally good on test; ``None``: not known."""
    return None if gain.interval is None else gain.interval.low <= 0.0 <= gain.interval.high


def _training_j(record: StudyRecord, usage: Usage, gain: Gain, subject: str) -> list[float]:
    """Energy of each completed retraining of the default, or of the best trial, without its test, in joules."""
    found = []
    best = None if gain.best is None else gain.best.number
    for run in record.runs:
        if (run.kind, run.name, run.state) != ("evaluation", subject, TrialState.COMPLETE) or run.seed is None:
            continue
        if run.trial not in (None, best):
            continue
        phases = usage.by_evaluation.get(evaluated(subject, run.seed))
        if phases is not None:
            found.append(uj_to_j(sum(uj for phase, uj in phases.items() if phase not in _NO_TRAINING)))
    return found
