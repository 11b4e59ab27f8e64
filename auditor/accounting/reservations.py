"""Slot-time: who reserved how much of a component over each interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.segments import Segments
from auditor.accounting.trace import ComponentTrace, NodeTrace

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000
_MILLI = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservations:
    """Slot-time in milli-slot microseconds; together all that the component has to give.

    Attributes:
        segment: Of each segment, ``(n,)``.
        holders: Indices of the activities that hold whatever nobody reserved, ``(h,)``.
        holder: What each of them has of the rest in each interval, ``(i, h)``.
        idle: What is left in each interval, ``(i,)``.
        reserved: What segments reserved in each interval, ``(i,)``.
    """

    segment: Int64
    holders: tuple[int, ...]
    holder: Int64
    idle: Int64
    reserved: Int64


def reservations_of(trace: NodeTrace, segments: Segments, component: ComponentTrace) -> Reservations:
    """Who reserved how much of a component.

    A GPU is reserved by lease, everything else by CPU slots. A job that holds the whole node has the CPU slots that
    nobody reserved; of the GPUs it has as much as its study reserved at once until then, and the others are idle. Jobs
    that hold the node at one time share it; those of other studies are taken together.
    """
    if component.kind == "gpu":
        whole = component.name == "gpu"
        spread = 1 / trace.gpu_slots if trace.gpu_slots else 0.0  # who does not say which GPUs it holds: of each a part
        slots = [
            a.gpu_slots if whole else a.gpus.get(component.name, 0.0 if a.gpus else a.gpu_slots * spread)
            for a in trace.activities
        ]
        capacity = trace.gpu_slots if whole else 1.0
        return _reserve(trace, segments, slots, capacity, as_much_as_before=True)
    return _reserve(trace, segments, [a.cpu_slots for a in trace.activities], trace.cpu_slots)


def reserved_slot_s(trace: NodeTrace, segments: Segments) -> dict[str, dict[str, float]]:
    """Slot-seconds that activities of the study reserved on a node, by kind and by account.

    Where all reservations exceed the slots of the node, they are divided by their sum.
    """
    duration_us = np.diff(trace.t_ns // _NS_PER_US)
    own = np.array([not a.foreign for a in trace.activities], dtype=bool)
    result: dict[str, dict[str, float]] = {}
    for kind, slots, capacity in (
        ("cpu", [a.cpu_slots for a in trace.activities], trace.cpu_slots),
        ("gpu", [a.gpu_slots for a in trace.activities], trace.gpu_slots),
    ):
        if not len(segments.activity) or not any(np.array(slots)[own]):
            continue
        held_us = np.array(slots)[segments.activity] * segments.duration_us
        reserved_us = np.bincount(segments.interval, held_us, len(duration_us))
        part = np.minimum(1.0, capacity * duration_us / np.maximum(reserved_us, 1.0))
        paid_us = np.where(own[segments.activity], held_us * part[segments.interval], 0.0)
        by_account = np.bincount(segments.account, paid_us, len(segments.accounts)) / 1e6
        result[kind] = {segments.accounts[a]: float(by_account[a]) for a in np.flatnonzero(by_account).tolist()}
    return result


def _reserve(
    trace: NodeTrace,
    segments: Segments,
    slots: Sequence[float],
    capacity: float,
    *,
    as_much_as_before: bool = False,
) -> Reservations:
    """Where reservations exceed the slots they are divided by their sum."""
    duration_us = np.diff(trace.t_ns // _NS_PER_US)
    milli = np.array([round(s * _MILLI) for s in slots], dtype=np.int64)
    weight = milli[segments.activity] * segments.duration_us if len(milli) else np.zeros(0, dtype=np.int64)
    reserved = np.zeros(len(duration_us), dtype=np.int64)
    np.add.at(reserved, segments.interval, weight)
    rest = np.maximum(round(capacity * _MILLI) * duration_us - reserved, 0)
    holders = tuple(position for position, a in enumerate(trace.activities) if a.holds_rest)
    lived = _lived(trace, holders)
    wanted = rest[:, None] * lived
    if as_much_as_before:
        foreign = np.array([a.foreign for a in trace.activities], dtype=bool)
        for others in (False, True):
            theirs = foreign[segments.activity] == others
            now = np.zeros(len(duration_us), dtype=np.int64)
            np.add.at(now, segments.interval[theirs], weight[theirs])
            most = np.minimum(capacity, _most_at_once(trace, slots, foreign=others))
            again = np.clip(np.rint(most * _MILLI).astype(np.int64) * duration_us - now, 0, rest)
            column = foreign[list(holders)] == others
            at_once = np.maximum(lived[:, column].sum(axis=1), 1.0)
            wanted[:, column] = (again / at_once)[:, None] * lived[:, column]
    part = np.minimum(1.0, rest / np.maximum(wanted.sum(axis=1), 1.0))
    held = np.floor(wanted * part[:, None]).astype(np.int64)
    return Reservations(segment=weight, holders=holders, holder=held, idle=rest - held.sum(axis=1), reserved=reserved)


def _lived(trace: NodeTrace, holders: Sequence[int]) -> NDArray[np.float64]:
    """Share of each interval over which each of some activities held its slots, ``(i, h)``."""
    duration_us = np.diff(trace.t_ns // _NS_PER_US)
    lived = np.zeros((len(duration_us), len(holders)), dtype=np.float64)
    for column, position in enumerate(holders):
        holder = trace.activities[position]
        begin = np.maximum(trace.t_ns[:-1], holder.begin_ns)
        end = trace.t_ns[1:] if holder.end_ns is None else np.minimum(trace.t_ns[1:], holder.end_ns)
        lived[:, column] = np.maximum(end // _NS_PER_US - begin // _NS_PER_US, 0) / np.maximum(duration_us, 1)
    return lived


def _most_at_once(trace: NodeTrace, slots: Sequence[float], *, foreign: bool) -> NDArray[np.float64]:
    """Most slots that activities of the study, or of others, reserved at one time until the end of each interval."""
    changes = [(-(2**62), 0.0)]
    for activity, held in zip(trace.activities, slots, strict=True):
        if held > 0 and activity.foreign == foreign:
            changes.append((activity.begin_ns, held))
            if activity.end_ns is not None:
                changes.append((max(activity.end_ns, activity.begin_ns), -held))
    changes.sort()  # at one time the returns come first
    at_ns = np.array([t for t, _ in changes], dtype=np.int64)
    most = np.maximum.accumulate(np.cumsum([change for _, change in changes]))
    reached: NDArray[np.float64] = most[np.searchsorted(at_ns, trace.t_ns[1:], side="left") - 1]
    return reached
