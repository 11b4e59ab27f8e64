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
        gpus: Share it holds of each GPU, by UUID, where that is known.
        holds_rest: Whether slots nobody reserves are charged to this process: the job holds the whole node.
        driver: Whether the study counts as running while this process lives.
        session: Of a driver: how many drivers the study has had, this one included. Wall clocks can go back.
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
    gpus: dict[str, float] = {}
    holds_rest: bool = False
    driver: bool = False
    session: int = 0
    versions: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Identity of the process within its node and boot."""
        return process_key(self.pid, self.start)


def process_key(pid: int, start: int) -> str:
    """Identity of a process within a node and boot: process ids are used again, start times are not."""
    return f"{pid}-{start}"


class NodeRecord(msgspec.Struct, tag_field="k", tag="node", frozen=True, kw_only=True, omit_defaults=True):
    """What the node offers, and how its agent was told to meter it.

    Attributes:
        cpu_slots: CPU slots of the node.
        gpu_slots: GPUs of the node.
        interval_s: Seconds between readings; 0: not told.
        meters: Names of the meters asked for.
        static_w: Power without load by component that was stated, in watts.
    """

    cpu_slots: float
    gpu_slots: float
    interval_s: float = 0.0
    meters: tuple[str, ...] = ()
    static_w: dict[str, float] = {}


class ComponentRecord(msgspec.Struct, tag_field="k", tag="component", frozen=True, kw_only=True, omit_defaults=True):
    """A component that the agent meters; see :class:`auditor.ports.Component`.

    Attributes:
        key: Its name in the readings: that of the component, or for a check ``<component>@<meter>``.
        static_source: Where ``static_w`` comes from: ``model`` (the meter states it) or ``configuration``.
        check: Whether it is a second opinion on a component that another meter covers: compared, never summed.
    """

    name: str
    meter: str
    provenance: str
    static_w: float | None = None
    static_source: str = ""
    low_w: float | None = None
    high_w: float | None = None
    detail: str = ""
    counter: str = ""
    wrap_uj: int | None = None
    attributable: bool = True
    check: bool = False

    @property
    def key(self) -> str:
        """Its name in the readings."""
        return f"{self.name}@{self.meter}" if self.check else self.name


class StaticRecord(msgspec.Struct, tag_field="k", tag="static", frozen=True, kw_only=True):
    """Power of a component without load, as calibrated after the meters started.

    Attributes:
        name: The component.
        static_w: Least power seen, in watts.
        detail: How it was calibrated, for people.
    """

    name: str
    static_w: float
    detail: str


class Seen(msgspec.Struct, tag_field="k", tag="seen", frozen=True, kw_only=True, omit_defaults=True):
    """The agent sees a registered process for the first time.

    Its key is that of the process; ``#`` and the begin follow where the agent knew another registration of it before.
    """

    key: str
    study: str
    account: str
    begin_ns: int
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    gpus: dict[str, float] = {}
    holds_rest: bool = False


class Gone(msgspec.Struct, tag_field="k", tag="gone", frozen=True, kw_only=True):
    """The agent found a registered process dead at time ``t``."""

    key: str
    t: int


class Reading(msgspec.Struct, tag_field="k", tag="reading", frozen=True, kw_only=True, omit_defaults=True):
    """One sample: energy and usage at the same instant.

    Attributes:
        t: CLOCK_MONOTONIC in nanoseconds.
        e: Cumulative microjoules by component.
        u: By process: CPU nanoseconds of its tree since it registered, and CPU time of the process alone.
        b: CPU nanoseconds all processes of the node used since boot; ``None`` where unknown.
        g: By component whose driver tells its users, then by process: nanoseconds of the whole device that its tree
            used since the agent started; all others' under the empty key.
        m: By process: bytes of memory its tree holds; all others' under the empty key. Empty where it is not needed.
        z: Nanoseconds this machine was suspended since boot: CLOCK_MONOTONIC stands still meanwhile.
        a: CPU nanoseconds the agent itself used since it started, for all studies it serves; in ``u`` stands the part
            of this study.
    """

    t: int
    e: dict[str, int]
    u: dict[str, tuple[int, int]]
    b: int | None = None
    g: dict[str, dict[str, int]] = {}
    m: dict[str, int] = {}
    z: int = 0
    a: int = 0


class Mark(msgspec.Struct, tag_field="k", tag="mark", frozen=True, kw_only=True, omit_defaults=True):
    """From ``t`` on the writer works for account ``a``; ``c`` is its own CPU time in nanoseconds.

    ``o`` is how much of its CPU time since the mark before the auditor itself took (callback hooks, writing marks).

    ``w`` is the lane: 0 the process itself, others its threads where these work for accounts of their own; there ``c``
    is the CPU time of the thread, and an empty ``a`` says that it works for nobody of its own from ``t`` on.

    The end of one phase is the begin of the next, so one kind of mark says both, and a lost mark costs one phase only.
    """

    t: int
    c: int
    a: str
    o: int = 0
    w: int = 0


class Fault(msgspec.Struct, tag_field="k", tag="fault", frozen=True, kw_only=True):
    """The auditor itself failed within a process that it audits; the process went on.

    Attributes:
        t: When it failed first.
        where: What failed, for people: ``on_train_end``, ``MLflow``.
        message: The error in one line.
    """

    t: int
    where: str
    message: str


class Closed(msgspec.Struct, tag_field="k", tag="closed", frozen=True, kw_only=True):
    """The writer gives its slots back at time ``t``."""

    t: int


class ClockRecord(msgspec.Struct, tag_field="k", tag="clock", frozen=True, kw_only=True):
    """Clocks of another node, asked for by the driver: wall clocks of two nodes need not agree.

    Attributes:
        t: The driver's CLOCK_MONOTONIC halfway between question and answer.
        node: The other node's name.
        boot: Its boot id.
        mono_ns: Its CLOCK_MONOTONIC at the answer.
        within_ns: Half the time between question and answer: how far the pair can be off.
    """

    t: int
    node: str
    boot: str
    mono_ns: int
    within_ns: int


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


class BlockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A block of inference; see :class:`auditor.domain.study.InferenceBlock`."""

    number: int
    samples: int
    batch_size: int


class RunRecord(msgspec.Struct, tag_field="k", tag="run", frozen=True, kw_only=True, omit_defaults=True):
    """A baseline, an evaluation or a plain training ended; see :class:`auditor.domain.study.Run`."""

    t: int
    begin_ns: int
    kind: str
    name: str
    state: str
    seed: int | None = None
    trial: int | None = None
    draw: int | None = None
    value: float | None = None
    test_value: float | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""
    carried_uj: int = 0
    carried_from: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    inference: tuple[BlockRecord, ...] = ()
    inference_error: str = ""
    account: str = ""


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
    | StaticRecord
    | ClockRecord
    | Seen
    | Gone
    | Reading
    | Mark
    | Fault
    | Closed
    | AttemptRecord
    | StepRecord
    | OutcomeRecord
    | RunRecord
    | Seal
    | Finished
)
