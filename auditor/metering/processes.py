"""Processes: who they are, and the CPU time of their trees."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from auditor.domain.quantities import NS_PER_S

_TICK_NS = NS_PER_S // os.sysconf("SC_CLK_TCK")
_LEAST_SLEEP_NS = NS_PER_S // 10  # two clocks read one after the other differ by little
_INIT = 1
_BUSY_FIELDS = (1, 2, 3, 6, 7)  # user, nice, system, irq, softirq of the cpu line in /proc/stat


def boot_id() -> str:
    """Identity of this boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def pid_namespace() -> str:
    """Identity of the PID namespace of this process."""
    return str(Path("/proc/self/ns/pid").readlink())


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What ``/proc/<pid>/stat`` says of a process.

    Attributes:
        parent: Process id of its parent.
        start: Start time in clock ticks since boot.
        cpu_ns: CPU time of the process, to a clock tick.
        reaped_ns: CPU time of ended children it has waited for, to a clock tick.
        zombie: Whether it ended and was not waited for yet.
        group: Process id of the leader of its process group.
        session: Process id of the leader of its session.
    """

    parent: int
    start: int
    cpu_ns: int
    reaped_ns: int
    zombie: bool
    group: int
    session: int


def process_stat(pid: int) -> ProcessStat | None:
    """State of a process; ``None`` where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except OSError:
        return None
    fields = data[data.rindex(b")") + 2 :].split()
    return ProcessStat(
        parent=int(fields[1]),
        start=int(fields[19]),
        cpu_ns=(int(fields[11]) + int(fields[12])) * _TICK_NS,
        reaped_ns=(int(fields[13]) + int(fields[14])) * _TICK_NS,
        zombie=fields[0] == b"Z",
        group=int(fields[2]),
        session=int(fields[3]),
    )


def start_ticks(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; ``None`` where it is gone."""
    stat = process_stat(pid)
    return None if stat is None or stat.zombie else stat.start


def started_monotonic_ns(start: int) -> int:
    """Start ticks (CLOCK_BOOTTIME) as CLOCK_MONOTONIC nanoseconds."""
    slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return start * _TICK_NS - slept_ns


def cpu_clock_ns(pid: int) -> int | None:
    """CPU time of any process by the kernel's per-process clock; ``None`` where it is gone."""
    try:
        return time.clock_gettime_ns(((~pid) << 3) | 2)
    except OSError:
        return None


def suspended_ns() -> int:
    """How long this machine was suspended since boot."""
    slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return slept_ns if slept_ns > _LEAST_SLEEP_NS else 0


def busy_ns() -> int:
    """CPU time that all processes of the node used since boot."""
    with open("/proc/stat", "rb") as file:
        fields = file.readline().split()
    return sum(int(fields[i]) for i in _BUSY_FIELDS) * _TICK_NS


def last_pid() -> int:
    """Process id that was given out last in this PID namespace; ids are given out in turn."""
    with open("/proc/loadavg", "rb") as file:
        return int(file.read().split()[4])


@dataclass(slots=True)
class _Known:
    parent: int
    start: int | None
    group: int = 0
    session: int = 0
    clock_ns: int = 0
    reaped_ns: int = 0
    owner: str | None = None
    ended: bool = False

    @classmethod
    def of(cls, stat: ProcessStat | None) -> _Known:
        return cls(0, None) if stat is None else cls(stat.parent, stat.start, stat.group, stat.session)

    @property
    def total_ns(self) -> int:
        return self.clock_ns + self.reaped_ns


class TreeUsage:
    """Cumulative CPU time of registered process trees.

    A process belongs to its nearest registered ancestor. One whose parent ended before it was met (a daemon) belongs
    where the leader of its process group or session does, and what it starts belongs there too. Children that ended
    count through the time their parent reaped, less what was already seen of them while they lived. Only unknown
    processes are looked up in /proc, and those whose id was given out again, so that a sample costs one listing and two
    reads per process of a registered tree. The process that asks, the node agent, is in nobody's tree, whoever started
    it, and neither are its children: it accounts for itself. Not safe for several threads.
    """

    def __init__(self) -> None:
        self._agent = os.getpid()
        self._known: dict[int, _Known] = {}
        self._gone: dict[int, _Known] = {}  # since the last sample
        self._last_pid = last_pid()
        self._registered: dict[int, str] = {}
        self._used_ns: dict[str, int] = {}
        self._first = True

    def register(self, key: str, pid: int, cpu_ns: int) -> None:
        """Count a process and its descendants under ``key`` from when its own CPU time was ``cpu_ns``."""
        stat = process_stat(pid)
        self._replace_others({pid: stat})
        self._used_ns[key] = 0
        self._registered[pid] = key
        known = self._known.get(pid)
        if known is None:
            known = self._known[pid] = _Known.of(stat)
            known.reaped_ns = 0 if stat is None else stat.reaped_ns
            known.owner = self._owner(known.parent)
        if known.owner is None and stat is not None:
            known.reaped_ns = max(known.reaped_ns, stat.reaped_ns)
        self._credit(known.owner, max(0, cpu_ns - known.clock_ns))
        known.clock_ns = max(known.clock_ns, cpu_ns)
        for other_pid, other in self._known.items():
            owner = self._owner(other_pid) or other.owner  # an orphan stays with who started it
            if other.owner is None and owner is not None and other is not known:
                self._skip_past(other_pid, other)
            other.owner = owner

    def unregister(self, key: str) -> None:
        """Forget a process; call it only after it is gone, or what it uses goes to its ancestors."""
        self._registered = {pid: k for pid, k in self._registered.items() if k != key}
        self._used_ns.pop(key, None)
        for pid, known in self._known.items():
            if known.owner == key:
                known.owner = self._owner(pid)

    def owner(self, pid: int) -> str | None:
        """Key of the tree a process belonged to at the last sample; ``None``: of none, or not seen."""
        known = self._known.get(pid)
        return None if known is None else known.owner

    def lives(self, pid: int) -> bool:
        """Whether a process was there at the last sample."""
        return pid in self._known

    def start_ticks(self, pid: int) -> int | None:
        """Start time of a process of a tree in clock ticks since boot; ``None``: it was gone at the last sample."""
        known = self._known.get(pid)
        return None if known is None or known.ended else known.start

    def pids(self) -> Mapping[int, str]:
        """Key of the tree of each process that belonged to one at the last sample, by process id."""
        return {pid: known.owner for pid, known in self._known.items() if known.owner is not None}

    def sample(self) -> Mapping[str, tuple[int, int]]:
        """CPU nanoseconds by key: of the tree since it was registered, and of the process alone since its start.

        The second is ``-1`` where the process is gone.
        """
        last, before = last_pid(), self._last_pid
        alive = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - hot path
        self._gone |= {pid: self._known.pop(pid) for pid in self._known.keys() - alive}
        stats = {
            pid: process_stat(pid)
            for pid, known in self._known.items()
            if known.owner is not None or (before < pid <= last if before <= last else pid > before or pid <= last)
        }
        self._replace_others(stats)
        vanished = self._vanished()
        met = {pid: stat for pid in alive - self._known.keys() if (stat := process_stat(pid)) is not None}
        for pid, stat in met.items():
            self._known[pid] = _Known.of(stat)
            if self._first:  # what ran before the first sample is nobody's
                self._skip_past(pid, self._known[pid])
        for pid in met:  # once all are known: a child may be met before its parent
            self._known[pid].owner = self._owner(pid)
        for pid in met:
            self._known[pid].owner = self._known[pid].owner or self._heir(pid, met)
        for pid, stat in {**stats, **met}.items():
            known = self._known.get(pid)
            if known is not None and known.owner is not None:
                self._advance(pid, known, stat, vanished.get(pid, []))
        self._first, self._last_pid = False, last
        own = {key: self._known[pid].clock_ns for pid, key in self._registered.items() if pid in self._known}
        return {key: (used, own.get(key, -1)) for key, used in self._used_ns.items()}

    def _replace_others(self, stats: Mapping[int, ProcessStat | None]) -> None:
        """Let go of processes whose id another has now."""
        for pid, stat in stats.items():
            known = self._known.get(pid)
            if known is None or stat is None or stat.start == known.start:
                continue
            self._gone[pid] = self._known.pop(pid)
            self._registered.pop(pid, None)
            for child in self._known.values():
                if child.parent == pid:
                    child.parent = 0

    def _vanished(self) -> dict[int, list[_Known]]:
        """Processes that are gone since the last sample, by who reaped them."""
        gone, self._gone = self._gone, {}
        vanished: dict[int, list[_Known]] = {}
        for known in gone.values():
            heir = known.parent
            for _ in gone:
                if heir in gone:  # reaped by a parent that was reaped itself
                    heir = gone[heir].parent
            vanished.setdefault(heir, []).append(known)
        return vanished

    def _skip_past(self, pid: int, known: _Known) -> None:
        """Take what a process used until now as seen, credited to nobody."""
        stat = process_stat(pid)
        if stat is not None:
            known.clock_ns = max(known.clock_ns, cpu_clock_ns(pid) or stat.cpu_ns)
            known.reaped_ns = max(known.reaped_ns, stat.reaped_ns)

    def _advance(self, pid: int, known: _Known, stat: ProcessStat | None, lost: list[_Known]) -> None:
        known.ended = stat is None or stat.zombie
        if stat is None:
            return
        clock_ns = cpu_clock_ns(pid)
        clock_ns = stat.cpu_ns if clock_ns is None else clock_ns
        self._credit(known.owner, max(0, clock_ns - known.clock_ns))
        known.clock_ns = max(known.clock_ns, clock_ns)
        reaped = max(0, stat.reaped_ns - known.reaped_ns)
        known.reaped_ns = max(known.reaped_ns, stat.reaped_ns)
        unseen = max(0, reaped - sum(child.total_ns for child in lost))
        heirs = [child.owner for child in lost if child.owner not in {None, known.owner}]
        self._credit(heirs[0] if heirs else known.owner, unseen)

    def _owner(self, pid: int) -> str | None:
        for _ in range(len(self._known) + 1):
            if pid in self._registered:
                return self._registered[pid]
            known = self._known.get(pid)
            if known is None or pid == self._agent or known.parent == pid:
                return None
            pid = known.parent
        return None

    def _heir(self, pid: int, met: Collection[int]) -> str | None:
        """Tree of a process that was just met and has no registered ancestor: that of an orphan, or of its leaders."""
        for _ in met:
            known = self._known[pid]
            parent = self._known.get(known.parent)
            if pid == self._agent:
                return None
            if parent is not None and parent.owner is not None:
                return parent.owner
            if parent is None or known.parent == _INIT or parent.session != known.session:  # it had another parent
                leaders = [self._known[p].owner for p in (known.group, known.session) if p in self._known]
                return next(filter(None, leaders), None)
            if known.parent not in met:
                return None
            pid = known.parent
        return None

    def _credit(self, owner: str | None, used_ns: int) -> None:
        if owner in self._used_ns:
            self._used_ns[owner] += used_ns
