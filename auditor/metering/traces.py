"""From journals of readings and marks to the traces that the accounting works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from auditor.accounting.trace import UNKNOWN, ActivityTrace, ComponentTrace, LaneTrace, NodeTrace
from auditor.domain.accounts import audit_account, node_account, parse_account
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Finding, Severity
from auditor.metering.parts import Marks, Readings
from auditor.metering.records import ComponentRecord, Header, Mark, Reading, Seen, StaticRecord
from auditor.metering.timeline import Timeline

Int64 = NDArray[np.int64]

_MOST_W = 1_000.0
"""More than a component with a counter that wraps draws, where its meter names no bound."""

_ROOM, _STEP_S = 1.5, 1.0

_ByProcess = dict[tuple[str, str, str], list[Marks]]
"""Journals of each process, one for each time that it registered, in order."""


def traces_of(
    readings: Sequence[Readings], marks: Sequence[Marks], timeline: Timeline, study: str
) -> tuple[list[NodeTrace], list[Finding]]:
    """All traces of a study, and what had to be left out of its journals.

    One trace a journal of readings; between two agents of a boot another that bridges them, with those components whose
    hardware counter both read.

    Args:
        readings: Journals of node agents.
        marks: Journals of activities.
        timeline: Their time axis.
        study: UUID of the study; processes of others are ``foreign``.
    """
    findings: list[Finding] = []
    by_process: _ByProcess = {}
    for journal in marks:
        process = _process(journal.header, journal.header.key)
        by_process.setdefault(process, []).append(_marks_in_order(journal, findings))
    for journals in by_process.values():
        journals.sort(key=lambda m: m.header.mono_ns)
    whole = [part for part in (_in_time_order(p, findings) for p in readings) if part.readings]
    whole.sort(key=lambda p: (p.header.boot, p.readings[0].t, p.header.node, p.header.key))
    apart: list[Readings] = []
    for part in whole:
        _look_for_strangers(part, by_process, study, findings)
        same = apart and apart[-1].header.boot == part.header.boot
        kept = _after(part, apart[-1], findings) if same else part
        if kept.readings:
            apart.append(kept)
    traces = []
    for part in apart:
        _look_for_sleep(part, findings)
        for piece, bridge in _pieces(part):
            traces.append(replace(_trace(piece, by_process, timeline, study, findings), bridge=bridge))
    for before, after in pairwise(apart):
        if (joint := _bridge(before, after)) is not None:
            traces.append(replace(_trace(joint, by_process, timeline, study, findings), bridge=True))
    return traces, findings


def _in_time_order(part: Readings, findings: list[Finding]) -> Readings:
    """The readings without those that lie before an earlier one: a damaged journal."""
    kept: list[Reading] = []
    for reading in part.readings:
        if not kept or reading.t >= kept[-1].t:
            kept.append(reading)
    lost = len(part.readings) - len(kept)
    if not lost:
        return part
    findings.append(
        Finding(
            code="readings-out-of-order",
            severity=Severity.WARNING,
            message=f"{lost} readings of node {part.header.node} (agent {part.header.key}) lie before the one above "
            "them and were left out: the journal is damaged.",
        )
    )
    return replace(part, readings=kept)


def _process(header: Header, key: str) -> tuple[str, str, str]:
    """Identity of a process: of its machine the boot says more than the name, which may change or be another's too."""
    return header.boot, header.pidns, key.partition("#")[0]


def _marks_of(header: Header, seen: Seen, marks: _ByProcess) -> Marks | None:
    """The journal that a process wrote under one registration: the one that begins with it, or else the one before."""
    journals = marks.get(_process(header, seen.key), [])
    before = [journal for journal in journals if journal.header.mono_ns <= seen.begin_ns]
    return next(iter(before[-1:] or journals), None)


def _marks_in_order(marks: Marks, findings: list[Finding]) -> Marks:
    """Marks by time, those after the end left out: whatever else a journal says is damage."""
    times = [mark.t for mark in marks.marks]
    kept = sorted(marks.marks, key=lambda mark: mark.t)
    if marks.closed is not None:
        kept = [mark for mark in kept if mark.t <= marks.closed]
    odd = sum(after < before for before, after in pairwise(times)) + len(times) - len(kept)
    if not odd:
        return marks
    findings.append(
        Finding(
            code="marks-out-of-order",
            severity=Severity.WARNING,
            message=f"{odd} marks of process {marks.header.key} on node {marks.header.node} lie before the one above "
            "them or after its end: the journal is damaged, and its phases are in doubt.",
        )
    )
    return replace(marks, marks=kept)


def _look_for_strangers(part: Readings, marks: _ByProcess, study: str, findings: list[Finding]) -> None:
    """What readings speak of and no journal describes."""
    mute = [
        key
        for key, seen in part.seen.items()
        if seen.study == study and key != part.header.key and _process(part.header, key) not in marks
    ]
    if mute:
        findings.append(
            Finding(
                code="marks-missing",
                severity=Severity.WARNING,
                message=f"Processes of the study on node {part.header.node} have no journal of marks "
                f"({len(mute)}: {', '.join(sorted(mute)[:5])}): all they used is on the account they began with.",
            )
        )
    described = {component.key for component in part.components}
    unknown = {key for reading in part.readings[:: max(1, len(part.readings) - 1)] for key in reading.e} - described
    unknown |= {key for reading in part.readings[:: max(1, len(part.readings) - 1)] for key in reading.u} - {*part.seen}
    if unknown:
        findings.append(
            Finding(
                code="journal-incomplete",
                severity=Severity.WARNING,
                message=f"Readings of node {part.header.node} (agent {part.header.key}) name "
                f"{', '.join(sorted(unknown)[:5])}, which their journal does not describe: that is not on the books.",
            )
        )


def _after(part: Readings, before: Readings, findings: list[Finding]) -> Readings:
    """The part of an agent's readings that no other agent of the same machine read already."""
    end = before.readings[-1].t
    if part.readings[0].t >= end:
        return part
    kept = [r for r in part.readings if r.t >= end]
    twice_s = (min(end, part.readings[-1].t) - part.readings[0].t) / NS_PER_S
    if part.header.pidns != before.header.pidns:
        code, why = "shared-node-unknown", "from containers that can't see each other"
    else:
        code, why = "readings-overlap", "although only one can hold the lease"
    findings.append(
        Finding(
            code=code,
            severity=Severity.WARNING,
            message=f"Two agents metered node {part.header.node} at once for {twice_s:.3g} s, {why}: the energy is "
            "counted once, by the readings of the first; what ran under the second is foreign there.",
        )
    )
    return replace(part, readings=kept)


def _pieces(part: Readings) -> list[tuple[Readings, bool]]:
    """A journal cut where a component comes or goes (its meter failed), and the interval between with what stayed."""
    held = {}  # a cumulative figure that is missing once is carried on
    for component in part.components:
        at = [i for i, r in enumerate(part.readings) if component.key in r.e]
        held[component.key] = (at[0], at[-1]) if at else (1, 0)
    keys = [frozenset(k for k, (a, b) in held.items() if a <= i <= b) for i in range(len(part.readings))]
    cuts = [i for i, (before, after) in enumerate(pairwise(keys)) if before != after]
    pieces = []
    begin = 0
    for end in [*cuts, len(keys) - 1]:
        pieces.append((_with(part, begin, end, keys[end]), False))
        if end < len(keys) - 1:
            pieces.append((_with(part, end, end + 1, keys[end] & keys[end + 1]), True))
        begin = end + 1
    return pieces


def _with(part: Readings, begin: int, end: int, keys: frozenset[str]) -> Readings:
    components = [c for c in part.components if c.key in keys]
    return replace(part, readings=part.readings[begin : end + 1], components=components)


def _look_for_sleep(part: Readings, findings: list[Finding]) -> None:
    slept_ns = part.readings[-1].z - part.readings[0].z
    if slept_ns > 0:
        findings.append(
            Finding(
                code="machine-suspended",
                severity=Severity.WARNING,
                message=f"Node {part.header.node} was suspended for {slept_ns / NS_PER_S:.3g} s while the study ran: "
                "nothing ran and nothing was read meanwhile, and UTC times after it are that much early.",
            )
        )


def _bridge(before: Readings, after: Readings) -> Readings | None:
    """The time between two agents of one boot, by the counters that both read; ``None`` where there is none.

    Only while a process of a study lived through it, under one registration: between two sessions nobody asks what the
    machine used.
    """
    if before.header.boot != after.header.boot:
        return None
    before = _with_keys_of(before, after)
    first, last = before.readings[-1], after.readings[0]
    if first.z != last.z:  # suspended meanwhile: many counters begin again
        return None
    if last.t <= first.t or not before.seen.keys() & after.seen.keys() & first.u.keys() & last.u.keys():
        return None
    counters = {c.name: c for c in before.components if c.counter and not c.check}
    joint, begin, end = [], {}, {}
    for component in after.components:
        same = counters.get(component.name)
        if same is None or component.check or (component.counter, component.wrap_uj) != (same.counter, same.wrap_uj):
            continue
        if component.key not in first.e or component.key not in last.e:
            continue
        if _may_have_wrapped(component, last.t - first.t):
            continue
        energy_uj = last.e[component.key] - first.e[component.key]
        if component.wrap_uj:
            energy_uj %= component.wrap_uj
        if energy_uj >= 0:  # else the counter was reset: its driver was loaded again
            joint.append(component)
            begin[component.key], end[component.key] = 0, energy_uj
    if not joint:
        return None
    return Readings(
        header=after.header,
        node=after.node,
        components=joint,
        static={**before.static, **after.static},
        seen={**before.seen, **after.seen},
        gone={**before.gone, **after.gone},
        readings=[_joined(first, begin, last), _joined(last, end, first)],
    )


def _with_keys_of(before: Readings, after: Readings) -> Readings:
    """The last reading of an agent, with its processes under the keys that the next agent gave to them.

    One that registered several times has several keys, which each agent gives as it meets them.
    """
    theirs = {(key.partition("#")[0], seen.begin_ns): key for key, seen in after.seen.items()}
    keys = {key: theirs.get((key.partition("#")[0], seen.begin_ns), key) for key, seen in before.seen.items()}
    kept = {
        key: new
        for key, new in keys.items()
        if new not in after.seen or after.seen[new].begin_ns == before.seen[key].begin_ns
    }
    last = before.readings[-1]
    used = {kept[key]: used for key, used in last.u.items() if key in kept}
    return replace(
        before,
        seen={new: msgspec.structs.replace(before.seen[key], key=new) for key, new in kept.items()},
        gone={kept[key]: t for key, t in before.gone.items() if key in kept},
        readings=[msgspec.structs.replace(last, u=used)],
    )


def _may_have_wrapped(component: ComponentRecord, passed_ns: int) -> bool:
    """Whether a counter could have begun again more than once while nobody read it."""
    most_w = _MOST_W if component.high_w is None else component.high_w
    return component.wrap_uj is not None and most_w * passed_ns / 1e3 >= component.wrap_uj


def _joined(reading: Reading, energy_uj: dict[str, int], other: Reading) -> Reading:
    """A reading at one end of a bridge: each agent counts trees anew, but the CPU time of a process itself goes on."""
    lived = {key for key in reading.u.keys() & other.u.keys() if reading.u[key][1] >= 0}
    used = {key: (own, own) if key in lived else (tree, own) for key, (tree, own) in reading.u.items()}
    return msgspec.structs.replace(reading, e=energy_uj, u=used, g={}, m={})


def _trace(
    part: Readings,
    marks: _ByProcess,
    timeline: Timeline,
    study: str,
    findings: list[Finding],
) -> NodeTrace:
    header, readings = part.header, part.readings
    busy = [r.b for r in readings]
    usage = _Columns(readings)
    activities = [
        _activity(part, seen, _marks_of(header, seen, marks) if seen.study == study else None, study, usage)
        for _, seen in sorted(part.seen.items())
    ]
    components = [(c, _component(part, c, findings)) for c in part.components]
    return NodeTrace(
        node=header.node,
        boot=header.boot,
        interval_ns=round(part.node.interval_s * NS_PER_S) if part.node else 0,
        t_ns=np.array([r.t for r in readings], dtype=np.int64),
        cpu_slots=part.node.cpu_slots if part.node else 1.0,
        gpu_slots=part.node.gpu_slots if part.node else 0.0,
        busy_ns=None if None in busy else np.maximum.accumulate(np.array(busy, dtype=np.int64)),
        others_bytes=_memory_of_others(readings),
        agent=header.key,
        agent_ns=np.array([r.a for r in readings], dtype=np.int64) if all(r.a for r in readings) else None,
        components=tuple(trace for record, trace in components if not record.check),
        checks=tuple(trace for record, trace in components if record.check),
        activities=tuple(activities),
        offset_ns=timeline.offset_ns(header),
    )


def _component(part: Readings, record: ComponentRecord, findings: list[Finding]) -> ComponentTrace:
    energy, last = [], 0
    for reading in part.readings:
        last = reading.e.get(record.key, last)
        energy.append(last)
    energy_uj = np.array(energy, dtype=np.int64)
    backwards = np.flatnonzero(np.diff(energy_uj) < 0)
    for i in backwards.tolist():
        if energy_uj[i + 2 : i + 3] >= energy_uj[i]:  # a single figure is off, the counter goes on
            energy_uj[i + 1] = energy_uj[i]
    grown_uj, passed_ns = np.diff(energy_uj), _gaps_ns(part.readings)
    lost = (grown_uj < 0) | np.array([_may_have_wrapped(record, int(ns)) for ns in passed_ns], dtype=bool)
    if len(backwards):
        findings.append(
            Finding(
                code="energy-backwards",
                severity=Severity.WARNING,
                message=f"The energy of {record.name} on node {part.header.node} by {record.meter} went backwards: "
                "such intervals count as 0; the meter was reset or the journal is damaged.",
            )
        )
    _look_for_the_impossible(part, record, grown_uj, passed_ns, findings)
    calibrated = part.static.get(record.name) if record.static_w is None and not record.check else None
    told = np.array([record.name in r.g for r in part.readings], dtype=bool)
    return ComponentTrace(
        name=record.name,
        energy_uj=energy_uj[0] + np.concatenate([[0], np.cumsum(np.maximum(grown_uj, 0))]).astype(np.int64),
        static_w=calibrated.static_w if calibrated else record.static_w,
        static_source=_static_source(record, calibrated),
        meter=record.meter,
        provenance=_provenance(record.provenance),
        low_w=record.low_w,
        high_w=record.high_w,
        detail=f"{record.detail}; {calibrated.detail}" if calibrated else record.detail,
        attributable=record.attributable,
        lost=tuple(np.flatnonzero(lost).tolist()),
        others_ns=_held([r.g.get(record.name, {}).get("") for r in part.readings]) if told.any() else None,
        used_known=told[:-1] & told[1:] if told.any() else None,
    )


def _gaps_ns(readings: Sequence[Reading]) -> Int64:
    passed_ns: Int64 = np.diff([r.t for r in readings]).astype(np.int64)
    return passed_ns


def _look_for_the_impossible(
    part: Readings, record: ComponentRecord, grown_uj: Int64, passed_ns: Int64, findings: list[Finding]
) -> None:
    """Energy beyond what a component can draw, with room for counters that step."""
    if record.high_w is None:
        return
    most_uj = record.high_w * (passed_ns / 1e3 * _ROOM + _STEP_S * 1e6)
    for i in np.flatnonzero(grown_uj > most_uj)[:1].tolist():
        findings.append(
            Finding(
                code="energy-impossible",
                severity=Severity.ERROR,
                message=f"The energy of {record.name} on node {part.header.node} by {record.meter} grew by "
                f"{uj_to_j(int(grown_uj[i])):.3g} J in {passed_ns[i] / NS_PER_S:.3g} s, more than the "
                f"{record.high_w:.3g} W that it can draw.",
            )
        )


def _static_source(record: ComponentRecord, calibrated: StaticRecord | None) -> str:
    if calibrated is not None:
        return "calibrated"
    return record.static_source or ("" if record.static_w is None else "model")


def _memory_of_others(readings: Sequence[Reading]) -> Int64 | None:
    known = all("" in r.m for r in readings)
    return np.array([r.m[""] for r in readings], dtype=np.int64) if known else None


def _provenance(text: str) -> Provenance:
    return Provenance(text) if text in list(Provenance) else Provenance.MISSING


def _activity(part: Readings, seen: Seen, marks: Marks | None, study: str, usage: _Columns) -> ActivityTrace:
    foreign = seen.study != study
    ends = [t for t in (part.gone.get(seen.key), marks.closed if marks else None) if t is not None]
    kept: list[Mark] = []
    lanes: dict[int, list[Mark]] = {}
    if marks is not None:
        kept = [Mark(t=marks.header.mono_ns, c=marks.header.cpu_ns, a=seen.account)]  # the header is the first mark
        for mark in marks.marks:
            (lanes.setdefault(mark.w, []) if mark.w else kept).append(mark)
    return ActivityTrace(
        key=seen.key,
        begin_ns=seen.begin_ns,
        end_ns=min(ends, default=None),
        base_account=node_account(part.header.node, "foreign") if foreign else seen.account,
        audit_account="" if foreign else audit_account(parse_account(seen.account).name),
        cpu_slots=seen.cpu_slots,
        gpu_slots=seen.gpu_slots,
        gpus={f"gpu:{uuid}": share for uuid, share in seen.gpus.items()},
        holds_rest=seen.holds_rest,
        mark_ns=np.array([m.t for m in kept], dtype=np.int64),
        mark_cpu_ns=np.array([m.c for m in kept], dtype=np.int64),
        mark_account=tuple(m.a for m in kept),
        mark_audit_ns=np.array([m.o for m in kept], dtype=np.int64) if any(m.o for m in kept) else None,
        lanes=tuple(_lane(of_lane) for _, of_lane in sorted(lanes.items())),
        first=usage.first(seen.key),
        tree_ns=usage.tree_ns(seen.key),
        own_ns=usage.own_ns(seen.key),
        device_ns=usage.device_ns(seen.key),
        resident_bytes=usage.resident_bytes(seen.key),
    )


def _lane(marks: Sequence[Mark]) -> LaneTrace:
    return LaneTrace(
        mark_ns=np.array([m.t for m in marks], dtype=np.int64),
        mark_cpu_ns=np.array([m.c for m in marks], dtype=np.int64),
        mark_account=tuple(m.a for m in marks),
    )


class _Columns:
    """Usage by process, taken from the readings in one pass."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings
        self._first: dict[str, int] = {}
        self._used: dict[str, list[tuple[int, int]]] = {}
        self._devices = sorted({name for r in readings for name in r.g})
        self._memory = any(r.m for r in readings)
        for position, reading in enumerate(readings):
            for key, used in reading.u.items():
                column = self._used.get(key)
                if column is None:
                    self._first[key] = position
                    column = self._used[key] = []
                while len(column) < position - self._first[key]:
                    column.append((UNKNOWN, UNKNOWN))
                column.append(used)

    def first(self, key: str) -> int:
        return self._first.get(key, 0)

    def tree_ns(self, key: str) -> Int64:
        return np.array([tree for tree, _ in self._used.get(key, [])], dtype=np.int64)

    def own_ns(self, key: str) -> Int64:
        return np.array([own for _, own in self._used.get(key, [])], dtype=np.int64)

    def device_ns(self, key: str) -> dict[str, Int64]:
        found: dict[str, Int64] = {}
        for name in self._devices:
            used = [reading.g.get(name, {}).get(key) for reading in self._of(key)]
            if any(value is not None for value in used):
                found[name] = _held(used)
        return found

    def resident_bytes(self, key: str) -> Int64 | None:
        if not self._memory:
            return None
        return np.array([reading.m.get(key, 0) for reading in self._of(key)], dtype=np.int64)

    def _of(self, key: str) -> Sequence[Reading]:
        """The readings at which a process was registered."""
        first = self.first(key)
        return self._readings[first : first + len(self._used.get(key, []))]


def _held(values: Iterable[int | None]) -> Int64:
    """Cumulative values; where one is missing the one before stands."""
    last, held = 0, []
    for value in values:
        last = last if value is None else value
        held.append(last)
    return np.array(held, dtype=np.int64)
