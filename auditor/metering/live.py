"""What a study used so far, again and again while it runs, at a cost that does not grow with its length."""

from __future__ import annotations

import time

import numpy as np

from auditor.accounting.allocate import Policy, allocate
from auditor.domain.accounts import parse_account
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.parts import Marks, Readings
from auditor.metering.records import Mark
from auditor.metering.runtime import nudge_agent
from auditor.metering.timeline import Timeline
from auditor.metering.traces import traces_of


class LiveBooks:
    """Energy of a study by account and kind of component up to the last reading.

    Readings that were added up are forgotten, so that a training of days holds no more memory than one of minutes. What
    is found later about earlier readings (static power once it is calibrated) moves no energy that was added up: the
    books as they are closed at the end are the last word. Not safe for several threads.

    Args:
        folder: The study folder; its journals may still be written to.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._reader = StudyReader(folder)
        self._uj: dict[tuple[str, str], int] = {}
        self._last: dict[int, int] = {}
        self._power_w = 0.0

    @property
    def metered(self) -> bool:
        """Whether any interval was read."""
        return bool(self._uj)

    @property
    def t_ns(self) -> int | None:
        """CLOCK_MONOTONIC of the last reading of this machine; ``None`` before the first."""
        last = self._reader.last_reading
        return None if last is None else last.t

    @property
    def power_w(self) -> float:
        """Power of the study itself over what was added up last."""
        return self._power_w

    def refresh(self) -> None:
        """Add up what was read since the last call."""
        before_ns, before_uj = self.t_ns, sum(self.study_uj().values())
        reader = self._reader
        reader.refresh()
        kept = reader.parts()
        readings = [part for part in kept if isinstance(part, Readings) and part.readings]
        last = {part.header.mono_ns: part.readings[-1].t for part in readings}
        if last == self._last:
            return
        self._last = last
        marks = [part for part in kept if isinstance(part, Marks)]
        traces, _ = traces_of(readings, marks, Timeline(kept), reader.file.uuid)
        for trace in traces:
            charges = allocate(trace, Policy.RESERVED)
            kinds = [component.kind for component in trace.components]
            sums = np.zeros((len(charges.accounts), len(kinds)), dtype=np.int64)
            np.add.at(sums, (charges.account, charges.component), charges.energy_uj)
            for account, component in zip(*np.nonzero(sums), strict=True):
                key = (charges.accounts[account], kinds[component])
                self._uj[key] = self._uj.get(key, 0) + int(sums[account, component])
        _forget(readings, marks)
        self._last = {part.header.mono_ns: part.readings[-1].t for part in readings if part.readings}
        if before_ns is not None and self.t_ns is not None and self.t_ns > before_ns:
            self._power_w = (sum(self.study_uj().values()) - before_uj) * 1e3 / (self.t_ns - before_ns)

    def study_uj(self) -> dict[str, int]:
        """Microjoules of the study itself by kind of component; nothing of other people's, idle or unexplained."""
        found: dict[str, int] = {}
        for (account, kind), energy_uj in self._uj.items():
            if account.startswith("study/"):
                found[kind] = found.get(kind, 0) + energy_uj
        return found

    def account_uj(self, account: str) -> int:
        """Microjoules of an account, all its phases."""
        return sum(uj for (name, _), uj in self._uj.items() if name == account or name.startswith(f"{account}/"))

    def trial_uj(self, number: int) -> int:
        """Microjoules of a trial, all its attempts."""
        return sum(uj for (account, _), uj in self._uj.items() if _is_trial(account, number))


class EnergyNow:
    """Energy of an account up to this moment: a reading is asked for, and waited for.

    Args:
        folder: The study folder.
        wait_s: Seconds to wait for the reading.
    """

    def __init__(self, folder: StudyFolder, wait_s: float = 3.0) -> None:
        self._live = LiveBooks(folder)
        self._wait_s = wait_s

    def __call__(self, account: str) -> float | None:
        """Joules of an account, all its phases; ``None`` where no reading comes."""
        asked_ns = time.monotonic_ns()
        nudge_agent()
        while (self._live.t_ns or 0) < asked_ns:
            if time.monotonic_ns() - asked_ns > self._wait_s * NS_PER_S:
                return None
            time.sleep(0.05)
            self._live.refresh()
        return uj_to_j(self._live.account_uj(account))


def _is_trial(account: str, number: int) -> bool:
    name = parse_account(account)
    return name.kind == "trial" and name.subject == str(number)


def _forget(readings: list[Readings], marks: list[Marks]) -> None:
    """Keep what the next intervals begin with: the last reading of a machine, and the last mark before it."""
    newest: dict[str, Readings] = {}
    for part in readings:
        if part.readings and (
            part.header.boot not in newest or part.readings[-1].t > newest[part.header.boot].readings[-1].t
        ):
            newest[part.header.boot] = part
    for part in readings:
        part.readings = part.readings[-1:] if newest.get(part.header.boot) is part else []
    for journal in marks:
        if journal.header.boot in newest:
            last_ns = newest[journal.header.boot].readings[-1].t
            journal.marks = _from_the_last_before(journal, last_ns)


def _from_the_last_before(journal: Marks, t_ns: int) -> list[Mark]:
    """The marks after a time, and of each lane the last one before it."""
    last: dict[int, Mark] = {}
    later = []
    for mark in journal.marks:
        if mark.t <= t_ns:
            last[mark.w] = mark
        else:
            later.append(mark)
    return sorted([*last.values(), *later], key=lambda mark: mark.t)
