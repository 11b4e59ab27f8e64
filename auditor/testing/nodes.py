"""Synthetic nodes whose true energy by account is known, to measure how far the books are off.

Power of a component: ``static_w + sum(watts of its phase * usage rate)`` over everything that runs, in steps far
shorter than phases and intervals. The books see no more of it than an agent would have read: cumulative energy and
usage once an interval, and marks with CPU time. Whoever uses a component at an instant causes its dynamic power of that
instant, in proportion to use where several do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.allocate import Policy, allocate
from auditor.accounting.trace import ActivityTrace, ComponentTrace, NodeTrace
from auditor.domain.accounts import Phase, node_account, trial_account

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_Number = TypeVar("_Number", np.int64, np.float64)

_NS_PER_S = 1_000_000_000
_UJ_PER_J = 1_000_000
_GIB = 2**30
_STUDY = "synthetic"
_NODE = "synthetic"
_PHASES = (Phase.TRAIN, Phase.VALIDATE)

_CPU_W_PER_SLOT = 12.0
_CPU_STATIC_SHARE = 0.1  # of the TDP, as in CodeCarbon's model
_RAM_W_PER_GIB = 0.4
_RAM_STATIC_W = 1.0
_GPU_W = 200.0
_GPU_STATIC_W = 40.0
_OTHERS_BYTES = 2 * _GIB
_RESIDENT_BYTES = 3 * _GIB
_STEPS_A_PIECE = 25
_STEPS_AT_MOST = 2_000_000
_WORTH_NAMING = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticNode:
    """A node on which trials alternate between training and validation; the same values give the same node.

    The defaults are what the allocation assumes: linear power, equal watts per unit of usage, aligned reads, no noise.
    What is given by phase is a pair, for training and for validation.

    Attributes:
        seed: Seed of everything drawn.
        duration_s: Length of the trace in seconds.
        interval_s: Mean length of an interval in seconds; single ones differ by up to 10 %.
        phase_s: Mean length of a phase in seconds; single ones differ by up to 30 %.
        activities: Number of trials at one time; each reserves a slot and runs over the whole trace.
        cpu_slots: CPU slots of the node.
        gpus: Number of GPUs; trials share them evenly.
        cpu_rate: CPU time a trial uses, in seconds a second, by phase; single phases use up to 20 % less.
        device_rate: Share of its part of a GPU that a trial keeps busy, by phase; single phases up to 20 % less.
        phase_watts: Watts per unit of CPU or device time, by phase, as a multiple of the node's.
        phase_bytes: Resident memory, by phase, as a multiple of 3 GiB.
        foreign_slots: CPU time of processes outside the study, in seconds a second, on average.
        children: Share of its CPU time that a trial's child processes use while it trains; marks don't see them.
        noise: Standard deviation of the meters' error over an interval, relative to the energy of the interval.
        lag_s: Usage is read up to so many seconds after energy, differently for each process.
        tick_s: Usage at readings is cut down to multiples of so many seconds of CPU time; 0: exact.
        cubic: Whether CPU power is ``TDP * (0.1 + 0.9 * load**3)``, as CodeCarbon models it, instead of linear.

    Raises:
        ValueError: the values don't fit together, or need too many steps.
    """

    seed: int = 0
    duration_s: float = 120.0
    interval_s: float = 1.0
    phase_s: float = 5.0
    activities: int = 3
    cpu_slots: float = 4.0
    gpus: int = 0
    cpu_rate: tuple[float, float] = (1.0, 0.4)
    device_rate: tuple[float, float] = (0.9, 0.3)
    phase_watts: tuple[float, float] = (1.0, 1.0)
    phase_bytes: tuple[float, float] = (1.0, 1.0)
    foreign_slots: float = 0.2
    children: float = 0.0
    noise: float = 0.0
    lag_s: float = 0.0
    tick_s: float = 0.0
    cubic: bool = False

    def __post_init__(self) -> None:
        if self.activities + 2 * self.foreign_slots > self.cpu_slots:
            raise ValueError(
                f"{self.activities} activities and {self.foreign_slots:g} foreign slots (twice that at times) "
                f"don't fit into {self.cpu_slots:g} CPU slots"
            )
        if not 0 < min(self.interval_s, self.phase_s) <= max(self.interval_s, self.phase_s) <= self.duration_s:
            raise ValueError(
                f"interval_s={self.interval_s:g} and phase_s={self.phase_s:g} must be above 0 and at most "
                f"duration_s={self.duration_s:g}"
            )
        if min(self.noise, self.lag_s, self.tick_s, self.foreign_slots, *self.phase_watts, *self.phase_bytes) < 0:
            raise ValueError("noise, lag_s, tick_s, foreign_slots, phase_watts and phase_bytes must be at least 0")
        if not all(0 <= share <= 1 for share in (*self.cpu_rate, *self.device_rate, self.children)):
            raise ValueError("cpu_rate, device_rate and children must lie between 0 and 1")
        if self.steps > _STEPS_AT_MOST:
            raise ValueError(f"{self.steps} steps: at most {_STEPS_AT_MOST}; take a shorter trace or longer phases")

    @property
    def steps(self) -> int:
        """Number of steps in which the node is simulated."""
        return round(self.duration_s * _STEPS_A_PIECE / min(self.interval_s, self.phase_s))

    def measure(self) -> MeasuredNode:
        """Run the node: what an agent would have read, and what was true."""
        return _Simulation(self).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNode:
    """What was read of a synthetic node, and what was true.

    Attributes:
        trace: The readings and activities, as the accounting takes them.
        dynamic_uj: True dynamic microjoules by component and account.
        reserved_uj: True static microjoules by component and account, by reservation.
    """

    trace: NodeTrace
    dynamic_uj: Mapping[str, Mapping[str, float]]
    reserved_uj: Mapping[str, Mapping[str, float]]

    def true_uj(self, policy: Policy = Policy.RESERVED, component: str | None = None) -> dict[str, float]:
        """True microjoules by account under a policy, of one component or of all."""
        total: dict[str, float] = {}
        idle = node_account(self.trace.node, "idle")
        for name in self.dynamic_uj if component is None else (component,):
            static = self.reserved_uj[name]
            if policy is Policy.DIRECT:
                static = {idle: sum(static.values())}
            for part in (self.dynamic_uj[name], static):
                for account, energy_uj in part.items():
                    total[account] = total.get(account, 0.0) + energy_uj
        return total

    def charged_uj(self, policy: Policy = Policy.RESERVED, component: str | None = None) -> dict[str, float]:
        """Microjoules by account that the books charge under a policy, of one component or of all."""
        charges = allocate(self.trace, policy)
        names = [c.name for c in self.trace.components]
        keep = np.ones(len(charges.account), dtype=bool)
        if component is not None:
            keep = charges.component == names.index(component)
        total_uj = np.zeros(len(charges.accounts), dtype=np.int64)
        np.add.at(total_uj, charges.account[keep], charges.energy_uj[keep])
        return {a: float(e) for a, e in zip(charges.accounts, total_uj.tolist(), strict=True) if e > 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misattribution:
    """How far the energy charged to a study's accounts is from the true energy; every error is relative.

    Attributes:
        process: ``sum|charged - true| / sum true`` over processes, their phases taken together.
        account: The same over accounts: processes by phase.
        worst_account: The account with the largest ``|charged - true| / true`` among those that truly used more than
            1 % of the study's energy; empty: there is none.
        worst: Its error.
    """

    process: float
    account: float
    worst_account: str
    worst: float


def attribution_error(
    node: SyntheticNode | MeasuredNode, *, policy: Policy = Policy.RESERVED, component: str | None = None
) -> Misattribution:
    """How far the books of a node are from what was true.

    Only accounts of the study count: what goes to the node's (idle, foreign) would hide errors.

    Args:
        node: The node, or what was measured of it.
        policy: How static energy is shared; under ``direct`` only dynamic energy counts, the stricter test.
        component: Name of the component to look at; ``None``: all of them together.
    """
    measured = node.measure() if isinstance(node, SyntheticNode) else node
    true_uj = _of_study(measured.true_uj(policy, component))
    charged_uj = _of_study(measured.charged_uj(policy, component))
    all_uj = sum(true_uj.values())
    worst, worst_account = max(
        (
            (abs(charged_uj.get(account, 0.0) - energy_uj) / energy_uj, account)
            for account, energy_uj in true_uj.items()
            if energy_uj > _WORTH_NAMING * all_uj
        ),
        default=(0.0, ""),
    )
    return Misattribution(
        process=_distance(_by_process(charged_uj), _by_process(true_uj)),
        account=_distance(charged_uj, true_uj),
        worst_account=worst_account,
        worst=worst,
    )


def _of_study(by_account: Mapping[str, float]) -> dict[str, float]:
    return {account: value for account, value in by_account.items() if account.startswith("study/")}


def _by_process(by_account: Mapping[str, float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for account, value in by_account.items():
        process = account.rpartition("/")[0]
        total[process] = total.get(process, 0.0) + value
    return total


def _distance(charged: Mapping[str, float], true: Mapping[str, float]) -> float:
    all_true = sum(true.values())
    off = sum(abs(charged.get(key, 0.0) - true.get(key, 0.0)) for key in {*charged, *true})
    return off / all_true if all_true > 0 else 0.0


class _Simulation:
    """One run of a node; arrays over steps are ``(s,)``, over activities and steps ``(a, s)``."""

    def __init__(self, node: SyntheticNode) -> None:
        self._node = node
        self._rng = np.random.default_rng(node.seed)
        self._step_s = node.duration_s / node.steps
        self._grid_s = np.linspace(0.0, node.duration_s, node.steps + 1)
        self._read_s = self._readings_s()
        trials = range(node.activities)
        self._starts = [self._pieces(node.phase_s) for _ in trials]  # first step of each phase
        self._phase = np.stack([self._over_steps(starts, np.arange(len(starts)) % 2) for starts in self._starts])
        self._watts = np.array(node.phase_watts)[self._phase]
        self._cpu = np.stack([self._rates(a, node.cpu_rate) for a in trials])
        self._own = self._cpu * np.where(self._phase == 0, 1.0 - node.children, 1.0)
        foreign = self._pieces(2.0)
        self._foreign = self._over_steps(foreign, self._rng.uniform(0.0, 2.0 * node.foreign_slots, len(foreign)))
        self._bytes = np.array(node.phase_bytes)[self._phase] * _RESIDENT_BYTES
        self._gpu_of = [f"gpu:{a % node.gpus}" for a in trials] if node.gpus else []
        self._device = np.stack([self._rates(a, node.device_rate) * self._share(a) for a in trials])
        self._dynamic_uj: dict[str, dict[str, float]] = {}
        self._reserved_uj: dict[str, dict[str, float]] = {}
        self._components: list[ComponentTrace] = []

    def result(self) -> MeasuredNode:
        """Everything read, and the truth."""
        node, trials = self._node, range(self._node.activities)
        slot = np.full(node.activities, 1.0 / node.cpu_slots)
        self._add_cpu(slot)
        self._add(
            "ram",
            _RAM_STATIC_W,
            self._bytes * (_RAM_W_PER_GIB / _GIB),
            np.full(node.steps, _OTHERS_BYTES * _RAM_W_PER_GIB / _GIB),
            slot,
        )
        for gpu in dict.fromkeys(self._gpu_of):
            on_it = np.array([self._gpu_of[a] == gpu for a in trials])
            used_w = np.where(on_it[:, None], self._device * self._watts * _GPU_W, 0.0)
            share = np.where(on_it, [self._share(a) for a in trials], 0.0)
            self._add(gpu, _GPU_STATIC_W, used_w, np.zeros(node.steps), share)
        trace = NodeTrace(
            node=_NODE,
            t_ns=_ns(self._read_s),
            cpu_slots=node.cpu_slots,
            gpu_slots=float(node.gpus),
            components=tuple(self._components),
            activities=tuple(self._activity(a) for a in trials),
            busy_ns=self._read_ns(self._cpu.sum(axis=0) + self._foreign),
            others_bytes=np.full(len(self._read_s), _OTHERS_BYTES, dtype=np.int64),
        )
        return MeasuredNode(trace=trace, dynamic_uj=self._dynamic_uj, reserved_uj=self._reserved_uj)

    def _add_cpu(self, slot: Float64) -> None:
        node = self._node
        full_w = _CPU_W_PER_SLOT * node.cpu_slots
        used_w, foreign_w = self._cpu * self._watts * _CPU_W_PER_SLOT, self._foreign * _CPU_W_PER_SLOT
        if node.cubic:
            load = (self._cpu.sum(axis=0) + self._foreign) / node.cpu_slots
            linear_w = used_w.sum(axis=0) + foreign_w
            scale = np.divide(full_w * load**3, linear_w, out=np.zeros(node.steps), where=linear_w > 0)
            used_w, foreign_w = used_w * scale, foreign_w * scale
        static_w = full_w * _CPU_STATIC_SHARE / (1.0 - _CPU_STATIC_SHARE)
        self._add("cpu", static_w, used_w, foreign_w, slot)

    def _add(self, name: str, static_w: float, used_w: Float64, foreign_w: Float64, share: Float64) -> None:
        """Read a component and note its truth; ``share`` is what each activity reserves of it."""
        node = self._node
        energy_j = np.diff(np.interp(self._read_s, self._grid_s, self._sum(used_w.sum(axis=0) + foreign_w + static_w)))
        if node.noise:
            energy_j *= np.maximum(1.0 + node.noise * self._rng.standard_normal(len(energy_j)), 0.0)
        gpu = name.startswith("gpu")
        self._components.append(
            ComponentTrace(
                name=name,
                energy_uj=np.rint(np.cumsum(np.concatenate([[0.0], energy_j])) * _UJ_PER_J).astype(np.int64),
                static_w=static_w,
                static_source="model",
                meter="synthetic",
                others_ns=np.zeros(len(self._read_s), dtype=np.int64) if gpu else None,
                used_known=np.ones(len(self._read_s) - 1, dtype=bool) if gpu else None,
            )
        )
        self._dynamic_uj[name] = {node_account(_NODE, "foreign"): self._true_uj(foreign_w)}
        unreserved = 1.0 - float(share.sum())
        self._reserved_uj[name] = {node_account(_NODE, "idle"): unreserved * static_w * node.duration_s * _UJ_PER_J}
        for number in range(node.activities):
            for position, phase in enumerate(_PHASES):
                within = self._phase[number] == position
                account = _account(number, phase)
                self._dynamic_uj[name][account] = self._true_uj(used_w[number] * within)
                self._reserved_uj[name][account] = self._true_uj(static_w * float(share[number]) * within)

    def _activity(self, number: int) -> ActivityTrace:
        node, starts = self._node, self._starts[number]
        read_s = self._usage_read_s()
        own_s = self._sum(self._own[number])
        device_ns = {}
        if node.gpus:
            used_s = np.interp(read_s, self._grid_s, self._sum(self._device[number]))
            device_ns[self._gpu_of[number]] = _ns(used_s)
        held = self._bytes[number][np.clip((read_s / self._step_s).astype(np.int64), 0, node.steps - 1)]
        return ActivityTrace(
            key=f"trial-{number}",
            begin_ns=0,
            base_account=_account(number, _PHASES[0]),
            tree_ns=self._ticks_ns(self._cpu[number], read_s),
            own_ns=self._ticks_ns(self._own[number], read_s),
            cpu_slots=1.0,
            gpu_slots=self._share(number),
            gpus={self._gpu_of[number]: self._share(number)} if node.gpus else {},
            mark_ns=_ns(self._grid_s[starts]),
            mark_cpu_ns=_ns(own_s[starts]),
            mark_account=tuple(_account(number, _PHASES[i % 2]) for i in range(len(starts))),
            device_ns=device_ns,
            resident_bytes=held.astype(np.int64),
        )

    def _readings_s(self) -> Float64:
        node = self._node
        count = max(1, round(node.duration_s / node.interval_s))
        read_s = np.linspace(0.0, node.duration_s, count + 1)
        read_s[1:-1] += self._rng.uniform(-0.05, 0.05, count - 1) * node.interval_s
        return read_s

    def _usage_read_s(self) -> Float64:
        """When usage of one process was read: at most ``lag_s`` after each reading, never out of order."""
        late_s = self._rng.uniform(0.0, self._node.lag_s, len(self._read_s))
        return np.asarray(np.maximum.accumulate(self._read_s + late_s), dtype=np.float64)

    def _read_ns(self, rate: Float64) -> Int64:
        return self._ticks_ns(rate, self._usage_read_s())

    def _ticks_ns(self, rate: Float64, read_s: Float64) -> Int64:
        """Cumulative usage at some times, as the kernel tells it."""
        used_ns = _ns(np.interp(read_s, self._grid_s, self._sum(rate)))
        tick_ns = round(self._node.tick_s * _NS_PER_S)
        return used_ns // tick_ns * tick_ns if tick_ns else used_ns

    def _pieces(self, mean_s: float) -> Int64:
        """First steps of pieces whose lengths differ by up to 30 % from a mean."""
        steps = self._node.steps
        count = int(self._node.duration_s / (0.7 * mean_s)) + 2
        length = np.maximum(np.rint(self._rng.uniform(0.7, 1.3, count) * mean_s / self._step_s), 1).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(length)])
        return np.asarray(starts[starts < steps], dtype=np.int64)

    def _over_steps(self, starts: Int64, values: NDArray[_Number]) -> NDArray[_Number]:
        return np.repeat(values, np.diff(starts, append=self._node.steps))

    def _rates(self, number: int, by_phase: tuple[float, float]) -> Float64:
        starts = self._starts[number]
        rates = np.array(by_phase)[np.arange(len(starts)) % 2] * self._rng.uniform(0.8, 1.0, len(starts))
        return self._over_steps(starts, rates)

    def _share(self, number: int) -> float:
        """Part of its GPU that an activity holds; 0: the node has none."""
        if not self._gpu_of:
            return 0.0
        return 1.0 / self._gpu_of.count(self._gpu_of[number])

    def _sum(self, rate: Float64) -> Float64:
        """What a rate amounts to at each bound of the steps, ``(s + 1,)``."""
        return np.concatenate([[0.0], np.cumsum(rate) * self._step_s])

    def _true_uj(self, power_w: Float64) -> float:
        return float(power_w.sum()) * self._step_s * _UJ_PER_J


def _account(number: int, phase: Phase) -> str:
    return f"{trial_account(_STUDY, number, 1)}/{phase}"


def _ns(seconds: Float64) -> Int64:
    return np.rint(seconds * _NS_PER_S).astype(np.int64)
