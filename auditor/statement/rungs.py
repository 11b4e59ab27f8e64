"""What early values said about late ones where a pruner decided by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from auditor.analysis.proxy import false_prune_rate, proxy_fidelity
from auditor.domain.study import Finding, StudyRecord, Trial, TrialState
from auditor.statement.advice import advice_on
from auditor.statement.course import ranked_trials
from auditor.statement.objections import info
from auditor.statement.values import finite


def _false_prune(record: StudyRecord, ranked: Sequence[Trial]) -> dict[str, Any] | None:
    """How many of the pruned trials that were trained to their end would have beaten the winner."""
    maximize = record.direction != "minimize"
    completed = [
        value
        for run in record.runs
        if (run.kind, run.name, run.state) == ("evaluation", "pruned", TrialState.COMPLETE)
        and (value := finite(run.value)) is not None
    ]
    values = [trial.value or 0.0 for trial in ranked]
    found = false_prune_rate(completed, max(values) if maximize else min(values), maximize=maximize)
    if found is None:
        return None
    return {"rate": found.rate, "low": found.low, "high": found.high, "completed": found.n}


def proxy_section(record: StudyRecord) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The section ``proxy``: rank correlation between the step at which trials were pruned and the end.

    The early step is the one after which most pruned trials ended; where none was pruned no early value decided
    anything, and there is no section.
    """
    stops = Counter(
        max(trial.intermediate) for trial in record.trials if trial.state is TrialState.PRUNED and trial.intermediate
    )
    if not stops:
        return None, [info("no-proxy", "proxy is null: no trial was pruned by an early value.")]
    step = min(stops, key=lambda s: (-stops[s], s))
    ranked = ranked_trials(record)
    survivors = [t for t in ranked if step in t.intermediate and max(t.intermediate) > step]
    found = proxy_fidelity([t.intermediate[step] for t in survivors], [t.value or 0.0 for t in survivors])
    if found is None:
        why = f"{len(survivors)} of the trials went beyond step {step} with different values; 3 are needed"
        return None, [info("no-proxy", f"proxy is null: {why}.")]
    section = {
        "step": step,
        "spearman": found.rho,
        "ci95": None if found.low is None or found.high is None else [found.low, found.high],
        "survivors": found.n,
        "pruned": sum(stops.values()),
        "false_prune": _false_prune(record, ranked),
    }
    remarks = [
        info(
            "survivors-only",
            f"proxy.spearman is of the {found.n} trials that were not pruned: over all trials it would be higher.",
        )
    ]
    if section["false_prune"] is None:
        remarks.append(info("no-false-prune", f"proxy.false_prune is null: {advice_on(record).pruned}."))
    if section["ci95"] is None:
        remarks.append(info("no-proxy-interval", "proxy.ci95 is null: too few trials, or the order never changed."))
    return section, remarks
