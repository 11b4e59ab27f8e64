"""The course of the search: incumbents against energy, what each step cost, what came after the last gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.analysis.incumbents import incumbents, marginal, tail_share
from auditor.domain.quantities import MICROJOULES_PER_JOULE
from auditor.domain.study import Finding, StudyRecord, Trial
from auditor.statement.draws import full_fidelity, value_at_full_fidelity
from auditor.statement.objections import info
from auditor.statement.usage import Usage, is_metered


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Energy of a search so far in J: when each ranked trial completed, when the last attempt ended."""

    at_completion: tuple[float, ...]
    end: float


def ranked_trials(record: StudyRecord) -> tuple[Trial, ...]:
    """Trials that may be ranked: complete at full fidelity, with a finite value; never a pruned trial's last step."""
    full = full_fidelity(record.trials)
    return tuple(trial for trial in record.trials if value_at_full_fidelity(trial, full) is not None)


def course_sections(record: StudyRecord, usage: Usage, *, delta: float) -> tuple[dict[str, Any], list[Finding]]:
    """The sections ``incumbents``, ``marginal`` and ``tail_share``; energies in joules.

    Args:
        record: The study.
        usage: Its accounts by purpose.
        delta: What a gain must exceed to count for the tail share, in the metric's unit.
    """
    ranked = ranked_trials(record)
    maximize = record.direction != "minimize"
    found: list[Finding] = []
    axis = None
    if ranked and is_metered(record):
        axis = _by_readings(record, ranked)
        if axis is None:
            axis = by_order(record, usage, ranked)
            found.append(
                info(
                    "order-only",
                    "incumbents add up the trials' own energies in their order, since readings or ends of "
                    "trials are missing: work in flight is not in them.",
                )
            )
    if axis is None:
        why = "no energy is on the books" if ranked else "no trial completed with a value"
        found.append(info("no-course", f"incumbents and marginal are not known, tail_share is null: {why}."))
        return {"incumbents": [], "marginal": [], "tail_share": None}, found

    path = incumbents([trial.value or 0.0 for trial in ranked], axis.at_completion, maximize=maximize)
    tail = tail_share(path, end=axis.end, delta=delta, maximize=maximize)
    if tail is None:
        found.append(
            info(
                "no-tail-share",
                f"tail_share is null: no later trial gained more than {delta:g} in metered time.",
            )
        )
    sections = {
        "incumbents": [
            {"trial": ranked[step.index].number, "cumulative_j": step.energy, "value": step.value} for step in path
        ],
        "marginal": [
            {
                "from_trial": ranked[step.start].number,
                "to_trial": ranked[step.end].number,
                "joules": step.energy,
                "gain": step.gain,
            }
            for step in marginal(path, maximize=maximize)
        ],
        "tail_share": tail,
    }
    return sections, found


def _by_readings(record: StudyRecord, ranked: tuple[Trial, ...]) -> Axis | None:
    """Energy of the books at each completion, interpolated between readings; ``None`` if not known."""
    books = record.books
    ends = [trial.end_ns for trial in ranked]
    if len(books.cumulative_ns) < 2 or any(end is None for end in ends):
        return None
    attempts = [attempt for trial in record.trials for attempt in trial.attempts]
    open_end = any(attempt.end_ns is None for attempt in attempts)
    end_ns = books.cumulative_ns[-1] if open_end else max(attempt.end_ns or 0 for attempt in attempts)
    origin_ns = books.cumulative_ns[0]
    moments = np.array([(end or 0) - origin_ns for end in (*ends, end_ns)])
    times = np.array([time_ns - origin_ns for time_ns in books.cumulative_ns])
    energies_uj = np.array(books.cumulative_uj, dtype=np.float64)
    *done, end_j = (np.interp(moments, times, energies_uj) / MICROJOULES_PER_JOULE).tolist()
    return Axis(at_completion=tuple(done), end=end_j)


def axis_of(record: StudyRecord, usage: Usage, ranked: tuple[Trial, ...]) -> Axis | None:
    """Energy of a search at each completion: of the books where its times are known, else of its trials in order.

    Returns:
        ``None`` where no trial can be ranked or no energy is on the books.
    """
    if not ranked or not is_metered(record):
        return None
    return _by_readings(record, ranked) or by_order(record, usage, ranked)


def by_order(record: StudyRecord, usage: Usage, ranked: tuple[Trial, ...]) -> Axis:
    """The trials' own energies added up by end where every end is known, else by number."""
    by_end = all(trial.end_ns is not None for trial in record.trials)
    ordered = sorted(record.trials, key=lambda trial: (trial.end_ns or 0 if by_end else 0, trial.number))
    total_uj = 0
    reached: dict[int, float] = {}
    for trial in ordered:
        total_uj += usage.by_trial.get(trial.number, 0)
        reached[trial.number] = total_uj / MICROJOULES_PER_JOULE
    done = tuple(reached[trial.number] for trial in ranked)
    return Axis(at_completion=done, end=total_uj / MICROJOULES_PER_JOULE)
