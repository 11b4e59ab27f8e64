"""A study as the statement sees it: what was searched, what ran, and the closed books.

A :class:`StudyRecord` is made from the journals of a study folder, or by an importer; it is the only input of
the statement. All times are UTC nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from auditor.domain.provenance import Provenance


class TrialState(StrEnum):
    """How a trial, or one attempt of it, ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    LOST = "lost"
    RUNNING = "running"


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the auditor objects to, as data.

    Attributes:
        code: Short stable identifier, for example ``meter-gap``.
        severity: How much it matters.
        message: One plain sentence with the figures in it.
    """

    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a trial.

    Attributes:
        number: Counted from 1; a retry is the next number.
        state: How it ended.
        begin_ns: When it was handed out; ``None`` where an imported study does not say.
        end_ns: When it ended; ``None`` while running or where the end is unknown.
        flops: Floating-point operations counted (2 per multiply-add); ``None`` where not counted.
        uncounted_ops: Names of operators that the count does not know.
        error: Why it failed; empty otherwise.
    """

    number: int
    state: TrialState
    begin_ns: int | None
    end_ns: int | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial, as in Optuna.

    Attributes:
        number: As in Optuna, from 0.
        params: What the sampler chose.
        state: Final state of the trial.
        value: Final value of the study's metric; ``None`` unless complete.
        intermediate: Value of the metric by step (epoch), as reported to the pruner.
        intermediate_ns: When each step was reported.
        attempts: Every execution, in order.
        values: Final values of all objectives, where there are several; ``value`` is ``None`` then.
        test_value: Value on the test set, where an imported study has one for each trial.
        fidelity: How far it was trained (epochs, data, …), where an imported study says so.
        random: Whether it was drawn independently of all other trials; ``None`` where that is not known.
    """

    number: int
    params: Mapping[str, Any]
    state: TrialState
    value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    intermediate_ns: Mapping[int, int] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    values: tuple[float, ...] = ()
    test_value: float | None = None
    fidelity: float | None = None
    random: bool | None = None

    @property
    def begin_ns(self) -> int | None:
        """When its first attempt was handed out."""
        return self.attempts[0].begin_ns if self.attempts else None

    @property
    def end_ns(self) -> int | None:
        """When its last attempt ended."""
        return self.attempts[-1].end_ns if self.attempts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceBlock:
    """Repeated inference on one batch; its energy is that of its account.

    Attributes:
        number: From 0; blocks are measurements of the same.
        samples: Samples that were run through the model.
        batch_size: Samples at once.
    """

    number: int
    samples: int
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training outside a search: of a baseline, an evaluation on a fresh seed, or one that was wrapped.

    Attributes:
        kind: ``baseline``, ``evaluation`` or ``training``.
        name: Baseline's name, the evaluated subject (``winner``, ``default``), or the number of a training.
        state: How it ended.
        seed: Seed of an evaluation; ``None`` for a baseline on the search's own seed.
        trial: The trial whose parameters the winner has, or that is the default itself; ``None`` otherwise.
        draw: Number of a draw of the random arm, the baseline ``random``, which has a run for each; ``None`` otherwise.
        value: Metric on the validation set.
        test_value: Metric on the test set.
        begin_ns: Start.
        end_ns: End.
        flops: Floating-point operations counted; ``None`` where not counted.
        uncounted_ops: Names of operators that the count does not know.
        error: Why it failed; empty otherwise.
        carried_uj: Energy that earlier sessions of a training spent elsewhere, as its checkpoint says.
        carried_from: Study folders of those sessions.
        scores: Of each test example, in the order of the data, where the module gives them.
        inference: Blocks of inference after the training of an evaluation.
        inference_error: Why there are none, or fewer; empty otherwise.
        account: Subject of an evaluation's account; empty: ``<name>-<seed>``.
    """

    kind: str
    name: str
    state: TrialState
    seed: int | None = None
    trial: int | None = None
    draw: int | None = None
    value: float | None = None
    test_value: float | None = None
    begin_ns: int = 0
    end_ns: int | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""
    carried_uj: int = 0
    carried_from: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    inference: tuple[InferenceBlock, ...] = ()
    inference_error: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentBook:
    """What one component of one node used, and how that is known.

    Attributes:
        node: The node's name.
        component: ``cpu``, ``ram``, ``gpu``, ``gpu:<uuid>``.
        meter: Name of the meter.
        provenance: How it was measured.
        metered_uj: Energy over all intervals.
        static_w: Power without load; ``None`` where unknown.
        static_source: Where that comes from: ``model`` (the meter's), ``configuration``, ``calibrated`` (least power
            seen after the meters started), or empty where it is unknown.
        low_uj: Least the true figure could be; ``None`` where no bound is known.
        high_uj: Most the true figure could be; ``None`` where no bound is known.
        detail: What exactly was read, for people.
    """

    node: str
    component: str
    meter: str
    provenance: Provenance
    metered_uj: int
    static_w: float | None = None
    static_source: str = ""
    low_uj: int | None = None
    high_uj: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Time on one node over which readings exist without a gap."""

    node: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The closed books of a study: every metered microjoule in exactly one account.

    Attributes:
        policy: How static energy was shared: ``reserved`` or ``direct``.
        accounts: Microjoules by account name.
        policies: The same under every policy, by policy; empty where only one is known.
        metered_uj: Sum of all intervals: what the meters say.
        components: By node and component.
        windows: Metered time.
        coverage: Metered time over the time from the first reading to the seal, worst node; ``None`` without
            readings.
        unmetered_start_s: Seconds between the start of the study and its first reading.
        after_seal_s: Seconds between the seal and the last thing the study did; ``None`` while not sealed.
        sealed: Whether a seal closes the books.
        wall_s: Seconds from the first reading to the seal (or the last reading).
        cpu_s: CPU seconds of all processes of the study.
        account_cpu_s: CPU seconds of the processes themselves (without children) while they worked for an account.
        device_s: Seconds that the study reserved devices, by kind (``cpu``, ``gpu``).
        search_device_s: Of these the seconds of the search (trials, plain trainings, search/*, audit).
        arm_device_s: Of these the seconds of the random arm.
        cumulative_ns: Times of the readings, ``(k,)``.
        cumulative_uj: Energy of the search (as ``search_device_s``) up to each reading, ``(k,)``.
        findings: What closing the books found.
    """

    policy: str
    accounts: Mapping[str, int]
    metered_uj: int
    policies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    components: tuple[ComponentBook, ...] = ()
    windows: tuple[Window, ...] = ()
    coverage: float | None = None
    unmetered_start_s: float | None = None
    after_seal_s: float | None = None
    sealed: bool = False
    wall_s: float = 0.0
    cpu_s: float | None = None
    account_cpu_s: Mapping[str, float] = field(default_factory=dict)
    device_s: Mapping[str, float] = field(default_factory=dict)
    search_device_s: Mapping[str, float] = field(default_factory=dict)
    arm_device_s: Mapping[str, float] = field(default_factory=dict)
    cumulative_ns: tuple[int, ...] = ()
    cumulative_uj: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def charged_uj(self) -> int:
        """Sum of all accounts."""
        return sum(self.accounts.values())

    @property
    def residual_uj(self) -> int:
        """Metered less charged: 0 in books that balance."""
        return self.metered_uj - self.charged_uj

    @property
    def priced_device_s(self) -> float | None:
        """Device-seconds that the search pays for: GPUs where the study held any, else CPUs; ``None``: none held."""
        return self.search_device_s.get(self._priced_kind)

    @property
    def priced_arm_s(self) -> float:
        """Device-seconds of the same kind that the random arm held."""
        return self.arm_device_s.get(self._priced_kind, 0.0)

    @property
    def _priced_kind(self) -> str:
        return "gpu" if self.device_s.get("gpu") else "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """Everything the statement is made from.

    Attributes:
        uuid: Identity of the study.
        name: Its name.
        space: Name of the search space.
        sampler: Name of the sampler.
        metric: Name of the metric searched for.
        direction: ``maximize`` or ``minimize``.
        test_metric: Name of the metric on the test set; ``None`` where there is none.
        trials: All trials, by number.
        runs: Baselines, evaluations and plain trainings.
        books: The closed books.
        imported: Whether the study ran elsewhere, so that its energy was compiled and not metered here.
        pue_inside: Power usage effectiveness that reported energy held, and that was taken out of it; ``None``: nobody
            said whether it holds any.
        directions: Direction of each objective, where there are several.
        kind: ``search``, or ``training`` where nothing is searched: space, sampler, metric, direction are empty then.
        findings: What reading the study found.
    """

    uuid: str
    name: str
    space: str
    sampler: str
    metric: str
    direction: str
    books: Books
    test_metric: str | None = None
    trials: tuple[Trial, ...] = ()
    runs: tuple[Run, ...] = ()
    imported: bool = False
    pue_inside: float | None = None
    directions: tuple[str, ...] = ()
    kind: str = "search"
    findings: tuple[Finding, ...] = ()
