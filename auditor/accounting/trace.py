"""What the accounting works on: readings and activities of one node as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.domain.provenance import Provenance

Int64 = NDArray[np.int64]

UNKNOWN = -1
"""Stands in usage arrays where an activity was not seen at a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentTrace:
    """Cumulative energy of one component.

    Attributes:
        name: ``cpu``, ``ram``, ``gpu``, ``gpu:<uuid>``.
        energy_uj: Cumulative microjoules at each reading, ``(k,)``, never decreasing.
        static_w: Power without load in watts; ``None``: unknown, taken as 0.
        meter: Name of the meter.
        provenance: How it was measured.
        low_w: Least power it could really draw; ``None``: no bound known.
        high_w: Most power it could draw; ``None``: no bound known.
        detail: What exactly was read.
    """

    name: str
    energy_uj: Int64
    static_w: float | None = None
    meter: str = ""
    provenance: Provenance = Provenance.MODELLED
    low_w: float | None = None
    high_w: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityTrace:
    """One process (with its descendants) that works for a study on this node.

    Attributes:
        key: Identity of the process; unique within a node.
        begin_ns: From when it holds its slots.
        end_ns: Until when; ``None``: beyond the last reading.
        cpu_slots: CPU slots it holds.
        gpu_slots: GPU slots it holds.
        holds_rest: Whether slots that nobody reserves are its own (the job holds the whole node).
        mark_ns: Times of its marks, ``(m,)``, not decreasing.
        mark_cpu_ns: The process's own CPU time at each mark, ``(m,)``.
        mark_account: The account it works for from each mark on, ``(m,)``.
        base_account: The account before the first mark.
        tree_ns: CPU time of the process tree at each reading, ``(k,)``, ``UNKNOWN`` where not seen.
        own_ns: CPU time of the process alone at each reading, ``(k,)``, ``UNKNOWN`` where not seen.
    """

    key: str
    begin_ns: int
    base_account: str
    tree_ns: Int64
    own_ns: Int64
    end_ns: int | None = None
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    holds_rest: bool = False
    mark_ns: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mark_cpu_ns: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mark_account: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrace:
    """An unbroken series of readings of one node, with every activity on it.

    Attributes:
        node: The node's name.
        t_ns: Times of the readings (CLOCK_MONOTONIC), ``(k,)``, not decreasing.
        busy_ns: CPU time that all processes of the node used, cumulative, ``(k,)``, or ``None`` where unknown.
        cpu_slots: CPU slots of the node.
        gpu_slots: GPUs of the node.
        components: What was metered.
        activities: Who worked on it.
        offset_ns: Add to a time of this trace to get UTC nanoseconds since the epoch.
    """

    node: str
    t_ns: Int64
    cpu_slots: float
    components: tuple[ComponentTrace, ...]
    activities: tuple[ActivityTrace, ...] = ()
    busy_ns: Int64 | None = None
    gpu_slots: float = 0.0
    offset_ns: int = 0
