"""Regret of replayed searches against the recorded truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.analysis.mean import mean_interval
from auditor.analysis.regret import regret_of_chosen
from auditor.domain.study import Finding
from auditor.importers.replay import Replay
from auditor.ports import Benchmark
from auditor.statement.objections import warning

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the budget, at which regret is given."""


def replay_section(
    benchmark: Benchmark, runs: Mapping[str, Sequence[Replay]], *, budget_s: float, power_w: float
) -> dict[str, Any]:
    """The section ``replay`` of a comparison: what was replayed, and the regret by sampler and budget.

    Args:
        benchmark: The recordings.
        runs: Replayed searches by sampler, one a seed.
        budget_s: Training time of each, in seconds.
        power_w: Power that energy was worked out with.
    """
    maximize = benchmark.direction == "maximize"
    truths = [benchmark.truth(params) for params in benchmark.configurations()]
    optimum = max(truths) if maximize else min(truths)
    budgets = [share * budget_s for share in SHARES]
    return {
        "benchmark": benchmark.name,
        "dataset": benchmark.dataset,
        "source": benchmark.source,
        "configurations": len(truths),
        "optimum": optimum,
        "budget_s": budget_s,
        "power_w": power_w,
        "regret": [
            {"name": name, "at": [_regret(group, at_s, optimum, maximize) for at_s in budgets]}
            for name, group in runs.items()
        ],
    }


def _regret(group: Sequence[Replay], at_s: float, optimum: float, maximize: bool) -> dict[str, Any]:
    found = [
        regret_of_chosen(
            [trial.value or 0.0 for trial in run.study.trials],
            run.truths,
            run.ends_s,
            at=at_s,
            optimum=optimum,
            maximize=maximize,
        )
        for run in group
    ]
    known = [regret for regret in found if regret is not None]
    interval = mean_interval(known) if len(known) == len(group) else None
    ends = [sum(end_s <= at_s for end_s in run.ends_s) for run in group]
    return {
        "budget_s": at_s,
        "trials": sum(ends) / len(ends),
        "mean": None if interval is None else interval.mean,
        "ci95": None if interval is None or interval.low is None else [interval.low, interval.high],
    }


def modelled(power_w: float) -> Finding:
    """That the energy of a replay is no measurement."""
    return warning(
        "modelled-energy",
        f"Energy is modelled: recorded training time times {power_w:g} W, which was stated and not measured.",
    )
