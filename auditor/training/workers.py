"""Other processes that work for a search and know nothing of it: on this machine, and on the others of a cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from auditor.domain.errors import InputError
from auditor.metering.activity import Activity, forget, node_name
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.processes import boot_id, start_ticks
from auditor.metering.runtime import AgentHandle, nudge_agent, registrations
from auditor.metering.slots import visible_gpus
from auditor.training.booked import Place

_AGENT_S = 2.0


class Workers:
    """Processes of this machine that are booked from outside; those that ended are let go of as others come.

    Args:
        place: Where the books lie.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._activities: dict[int, Activity] = {}

    def attach(self, pid: int, *, cpu_slots: float, gpu_slots: float = 0.0, visible: str = "") -> Activity:
        """The marks of a process; the same for one that is known.

        Args:
            pid: Its process id.
            cpu_slots: CPU slots it holds.
            gpu_slots: GPU slots it holds.
            visible: Its ``CUDA_VISIBLE_DEVICES``; which GPUs it holds is not known where it is empty.

        Raises:
            JournalError: there is no such process of this user, or it is on somebody's books already.
        """
        for ended in [a for a in self._activities.values() if start_ticks(a.header.pid) != a.header.start]:
            self._release(ended.header.pid)
        if pid not in self._activities:
            gpus = visible_gpus(gpu_slots, visible) if visible else {}
            self._activities[pid] = booked_process(
                self._place, pid, cpu_slots=cpu_slots, gpu_slots=gpu_slots, gpus=gpus
            )
        return self._activities[pid]

    def known(self, pid: int) -> Activity | None:
        """The marks of a process that was attached."""
        return self._activities.get(pid)

    def close(self) -> None:
        """Book none of them any more."""
        for pid in list(self._activities):
            self._release(pid)

    def _release(self, pid: int) -> None:
        forget(self._activities.pop(pid))


class NodeBooks:
    """Books processes of another machine than that of the program that runs the search; made there, by an actor of it.

    Args:
        place: Where the books lie; the folder must be visible on both machines.
        meters: Names of the meters, where no agent runs there yet.
        interval_s: Seconds between readings, likewise.

    Raises:
        InputError: the folder is not visible here.
    """

    def __init__(self, place: Place, meters: Sequence[str] = ("auto",), interval_s: float = 1.0) -> None:
        self._folder = StudyFolder(Path(place.folder))
        if not self._folder.exists():
            raise InputError(f"{place.folder} is not on machine {node_name()}: a shared file system must hold it")
        self._workers = Workers(place)
        self._agent = AgentHandle(meters, interval_s)
        self._agent.ensure()
        self._agent.keep()

    def attach(self, pid: int, *, cpu_slots: float, gpu_slots: float = 0.0, visible: str = "") -> None:
        """Book a process of this machine; see :meth:`auditor.TrialBooks.attach`.

        Raises:
            JournalError: there is no such process of this user, or it is on somebody's books already.
            MeterError: no meter works here.
        """
        self._agent.check()
        self._workers.attach(pid, cpu_slots=cpu_slots, gpu_slots=gpu_slots, visible=visible)

    def begin(self, pid: int, account: str) -> None:
        """A process works for an account from now on."""
        if (activity := self._workers.known(pid)) is not None:
            activity.begin(account)

    def end(self, pid: int, depth: int | None = None) -> None:
        """A process goes back to the account before, or down to a depth."""
        if (activity := self._workers.known(pid)) is not None:
            activity.end(depth)

    def clock(self) -> tuple[str, str, int]:
        """Name, boot and CLOCK_MONOTONIC of this machine."""
        return node_name(), boot_id(), time.monotonic_ns()

    def close(self) -> None:
        """Book nothing here any more, and wait until the agent has closed its journal, where nobody else needs it."""
        self._workers.close()
        self._agent.release()
        nudge_agent()
        journals = str(self._folder.journals.resolve())
        if all(registration.journal_dir != journals for registration in registrations().values()):
            StudyReader(self._folder).wait_for_agents([(node_name(), boot_id())], timeout_s=_AGENT_S)


def booked_process(place: Place, pid: int, *, cpu_slots: float, gpu_slots: float, gpus: dict[str, float]) -> Activity:
    """Marks of another process of this machine, for a study that lies somewhere.

    Raises:
        JournalError: there is no such process of this user, or it is on somebody's books already.
    """
    return Activity(
        StudyFolder(Path(place.folder)).journals,
        place.uuid,
        place.account,
        cpu_slots=cpu_slots,
        gpu_slots=gpu_slots,
        gpus=gpus,
        pid=pid,
    )
