"""What the accounting works on: readings and activities of one node as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
        name: ``cpu``, ``ram``, ``platform``, ``gpu``, ``gpu:<uuid>``.
        energy_uj: Cumulative microjoules at each reading, ``(k,)``, never decreasing.
        static_w: Power without load in watts; ``None``: unknown, taken as 0.
        static_source: Where ``static_w`` comes from: ``model``, ``configuration``, ``calibrated``; empty: unknown.
        meter: Name of the meter.
        provenance: How it was measured.
        low_w: Least power it could really draw; ``None``: no bound known.
        high_w: Most power it could draw; ``None``: no bound known.
        detail: What exactly was read.
        attributable: Whether it can be known who used it; where not, all its energy is ``unexplained``.
        others_ns: Device time that processes outside all activities used, cumulative, ``(k,)``; ``None``: the
            driver does not tell who used the device.
        used_known: Whether the driver told its users over each interval, ``(k - 1,)``; ``None`` with ``others_ns``.
        lost: Intervals whose energy is not known (the counter was reset, or may have wrapped more than once).
    """

    name: str
    energy_uj: Int64
    static_w: float | None = None
    static_source: str = ""
    meter: str = ""
    provenance: Provenance = Provenance.MODELLED
    low_w: float | None = None
    high_w: float | None = None
    detail: str = ""
    attributable: bool = True
    others_ns: Int64 | None = None
    used_known: NDArray[np.bool_] | None = None
    lost: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """``cpu``, ``ram``, ``platform`` or ``gpu``."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTrace:
    """What one thread of a process worked for, where it worked for accounts of its own.

    Attributes:
        mark_ns: Times of its marks, ``(m,)``, not decreasing.
        mark_cpu_ns: CPU time of the thread at each mark, ``(m,)``.
        mark_account: The account it works for from each mark on, ``(m,)``; empty: none of its own.
    """

    mark_ns: Int64
    mark_cpu_ns: Int64
    mark_account: tuple[str, ...]

    def until(self, t_ns: int) -> LaneTrace:
        """The marks up to a time."""
        count = int(np.searchsorted(self.mark_ns, t_ns, side="right"))
        return LaneTrace(
            mark_ns=self.mark_ns[:count],
            mark_cpu_ns=self.mark_cpu_ns[:count],
            mark_account=self.mark_account[:count],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityTrace:
    """One process (with its descendants) that works for a study on this node.

    What is known at readings covers the ``n`` readings from the first at which it was seen, so that a thousand short
    processes take no more room than one long one.

    Attributes:
        key: Identity of the process; unique within a node.
        begin_ns: From when it holds its slots.
        end_ns: Until when; ``None``: beyond the last reading.
        cpu_slots: CPU slots it holds.
        gpu_slots: GPU slots it holds.
        gpus: Share it holds of each GPU, by component name.
        holds_rest: Whether slots that nobody reserves are its own (the job holds the whole node).
        mark_ns: Times of its marks, ``(m,)``, not decreasing.
        mark_cpu_ns: The process's own CPU time at each mark, ``(m,)``.
        mark_account: The account it works for from each mark on, ``(m,)``.
        mark_audit_ns: CPU time the auditor took within it up to each mark, since the mark before, ``(m,)``.
        base_account: The account before the first mark.
        audit_account: The account that pays for ``mark_audit_ns``; empty: nobody apart.
        lanes: Its threads that work for accounts of their own: while any has one, the process works for theirs only.
        first: Index of the first reading at which it was seen.
        tree_ns: CPU time of the process tree since it registered, at ``n`` readings, ``UNKNOWN`` where not seen.
        own_ns: CPU time of the process alone, at ``n`` readings, ``UNKNOWN`` where not seen.
        device_ns: Device time its tree used, cumulative, at ``n`` readings, by component.
        resident_bytes: Memory its tree holds at ``n`` readings; ``None`` where it was not read.
    """

    key: str
    begin_ns: int
    base_account: str
    tree_ns: Int64
    own_ns: Int64
    end_ns: int | None = None
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    gpus: Mapping[str, float] = field(default_factory=dict)
    holds_rest: bool = False
    mark_ns: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mark_cpu_ns: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mark_account: tuple[str, ...] = ()
    mark_audit_ns: Int64 | None = None
    audit_account: str = ""
    lanes: tuple[LaneTrace, ...] = ()
    first: int = 0
    device_ns: Mapping[str, Int64] = field(default_factory=dict)
    resident_bytes: Int64 | None = None

    @property
    def foreign(self) -> bool:
        """Whether it works for somebody else than the study."""
        return self.base_account.startswith("node/")


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
        checks: Second opinions on components: compared with them, never summed.
        activities: Who worked on it.
        others_bytes: Memory in use outside all activities, ``(k,)``; ``None`` where it was not read.
        agent: Key of the node agent among the activities: it serves other studies too; empty: none is known.
        agent_ns: CPU time that the agent used for all studies, cumulative, ``(k,)``; ``None`` where it is not told.
        boot: Its boot: two machines may have one name.
        interval_ns: Time between readings that its agent was told; 0: not known.
        bridge: Whether it only joins the last reading of one agent to the first of the next.
        offset_ns: Add to a time of this trace to get UTC nanoseconds since the epoch.
    """

    node: str
    t_ns: Int64
    cpu_slots: float
    components: tuple[ComponentTrace, ...]
    checks: tuple[ComponentTrace, ...] = ()
    activities: tuple[ActivityTrace, ...] = ()
    busy_ns: Int64 | None = None
    others_bytes: Int64 | None = None
    gpu_slots: float = 0.0
    agent: str = ""
    agent_ns: Int64 | None = None
    boot: str = ""
    interval_ns: int = 0
    bridge: bool = False
    offset_ns: int = 0

    def until(self, count: int) -> NodeTrace:
        """The trace up to its first ``count`` readings."""
        return replace(
            self,
            t_ns=self.t_ns[:count],
            busy_ns=_head(self.busy_ns, count),
            others_bytes=_head(self.others_bytes, count),
            agent_ns=_head(self.agent_ns, count),
            components=tuple(_component_head(c, count) for c in self.components),
            checks=tuple(_component_head(c, count) for c in self.checks),
            activities=tuple(_activity_head(a, count) for a in self.activities),
        )


def _head(values: Int64 | None, count: int) -> Int64 | None:
    return None if values is None else values[:count]


def _component_head(component: ComponentTrace, count: int) -> ComponentTrace:
    known = component.used_known
    return replace(
        component,
        energy_uj=component.energy_uj[:count],
        others_ns=_head(component.others_ns, count),
        used_known=None if known is None else known[: max(0, count - 1)],
    )


def _activity_head(activity: ActivityTrace, count: int) -> ActivityTrace:
    rest = max(0, count - activity.first)
    return replace(
        activity,
        tree_ns=activity.tree_ns[:rest],
        own_ns=activity.own_ns[:rest],
        device_ns={name: used[:rest] for name, used in activity.device_ns.items()},
        resident_bytes=_head(activity.resident_bytes, rest),
    )
