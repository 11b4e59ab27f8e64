"""Activities x readings: which account each process worked for, when, and with how much CPU time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.lanes import divided, lane_members
from auditor.accounting.trace import UNKNOWN, ActivityTrace, NodeTrace

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Pieces of activities, each within one interval and under one account; columns of equal length ``(n,)``.

    Attributes:
        activity: Index of the activity.
        interval: Index of the interval.
        account: Index into ``accounts``.
        duration_us: Length in microseconds.
        own_us: CPU time of the process itself in microseconds.
        accounts: Account names, sorted; an index is also the order for ties.
    """

    activity: Int64
    interval: Int64
    account: Int64
    duration_us: Int64
    own_us: Int64
    accounts: tuple[str, ...]


def cut(trace: NodeTrace, extra_accounts: tuple[str, ...] = ()) -> Segments:
    """Cut every activity at its marks and at the readings.

    While threads of a process work for accounts of their own, its time is theirs in equal parts, and its own CPU time
    theirs by the CPU time of each.

    Args:
        trace: One node's readings and activities.
        extra_accounts: Names to include in the account index although no activity works for them.
    """
    names = {*extra_accounts}
    for activity in trace.activities:
        names.update(activity.mark_account, (activity.base_account, activity.audit_account or activity.base_account))
        names.update(name for lane in activity.lanes for name in lane.mark_account if name)
    accounts = tuple(sorted(names))
    index = {name: position for position, name in enumerate(accounts)}
    columns = [_cut_one(trace, position, activity, index) for position, activity in enumerate(trace.activities)]
    joined = [
        np.concatenate([part[column] for part in columns]) if columns else np.zeros(0, dtype=np.int64)
        for column in range(5)
    ]
    return Segments(
        activity=joined[0],
        interval=joined[1],
        account=joined[2],
        duration_us=joined[3],
        own_us=joined[4],
        accounts=accounts,
    )


def account_at(activity: ActivityTrace, t_ns: Int64) -> list[str]:
    """The account an activity works for at some times."""
    positions = np.searchsorted(activity.mark_ns, t_ns, side="right") - 1
    return [activity.mark_account[p] if p >= 0 else activity.base_account for p in positions.tolist()]


def _cut_one(
    trace: NodeTrace, position: int, activity: ActivityTrace, index: dict[str, int]
) -> tuple[Int64, Int64, Int64, Int64, Int64]:
    t_ns = trace.t_ns
    nothing = np.zeros(0, dtype=np.int64)
    if len(t_ns) < 2:
        return (nothing,) * 5
    begin = max(activity.begin_ns, int(t_ns[0]))
    end = int(t_ns[-1]) if activity.end_ns is None else min(activity.end_ns, int(t_ns[-1]))
    if end <= begin:
        return (nothing,) * 5
    inside = activity.mark_ns[(activity.mark_ns > begin) & (activity.mark_ns < end)]
    readings = t_ns[(t_ns > begin) & (t_ns < end)]
    of_lanes = [lane.mark_ns[(lane.mark_ns > begin) & (lane.mark_ns < end)] for lane in activity.lanes]
    bounds = np.unique(np.concatenate([np.array([begin, end], dtype=np.int64), inside, readings, *of_lanes]))
    starts = bounds[:-1]
    interval = np.clip(np.searchsorted(t_ns, starts, side="right") - 1, 0, len(t_ns) - 2).astype(np.int64)
    mark = np.searchsorted(activity.mark_ns, starts, side="right") - 1
    by_mark = np.array([index[activity.base_account], *(index[a] for a in activity.mark_account)], dtype=np.int64)
    own_us = np.maximum(np.diff(_own_cpu_ns(trace, activity, bounds) // _NS_PER_US), 0)
    duration_us = np.diff(bounds // _NS_PER_US)
    account = by_mark[mark + 1]
    if activity.audit_account and activity.mark_audit_ns is not None and activity.mark_audit_ns.any():
        audit = _audit_share(activity)[mark + 1]
        audit_own, audit_us = (np.floor(audit * part).astype(np.int64) for part in (own_us, duration_us))
        taken = (audit_own > 0) | (audit_us > 0)
        payer = np.full(int(taken.sum()), index[activity.audit_account], dtype=np.int64)
        theirs = interval[taken], payer, audit_us[taken], audit_own[taken]
        duration_us, own_us = duration_us - audit_us, own_us - audit_own
    else:
        theirs = (nothing,) * 4
    parts = interval, account, duration_us, own_us
    if activity.lanes:
        parts = divided(*parts, lane_members(activity.lanes, bounds, index))
    columns = [np.concatenate([part, audit]) for part, audit in zip(parts, theirs, strict=True)]
    return np.full(len(columns[0]), position, dtype=np.int64), columns[0], columns[1], columns[2], columns[3]


def _audit_share(activity: ActivityTrace) -> NDArray[np.float64]:
    """Share of the own CPU time that the auditor took before each mark; 0 after the last, ``(m + 1,)``."""
    share = np.zeros(len(activity.mark_ns) + 1)
    if activity.mark_audit_ns is not None:
        own_ns = np.diff(activity.mark_cpu_ns, prepend=activity.mark_cpu_ns[:1])
        share[:-1] = np.where(own_ns > 0, np.minimum(activity.mark_audit_ns / np.maximum(own_ns, 1), 1.0), 0.0)
    return share


def _own_cpu_ns(trace: NodeTrace, activity: ActivityTrace, at_ns: Int64) -> Int64:
    """The process's own CPU time at some times: exact at marks and readings, linear between."""
    seen = activity.own_ns != UNKNOWN
    at = trace.t_ns[activity.first : activity.first + len(seen)]
    times = np.concatenate([at[seen], activity.mark_ns])
    cpu = np.concatenate([activity.own_ns[seen], activity.mark_cpu_ns])
    if not len(times):
        return np.zeros(len(at_ns), dtype=np.int64)
    order = np.lexsort((cpu, times))
    times, cpu = times[order], np.maximum.accumulate(cpu[order])
    origin_t, origin_cpu = int(times[0]), int(cpu[0])  # keep float64 exact
    filled = np.interp(at_ns - origin_t, times - origin_t, cpu - origin_cpu)
    own: Int64 = np.rint(filled).astype(np.int64) + origin_cpu
    return own
