"""Dividing what a process did among its threads that work for accounts of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.apportion import apportion
from auditor.accounting.trace import LaneTrace

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000
_IDLE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Lanes that have an account, by the pieces of time that they share; columns of equal length ``(n,)``.

    Attributes:
        piece: Index of the piece of time.
        account: Index of the account that the lane works for.
        cpu_us: CPU time of the thread in microseconds, or ``UNKNOWN_US``.
    """

    piece: Int64
    account: Int64
    cpu_us: Int64


UNKNOWN_US = -1
"""After the last mark of a thread nobody knows what it used."""


def lane_members(lanes: Sequence[LaneTrace], bounds: Int64, index: Mapping[str, int]) -> Members:
    """Which lanes have an account in each piece of time.

    Args:
        lanes: The lanes of one process.
        bounds: Where the pieces begin and end, ``(p + 1,)``; every mark between the first and the last is among them.
        index: Place of each account name.
    """
    nothing = np.zeros(0, dtype=np.int64)
    columns = [_members_of(lane, bounds, index) for lane in lanes]
    piece, account, cpu_us = (np.concatenate([nothing, *column]) for column in zip(*columns, strict=True))
    order = np.argsort(piece, kind="stable")
    return Members(piece=piece[order], account=account[order], cpu_us=cpu_us[order])


def divided(
    interval: Int64, account: Int64, duration_us: Int64, own_us: Int64, members: Members
) -> tuple[Int64, Int64, Int64, Int64]:
    """The pieces of a process, those in which lanes have an account replaced by one for each of these lanes.

    Time goes in equal parts, the process's own CPU time by the CPU time of each thread: what threads without a lane
    used (a library's helpers) goes with it. A thread whose CPU time is not known counts as the mean of the others.
    Both sum to those of the piece exactly.

    Args:
        interval: Interval of each piece, ``(p,)``.
        account: Account of the process in each piece, ``(p,)``.
        duration_us: Length of each piece in microseconds, ``(p,)``.
        own_us: CPU time of the process itself in each piece, in microseconds, ``(p,)``.
        members: The lanes that have an account.

    Returns:
        The same columns, anew.
    """
    piece, pieces = members.piece, len(interval)
    shared = np.bincount(piece, minlength=pieces) > 0
    each = np.ones(len(piece), dtype=np.int64)
    known = members.cpu_us >= 0
    used_us, counted = np.zeros(pieces, dtype=np.int64), np.bincount(piece[known], minlength=pieces)
    np.add.at(used_us, piece[known], members.cpu_us[known])
    weight = np.where(known, members.cpu_us, (used_us // np.maximum(counted, 1))[piece])
    total = np.zeros(pieces, dtype=np.int64)
    np.add.at(total, piece, weight)
    weight = np.where(total[piece] > 0, weight, each)
    time_us = apportion(np.where(shared, duration_us, 0), piece, each, members.account)
    cpu_us = apportion(np.where(shared, own_us, 0), piece, weight, members.account)
    alone = ~shared
    return (
        np.concatenate([interval[alone], interval[piece]]),
        np.concatenate([account[alone], members.account]),
        np.concatenate([duration_us[alone], time_us]),
        np.concatenate([own_us[alone], cpu_us]),
    )


def _members_of(lane: LaneTrace, bounds: Int64, index: Mapping[str, int]) -> tuple[Int64, Int64, Int64]:
    """Pieces in which a lane has an account, which one, and the CPU time of its thread: linear between its marks."""
    nothing = np.zeros(0, dtype=np.int64)
    if not len(lane.mark_ns):
        return nothing, nothing, nothing
    by_mark = np.array([index[name] if name else _IDLE for name in lane.mark_account], dtype=np.int64)
    first = int(np.searchsorted(bounds, lane.mark_ns[0]))
    last = len(bounds) - 1 if by_mark[-1] != _IDLE else int(np.searchsorted(bounds, lane.mark_ns[-1]))
    at_ns = bounds[first : last + 1]
    if len(at_ns) < 2:
        return nothing, nothing, nothing
    account = by_mark[np.searchsorted(lane.mark_ns, at_ns[:-1], side="right") - 1]
    cpu_ns = np.maximum.accumulate(lane.mark_cpu_ns)
    origin_t, origin_cpu = int(lane.mark_ns[0]), int(cpu_ns[0])  # keep float64 exact
    filled = np.rint(np.interp(at_ns - origin_t, lane.mark_ns - origin_t, cpu_ns - origin_cpu)).astype(np.int64)
    cpu_us = np.where(at_ns[:-1] < lane.mark_ns[-1], np.diff(filled // _NS_PER_US), UNKNOWN_US)
    active = account != _IDLE
    return (first + np.flatnonzero(active)).astype(np.int64), account[active], cpu_us[active]
