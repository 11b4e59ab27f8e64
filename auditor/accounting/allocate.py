"""Charging every metered microjoule of a node to exactly one account.

Per interval and component with metered energy E over dt: the static part S = min(E, static_w * dt) goes by slots
reserved (policy ``reserved``) or to idle (``direct``); the dynamic part D = E - S goes by usage. The activity's share
is split over its phases: the static part by time, since a reservation is held whatever the process does; the dynamic
part by the process's own CPU time, or by time where it used none. Everything is integer microjoules by largest
remainder, so the charges of an interval sum to it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.apportion import apportion
from auditor.accounting.segments import Segments, account_at, cut
from auditor.accounting.trace import NodeTrace
from auditor.domain.accounts import node_account

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000
_MILLI = 1_000


class Policy(StrEnum):
    """How static energy is shared."""

    RESERVED = "reserved"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Charges of one node: columns of equal length ``(n,)``.

    Attributes:
        interval: Index of the interval (from reading ``i`` to reading ``i + 1``).
        component: Index of the component.
        account: Index into ``accounts``.
        energy_uj: Microjoules, above 0.
        accounts: Account names.
        cpu_us: CPU microseconds that processes themselves used while they worked for each account, ``(a,)``.
    """

    interval: Int64
    component: Int64
    account: Int64
    energy_uj: Int64
    accounts: tuple[str, ...]
    cpu_us: Int64


@dataclass(frozen=True, slots=True)
class _Reservations:
    """Slot-time: weights of the segments, and of what nobody reserved, per interval."""

    segment: Int64
    holder_weight: Int64  # (i, h) weight of what each holder of the whole node has of the rest
    idle: Int64


def allocate(trace: NodeTrace, policy: Policy = Policy.RESERVED) -> Charges:
    """Charge the energy of all intervals of a trace; the sum over an interval and component is its energy exactly.

    Args:
        trace: One node's unbroken readings, with its activities.
        policy: How static energy is shared.

    Source: the allocation of METHODS; static power by reservation as in SCI (ISO/IEC 21031).
    """
    idle, foreign, unexplained = (node_account(trace.node, p) for p in ("idle", "foreign", "unexplained"))
    segments = cut(trace, (idle, foreign, unexplained))
    posting = _Posting(segments)
    intervals = len(trace.t_ns) - 1
    if intervals > 0:
        duration_us = np.diff(trace.t_ns // _NS_PER_US)
        reservations = {
            "cpu": _reserve(trace, segments, [a.cpu_slots for a in trace.activities], trace.cpu_slots, duration_us),
            "gpu": _reserve(trace, segments, [a.gpu_slots for a in trace.activities], trace.gpu_slots, duration_us),
        }
        for number, component in enumerate(trace.components):
            energy = np.diff(component.energy_uj)
            if (energy < 0).any():
                raise ValueError(f"{component.name} on {trace.node}: cumulative energy decreases")
            kind = component.name.partition(":")[0]
            slots = reservations["gpu" if kind == "gpu" else "cpu"]
            if kind == "ram":  # memory in use is not recorded: all of it goes by reservation
                static = energy
            else:
                static = np.minimum(energy, np.rint((component.static_w or 0.0) * duration_us).astype(np.int64))
            if policy is Policy.RESERVED:
                _charge_reserved(posting, number, static, segments, slots, trace, idle)
            else:
                posting.add(np.arange(intervals), number, posting.index[idle], static)
            if kind == "cpu":
                _charge_by_usage(posting, number, energy - static, segments, trace, foreign, unexplained)
            else:
                _charge_reserved(posting, number, energy - static, segments, slots, trace, idle)
    return posting.charges()


def reserved_slot_s(trace: NodeTrace) -> dict[str, float]:
    """Slot-seconds that activities reserved on a node, by kind; at most what the node has."""
    segments = cut(trace)
    duration_us = np.diff(trace.t_ns // _NS_PER_US)
    result = {}
    for kind, slots, capacity in (
        ("cpu", [a.cpu_slots for a in trace.activities], trace.cpu_slots),
        ("gpu", [a.gpu_slots for a in trace.activities], trace.gpu_slots),
    ):
        if not len(segments.activity) or not any(slots):
            continue
        held = np.zeros(len(duration_us), dtype=np.float64)
        np.add.at(held, segments.interval, np.array(slots)[segments.activity] * segments.duration_us)
        result[kind] = float(np.minimum(held, capacity * duration_us).sum() / 1e6)
    return result


class _Posting:
    """Collects charges; zero charges are dropped."""

    def __init__(self, segments: Segments) -> None:
        self.accounts = segments.accounts
        self.index = {name: position for position, name in enumerate(segments.accounts)}
        self._cpu_us = np.zeros(len(segments.accounts), dtype=np.int64)
        np.add.at(self._cpu_us, segments.account, segments.own_us)
        self._rows: list[tuple[Int64, Int64, Int64, Int64]] = []

    def add(self, interval: Int64, component: int, account: Int64 | int, energy: Int64) -> None:
        keep = energy > 0
        accounts = np.broadcast_to(np.asarray(account, dtype=np.int64), energy.shape)
        self._rows.append(
            (interval[keep], np.full(int(keep.sum()), component, dtype=np.int64), accounts[keep], energy[keep])
        )

    def charges(self) -> Charges:
        columns = [
            np.concatenate([row[c] for row in self._rows]) if self._rows else np.zeros(0, dtype=np.int64)
            for c in range(4)
        ]
        return Charges(
            interval=columns[0],
            component=columns[1],
            account=columns[2],
            energy_uj=columns[3],
            accounts=self.accounts,
            cpu_us=self._cpu_us,
        )


def _reserve(
    trace: NodeTrace, segments: Segments, slots: list[float], capacity: float, duration_us: Int64
) -> _Reservations:
    """Slot-time in milli-slot microseconds; where reservations exceed the slots they are divided by their sum."""
    milli = np.array([round(s * _MILLI) for s in slots], dtype=np.int64)
    weight = milli[segments.activity] * segments.duration_us if len(milli) else np.zeros(0, dtype=np.int64)
    reserved = np.zeros(len(duration_us), dtype=np.int64)
    np.add.at(reserved, segments.interval, weight)
    rest = np.maximum(round(capacity * _MILLI) * duration_us - reserved, 0)
    holders = [a for a in trace.activities if a.holds_rest]
    overlap_us = np.zeros((len(duration_us), len(holders)), dtype=np.int64)
    for column, holder in enumerate(holders):
        begin = np.maximum(trace.t_ns[:-1], holder.begin_ns)
        end = trace.t_ns[1:] if holder.end_ns is None else np.minimum(trace.t_ns[1:], holder.end_ns)
        overlap_us[:, column] = np.maximum(end // _NS_PER_US - begin // _NS_PER_US, 0)
    whole_us = np.maximum(np.maximum(duration_us, overlap_us.sum(axis=1)), 1)  # holders at one time share
    held = np.floor(rest[:, None] * (overlap_us / whole_us[:, None])).astype(np.int64)
    return _Reservations(weight, held, rest - held.sum(axis=1))


def _charge_reserved(
    posting: _Posting,
    component: int,
    energy: Int64,
    segments: Segments,
    slots: _Reservations,
    trace: NodeTrace,
    idle: str,
) -> None:
    intervals = np.arange(len(energy))
    holders = [a for a in trace.activities if a.holds_rest]
    # someone must take it where no slot-time exists at all (two readings at one instant)
    nobody = np.zeros(len(energy), dtype=np.int64)
    np.add.at(nobody, segments.interval, slots.segment)
    nobody = (nobody + slots.holder_weight.sum(axis=1) + slots.idle == 0).astype(np.int64)
    group = np.concatenate([segments.interval, *([intervals] * (len(holders) + 1))])
    weight = np.concatenate([slots.segment, *slots.holder_weight.T, slots.idle + nobody])
    account = np.concatenate(
        [
            segments.account,
            *(np.full(len(energy), posting.index[h.base_account], dtype=np.int64) for h in holders),
            np.full(len(energy), posting.index[idle], dtype=np.int64),
        ]
    )
    posting.add(group, component, account, apportion(energy, group, weight, account))


def _charge_by_usage(
    posting: _Posting,
    component: int,
    energy: Int64,
    segments: Segments,
    trace: NodeTrace,
    foreign: str,
    unexplained: str,
) -> None:
    intervals, activities = len(energy), len(trace.activities)
    usage_us = np.zeros((intervals, activities), dtype=np.int64)
    for column, activity in enumerate(trace.activities):
        seen_ns = np.maximum.accumulate(np.maximum(activity.tree_ns, 0))  # where not seen: what was seen before
        usage_us[:, column] = np.diff(seen_ns // _NS_PER_US)
    used_us = usage_us.sum(axis=1)
    busy_us = np.diff(trace.busy_ns // _NS_PER_US) if trace.busy_ns is not None else used_us
    foreign_us = np.maximum(busy_us - used_us, 0)
    unknown = (used_us + foreign_us == 0).astype(np.int64)
    weight = np.concatenate([usage_us, foreign_us[:, None], unknown[:, None]], axis=1)
    members = activities + 2
    group = np.repeat(np.arange(intervals), members)
    rank = np.tile(np.arange(members), intervals)
    shares = apportion(energy, group, weight.ravel(), rank).reshape(intervals, members)
    posting.add(np.arange(intervals), component, posting.index[foreign], shares[:, -2])
    posting.add(np.arange(intervals), component, posting.index[unexplained], shares[:, -1])
    if activities:
        _split_over_phases(posting, component, shares[:, :-2], segments, trace)


def _split_over_phases(posting: _Posting, component: int, shares: Int64, segments: Segments, trace: NodeTrace) -> None:
    intervals, activities = shares.shape
    cell = segments.interval * activities + segments.activity
    own, time = (np.zeros(intervals * activities, dtype=np.int64) for _ in range(2))
    np.add.at(own, cell, segments.own_us)
    np.add.at(time, cell, segments.duration_us)
    weight = np.where(own[cell] > 0, segments.own_us, segments.duration_us)
    totals = shares.ravel()
    splittable = (own > 0) | (time > 0)
    split = apportion(np.where(splittable, totals, 0), cell, weight, segments.account)
    posting.add(segments.interval, component, segments.account, split)
    for position in np.flatnonzero(~splittable & (totals > 0)).tolist():  # CPU time seen outside its life
        interval, activity = divmod(position, activities)
        account = account_at(trace.activities[activity], trace.t_ns[interval + 1 : interval + 2])[0]
        posting.add(np.array([interval]), component, posting.index[account], totals[position : position + 1])
