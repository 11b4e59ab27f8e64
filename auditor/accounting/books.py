"""Closing the books: traces of all nodes in, balanced books and the ledger out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.agreement import disagreements
from auditor.accounting.allocate import Charges, Policy, accounts_cut, allocate
from auditor.accounting.coverage import Life, Session, coverage_of
from auditor.accounting.reservations import reserved_slot_s
from auditor.accounting.trace import ActivityTrace, NodeTrace
from auditor.domain.accounts import is_draw, node_account, parse_account
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Books, ComponentBook, Finding, Severity, Window

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All entries of a study: one row a charge, columns of equal length ``(n,)``.

    Attributes:
        node: Name of the node.
        start_ns: Start of the interval, UTC nanoseconds.
        end_ns: End of the interval, UTC nanoseconds.
        component: Name of the component.
        account: Name of the account.
        energy_uj: Microjoules.
    """

    node: NDArray[np.str_]
    start_ns: Int64
    end_ns: Int64
    component: NDArray[np.str_]
    account: NDArray[np.str_]
    energy_uj: Int64


def empty_ledger() -> Ledger:
    """A ledger without entries: nothing was metered interval by interval."""
    return _ledger((), ())


def close_books(
    traces: Iterable[NodeTrace],
    *,
    policy: Policy = Policy.RESERVED,
    seal_ns: int | None = None,
    sessions: Sequence[Session] = (),
    lives: Sequence[Life] = (),
    end_ns: int | None = None,
) -> tuple[Books, Ledger]:
    """Charge everything metered up to the seal.

    Args:
        traces: Unbroken series of readings; several of one node are gaps apart.
        policy: How static energy is shared.
        seal_ns: Time of the seal, UTC nanoseconds; ``None``: everything read so far.
        sessions: When the study ran; none: from the first to the last reading. Time between sessions is no gap.
        lives: When and where processes of the study lived.
        end_ns: When the study's last work ended, UTC nanoseconds.
    """
    cut = [_until(_in_order(_others_ended(trace)), seal_ns) for trace in traces]
    kept = sorted((t for t in cut if len(t.t_ns)), key=lambda t: (t.node, t.t_ns[0] + t.offset_ns, t.boot))
    segments = [accounts_cut(trace) for trace in kept]
    charges = [allocate(trace, policy, part) for trace, part in zip(kept, segments, strict=True)]
    policies = {each.value: _sums(charges, [part.by_policy[each] for part in charges]) for each in Policy}
    account_cpu_us = _sums(charges, [part.cpu_us for part in charges])
    first = min((int(t.t_ns[0]) + t.offset_ns for t in kept), default=None)
    last = max((int(t.t_ns[-1]) + t.offset_ns for t in kept), default=None)
    coverage, unmetered_start_s, findings = coverage_of(kept, sessions, lives)
    times, cumulative = _cumulative(kept, charges)
    device_s: dict[str, float] = {}
    search_device_s: dict[str, float] = {}
    arm_device_s: dict[str, float] = {}
    for trace, part in zip(kept, segments, strict=True):
        for kind, by_account in reserved_slot_s(trace, part).items():
            of_search = (seconds for account, seconds in by_account.items() if is_search_account(account))
            device_s[kind] = device_s.get(kind, 0.0) + sum(by_account.values())
            of_arm = (seconds for account, seconds in by_account.items() if is_arm_account(account))
            search_device_s[kind] = search_device_s.get(kind, 0.0) + sum(of_search)
            arm_device_s[kind] = arm_device_s.get(kind, 0.0) + sum(of_arm)
    books = Books(
        policy=policy.value,
        accounts=policies[policy.value],
        policies=policies,
        metered_uj=sum(int(c.energy_uj[-1] - c.energy_uj[0]) for t in kept for c in t.components),
        components=_components(kept),
        windows=tuple(
            Window(node=t.node, start_ns=int(t.t_ns[0]) + t.offset_ns, end_ns=int(t.t_ns[-1]) + t.offset_ns)
            for t in kept
            if not t.bridge
        ),
        coverage=coverage,
        unmetered_start_s=unmetered_start_s,
        after_seal_s=None if seal_ns is None or end_ns is None else max(0.0, (end_ns - seal_ns) / NS_PER_S),
        sealed=seal_ns is not None,
        wall_s=0.0 if first is None or last is None else (last - first) / NS_PER_S,
        cpu_s=_cpu_s(kept),
        account_cpu_s={name: cpu_us / 1e6 for name, cpu_us in account_cpu_us.items()},
        device_s=device_s,
        search_device_s=search_device_s,
        arm_device_s=arm_device_s,
        cumulative_ns=tuple(times.tolist()),
        cumulative_uj=tuple(cumulative.tolist()),
        findings=(*findings, *disagreements(kept), *_attribution(kept, charges)),
    )
    return books, _ledger(kept, charges)


def _sums(charges: Sequence[Charges], amounts: Sequence[Int64]) -> dict[str, int]:
    """Amounts of all nodes by account, in the order of their names."""
    total: dict[str, int] = {}
    for part, amount in zip(charges, amounts, strict=True):
        for name, value in zip(part.accounts, amount.tolist(), strict=True):
            total[name] = total.get(name, 0) + value
    return dict(sorted(total.items()))


def _attribution(traces: Sequence[NodeTrace], charges: Sequence[Charges]) -> list[Finding]:
    """What the readings did not tell about who used the energy."""
    shared: dict[str, int] = {}
    fitted: dict[str, int] = {}
    unattributable: dict[str, int] = {}
    unexplained_uj = 0
    for trace, part in zip(traces, charges, strict=True):
        for name, energy in part.shared_by_lease_uj.items():
            shared[name] = shared.get(name, 0) + energy
        for name, energy in part.phases_fitted_uj.items():
            fitted[name] = fitted.get(name, 0) + energy
        for number, component in enumerate(trace.components):
            if not component.attributable:
                energy = int(part.energy_uj[part.component == number].sum())
                unattributable[component.name] = unattributable.get(component.name, 0) + energy
        lost = part.accounts.index(node_account(trace.node, "unexplained"))
        unexplained_uj += int(part.energy_uj[part.account == lost].sum())
    unexplained_uj -= sum(unattributable.values())
    found = [
        Finding(
            code="gpu-split-by-lease",
            severity=Severity.WARNING,
            message=f"{uj_to_j(energy):.3g} J of {name} were used while several held it and its driver did not tell "
            "who computed: they are split by the shares held, which is modelled.",
        )
        for name, energy in sorted(shared.items())
    ]
    found += [
        Finding(
            code="gpu-phases-fitted",
            severity=Severity.INFO,
            message=f"{uj_to_j(energy):.3g} J of {name} lie in intervals in which a process worked for several phases: "
            "they are split by time and by the power of each phase that fits the intervals so far best (least "
            "squares), which is modelled.",
        )
        for name, energy in sorted(fitted.items())
    ]
    found += [
        Finding(
            code="not-attributable",
            severity=Severity.WARNING,
            message=f"{uj_to_j(energy):.3g} J of {name} can't be attributed to anybody (MIG instances share one energy "
            "figure): they are unexplained.",
        )
        for name, energy in sorted(unattributable.items())
    ]
    if unexplained_uj > 0:
        found.append(
            Finding(
                code="unexplained-energy",
                severity=Severity.INFO,
                message=f"{uj_to_j(unexplained_uj):.3g} J above static power were metered while no process was seen "
                "using anything.",
            )
        )
    return found


def _in_order(trace: NodeTrace) -> NodeTrace:
    """The trace with its activities by key, so that the order given decides no tie."""
    return replace(trace, activities=tuple(sorted(trace.activities, key=lambda a: a.key)))


def _others_ended(trace: NodeTrace) -> NodeTrace:
    """The trace with processes of other studies ended when they were last read: only their own journals tell."""

    def ended(activity: ActivityTrace) -> ActivityTrace:
        read = activity.first + len(activity.tree_ns)
        if not activity.foreign or activity.end_ns is not None or read >= len(trace.t_ns):
            return activity
        return replace(activity, end_ns=int(trace.t_ns[read - 1] if len(activity.tree_ns) else trace.t_ns[0]))

    return replace(trace, activities=tuple(map(ended, trace.activities)))


def _until(trace: NodeTrace, seal_ns: int | None) -> NodeTrace:
    """The part of a trace up to the last reading that is not after the seal."""
    if seal_ns is None:
        return trace
    count = int(np.searchsorted(trace.t_ns + trace.offset_ns, seal_ns, side="right"))
    known = trace if count == len(trace.t_ns) else trace.until(count)
    if not any(activity.lanes for activity in known.activities):
        return known
    until_ns = seal_ns - trace.offset_ns  # between two marks of a lane the later one tells too
    lanes = [tuple(lane.until(until_ns) for lane in activity.lanes) for activity in known.activities]
    return replace(
        known, activities=tuple(replace(a, lanes=part) for a, part in zip(known.activities, lanes, strict=True))
    )


def _components(traces: Sequence[NodeTrace]) -> tuple[ComponentBook, ...]:
    books: dict[tuple[str, str, str, str], ComponentBook] = {}
    for trace in traces:
        duration_s = (int(trace.t_ns[-1]) - int(trace.t_ns[0])) / NS_PER_S
        for c in trace.components:
            key = (trace.node, c.name, c.meter, c.provenance.value)
            metered = int(c.energy_uj[-1] - c.energy_uj[0])
            low = None if c.low_w is None else min(metered, round(c.low_w * duration_s * 1e6))
            high = None if c.high_w is None else max(metered, round(c.high_w * duration_s * 1e6))
            old = books.get(key)
            books[key] = ComponentBook(
                node=trace.node,
                component=c.name,
                meter=c.meter,
                provenance=c.provenance,
                metered_uj=metered + (old.metered_uj if old else 0),
                static_w=c.static_w,
                static_source=c.static_source,
                low_uj=_plus(low, old.low_uj) if old else low,
                high_uj=_plus(high, old.high_uj) if old else high,
                detail=c.detail,
            )
    return tuple(books[key] for key in sorted(books))


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _cpu_s(traces: Sequence[NodeTrace]) -> float | None:
    """CPU seconds of the study's process trees."""
    if not traces:
        return None
    return sum(
        (max(0, int(a.tree_ns.max())) - (max(0, int(a.tree_ns[0])) if a.first == 0 else 0)) / NS_PER_S
        for t in traces
        for a in t.activities
        if len(a.tree_ns) and not a.foreign
    )


def is_search_account(account: str) -> bool:
    """Whether an account is part of the cost of the search: trials, plain trainings, the search itself, the audit."""
    name = parse_account(account)
    return name.owner == "study" and name.kind in {"trial", "training", "search", "audit"}


def is_arm_account(account: str) -> bool:
    """Whether an account is that of a draw of the random arm."""
    name = parse_account(account)
    return name.owner == "study" and name.kind == "baseline" and is_draw(name.subject)


def _cumulative(traces: Sequence[NodeTrace], charges: Sequence[Charges]) -> tuple[Int64, Int64]:
    """Energy of the search up to each reading, over all nodes."""
    times, steps = [], []
    for trace, part in zip(traces, charges, strict=True):
        counts = np.array([is_search_account(a) for a in part.accounts], dtype=bool)
        step = np.zeros(len(trace.t_ns), dtype=np.int64)
        chosen = counts[part.account]
        np.add.at(step, part.interval[chosen] + 1, part.energy_uj[chosen])
        times.append(trace.t_ns + trace.offset_ns)
        steps.append(step)
    if not times:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    t, s = np.concatenate(times), np.concatenate(steps)
    order = np.argsort(t, kind="stable")
    return t[order], np.cumsum(s[order])


def _ledger(traces: Sequence[NodeTrace], charges: Sequence[Charges]) -> Ledger:
    def text(parts: list[NDArray[np.str_]]) -> NDArray[np.str_]:
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.str_)

    def whole(parts: list[Int64]) -> Int64:
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    pairs = list(zip(traces, charges, strict=True))
    return Ledger(
        node=text([np.full(len(c.interval), t.node) for t, c in pairs]),
        start_ns=whole([t.t_ns[c.interval] + t.offset_ns for t, c in pairs]),
        end_ns=whole([t.t_ns[c.interval + 1] + t.offset_ns for t, c in pairs]),
        component=text([np.array([x.name for x in t.components], dtype=np.str_)[c.component] for t, c in pairs]),
        account=text([np.array(c.accounts, dtype=np.str_)[c.account] for t, c in pairs]),
        energy_uj=whole([c.energy_uj for _, c in pairs]),
    )
