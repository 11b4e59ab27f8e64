"""Whether what the search found pays back what the search used, and what a point of the metric cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from auditor.analysis.break_even import BreakEven, break_even_inference, break_even_trainings
from auditor.domain.accounts import Phase
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord, Trial, TrialState
from auditor.statement.advice import advice_on
from auditor.statement.gain import Gain
from auditor.statement.inference import Inference
from auditor.statement.objections import info
from auditor.statement.usage import Usage, is_metered, retraining
from auditor.statement.values import finite, mean

_NO_TRAINING = frozenset({Phase.TEST.value, Phase.PREDICT.value})


def repay_section(
    record: StudyRecord, usage: Usage, gain: Gain, inference: Mapping[str, Inference], cost: float | None
) -> tuple[dict[str, Any], list[Finding]]:
    """The section ``break_even``; energies in joules.

    Args:
        record: The study.
        usage: Its accounts by purpose.
        gain: Its comparison with the default.
        inference: Its inference by subject.
        cost: What the search cost, in the currency of the parameters; ``None`` without a price.
    """
    search_j = uj_to_j(usage.search_uj) if is_metered(record) else None
    trainings, found = _trainings(record, usage, gain, search_j)
    inferences, inference_found = _inferences(record, usage, gain, inference, search_j)
    found += inference_found
    winner_j = mean(_training_j(record, usage, gain, "winner"))
    reuse = None if search_j is None or not winner_j else search_j / winner_j
    if reuse is None:
        found.append(
            info("no-reuse", "break_even.reuse is null: no energy of a training of the winner is on the books.")
        )
    points = gain.delta_test if gain.delta_test is not None and gain.delta_test > 0.0 else None
    section = {
        "inference": inferences,
        "trainings": trainings,
        "tasks": None,
        "reuse": reuse,
        "energy_per_gain_j": None if points is None or search_j is None else finite(search_j / points),
        "cost_per_gain": None if points is None or cost is None else finite(cost / points),
    }
    nothing = "the gain on test is not known" if gain.delta_test is None else "nothing was gained on test"
    if section["energy_per_gain_j"] is None:
        why = nothing if points is None else "no energy is on the books"
        found.append(info("no-energy-per-gain", f"break_even.energy_per_gain_j is null: {why}."))
    if section["cost_per_gain"] is None:
        why = nothing if points is None else "what the search cost is not known"
        found.append(info("no-cost-per-gain", f"break_even.cost_per_gain is null: {why}."))
    return section, found


def _inferences(
    record: StudyRecord, usage: Usage, gain: Gain, inference: Mapping[str, Inference], search_j: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """After how many inferences of the winner, instead of the default, search and training are repaid."""
    null = "break_even.inference is null"
    base, new = inference.get("default"), inference.get("winner")
    if search_j is None or base is None or new is None:
        return None, [info("no-inference-energy", f"{null}: the inference of winner and default was not metered.")]
    train_base, train_new = (_training_j(record, usage, gain, subject) for subject in ("default", "winner"))
    if not train_base or not train_new:
        return None, [info("no-inference-energy", f"{null}: no retraining of one of the two is on the books.")]
    found = break_even_inference(
        search_j=search_j,
        train_new_j=mean(train_new) or 0.0,
        train_base_j=mean(train_base) or 0.0,
        base_inference_j=base.per_sample_j,
        new_inference_j=new.per_sample_j,
    )
    section = {**asdict(found), "equal_accuracy": _equal(gain)}
    return section, [*_open_ends(found, "inference", "An inference", once=False), *_on_accuracy(gain, "inference")]


def _trainings(
    record: StudyRecord, usage: Usage, gain: Gain, search_j: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """After how many trainings of the winner, instead of the default, the search is repaid."""
    base, new = (_training_j(record, usage, gain, subject) for subject in ("default", "winner"))
    if search_j is None or not base or not new:
        return None, [info("no-break-even", f"break_even.trainings is null: {advice_on(record).retrainings}.")]
    found = break_even_trainings(search_j, base, new)
    section = {**asdict(found), "base_j": mean(base), "new_j": mean(new), "equal_accuracy": _equal(gain)}
    return section, [
        *_open_ends(found, "trainings", "A training", once=min(len(base), len(new)) < 2),
        *_on_accuracy(gain, "trainings"),
    ]


def _open_ends(found: BreakEven, key: str, use: str, *, once: bool) -> list[Finding]:
    if found.status == "established":
        return []
    nulls = [f"break_even.{key}.{end}" for end in ("n", "low", "high") if getattr(found, end) is None]
    if found.status == "never":
        why = f"{use.lower()} of the winner uses more than one of the default"
    elif once:
        why = "one training of either says nothing of its spread"
    else:
        why = f"{use.lower()} of either may use the same within its spread, which is not the same as never"
    return [info("break-even-open", f"{', '.join(nulls)} {'is' if len(nulls) == 1 else 'are'} null: {why}.")]


def _on_accuracy(gain: Gain, key: str) -> list[Finding]:
    if gain.interval is not None:
        return []
    why = "the gain on test has no interval"
    return [info("accuracy-unknown", f"break_even.{key}.equal_accuracy is null: {why}.")]


def _equal(gain: Gain) -> bool | None:
    """Whether winner and default may be equally good on test; ``None``: not known."""
    return None if gain.interval is None else gain.interval.low <= 0.0 <= gain.interval.high


def _training_j(record: StudyRecord, usage: Usage, gain: Gain, subject: str) -> list[float]:
    """Energy of each completed retraining of the default, or of the best trial, without its test, in joules.

    Without retrainings that of the one training there was: of the trial, or of the baseline.
    """
    found = []
    best = None if gain.best is None else gain.best.number
    for run in record.runs:
        if (run.kind, run.name, run.state) != ("evaluation", subject, TrialState.COMPLETE) or run.seed is None:
            continue
        if run.trial not in (None, best):
            continue
        phases = usage.by_evaluation.get(retraining(run))
        if phases is not None:
            found.append(uj_to_j(sum(uj for phase, uj in phases.items() if phase not in _NO_TRAINING)))
    if found:
        return found
    once_uj = _once_uj(record, usage, gain.best if subject == "winner" else None)
    return [uj_to_j(once_uj)] if once_uj else []


def _once_uj(record: StudyRecord, usage: Usage, winner: Trial | None) -> int | None:
    """Energy of the winner's trial, or of the default's baseline, which may be a trial of the study itself."""
    if winner is not None:
        return usage.by_attempt.get((winner.number, winner.attempts[-1].number)) if winner.attempts else None
    defaults = [run for run in record.runs if (run.kind, run.name) == ("baseline", "default")]
    if len(defaults) != 1 or defaults[0].state is not TrialState.COMPLETE:
        return None
    number = defaults[0].trial
    return usage.by_baseline.get("default") if number is None else usage.by_trial.get(number)
