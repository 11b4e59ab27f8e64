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
        others: The same of everything else on the node, ``(i,)``, at least 0.
        known: Whether usage was recorded at all over each interval, ``(i,)``.
    """

    interval: Int64
    activity: Int64
    amount: Int64
    others: Int64
    known: NDArray[np.bool_]

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
        busy = used if trace.busy_ns is None else np.diff(trace.busy_ns // _NS_PER_US)
        return _with_others(rows, np.maximum(busy - used, 0), np.ones(intervals, dtype=bool))
    if component.kind == "ram" and trace.others_bytes is not None:
        rows = _rows(trace, _mean_kib)
        others = trace.others_bytes // _BYTES_PER_KIB
        return _with_others(rows, (others[:-1] + others[1:]) // 2, np.ones(intervals, dtype=bool))
    if component.others_ns is not None and component.used_known is not None:
        rows = _rows(trace, lambda a: _growth(a, a.device_ns.get(component.name)))
        others = np.diff(np.maximum.accumulate(component.others_ns) // _NS_PER_US)
        return _with_others(rows, others, component.used_known)
    return None


_Rows = tuple[Int64, Int64, Int64]


def _rows(trace: NodeTrace, amounts: Callable[[ActivityTrace], tuple[int, Int64]]) -> _Rows:
    """Interval, activity and amount wherever an activity used anything."""
    last = len(trace.t_ns) - 1
    columns: list[_Rows] = []
    for position, activity in enumerate(trace.activities):
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


def _by_interval(rows: _Rows, intervals: int) -> Int64:
    total = np.zeros(intervals, dtype=np.int64)
    np.add.at(total, rows[0], rows[2])
    return total


def _with_others(rows: _Rows, others: Int64, known: NDArray[np.bool_]) -> UsageRows:
    return UsageRows(interval=rows[0], activity=rows[1], amount=rows[2], others=others, known=known)
