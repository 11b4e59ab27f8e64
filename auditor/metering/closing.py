"""From the journals of a study folder to its :class:`StudyRecord`: the books are closed here, at any time."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger, Session, close_books
from auditor.accounting.trace import UNKNOWN, ActivityTrace, ComponentTrace, NodeTrace
from auditor.domain.accounts import node_account
from auditor.domain.errors import JournalError
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Attempt, Finding, Run, Severity, StudyRecord, Trial, TrialState
from auditor.metering.activity import node_name
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalReader
from auditor.metering.parts import PARTS, Marks, Readings, SearchLog
from auditor.metering.processes import boot_id
from auditor.metering.records import (
    AttemptRecord,
    Header,
    Mark,
    OutcomeRecord,
    Reading,
    RunRecord,
    Seen,
    StepRecord,
)

_DAMAGED = Severity.WARNING


_Part = TypeVar("_Part", Readings, Marks, SearchLog)


class StudyReader:
    """Reads a study folder again and again, also while it is written to; only what is new is read."""

    def __init__(self, folder: StudyFolder) -> None:
        """Open a study folder.

        Raises:
            InputError: it is no study folder.
        """
        self.folder = folder
        self.file: StudyFile = folder.read_study()
        self._readers: dict[Path, JournalReader] = {}
        self._parts: dict[Path, Readings | Marks | SearchLog] = {}
        self._damaged: list[Finding] = []

    def refresh(self) -> None:
        """Read what was appended to the journals."""
        for path in sorted(self.folder.journals.glob("*.jsonl")):
            if path not in self._readers:
                self._readers[path] = JournalReader(path)
            reader = self._readers[path]
            if reader.skipped < 0:
                continue
            try:
                records = reader.read_new()
            except JournalError as error:
                self._damaged.append(Finding(code="journal-unreadable", severity=Severity.ERROR, message=f"{error}."))
                reader.skipped = -1
                continue
            if reader.header is None:
                continue
            if path not in self._parts:
                self._parts[path] = PARTS.get(reader.header.role, Marks)(reader.header)
            self._parts[path].add(records)

    @property
    def last_reading(self) -> Reading | None:
        """The newest reading of this node."""
        place = (node_name(), boot_id())
        here = [p for p in self._of(Readings) if (p.header.node, p.header.boot) == place]
        return max((part.readings[-1] for part in here if part.readings), key=lambda r: r.t, default=None)

    @property
    def parameters(self) -> Parameters:
        """The parameters that ``study.yaml`` holds."""
        fields = dict(self.file.parameters)
        factor = fields.pop("factor", None)
        return Parameters(factor=CarbonFactor(**factor) if factor else None, **fields)

    def energy_and_power(self) -> tuple[float | None, float | None]:
        """Joules metered since the first reading, all nodes, and watts over the last interval; ``None`` before it."""
        total_uj = 0
        power_w: float | None = None
        for part in self._of(Readings):
            if len(part.readings) < 2:
                continue
            first, before, last = part.readings[0], part.readings[-2], part.readings[-1]
            total_uj += sum(last.e.values()) - sum(first.e.values())
            if last.t > before.t and part.closed is None:
                watts = (sum(last.e.values()) - sum(before.e.values())) * 1e3 / (last.t - before.t)
                power_w = watts + (power_w or 0.0)
        return (uj_to_j(total_uj) if total_uj else None), power_w

    def running_s(self) -> float:
        """Seconds the study ran so far, over all its sessions."""
        return sum(max(0, s.end_ns - s.begin_ns) for s in self._sessions()) / NS_PER_S

    def wait_for_agent(self, timeout_s: float) -> bool:
        """Wait until the agent of this node has closed its journal; ``False`` where it did not in time."""
        until_s = time.monotonic() + timeout_s
        place = (node_name(), boot_id())
        while True:
            self.refresh()
            newest = [p for p in self._of(Readings) if (p.header.node, p.header.boot) == place][-1:]
            if all(part.closed is not None for part in newest):
                return True
            if time.monotonic() > until_s:
                return False
            time.sleep(0.01)

    @property
    def sealed(self) -> bool:
        """Whether the last session of the study ended with a seal."""
        return self._seal_ns() is not None

    def close(self, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
        """Close the books up to the last seal, or up to the last reading while the study runs."""
        sessions = self._sessions()
        seal_ns = self._seal_ns()
        books, ledger = close_books(
            self._traces(), policy=policy, seal_ns=seal_ns, sessions=sessions, end_ns=self._finished_ns()
        )
        study = self.file.study
        record = StudyRecord(
            uuid=self.file.uuid,
            name=study["name"],
            space=study["space"],
            sampler=study["sampler"],
            metric=study["metric"],
            direction=study["direction"],
            test_metric=study.get("test_metric"),
            books=books,
            trials=self.trials(),
            runs=self._runs(),
            findings=(*self._damaged, *self._journal_findings()),
        )
        return record, ledger

    def _of(self, kind: type[_Part]) -> list[_Part]:
        parts = [part for part in self._parts.values() if isinstance(part, kind)]
        return sorted(parts, key=lambda p: (p.header.node, p.header.boot, p.header.mono_ns, p.header.key))

    def _offset_ns(self, header: Header) -> int:
        """UTC less CLOCK_MONOTONIC: one value for a node and boot, so that its journals keep their order."""
        same = [p.header for p in self._parts.values() if (p.header.node, p.header.boot) == (header.node, header.boot)]
        first = min(same, key=lambda h: (h.mono_ns, h.key))
        return first.wall_ns - first.mono_ns

    def _sessions(self) -> list[Session]:
        """When a driver lived: from its process's start to its end, or to the last sign of it."""
        sessions = []
        for marks in self._of(Marks):
            header = marks.header
            if not header.driver:
                continue
            offset = self._offset_ns(header)
            seen = [r.t for p in self._readings_of(header) for r in p.readings if r.u.get(header.key, (0, -1))[1] >= 0]
            ends = [marks.closed] if marks.closed is not None else []
            ends += marks.seals[-1:]
            end = min(ends) if ends else max([*seen, header.mono_ns])
            sessions.append(
                Session(start_ns=header.started_ns + offset, begin_ns=header.mono_ns + offset, end_ns=end + offset)
            )
        return sorted(sessions, key=lambda s: s.start_ns)

    def _readings_of(self, header: Header) -> list[Readings]:
        place = (header.node, header.boot)
        return [part for part in self._of(Readings) if (part.header.node, part.header.boot) == place]

    def _last_driver(self) -> Marks | None:
        drivers = [part for part in self._of(Marks) if part.header.driver]
        return max(drivers, key=lambda d: d.header.mono_ns + self._offset_ns(d.header), default=None)

    def _seal_ns(self) -> int | None:
        driver = self._last_driver()
        return driver.seals[-1] + self._offset_ns(driver.header) if driver and driver.seals else None

    def _finished_ns(self) -> int | None:
        driver = self._last_driver()
        return driver.finished[-1] + self._offset_ns(driver.header) if driver and driver.finished else None

    def _traces(self) -> list[NodeTrace]:
        marks = {(m.header.node, m.header.boot, m.header.key): m for m in self._of(Marks)}
        return [self._trace(part, marks) for part in self._of(Readings) if part.readings]

    def _trace(self, part: Readings, marks: dict[tuple[str, str, str], Marks]) -> NodeTrace:
        header = part.header
        readings = part.readings
        t_ns = np.array([r.t for r in readings], dtype=np.int64)
        busy = [r.b for r in readings]
        activities = [
            self._activity(part, seen, marks.get((header.node, header.boot, seen.key)))
            for _, seen in sorted(part.seen.items())
        ]
        return NodeTrace(
            node=header.node,
            t_ns=t_ns,
            cpu_slots=part.node.cpu_slots if part.node else 1.0,
            gpu_slots=part.node.gpu_slots if part.node else 0.0,
            busy_ns=None if None in busy else np.maximum.accumulate(np.array(busy, dtype=np.int64)),
            components=tuple(
                ComponentTrace(
                    name=c.name,
                    energy_uj=np.maximum.accumulate(np.array([r.e.get(c.name, 0) for r in readings], dtype=np.int64)),
                    static_w=c.static_w,
                    meter=c.meter,
                    provenance=Provenance(c.provenance),
                    low_w=c.low_w,
                    high_w=c.high_w,
                    detail=c.detail,
                )
                for c in part.components
            ),
            activities=tuple(activities),
            offset_ns=self._offset_ns(header),
        )

    def _activity(self, part: Readings, seen: Seen, marks: Marks | None) -> ActivityTrace:
        foreign = seen.study != self.file.uuid
        ends = [t for t in (part.gone.get(seen.key), marks.closed if marks else None) if t is not None]
        kept: list[Mark] = []
        if marks is not None and not foreign:  # the header is the first mark
            kept = [Mark(t=marks.header.mono_ns, c=marks.header.cpu_ns, a=seen.account), *marks.marks]
        tree, own = _usage(part.readings, seen.key)
        return ActivityTrace(
            key=seen.key,
            begin_ns=seen.begin_ns,
            end_ns=min(ends, default=None),
            base_account=node_account(part.header.node, "foreign") if foreign else seen.account,
            cpu_slots=seen.cpu_slots,
            gpu_slots=seen.gpu_slots,
            holds_rest=seen.holds_rest and not foreign,
            tree_ns=tree,
            own_ns=own,
            mark_ns=np.array([m.t for m in kept], dtype=np.int64),
            mark_cpu_ns=np.array([m.c for m in kept], dtype=np.int64),
            mark_account=tuple(m.a for m in kept),
        )

    def trials(self) -> tuple[Trial, ...]:
        """The trials so far; cheaper than closing the books."""
        attempts: dict[int, dict[int, Attempt]] = defaultdict(dict)
        params: dict[int, dict[str, object]] = {}
        steps: dict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
        final: dict[int, tuple[TrialState, float | None]] = {}
        for part in self._of(SearchLog):
            offset = self._offset_ns(part.header)
            for record in part.records:
                match record:
                    case AttemptRecord():
                        params[record.trial] = record.params
                        attempts[record.trial][record.attempt] = Attempt(
                            number=record.attempt, state=TrialState.RUNNING, begin_ns=record.t + offset
                        )
                    case StepRecord():
                        reported = math.nan if record.value is None else record.value
                        steps[record.trial].setdefault(record.step, (reported, record.t + offset))
                    case OutcomeRecord():
                        begun = attempts[record.trial].get(record.attempt)
                        attempts[record.trial][record.attempt] = Attempt(
                            number=record.attempt,
                            state=TrialState(record.state),
                            begin_ns=begun.begin_ns if begun else record.t + offset,
                            end_ns=record.t + offset,
                            flops=record.flops,
                            uncounted_ops=record.uncounted_ops,
                            error=record.error,
                        )
                        if record.final:
                            final[record.trial] = (TrialState(record.state), record.value)
                    case RunRecord():
                        pass
        trials = []
        for number, tried in sorted(attempts.items()):
            state, value = final.get(number, (TrialState.RUNNING, None))
            trials.append(
                Trial(
                    number=number,
                    params=params.get(number, {}),
                    state=state,
                    value=value if state is TrialState.COMPLETE else None,
                    intermediate={step: v for step, (v, _) in sorted(steps[number].items())},
                    intermediate_ns={step: t for step, (_, t) in sorted(steps[number].items())},
                    attempts=tuple(attempt for _, attempt in sorted(tried.items())),
                )
            )
        return tuple(trials)

    def _runs(self) -> tuple[Run, ...]:
        runs = []
        for part in self._of(SearchLog):
            offset = self._offset_ns(part.header)
            for record in part.records:
                if isinstance(record, RunRecord):
                    runs.append(
                        Run(
                            kind=record.kind,
                            name=record.name,
                            state=TrialState(record.state),
                            seed=record.seed,
                            trial=record.trial,
                            value=record.value,
                            test_value=record.test_value,
                            begin_ns=record.begin_ns + offset,
                            end_ns=record.t + offset,
                            flops=record.flops,
                            uncounted_ops=record.uncounted_ops,
                            error=record.error,
                        )
                    )
        return tuple(runs)

    def _journal_findings(self) -> list[Finding]:
        findings = []
        for path, reader in self._readers.items():
            if reader.torn and self.sealed:
                text = f"Journal {path.name} ends in the middle of a record, which was dropped: its writer died."
                findings.append(Finding(code="journal-torn", severity=Severity.INFO, message=text))
            if reader.skipped > 0:
                text = f"{reader.skipped} lines of journal {path.name} are no records this version knows."
                findings.append(Finding(code="journal-records-skipped", severity=_DAMAGED, message=text))
        return findings


def _usage(readings: list[Reading], key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """CPU time of a process tree and of the process alone at each reading; the first is kept after its end."""
    tree = np.zeros(len(readings), dtype=np.int64)
    own = np.full(len(readings), UNKNOWN, dtype=np.int64)
    last = 0
    for position, reading in enumerate(readings):
        used = reading.u.get(key)
        if used is not None:
            last = max(last, used[0])
            own[position] = used[1]
        tree[position] = last
    return tree, own


def read_study(path: Path, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
    """Read a study folder once and close its books.

    Raises:
        InputError: the folder is no study folder.
    """
    reader = StudyReader(StudyFolder(path))
    reader.refresh()
    return reader.close(policy)
