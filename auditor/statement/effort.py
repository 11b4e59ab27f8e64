"""The compute and trials sections: time, operations, and how the trials ended."""

from __future__ import annotations

from typing import Any

from auditor.domain.study import Attempt, Finding, Run, StudyRecord, TrialState
from auditor.statement.advice import advice_on
from auditor.statement.objections import info
from auditor.statement.usage import TRAINING
from auditor.statement.values import finite


def compute_section(record: StudyRecord) -> tuple[dict[str, Any], list[Finding]]:
    """The ``compute`` section: times in seconds, floating-point operations with their coverage."""
    books = record.books
    timed = finite(books.wall_s) is not None and (bool(books.windows) or books.wall_s > 0.0)
    attempts = [attempt for trial in record.trials for attempt in trial.attempts]
    executions: list[Attempt | Run] = [*attempts, *(() if record.imported else record.runs)]
    counts = [execution.flops for execution in executions if execution.flops is not None]
    bare = any(run.kind == TRAINING and run.flops is None for run in record.runs)
    null = "compute.flops and trainings[].flops are null" if bare else "compute.flops is null"
    section = {
        "wall_s": float(books.wall_s) if timed else None,
        "device_s": {kind: float(books.device_s[kind]) for kind in sorted(books.device_s)},
        "cpu_s": finite(books.cpu_s),
        "flops": sum(counts) if counts else None,
        "flops_coverage": {
            "counted": len(counts),
            "of": len(executions),
            "uncounted_ops": sorted({op for execution in executions for op in execution.uncounted_ops}),
        },
    }
    found = []
    if not timed:
        found.append(info("no-wall-time", "compute.wall_s is null: nothing says when the study ran."))
    if not books.device_s:
        found.append(info("no-device-time", f"compute.device_s is empty: {advice_on(record).devices}."))
    if finite(books.cpu_s) is None:
        found.append(info("no-cpu-time", "compute.cpu_s is null: no process of the study gave its CPU time."))
    if not counts:
        found.append(
            info(
                "flops-not-counted",
                f"{null}: none of {len(executions)} trainings {advice_on(record).flops}.",
            )
        )
    elif len(counts) < len(executions):
        found.append(
            info(
                "flops-partly-counted",
                f"compute.flops covers {len(counts)} of {len(executions)} trainings"
                f"{'; trainings[].flops is null for the others' if bare else ''}.",
            )
        )
    return section, found


def trials_section(record: StudyRecord) -> tuple[dict[str, int], list[Finding]]:
    """The ``trials`` section: counts by final state, attempts, repeated configurations."""
    states = [trial.state for trial in record.trials]
    repeats = _repeats(record)
    section = {
        "total": len(states),
        **{state.value: states.count(state) for state in TrialState},
        "attempts": sum(len(trial.attempts) for trial in record.trials),
        "duplicates": len(repeats),
    }
    found = []
    if repeats:
        listed = ", ".join(f"{number} (as {first})" for number, first in list(repeats.items())[:10])
        found.append(
            info(
                "duplicate-trials",
                f"{len(repeats)} of {len(states)} trials repeat an earlier configuration: {listed}"
                f"{', …' if len(repeats) > 10 else ''}.",
            )
        )
    return section, found


def _repeats(record: StudyRecord) -> dict[int, int]:
    """Trials that repeat an earlier one's parameters, with that one; none can be told without parameters."""
    seen: dict[tuple[tuple[str, str], ...], int] = {}
    repeats = {}
    for trial in sorted(record.trials, key=lambda trial: trial.number):
        key = tuple(sorted((name, repr(value)) for name, value in trial.params.items()))
        if key and seen.setdefault(key, trial.number) != trial.number:
            repeats[trial.number] = seen[key]
    return repeats
