"""Closing the books: traces of all nodes in, balanced books and the ledger out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.allocate import Charges, Policy, allocate, reserved_slot_s
from auditor.accounting.trace import NodeTrace
from auditor.domain.accounts import parse_account
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Books, ComponentBook, Finding, Severity, Window

Int64 = NDArray[np.int64]

GAP_S = 2.5
"""A node without a reading for longer than this is said to have a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A time over which the study ran, UTC nanoseconds; a resumed study has several.

    Attributes:
        start_ns: When its process was started.
        begin_ns: When the books could first have known of it.
        end_ns: When it ended, or the last sign of it.
    """

    start_ns: int
    begin_ns: int
    end_ns: int


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


def close_books(
    traces: Iterable[NodeTrace],
    *,
    policy: Policy = Policy.RESERVED,
    seal_ns: int | None = None,
    sessions: Sequence[Session] = (),
    end_ns: int | None = None,
) -> tuple[Books, Ledger]:
    """Charge everything metered up to the seal.

    Args:
        traces: Unbroken series of readings; several of one node are gaps apart.
        policy: How static energy is shared.
        seal_ns: Time of the seal, UTC nanoseconds; ``None``: everything read so far.
        sessions: When the study ran; none: from the first to the last reading. Time between sessions is no gap.
        end_ns: When the study's last work ended, UTC nanoseconds.
    """
    cut = [_until(_in_order(trace), seal_ns) for trace in traces]
    kept = sorted((t for t in cut if len(t.t_ns)), key=lambda t: (t.node, t.t_ns[0] + t.offset_ns))
    charges = [allocate(trace, policy) for trace in kept]
    accounts: dict[str, int] = {}
    account_cpu_us: dict[str, int] = {}
    for part in charges:
        sums = np.zeros(len(part.accounts), dtype=np.int64)
        np.add.at(sums, part.account, part.energy_uj)
        for name, energy, cpu_us in zip(part.accounts, sums.tolist(), part.cpu_us.tolist(), strict=True):
            accounts[name] = accounts.get(name, 0) + energy
            account_cpu_us[name] = account_cpu_us.get(name, 0) + cpu_us
    first = min((int(t.t_ns[0]) + t.offset_ns for t in kept), default=None)
    last = max((int(t.t_ns[-1]) + t.offset_ns for t in kept), default=None)
    coverage, unmetered_start_s, findings = _coverage(kept, sessions)
    times, cumulative = _cumulative(kept, charges)
    device_s: dict[str, float] = {}
    for trace in kept:
        for kind, seconds in reserved_slot_s(trace).items():
            device_s[kind] = device_s.get(kind, 0.0) + seconds
    books = Books(
        policy=policy.value,
        accounts=dict(sorted(accounts.items())),
        metered_uj=sum(int(c.energy_uj[-1] - c.energy_uj[0]) for t in kept for c in t.components),
        components=_components(kept),
        windows=tuple(
            Window(node=t.node, start_ns=int(t.t_ns[0]) + t.offset_ns, end_ns=int(t.t_ns[-1]) + t.offset_ns)
            for t in kept
        ),
        coverage=coverage,
        unmetered_start_s=unmetered_start_s,
        after_seal_s=None if seal_ns is None or end_ns is None else max(0.0, (end_ns - seal_ns) / NS_PER_S),
        sealed=seal_ns is not None,
        wall_s=0.0 if first is None or last is None else (last - first) / NS_PER_S,
        cpu_s=_cpu_s(kept),
        account_cpu_s={name: cpu_us / 1e6 for name, cpu_us in sorted(account_cpu_us.items())},
        device_s=device_s,
        cumulative_ns=tuple(times.tolist()),
        cumulative_uj=tuple(cumulative.tolist()),
        findings=tuple(findings),
    )
    return books, _ledger(kept, charges)


def _in_order(trace: NodeTrace) -> NodeTrace:
    """The trace with its activities by key, so that the order given decides no tie."""
    return replace(trace, activities=tuple(sorted(trace.activities, key=lambda a: a.key)))


def _until(trace: NodeTrace, seal_ns: int | None) -> NodeTrace:
    """The part of a trace up to the last reading that is not after the seal."""
    if seal_ns is None:
        return trace
    count = int(np.searchsorted(trace.t_ns + trace.offset_ns, seal_ns, side="right"))
    if count == len(trace.t_ns):
        return trace
    return replace(
        trace,
        t_ns=trace.t_ns[:count],
        busy_ns=None if trace.busy_ns is None else trace.busy_ns[:count],
        components=tuple(replace(c, energy_uj=c.energy_uj[:count]) for c in trace.components),
        activities=tuple(replace(a, tree_ns=a.tree_ns[:count], own_ns=a.own_ns[:count]) for a in trace.activities),
    )


def _coverage(
    traces: Sequence[NodeTrace], sessions: Sequence[Session]
) -> tuple[float | None, float | None, list[Finding]]:
    """Worst share of time metered over the nodes, seconds before the first readings of the sessions, and the gaps."""
    if not traces:
        return None, None, []
    worst = 1.0
    unmetered_s = 0.0
    findings: list[Finding] = []
    for node, group in groupby(traces, key=lambda t: t.node):
        parts = list(group)
        spans = [(int(t.t_ns[0]) + t.offset_ns, int(t.t_ns[-1]) + t.offset_ns) for t in parts]
        whole = Session(start_ns=spans[0][0], begin_ns=spans[0][0], end_ns=spans[-1][1])
        span_ns = metered_ns = 0
        late_s = 0.0
        for session in sessions or [whole]:
            inside = [
                (max(a, session.begin_ns), min(b, session.end_ns), t) for (a, b), t in zip(spans, parts, strict=True)
            ]
            inside = [(a, b, t) for a, b, t in inside if b >= a]
            if not inside:
                continue
            late_s += max(0.0, (inside[0][0] - session.start_ns) / NS_PER_S)
            end = inside[-1][1]
            for (_, stop, before), (start, _, _) in pairwise(inside):
                if start > stop:
                    findings.append(_gap(node, before, (start - stop) / NS_PER_S))
            if session.end_ns - end > GAP_S * NS_PER_S:
                findings.append(_gap(node, inside[-1][2], (session.end_ns - end) / NS_PER_S))
                end = session.end_ns
            span_ns += end - inside[0][0]
            metered_ns += sum(b - a for a, b, _ in inside)
        worst = min(worst, metered_ns / span_ns if span_ns > 0 else 0.0)
        unmetered_s = max(unmetered_s, late_s)
    return worst, unmetered_s if sessions else None, findings


def _gap(node: str, before: NodeTrace, gap_s: float) -> Finding:
    duration_s = (int(before.t_ns[-1]) - int(before.t_ns[0])) / NS_PER_S
    energy_uj = sum(int(c.energy_uj[-1] - c.energy_uj[0]) for c in before.components)
    implied = (
        f" At the power before it that would be about {uj_to_j(round(energy_uj / duration_s * gap_s)):.3g} J, "
        "which are not on the books."
        if duration_s > 0
        else ""
    )
    return Finding(
        code="meter-gap",
        severity=Severity.WARNING,
        message=f"No reading of node {node} for {gap_s:.3g} s: the meter was not running.{implied}",
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
                low_uj=_plus(low, old.low_uj) if old else low,
                high_uj=_plus(high, old.high_uj) if old else high,
                detail=c.detail,
            )
    return tuple(books[key] for key in sorted(books))


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _cpu_s(traces: Sequence[NodeTrace]) -> float | None:
    if not traces:
        return None
    return sum(
        (max(0, int(a.tree_ns.max())) - max(0, int(a.tree_ns[0]))) / NS_PER_S
        for t in traces
        for a in t.activities
        if len(a.tree_ns)
    )


def is_search_account(account: str) -> bool:
    """Whether an account is part of the cost of the search: trials, the search itself, the audit."""
    name = parse_account(account)
    return name.owner == "study" and name.kind in {"trial", "search", "audit"}


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
