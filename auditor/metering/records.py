"""Journal records: the wire format of JSON Lines journals.

A journal has one writer and begins with a :class:`Header`; every later line is one of the other records. Times are
CLOCK_MONOTONIC nanoseconds of the writer's node; the header's pair of clocks turns them into UTC.
"""

from __future__ import annotations

from typing import Any

import msgspec

FORMAT = 1
"""Version of the journal format, in each header."""


class Header(msgspec.Struct, tag_field="k", tag="header", frozen=True, kw_only=True, omit_defaults=True):
    """Who writes this journal, and where it stands in time.

    Attributes:
        v: Version of the format.
        role: ``readings`` (node agent), ``marks`` (an activity) or ``search`` (the coordinator).
        study: UUID of the study.
        node: Host name.
        boot: Boot id: CLOCK_MONOTONIC values of one boot of one node compare.
        pidns: PID namespace: process ids of one namespace compare.
        pid: Process id of the writer.
        start: Start time of the writer in clock ticks since boot; identifies it together with the pid.
        wall_ns: UTC nanoseconds since the epoch at ``mono_ns``.
        mono_ns: CLOCK_MONOTONIC at which this header was written.
        started_ns: CLOCK_MONOTONIC at which the process was started.
        cpu_ns: CPU time of the process at ``mono_ns``.
        account: Account the process works for where no mark says otherwise.
        cpu_slots: CPU slots the process holds.
        gpu_slots: GPU slots the process holds.
        holds_rest: Whether slots nobody reserves are charged to this process: the job holds the whole node.
        driver: Whether the study counts as running while this process lives.
        versions: Versions of what wrote this.
    """

    v: int = FORMAT
    role: str
    study: str
    node: str
    boot: str
    pidns: str
    pid: int
    start: int
    wall_ns: int
    mono_ns: int
    started_ns: int
    cpu_ns: int
    account: str = ""
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    holds_rest: bool = False
    driver: bool = False
    versions: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Identity of the process within its node and boot."""
        return process_key(self.pid, self.start)


def process_key(pid: int, start: int) -> str:
    """Identity of a process within a node and boot: process ids are used again, start times are not."""
    return f"{pid}-{start}"


class NodeRecord(msgspec.Struct, tag_field="k", tag="node", frozen=True, kw_only=True):
    """What the node offers: its slots."""

    cpu_slots: float
    gpu_slots: float


class ComponentRecord(msgspec.Struct, tag_field="k", tag="component", frozen=True, kw_only=True, omit_defaults=True):
    """A component that the agent meters; see :class:`auditor.ports.Component`."""

    name: str
    meter: str
    provenance: str
    static_w: float | None = None
    low_w: float | None = None
    high_w: float | None = None
    detail: str = ""


class Seen(msgspec.Struct, tag_field="k", tag="seen", frozen=True, kw_only=True, omit_defaults=True):
    """The agent sees a registered process for the first time."""

    key: str
    study: str
    account: str
    begin_ns: int
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    holds_rest: bool = False


class Gone(msgspec.Struct, tag_field="k", tag="gone", frozen=True, kw_only=True):
    """The agent found a registered process dead at time ``t``."""

    key: str
    t: int


class Reading(msgspec.Struct, tag_field="k", tag="reading", frozen=True, kw_only=True):
    """One sample: energy and usage at the same instant.

    Attributes:
        t: CLOCK_MONOTONIC in nanoseconds.
        e: Cumulative microjoules by component.
        u: By process: CPU nanoseconds of its tree since it was first seen, and CPU time of the process alone.
        b: CPU nanoseconds all processes of the node used since boot; ``None`` where unknown.
    """

    t: int
    e: dict[str, int]
    u: dict[str, tuple[int, int]]
    b: int | None = None


class Mark(msgspec.Struct, tag_field="k", tag="mark", frozen=True, kw_only=True):
    """From ``t`` on the writer works for account ``a``; ``c`` is its own CPU time in nanoseconds.

    The end of one phase is the begin of the next, so one kind of mark says both, and a lost mark costs one phase only.
    """

    t: int
    c: int
    a: str


class Closed(msgspec.Struct, tag_field="k", tag="closed", frozen=True, kw_only=True):
    """The writer gives its slots back at time ``t``."""

    t: int


class AttemptRecord(msgspec.Struct, tag_field="k", tag="attempt", frozen=True, kw_only=True):
    """An attempt of a trial was handed out."""

    t: int
    trial: int
    attempt: int
    params: dict[str, Any]


class StepRecord(msgspec.Struct, tag_field="k", tag="step", frozen=True, kw_only=True):
    """An attempt reported its metric at a step; ``value`` is ``None`` where it was not a number."""

    t: int
    trial: int
    attempt: int
    step: int
    value: float | None


class OutcomeRecord(msgspec.Struct, tag_field="k", tag="outcome", frozen=True, kw_only=True, omit_defaults=True):
    """An attempt ended; ``final`` says whether the trial ended with it."""

    t: int
    trial: int
    attempt: int
    state: str
    final: bool = True
    value: float | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""


class RunRecord(msgspec.Struct, tag_field="k", tag="run", frozen=True, kw_only=True, omit_defaults=True):
    """A baseline or an evaluation ended; see :class:`auditor.domain.study.Run`."""

    t: int
    begin_ns: int
    kind: str
    name: str
    state: str
    seed: int | None = None
    trial: int | None = None
    value: float | None = None
    test_value: float | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""


class Seal(msgspec.Struct, tag_field="k", tag="seal", frozen=True, kw_only=True):
    """Closes the study at the reading of time ``t``: what follows is not on its books."""

    t: int


class Finished(msgspec.Struct, tag_field="k", tag="finished", frozen=True, kw_only=True):
    """The study's last work before its statement was made ended at time ``t``."""

    t: int


Record = (
    Header
    | NodeRecord
    | ComponentRecord
    | Seen
    | Gone
    | Reading
    | Mark
    | Closed
    | AttemptRecord
    | StepRecord
    | OutcomeRecord
    | RunRecord
    | Seal
    | Finished
)
