"""What an inference of winner and default uses, from blocks of repeated inference on the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.analysis.mean import Mean, mean_interval
from auditor.domain.accounts import inferred
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord, TrialState
from auditor.statement.advice import advice_on
from auditor.statement.gain import Gain
from auditor.statement.objections import info, warning
from auditor.statement.usage import Usage, retraining
from auditor.statement.values import counted, percent

WITHIN = 0.05
"""How far, relatively, the ends of an interval may lie from the mean before it is called wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Inference of one subject.

    Attributes:
        subject: ``winner`` or ``default``.
        per_sample_j: Energy of a sample by block, in joules, ``(n,)``.
        mean: Their mean with its interval.
        samples: Samples of all blocks.
        batch_size: Samples at once.
    """

    subject: str
    per_sample_j: tuple[float, ...]
    mean: Mean
    samples: int
    batch_size: int


def inference_of(record: StudyRecord, usage: Usage, gain: Gain) -> dict[str, Inference]:
    """Inference by subject: of the default, and of the trial that is the best now."""
    best = None if gain.best is None else gain.best.number
    found = {}
    for run in record.runs:
        if run.kind != "evaluation" or run.state is not TrialState.COMPLETE or run.seed is None or not run.inference:
            continue
        if run.trial not in (None, best):
            continue
        booked = [usage.by_evaluation.get(inferred(retraining(run), b.number)) for b in run.inference]
        known = [
            (uj_to_j(sum(phases.values())), block.samples)
            for phases, block in zip(booked, run.inference, strict=True)
            if phases is not None and block.samples > 0
        ]
        per_sample = tuple(energy_j / samples for energy_j, samples in known)
        mean = mean_interval(per_sample)
        if mean is not None and mean.mean > 0.0:
            found[run.name] = Inference(
                subject=run.name,
                per_sample_j=per_sample,
                mean=mean,
                samples=sum(samples for _, samples in known),
                batch_size=run.inference[0].batch_size,
            )
    return found


def inference_section(
    record: StudyRecord, known: Mapping[str, Inference]
) -> tuple[list[dict[str, Any]] | None, list[Finding]]:
    """The section ``inference``; energies in joules a sample."""
    failures = sorted({run.inference_error for run in record.runs if run.inference_error})
    found = [
        warning("inference-failed", f"Measuring inference failed: {failure.rstrip('.')}.") for failure in failures[:3]
    ]
    if not known:
        return None, [*found, info("no-inference", f"inference is null: {advice_on(record).inference}.")]
    for each in known.values():
        blocks = counted(len(each.per_sample_j), "block")
        if each.mean.low is None:
            found.append(info("no-inference-interval", f"inference[].ci95 is null for {each.subject}: {blocks}."))
        elif each.mean.relative_half_width > WITHIN:
            wide = percent(each.mean.relative_half_width)
            found.append(
                info(
                    "inference-wide",
                    f"The energy of an inference of the {each.subject} is known to {wide} only, after {blocks}; more "
                    "seconds of measuring would narrow it (evaluation.inference_s).",
                )
            )
    rows = [
        {
            "subject": each.subject,
            "energy_j": each.mean.mean,
            "ci95": None if each.mean.low is None or each.mean.high is None else [each.mean.low, each.mean.high],
            "blocks": len(each.per_sample_j),
            "samples": each.samples,
            "batch_size": each.batch_size,
        }
        for each in sorted(known.values(), key=lambda each: each.subject)
    ]
    return rows, found
