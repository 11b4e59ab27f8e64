"""Who used a component over each interval: the weights of its dynamic energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.trace import ActivityTrace, ComponentTrace, NodeTrace

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000
_BYTES_PER_KIB = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRows:
    """Usage of one component, one row an interval and activity that used it; rows ``(n,)``, intervals ``(i,)``.

    Attributes:
        interval: Index of the interval.
        activity: Index of the activity.
        amount: CPU or device time in microseconds, or memory in KiB; above 0.
        others: The same of everything else on the node, ``(i,)``, at least 0; the node agent, which serves several
            studies, is part of it.
        known: Whether usage was recorded at all over each interval, ``(i,)``.
        agent: What of the others the agent used for this study, ``(i,)``, in finer units.
        whole: All of the others in those units, ``(i,)``.
    """

    interval: Int64
    activity: Int64
    amount: Int64
    others: Int64
    known: NDArray[np.bool_]
    agent: Int64
    whole: Int64

    def used(self) -> Int64:
        """Amount of all activities by interval, ``(i,)``."""
        total = np.zeros(len(self.others), dtype=np.int64)
        np.add.at(total, self.interval, self.amount)
        return total


def usage_of(trace: NodeTrace, component: ComponentTrace) -> UsageRows | None:
    """Usage of a component by interval; ``None`` where the readings don't record any.

    CPU time of process trees for ``cpu``, resident bytes for ``ram``, device time for ``gpu:<uuid>``.
    """
    intervals = len(trace.t_ns) - 1
    if component.kind == "cpu":
        rows = _rows(trace, lambda a: _growth(a, a.tree_ns))
        used = _by_interval(rows, intervals)
        agent_ns = _agents_cpu_ns(trace, intervals)
        whole_ns = agent_ns if trace.agent_ns is None else np.maximum(np.diff(trace.agent_ns), agent_ns)
        busy = used if trace.busy_ns is None else np.diff(trace.busy_ns // _NS_PER_US)
        others = np.maximum(busy - used, whole_ns // _NS_PER_US)
        whole_ns = np.maximum(others * _NS_PER_US, whole_ns)
        return _with_others(rows, others, np.ones(intervals, dtype=bool), agent_ns, whole_ns)
    if component.kind == "ram" and trace.others_bytes is not None:
        agent_bytes = _agents_bytes(trace)
        others = _means(trace.others_bytes + agent_bytes) // _BYTES_PER_KIB
        whole = np.maximum(others * _BYTES_PER_KIB, _means(agent_bytes))
        rows = _rows(trace, _mean_kib)
        return _with_others(rows, others, np.ones(intervals, dtype=bool), _means(agent_bytes), whole)
    if component.others_ns is not None and component.used_known is not None:
        rows = _rows(trace, lambda a: _growth(a, a.device_ns.get(component.name)))
        others = np.diff(np.maximum.accumulate(component.others_ns) // _NS_PER_US)
        nothing = np.zeros(intervals, dtype=np.int64)
        return _with_others(rows, others, component.used_known, nothing, others)
    return None


_Rows = tuple[Int64, Int64, Int64]


def _rows(trace: NodeTrace, amounts: Callable[[ActivityTrace], tuple[int, Int64]]) -> _Rows:
    """Interval, activity and amount wherever an activity other than the agent used anything."""
    last = len(trace.t_ns) - 1
    columns: list[_Rows] = []
    for position, activity in enumerate(trace.activities):
        if activity.key == trace.agent:
            continue
        start, amount = amounts(activity)
        amount = amount[: max(0, last - start)]
        used = np.flatnonzero(amount > 0)
        columns.append((used + start, np.full(len(used), position, dtype=np.int64), amount[used]))
    if not columns:
        return (np.zeros(0, dtype=np.int64),) * 3
    interval, activity_of, amount_of = (np.concatenate(part) for part in zip(*columns, strict=True))
    return interval.astype(np.int64), activity_of, amount_of


def _growth(activity: ActivityTrace, cumulative_ns: Int64 | None) -> tuple[int, Int64]:
    """First interval, and microseconds used in each from there; before it was seen an activity had used 0."""
    if cumulative_ns is None or not len(cumulative_ns):
        return 0, np.zeros(0, dtype=np.int64)
    seen_us = np.maximum.accumulate(np.maximum(cumulative_ns, 0)) // _NS_PER_US  # where not seen: what was seen before
    if activity.first > 0:
        return activity.first - 1, np.diff(seen_us, prepend=0)
    return 0, np.diff(seen_us)


def _mean_kib(activity: ActivityTrace) -> tuple[int, Int64]:
    if activity.resident_bytes is None or not len(activity.resident_bytes):
        return 0, np.zeros(0, dtype=np.int64)
    held = np.maximum(activity.resident_bytes, 0) // _BYTES_PER_KIB
    if activity.first > 0:
        return activity.first - 1, (held + np.concatenate([np.zeros(1, dtype=np.int64), held[:-1]])) // 2
    return 0, (held[:-1] + held[1:]) // 2


def _agents_cpu_ns(trace: NodeTrace, intervals: int) -> Int64:
    """CPU time the agent used for this study in each interval."""
    used = np.zeros(intervals, dtype=np.int64)
    for activity in trace.activities:
        if activity.key == trace.agent and len(activity.tree_ns):
            seen = np.maximum.accumulate(np.maximum(activity.tree_ns, 0))
            start = max(activity.first - 1, 0)
            grown = np.diff(seen, prepend=0) if activity.first > 0 else np.diff(seen)
            used[start : start + len(grown)] += grown[: intervals - start]
    return used


def _agents_bytes(trace: NodeTrace) -> Int64:
    """Memory the agent holds for this study at each reading."""
    held = np.zeros(len(trace.t_ns), dtype=np.int64)
    for activity in trace.activities:
        if activity.key == trace.agent and activity.resident_bytes is not None:
            bytes_ = np.maximum(activity.resident_bytes, 0)
            held[activity.first : activity.first + len(bytes_)] += bytes_
    return held


def _means(at_readings: Int64) -> Int64:
    """Mean over each interval of what was read at its ends."""
    result: Int64 = (at_readings[:-1] + at_readings[1:]) // 2
    return result


def _by_interval(rows: _Rows, intervals: int) -> Int64:
    total = np.zeros(intervals, dtype=np.int64)
    np.add.at(total, rows[0], rows[2])
    return total


def _with_others(rows: _Rows, others: Int64, known: NDArray[np.bool_], agent: Int64, whole: Int64) -> UsageRows:
    return UsageRows(
        interval=rows[0], activity=rows[1], amount=rows[2], others=others, known=known, agent=agent, whole=whole
    )
