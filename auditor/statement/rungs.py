"""What early values said about late ones where a pruner decided by them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from auditor.analysis.proxy import proxy_fidelity
from auditor.domain.study import Finding, StudyRecord, TrialState
from auditor.statement.course import ranked_trials
from auditor.statement.objections import info


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
    survivors = [t for t in ranked_trials(record) if step in t.intermediate and max(t.intermediate) > step]
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
        "false_prune": None,
    }
    remarks = [
        info(
            "survivors-only",
            f"proxy.spearman is of the {found.n} trials that were not pruned: over all trials it would be higher. "
            "proxy.false_prune is null: no pruned trial was completed to see what it would have given.",
        )
    ]
    if section["ci95"] is None:
        remarks.append(info("no-proxy-interval", "proxy.ci95 is null: too few trials, or the order never changed."))
    return section, remarks
