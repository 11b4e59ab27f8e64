"""How much of the time each component of each node was metered, and the gaps by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from auditor.accounting.trace import ComponentTrace, NodeTrace
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Finding, Severity

GAP_S = 2.5
"""A node without a reading for longer than this, and longer than 2.5 of its usual intervals, is said to have a gap."""


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
class Life:
    """A time over which a process of the study lived on a node, UTC nanoseconds."""

    node: str
    boot: str
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Time over which a component was metered without a gap, UTC nanoseconds, and its power then."""

    begin_ns: int
    end_ns: int
    power_w: float | None


def coverage_of(
    traces: Sequence[NodeTrace], sessions: Sequence[Session], lives: Sequence[Life] = ()
) -> tuple[float | None, float | None, list[Finding]]:
    """Worst share of time metered, seconds before the first readings of the sessions, and the gaps.

    Args:
        traces: Unbroken series of readings.
        sessions: When the study ran; none: from a node's first reading to its last. Time between sessions is no gap.
        lives: Processes of the study: where one lived on a node of which a session has no reading, that is a gap.

    Returns:
        Coverage of the worst component of all nodes and the seconds, each ``None`` where it can't be told; findings.
    """
    if not traces and not lives:
        return None, None, []
    read: dict[str, list[NodeTrace]] = {}  # by machine: host names change, and several machines may have one
    lived: dict[str, list[Life]] = {}
    for trace in sorted(traces, key=lambda t: _utc(t, 0)):
        read.setdefault(trace.boot or trace.node, []).append(trace)
    for life in lives:
        lived.setdefault(life.boot or life.node, []).append(life)
    worst, unmetered_s, findings = 1.0, 0.0, list[Finding]()
    for machine in sorted({**read, **lived}, key=lambda m: ([*read.get(m, ()), *lived.get(m, ())][0].node, m)):
        parts, here = read.get(machine, []), lived.get(machine, [])
        names = dict.fromkeys(c.name for t in parts for c in t.components) or {"": None}
        gaps: dict[tuple[int, int], list[tuple[str, float | None]]] = {}
        for name in names:
            cover = _Cover()
            for session in sessions or [_whole(parts, here)]:
                cover.add(session, name, parts, here, since_ns=_first(traces, session))
            for begin_ns, end_ns, power_w in cover.gaps:
                gaps.setdefault((begin_ns, end_ns), []).append((name, power_w))
            if cover.expected_ns > 0 or parts:
                worst = min(worst, cover.metered_ns / cover.expected_ns if cover.expected_ns > 0 else 0.0)
            unmetered_s = max(unmetered_s, cover.late_s)
        node = (parts or here)[0].node
        findings += [_gap(node, (b - a) / NS_PER_S, held, len(names)) for (a, b), held in sorted(gaps.items())]
        findings += [finding for t in parts for finding in _long_intervals(t)]
    return worst, unmetered_s if sessions else None, findings


@dataclass(slots=True)
class _Cover:
    """How much of a component's time was metered.

    Attributes:
        expected_ns: Time over which it should have been.
        metered_ns: Time over which it was.
        late_s: Time before the first readings of the sessions.
        gaps: Begin and end of what is missing, and the power before it.
    """

    expected_ns: int = 0
    metered_ns: int = 0
    late_s: float = 0.0
    gaps: list[tuple[int, int, float | None]] = field(default_factory=list)

    def add(
        self, session: Session, name: str, parts: Sequence[NodeTrace], lives: Sequence[Life], since_ns: int
    ) -> None:
        """Take a session into account.

        A machine counts from its first reading in it, or from when a process lived there, if that was much earlier and
        others were read already (``since_ns``); one without a reading counts while a process lived.
        """
        held = _held(parts, session)
        unread = _union(lives, session)
        if not held:
            self.expected_ns += sum(end - begin for begin, end in unread)
            self.gaps += [(begin, end, None) for begin, end in unread]
            return
        limit_ns = max(_usual_ns(held[-1][0]) * 2.5, GAP_S * NS_PER_S)
        first = held[0][1]
        lived_ns = max(min((begin for begin, _ in unread), default=first), since_ns)
        if first - lived_ns > limit_ns:
            first = lived_ns
        end = session.end_ns if session.end_ns - held[-1][2] > limit_ns else held[-1][2]
        inside = [
            _Span(max(s.begin_ns, first), min(s.end_ns, end), s.power_w)
            for t in parts
            for s in _spans(t, name)
            if min(s.end_ns, end) >= max(s.begin_ns, first)
        ]
        self.late_s += max(0.0, (first - session.start_ns) / NS_PER_S)
        self.expected_ns += end - first
        self.metered_ns += sum(s.end_ns - s.begin_ns for s in inside)
        edges = [_Span(first, first, None), *inside, _Span(end, end, None)]
        for before, after in pairwise(edges):
            if after.begin_ns > before.end_ns:
                self.gaps.append((before.end_ns, after.begin_ns, before.power_w))


def _held(parts: Sequence[NodeTrace], session: Session) -> list[tuple[NodeTrace, int, int]]:
    """Traces that reach into a session, and from when to when they do; one that ends where it begins does not."""
    found = [(t, max(_utc(t, 0), session.begin_ns), min(_utc(t, -1), session.end_ns)) for t in parts]
    return [(t, a, b) for t, a, b in found if b > a or (b == a and (a > session.begin_ns or len(t.t_ns) == 1))]


def _first(traces: Sequence[NodeTrace], session: Session) -> int:
    """The first reading of any machine in a session."""
    return min((begin for _, begin, _ in _held(traces, session)), default=session.end_ns)


def _whole(parts: Sequence[NodeTrace], lives: Sequence[Life]) -> Session:
    """From a node's first reading to its last; without any, while processes of the study lived on it."""
    begin = _utc(parts[0], 0) if parts else min(life.begin_ns for life in lives)
    end = _utc(parts[-1], -1) if parts else max(life.end_ns for life in lives)
    return Session(start_ns=begin, begin_ns=begin, end_ns=end)


def _union(lives: Sequence[Life], session: Session) -> list[tuple[int, int]]:
    """When any process lived within a session."""
    spans: list[tuple[int, int]] = []
    for life in sorted(lives, key=lambda x: (x.begin_ns, x.end_ns)):
        begin, end = max(life.begin_ns, session.begin_ns), min(life.end_ns, session.end_ns)
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif end > begin:
            spans.append((begin, end))
    return spans


def _utc(trace: NodeTrace, position: int) -> int:
    return int(trace.t_ns[position]) + trace.offset_ns


def _usual_ns(trace: NodeTrace) -> float:
    if trace.interval_ns:
        return float(trace.interval_ns)
    return float(np.median(np.diff(trace.t_ns))) if len(trace.t_ns) > 1 else 0.0


def _long(trace: NodeTrace) -> list[int]:
    """Intervals much longer than usual: nobody read the meters meanwhile."""
    if trace.bridge or len(trace.t_ns) < 2:
        return []
    long = np.diff(trace.t_ns) > max(_usual_ns(trace) * 2.5, GAP_S * NS_PER_S)
    return [int(i) for i in np.flatnonzero(long)]


def _spans(trace: NodeTrace, name: str) -> list[_Span]:
    """A counter counts also while nobody reads it; a model or sensor that is not read knows nothing."""
    found = [c for c in trace.components if c.name == name]
    if not name:  # readings without any component
        return [_Span(_utc(trace, 0), _utc(trace, -1), None)]
    if not found:
        return []
    unread = [] if found[0].provenance is Provenance.COUNTER else _long(trace)
    breaks = sorted({*unread, *(i for i in found[0].lost if i < len(trace.t_ns) - 1)})
    edges = [0, *(edge for i in breaks for edge in (i, i + 1)), len(trace.t_ns) - 1]
    return [
        _Span(_utc(trace, a), _utc(trace, b), _power_w(trace, found[0], a, b))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def _power_w(trace: NodeTrace, component: ComponentTrace, begin: int, end: int) -> float | None:
    duration_ns = int(trace.t_ns[end] - trace.t_ns[begin])
    if duration_ns <= 0:
        return None
    return int(component.energy_uj[end] - component.energy_uj[begin]) * 1e3 / duration_ns


def _gap(node: str, gap_s: float, held: Sequence[tuple[str, float | None]], components: int) -> Finding:
    powers = [power for _, power in held if power is not None]
    implied = (
        f" At the power before it that would be about {sum(powers) * gap_s:.3g} J, which are not on the books."
        if powers
        else ""
    )
    of = "" if len(held) == components else f" for {', '.join(name for name, _ in held)}"
    return Finding(
        code="meter-gap",
        severity=Severity.WARNING,
        message=f"No reading of node {node} for {gap_s:.3g} s{of}: the meter was not running.{implied}",
    )


def _long_intervals(trace: NodeTrace) -> list[Finding]:
    found = []
    for i in _long(trace):
        gap_s = int(trace.t_ns[i + 1] - trace.t_ns[i]) / NS_PER_S
        energy_uj = {c.name: int(c.energy_uj[i + 1] - c.energy_uj[i]) for c in trace.components}
        counters = [c for c in trace.components if c.provenance is Provenance.COUNTER]
        counted = [c.name for c in counters if i not in c.lost]
        lost = [c.name for c in counters if i in c.lost]
        extrapolated = [c.name for c in trace.components if c.provenance is not Provenance.COUNTER]
        parts = []
        if counted:
            energy_j = uj_to_j(sum(energy_uj[name] for name in counted))
            parts.append(f"the counters of {', '.join(counted)} went on ({energy_j:.3g} J)")
        if lost:
            energy_j = uj_to_j(sum(energy_uj[name] for name in lost))
            parts.append(
                f"the counters of {', '.join(lost)} may have begun again more than once: the {energy_j:.3g} J on the "
                "books are the least that it was"
            )
        if extrapolated:
            energy_j = uj_to_j(sum(energy_uj[name] for name in extrapolated))
            parts.append(f"{', '.join(extrapolated)} stands on the books with what its meter gave ({energy_j:.3g} J)")
        found.append(
            Finding(
                code="reading-gap",
                severity=Severity.WARNING,
                message=f"Node {trace.node} was not read for {gap_s:.3g} s (agent stopped, or machine suspended): "
                f"{'; '.join(parts)}.",
            )
        )
    return found
