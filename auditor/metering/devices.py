"""Device time of process trees, from what a driver says of single processes."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.metering.processes import TreeUsage


class DeviceTime:
    """Cumulative device time by component and process tree.

    What a process uses belongs to the tree it is in at that time: what it used before it was registered, or uses after
    its registration was taken back, is nobody's. A driver speaks late, so that the last of an ended process is still
    its tree's.

    Args:
        usage: Which process belongs to which tree.
    """

    def __init__(self, usage: TreeUsage) -> None:
        self._usage = usage
        self._seen: dict[str, dict[int, tuple[str, int]]] = {}  # by component and process: its tree, and nanoseconds
        self._total_ns: dict[str, dict[str, int]] = {}

    def read(self, process_ns: Mapping[str, Mapping[int, int]]) -> dict[str, dict[str, int]]:
        """Nanoseconds by component and tree; what is no tree's goes under the empty key.

        A driver that names processes nobody can see here (another PID namespace) tells nothing: its component is left
        out.

        Args:
            process_ns: Cumulative nanoseconds by component and process id (:class:`auditor.ports.ProcessUsage`).
        """
        for name, by_pid in process_ns.items():
            if name not in self._seen and by_pid and not any(map(self._usage.lives, by_pid)):
                continue
            seen, total_ns = self._seen.setdefault(name, {}), self._total_ns.setdefault(name, {"": 0})
            for pid, used_ns in by_pid.items():
                tree, before_ns = seen.get(pid, ("", 0))
                if self._usage.lives(pid):
                    tree = self._usage.owner(pid) or ""
                total_ns[tree] = total_ns.get(tree, 0) + used_ns - before_ns
                seen[pid] = tree, used_ns
        return {name: dict(self._total_ns[name]) for name in process_ns if name in self._seen}
