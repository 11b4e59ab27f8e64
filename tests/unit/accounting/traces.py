"""Small traces in seconds, joules and watts, so that a test can be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from auditor.accounting.allocate import Charges, Policy, allocate
from auditor.accounting.segments import Int64
from auditor.accounting.trace import UNKNOWN, ActivityTrace, ComponentTrace, LaneTrace, NodeTrace

J = 1_000_000
S = 1_000_000_000
IDLE, FOREIGN, UNEXPLAINED = "node/n/idle", "node/n/foreign", "node/n/unexplained"


def ns(seconds: Sequence[float | None]) -> Int64:
    """Seconds as integer nanoseconds; ``None`` as not seen."""
    return np.array([UNKNOWN if s is None else round(s * S) for s in seconds], dtype=np.int64)


def component(
    name: str,
    joules: Sequence[float],
    static_w: float | None = None,
    *,
    low_w: float | None = None,
    high_w: float | None = None,
) -> ComponentTrace:
    """A component by its cumulative joules at each reading."""
    energy = np.array([round(j * J) for j in joules], dtype=np.int64)
    return ComponentTrace(name=name, energy_uj=energy, static_w=static_w, low_w=low_w, high_w=high_w, meter="m")


def activity(
    key: str,
    tree_s: Sequence[float | None],
    *,
    account: str | None = None,
    own_s: Sequence[float | None] | None = None,
    begin_s: float = 0.0,
    end_s: float | None = None,
    cpus: float = 0.0,
    gpus: float = 0.0,
    rest: bool = False,
    marks: Sequence[tuple[float, float, str]] = (),
    lanes: Sequence[Sequence[tuple[float, float, str]]] = (),
) -> ActivityTrace:
    """An activity by its CPU seconds at each reading; marks are (time, own CPU seconds, account), also of its lanes."""
    return ActivityTrace(
        key=key,
        begin_ns=round(begin_s * S),
        end_ns=None if end_s is None else round(end_s * S),
        base_account=account or key,
        tree_ns=ns(tree_s),
        own_ns=ns(tree_s if own_s is None else own_s),
        cpu_slots=cpus,
        gpu_slots=gpus,
        holds_rest=rest,
        mark_ns=ns([t for t, _, _ in marks]),
        mark_cpu_ns=ns([c for _, c, _ in marks]),
        mark_account=tuple(a for _, _, a in marks),
        lanes=tuple(lane(*of_lane) for of_lane in lanes),
    )


def lane(*marks: tuple[float, float, str]) -> LaneTrace:
    """A lane by its marks: (time, CPU seconds of its thread, account)."""
    return LaneTrace(
        mark_ns=ns([t for t, _, _ in marks]),
        mark_cpu_ns=ns([c for _, c, _ in marks]),
        mark_account=tuple(a for _, _, a in marks),
    )


def trace(
    t_s: Sequence[float],
    *parts: ComponentTrace | ActivityTrace,
    busy_s: Sequence[float] | None = None,
    cpus: float = 2.0,
    gpus: float = 0.0,
    node: str = "n",
    offset_s: float = 0.0,
) -> NodeTrace:
    """One node's readings at some seconds, with components and activities."""
    return NodeTrace(
        node=node,
        t_ns=ns(t_s),
        cpu_slots=cpus,
        gpu_slots=gpus,
        components=tuple(p for p in parts if isinstance(p, ComponentTrace)),
        activities=tuple(p for p in parts if isinstance(p, ActivityTrace)),
        busy_ns=None if busy_s is None else ns(busy_s),
        offset_ns=round(offset_s * S),
    )


def sums(charges: Charges) -> dict[str, int]:
    """Microjoules by account, accounts without charge left out."""
    found: dict[str, int] = {}
    for account, energy in zip(charges.account.tolist(), charges.energy_uj.tolist(), strict=True):
        found[charges.accounts[account]] = found.get(charges.accounts[account], 0) + energy
    return found


def joules(node: NodeTrace, policy: Policy = Policy.RESERVED) -> Mapping[str, float]:
    """Joules that allocating a trace charges to each account."""
    return {account: energy / J for account, energy in sums(allocate(node, policy)).items()}
