"""A study that is booked from within somebody else's program: its folder, its sessions, and how they are closed.

Nothing here raises into the work that is audited: what fails in the auditor is logged once, becomes the finding
``auditor-fault`` where the books can still take it, and the work goes on.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - the report needs it, and at the end of a program it can't be imported
import fcntl
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.domain.errors import MeterError, one_line
from auditor.domain.study import Run
from auditor.metering.activity import Activity, forget, make_header, node_name, open_journal
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.live import LiveBooks
from auditor.metering.processes import boot_id
from auditor.metering.records import Finished, Record, Seal
from auditor.metering.runtime import AgentHandle, nudge_agent, withdraw_study
from auditor.metering.slots import cpu_slots, gpu_count
from auditor.training.booked import book_nobody
from auditor.training.folders import RUNS, checked_folder, checked_name, next_free

if TYPE_CHECKING:
    from auditor.reporting.publish import ClosedStudy

logger = logging.getLogger("auditor")

_PACKAGES = ("nas-auditor", "torch", "pytorch-lightning", "lightning", "optuna", "ray", "codecarbon", "mlflow")
_LAST_READING_S = 5.0
_FIRST_READING_S = 1.5
_AGENT_S = 2.0
_MOST_FAULTS = 100


class Recording:
    """A study folder that this process writes, session by session; the base of everything that wraps existing work.

    Args:
        name: Name of the study.
        study: What ``study.yaml`` says of it beside its name.
        folder: Study folder; one that holds a study of that name is gone on with. Default: the first of
            ``auditor-runs/<name>``, ``auditor-runs/<name>-2``, … that is not there yet.
        meters: Names of the meters, where no agent runs on this machine yet.
        interval_s: Seconds between readings, likewise.
        faults: What failed before it was made, and was logged then.

    Attributes:
        name: Name of the study.
        folder: Its folder; ``None`` before it was opened, or where that failed.
        closed: The study when its last session closed; ``None`` while one is open.
        faults: What failed in the auditor, by where it did.

    Raises:
        InputError: the name or the folder can't be used. Nothing else is ever raised.
    """

    def __init__(
        self,
        name: str,
        study: Mapping[str, Any],
        *,
        folder: str | Path | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
        faults: Mapping[str, str] | None = None,
    ) -> None:
        self.name = checked_name(name)
        self.folder: StudyFolder | None = None
        self.closed: ClosedStudy | None = None
        self.faults: dict[str, str] = dict(faults or {})
        self._study = study
        self._wanted = checked_folder(folder, name)
        self._meters = tuple(meters)
        self._interval_s = interval_s
        self._pid = os.getpid()
        self._uuid = ""
        self._lock_fd = -1
        self._sessions = 0
        self._runs: tuple[Run, ...] = ()
        self._activity: Activity | None = None
        self._live: LiveBooks | None = None
        self._log: JournalWriter | None = None
        self._lock = threading.RLock()
        self._agent = AgentHandle(self._meters, interval_s)
        with self.guarded("starting the node agent"):
            self._agent.ensure()  # it takes a moment: what comes before the work is not lost for it

    @property
    def is_own(self) -> bool:
        """Whether this is the process that made it, and not a child forked from it."""
        return os.getpid() == self._pid

    @property
    def activity(self) -> Activity | None:
        """The marks of this process while a session is open."""
        return self._activity

    @property
    def uuid(self) -> str:
        """Identity of the study; empty before it was opened."""
        return self._uuid

    @property
    def sessions(self) -> int:
        """How many sessions the study has had, the open one included."""
        return self._sessions

    @contextmanager
    def guarded(self, where: str) -> Iterator[None]:
        """Run a block of the auditor's own work; what fails in it is noted and goes no further."""
        try:
            yield
        except Exception as error:
            self.fault(where, error)

    def fault(self, where: str, error: BaseException | str) -> None:
        """Note that the auditor failed somewhere; logged once for each place."""
        message = error if isinstance(error, str) else one_line(error)
        if where in self.faults or len(self.faults) >= _MOST_FAULTS:
            return
        self.faults[where] = message
        logger.warning("nas-auditor failed in %s; what it audits goes on: %s", where, message)
        self._write_fault(where, message)

    def _write_fault(self, where: str, message: str) -> None:
        if self._activity is not None:
            with suppress(Exception):  # it was logged; where the journal fails too there is nobody left to tell
                self._activity.fault(where, message)

    def energy_uj(self) -> dict[str, int]:
        """Microjoules of the study by kind of component up to the last reading; empty where nothing was metered yet."""
        with self.guarded("reading the books"):
            if self._live is not None:
                self._live.refresh()
                return self._live.study_uj()
        return {}

    def _open(
        self,
        account: Callable[[], str],
        *,
        gpus: Mapping[str, float],
        holds_rest: bool = False,
        share: float = 1.0,
    ) -> None:
        """Begin a session; may raise, and leaves nothing open then.

        Args:
            account: Account that the process works for, asked for once the number of the session is known.
            gpus: GPUs it holds, by UUID.
            holds_rest: Whether it holds the whole machine.
            share: Part of the CPU slots that it holds itself.
        """
        folder = self.folder or self._take_folder()
        self._lock_fd = folder.lock(wait_s=0.0)
        try:
            reader = StudyReader(folder)
            reader.refresh()
            self._sessions, self._runs = reader.drivers + 1, reader.runs()
            self._activity = Activity(
                folder.journals,
                self._uuid,
                account(),
                cpu_slots=cpu_slots() * share,
                gpu_slots=float(sum(gpus.values())),
                gpus=gpus,
                holds_rest=holds_rest,
                driver=True,
                session=self._sessions,
            )
        except BaseException:
            self._unlock()
            raise
        atexit.register(self.stop)
        self._live, self.closed = LiveBooks(folder), None
        self._agent = AgentHandle(self._meters, self._interval_s)
        with self.guarded("starting the node agent"):
            self._agent.ensure()
            nudge_agent()  # where one runs already its next reading may be a second away
        with self.guarded("starting the node agent"):
            self._agent.keep()
        for where, message in self.faults.items():  # before there was a journal to take them
            self._write_fault(where, message)

    def _record(self, *records: Record) -> None:
        """Write down what the study did, in a journal of its own beside the marks."""
        if self.folder is None or self._activity is None or not self._activity.is_own:
            return
        with self._lock:
            if self._log is None:
                self._log = open_journal(self.folder.journals, make_header("search", self._uuid))
            self._log.append_or_keep(*records)

    def stop(self) -> None:
        """End the session; done at the end of the program where nobody did before."""
        raise NotImplementedError

    def _close(self) -> None:
        """End the session: the last reading, the seal, and the statement. May be called twice.

        Raises nothing of its own; who interrupts it finds nothing left open.
        """
        activity, folder = self._activity, self.folder
        if activity is None or folder is None:
            return
        atexit.unregister(self.stop)
        try:
            with self.guarded("the last reading"):
                activity.end(0)
                self._seal(activity, time.monotonic_ns())
            with self.guarded("leaving the node agent"):
                self._agent.release()
            with self.guarded("telling others"):
                self._tell()
            with self.guarded("leaving the node agent"):
                withdraw_study(str(folder.journals.resolve()))
                reader = StudyReader(folder)
                reader.wait_for_agents([(node_name(), boot_id())], timeout_s=_AGENT_S)
            with self.guarded("closing the journal"):
                activity.record(Finished(t=time.monotonic_ns()))
        finally:
            self._let_go(activity)
        with self.guarded("the report"):
            self._publish(folder)

    def _let_go(self, activity: Activity) -> None:
        """Hold nothing any more, whatever happened before."""
        with self.guarded("leaving the node agent"):
            self._agent.release()
        with self.guarded("closing the journal"):
            forget(activity)
        with self.guarded("closing the journal"):
            if self._log is not None:
                self._log.close()
        self._activity = self._log = self._live = None
        book_nobody()  # of a process one study is open at a time
        with self.guarded("unlocking the folder"):
            self._unlock()

    def _tell(self) -> None:
        """Tell others of the figures while what fails in it can still be written down."""

    def _seal(self, activity: Activity, after_ns: int) -> None:
        """Wait for a reading after everything was done, and close the books at it."""
        live = self._live
        if live is None:
            return
        nudge_agent()
        began_s = time.monotonic()
        while True:
            live.refresh()
            last_ns = live.t_ns
            if last_ns is not None and last_ns >= after_ns:
                activity.record(Seal(t=last_ns))
                return
            if time.monotonic() - began_s > (_FIRST_READING_S if last_ns is None else _LAST_READING_S):
                raise MeterError(
                    "no meter gave a reading before the work was over"
                    if last_ns is None
                    else "the node agent gives no readings any more; the books end with its last one"
                )
            self._agent.check()
            time.sleep(0.005)

    def _publish(self, folder: StudyFolder) -> None:
        from auditor.reporting.publish import write_study

        closed = self._read_closed(folder)
        write_study(folder, closed)
        self.closed = closed

    def _read_closed(self, folder: StudyFolder) -> ClosedStudy:
        """The study as its journals give it now."""
        from auditor.reporting.publish import close_study

        reader = StudyReader(folder)
        reader.refresh()
        return close_study(reader, reader.parameters, "reserved")

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            fd, self._lock_fd = self._lock_fd, -1
            fcntl.flock(fd, fcntl.LOCK_UN)  # for forked children too, which have it open
            os.close(fd)

    def _take_folder(self) -> StudyFolder:
        """The folder asked for, or the next that is free."""
        if self._wanted is not None:
            folder = StudyFolder(self._wanted)
            if folder.exists():
                self._uuid = folder.read_study().uuid
            else:
                self._create(folder)
        else:
            folder = StudyFolder(next_free(Path(RUNS), self.name).resolve())
            self._create(folder)
        self.folder = folder
        return folder

    def _create(self, folder: StudyFolder) -> None:
        self._uuid = str(uuid.uuid4())
        folder.create(self.study_file())

    def study_file(self) -> StudyFile:
        """What ``study.yaml`` says."""
        return StudyFile(
            uuid=self._uuid,
            study={"name": self.name, **self._study},
            config={
                "metering": {"meters": list(self._meters), "interval_s": self._interval_s, "policy": "reserved"},
            },
            parameters={},
            versions={"python": platform.python_version(), **_versions()},
            hardware={
                "node": platform.node(),
                "machine": platform.machine(),
                "cpu_slots": cpu_slots(),
                "gpus": gpu_count(),
            },
        )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
