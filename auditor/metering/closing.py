"""From the journals of a study folder to its :class:`StudyRecord`: the books are closed here, at any time."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger, close_books
from auditor.domain.errors import JournalError
from auditor.domain.parameters import Parameters
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Finding, Run, Severity, StudyRecord, Trial
from auditor.metering.activity import node_name
from auditor.metering.crosscheck import gone_on_with, otherwise_metered, without_energy
from auditor.metering.folder import StudyFile, StudyFolder, stored_parameters
from auditor.metering.history import runs_of, trials_of
from auditor.metering.journal import JournalReader
from auditor.metering.parts import PARTS, Marks, Readings, SearchLog
from auditor.metering.processes import boot_id
from auditor.metering.records import Reading
from auditor.metering.timeline import Timeline
from auditor.metering.traces import traces_of

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
            if path.name.startswith("."):  # written beside, or another system's own
                continue
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
    def drivers(self) -> int:
        """How many drivers this study has had."""
        return sum(part.header.driver for part in self._of(Marks))

    @property
    def last_reading(self) -> Reading | None:
        """The newest reading of this node."""
        place = (node_name(), boot_id())
        here = [p for p in self._of(Readings) if (p.header.node, p.header.boot) == place]
        return max((part.readings[-1] for part in here if part.readings), key=lambda r: r.t, default=None)

    @property
    def parameters(self) -> Parameters:
        """The parameters that ``study.yaml`` holds."""
        return stored_parameters(self.file)

    def energy_and_power(self) -> tuple[float | None, float | None]:
        """Joules metered since the first reading, all nodes, and watts over the last interval; ``None`` before it."""
        total_uj = 0
        power_w: float | None = None
        for part in self._of(Readings):
            if len(part.readings) < 2:
                continue
            first, before, last = part.readings[0], part.readings[-2], part.readings[-1]
            names = [c.key for c in part.components if not c.check]
            total_uj += _total(last, names) - _total(first, names)
            if last.t > before.t and part.closed is None:
                watts = (_total(last, names) - _total(before, names)) * 1e3 / (last.t - before.t)
                power_w = watts + (power_w or 0.0)
        return (uj_to_j(total_uj) if total_uj else None), power_w

    def running_s(self) -> float:
        """Seconds the study ran so far, over all its sessions."""
        return sum(max(0, s.end_ns - s.begin_ns) for s in self._timeline().sessions()) / NS_PER_S

    def wait_for_agents(self, places: Collection[tuple[str, str]], timeout_s: float) -> bool:
        """Wait until the agents of some nodes have closed their journals; ``False`` where they did not in time.

        Args:
            places: Name and boot of each node.
            timeout_s: Seconds to wait.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            self.refresh()
            newest = {(p.header.node, p.header.boot): p for p in self._of(Readings)}
            if all(newest[place].closed is not None for place in places if place in newest):
                return True
            if time.monotonic() > until_s:
                return False
            time.sleep(0.01)

    @property
    def sealed(self) -> bool:
        """Whether the last session of the study ended with a seal."""
        return self._timeline().seal_ns() is not None

    def close(self, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
        """Close the books up to the last seal, or up to the last reading while the study runs.

        Raises:
            JournalError: the journals hold figures or accounts that no auditor wrote.
        """
        timeline = self._timeline()
        try:
            trials, runs = trials_of(self._of(SearchLog), timeline), runs_of(self._of(SearchLog), timeline)
            traces, found = traces_of(self._of(Readings), self._of(Marks), timeline, self.file.uuid)
            books, ledger = close_books(
                traces,
                policy=policy,
                seal_ns=timeline.seal_ns(),
                sessions=timeline.sessions(),
                lives=timeline.lives(),
                end_ns=timeline.finished_ns(),
            )
        except (ValueError, OverflowError) as error:
            raise JournalError(f"{self.folder.journals}: the books can't be closed from these ({error})") from error
        study = self.file.study
        record = StudyRecord(
            uuid=self.file.uuid,
            name=study["name"],
            space=study.get("space") or "",
            sampler=study.get("sampler") or "",
            metric=study.get("metric") or "",
            direction=study.get("direction") or "",
            test_metric=study.get("test_metric"),
            kind=study.get("kind", "search"),
            books=books,
            trials=trials,
            runs=runs,
            findings=(
                *self._damaged,
                *self._journal_findings(),
                *timeline.findings,
                *found,
                *otherwise_metered(self._of(Readings), self.file.config.get("metering", {})),
                *without_energy(trials, books),
                *gone_on_with(trials, timeline.sessions()),
            ),
        )
        return record, ledger

    def _of(self, kind: type[_Part]) -> list[_Part]:
        parts = [part for part in self._kept().values() if isinstance(part, kind)]
        return sorted(parts, key=lambda p: (p.header.node, p.header.boot, p.header.mono_ns, p.header.key))

    def _kept(self) -> dict[Path, Readings | Marks | SearchLog]:
        """Journals of this study; of two that begin with one header (a copy) the longer, or else the first by name."""
        longest: dict[tuple[str, str, str, str, int], Path] = {}
        for path, part in sorted(self._parts.items()):
            header = part.header
            if header.study != self.file.uuid:
                continue
            key = (header.role, header.node, header.boot, header.key, header.mono_ns)
            if key not in longest or self._readers[path].size > self._readers[longest[key]].size:
                longest[key] = path
        return {path: self._parts[path] for path in longest.values()}

    def parts(self) -> list[Readings | Marks | SearchLog]:
        """What was read so far, one part a journal."""
        return list(self._kept().values())

    def trials(self) -> tuple[Trial, ...]:
        """The trials so far; cheaper than closing the books."""
        return trials_of(self._of(SearchLog), self._timeline())

    def runs(self) -> tuple[Run, ...]:
        """Trainings outside a search so far; cheaper than closing the books."""
        return runs_of(self._of(SearchLog), self._timeline())

    def _timeline(self) -> Timeline:
        return Timeline(self._kept().values())

    def _journal_findings(self) -> list[Finding]:
        findings = []
        kept = self._kept()
        sealed = self.sealed
        for where, message in dict.fromkeys((f.where, f.message) for m in self._of(Marks) for f in m.faults):
            text = f"The auditor failed in {where} and the training went on: {message.rstrip('.')}."
            findings.append(Finding(code="auditor-fault", severity=Severity.WARNING, message=text))
        for path, reader in self._readers.items():
            if reader.torn and sealed and reader.header is not None:
                text = f"Journal {path.name} ends in the middle of a record, which was dropped: its writer died."
                findings.append(Finding(code="journal-torn", severity=Severity.INFO, message=text))
            if reader.skipped > 0:
                text = f"{reader.skipped} lines of journal {path.name} are no records this version knows."
                findings.append(Finding(code="journal-records-skipped", severity=_DAMAGED, message=text))
            if reader.header is None and reader.skipped == 0 and sealed:
                text = f"Journal {path.name} holds no whole record: whatever its writer wrote is lost."
                findings.append(Finding(code="journal-empty", severity=_DAMAGED, message=text))
            if path in self._parts and path not in kept:
                copy = self._parts[path].header.study == self.file.uuid
                text = (
                    f"Journal {path.name} begins like another of this study: it is a copy, and was left out."
                    if copy
                    else f"Journal {path.name} belongs to another study, and was left out."
                )
                code = "journal-copied" if copy else "journal-of-another-study"
                findings.append(Finding(code=code, severity=_DAMAGED, message=text))
        return findings


def _total(reading: Reading, names: Sequence[str]) -> int:
    return sum(reading.e.get(name, 0) for name in names)


def read_study(path: Path, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
    """Read a study folder once and close its books.

    Raises:
        InputError: the folder is no study folder.
    """
    reader = StudyReader(StudyFolder(path))
    reader.refresh()
    return reader.close(policy)
