"""Memory that process trees hold, in proportional set size, at a bounded cost."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BYTES_PER_KIB = 1_024

BUDGET = 0.001
"""Share of a core that looking at page tables may take: the kernel walks them all, some milliseconds a process."""


def node_used_bytes() -> int:
    """Memory in use on this node."""
    fields = {}
    for line in Path("/proc/meminfo").read_text().splitlines()[:3]:
        name, _, value = line.partition(":")
        fields[name] = int(value.split()[0]) * _BYTES_PER_KIB
    return fields["MemTotal"] - fields["MemAvailable"]


class TreeMemory:
    """Bytes held by process trees.

    Resident pages of every process are read each time; what part of them is shared with others (the proportional set
    size) is looked up in turn, as often as the budget allows, and taken as unchanged in between.
    """

    def __init__(self) -> None:
        self._share: dict[int, float] = {}
        self._waiting: list[int] = []
        self._spent_s = 0.0
        self._start_s = time.monotonic()

    def read(self, pids: Mapping[int, str]) -> dict[str, int]:
        """Bytes by key of the tree, for the processes that belong to one."""
        self._look_up(pids)
        held: dict[str, int] = {}
        for pid, key in pids.items():
            held[key] = held.get(key, 0) + round(_resident_bytes(pid) * self._share.get(pid, 1.0))
        return held

    def _look_up(self, pids: Mapping[int, str]) -> None:
        for pid in self._share.keys() - pids.keys():
            del self._share[pid]
        self._waiting = [pid for pid in self._waiting if pid in pids] or sorted(pids)
        while self._waiting and self._spent_s <= BUDGET * (time.monotonic() - self._start_s):
            pid = self._waiting.pop(0)
            began_s = time.thread_time()
            resident, proportional = _resident_bytes(pid), _proportional_bytes(pid)
            if resident and proportional is not None:
                self._share[pid] = min(1.0, proportional / resident)
            self._spent_s += time.thread_time() - began_s


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _proportional_bytes(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * _BYTES_PER_KIB
    except (OSError, IndexError):
        pass
    return None
