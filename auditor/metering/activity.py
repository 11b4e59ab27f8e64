"""An activity: a process that tells the books what it works for."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from auditor.domain.accounts import audit_account, parse_account
from auditor.domain.errors import JournalError
from auditor.metering.journal import JournalWriter
from auditor.metering.processes import (
    boot_id,
    cpu_clock_ns,
    pid_namespace,
    process_stat,
    start_ticks,
    started_monotonic_ns,
)
from auditor.metering.records import Closed, Fault, Header, Mark, Record, process_key
from auditor.metering.runtime import Registration, register, registrations
from auditor.metering.slots import visible_gpus
from auditor.metering.stack import Lane, Stack


def make_header(
    role: str,
    study: str,
    *,
    account: str = "",
    cpu_slots: float = 0.0,
    gpu_slots: float = 0.0,
    gpus: Mapping[str, float] | None = None,
    holds_rest: bool = False,
    driver: bool = False,
    session: int = 0,
    pid: int | None = None,
) -> Header:
    """The header of a journal that this process writes, for itself or for another process of this node."""
    stat = process_stat(pid or os.getpid())
    start = stat.start if stat else 0
    return Header(
        role=role,
        study=study,
        node=node_name(),
        boot=boot_id(),
        pidns=pid_namespace(),
        pid=pid or os.getpid(),
        start=start,
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        started_ns=started_monotonic_ns(start),
        cpu_ns=cpu_clock_ns(pid) or 0 if pid else time.process_time_ns(),
        account=account,
        cpu_slots=cpu_slots,
        gpu_slots=gpu_slots,
        gpus=dict(gpus or {}),
        holds_rest=holds_rest,
        driver=driver,
        session=session,
        versions={"nas-auditor": importlib.metadata.version("nas-auditor"), "python": platform.python_version()},
    )


def node_name() -> str:
    """Name of this node in accounts and journals."""
    return socket.gethostname().replace("/", "-") or "node"


def journal_path(folder: Path, header: Header) -> Path:
    """Where a journal lies: one file a writer, named after its process."""
    return folder / f"{header.role}-{header.node}-{header.key}.jsonl"


def open_journal(folder: Path, header: Header) -> JournalWriter:
    """A new journal; where its name is taken, by this process or one of an earlier boot, ``+2`` is added, or ``+3`` ...

    Args:
        folder: The journal folder.
        header: Its first record.

    Raises:
        JournalError: it can't be written.
    """
    first = path = journal_path(folder, header)
    numbers = count(2)
    while path.exists():
        path = first.with_name(f"{first.stem}+{next(numbers)}.jsonl")
    return JournalWriter(path, header)


class _Here:
    """What this process has open; a child forked from it begins with nothing."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew."""
        self.lock = threading.Lock()
        self.activity: Activity | None = None


_here = _Here()
os.register_at_fork(after_in_child=_here.renew)


class Activity(Stack):
    """Marks of this process: which account it works for, as a stack.

    Registers the process with the node agent when made, and gives its slots back when closed. A process has one at a
    time, and may open another when that is closed. The stack belongs to one thread; others that work for accounts of
    their own have a lane each. Everything else may be called by any thread.

    Args:
        folder: The journal folder of the study.
        study: UUID of the study.
        account: Account the process works for while its stack is empty.
        cpu_slots: CPU slots the process holds.
        gpu_slots: GPU slots the process holds.
        gpus: Share it holds of each GPU, by UUID; where not given it is read off ``CUDA_VISIBLE_DEVICES``.
        holds_rest: Whether slots nobody reserves are charged to this process.
        driver: Whether the study counts as running while this process lives.
        session: Of a driver: how many the study has had with it.
        pid: Another process of this node and user, which does not know of the study: its marks are written here, with
            its CPU time. ``None``: this process.

    Attributes:
        header: The first record of its journal.
        registration: The file that registers the process.

    A mark that the disk does not take is kept and written with the next: a training does not fail for it. A child that
    was forked from the process is no activity: what it does with its copy is written nowhere.

    Raises:
        JournalError: this process has one open, there is no such other process or it is registered already, or the
            journal can't be written.
    """

    def __init__(
        self,
        folder: Path,
        study: str,
        account: str,
        *,
        cpu_slots: float = 0.0,
        gpu_slots: float = 0.0,
        gpus: Mapping[str, float] | None = None,
        holds_rest: bool = False,
        driver: bool = False,
        session: int = 0,
        pid: int | None = None,
    ) -> None:
        self._maker = os.getpid()
        self._for_maker = pid is None or pid == self._maker
        with _here.lock:
            if pid is not None and not self._for_maker:
                _look_for(pid)
            elif (other := Activity.current()) is not None:
                raise JournalError(
                    f"process {other.header.key} works for {other.header.account} already: "
                    "forget that activity before opening another"
                )
            if gpus is None:  # another's environment can't be seen
                gpus = visible_gpus(gpu_slots) if self._for_maker else {}
            self.header: Header = make_header(
                "marks",
                study,
                account=account,
                cpu_slots=cpu_slots,
                gpu_slots=gpu_slots,
                gpus=gpus,
                holds_rest=holds_rest,
                driver=driver,
                session=session,
                pid=pid,
            )
            super().__init__()
            self._lock = threading.RLock()
            self._lanes = count(1)
            self._audit_ns = 0
            self._cpu_ns = self.header.cpu_ns
            self._faults: set[tuple[str, str]] = set()
            self._writer = open_journal(folder, self.header)
            self.registration = register(
                Registration(
                    journal_dir=str(folder.resolve()),
                    study=study,
                    account=account,
                    pid=self.header.pid,
                    start=self.header.start,
                    begin_ns=self.header.mono_ns,
                    cpu_ns=self.header.cpu_ns,
                    cpu_slots=cpu_slots,
                    gpu_slots=gpu_slots,
                    gpus=dict(gpus),
                    holds_rest=holds_rest,
                )
            )
            if self._for_maker:
                _here.activity = self

    @staticmethod
    def current() -> Activity | None:
        """The activity that this process has open."""
        activity = _here.activity
        return activity if activity is not None and activity.is_own else None

    @property
    def is_own(self) -> bool:
        """Whether this is the process that made it, and not a child forked from it."""
        return os.getpid() == self._maker

    def lane(self) -> Lane:
        """A lane for the thread that works with it: what the thread works for is marked beside the other threads.

        Raises:
            JournalError: the activity is that of another process, whose threads are not here.
        """
        if not self._for_maker:
            raise JournalError(f"process {self.header.key} is another: only its own threads can have lanes")
        number = next(self._lanes)
        return Lane(lambda account: self._mark_lane(number, account))

    @property
    def audit_account(self) -> str:
        """The account of the auditor's own work in this process."""
        return audit_account(parse_account(self.header.account).name)

    def audited(self, cpu_ns: int) -> None:
        """CPU time of this process since its last mark that the auditor itself took; it pays for it."""
        if self.is_own and self._for_maker:
            with self._lock:
                self._audit_ns += cpu_ns

    def record(self, record: Record) -> None:
        """Append another record to this process's journal.

        Raises:
            JournalError: the disk does not take it.
        """
        if self.is_own:
            with self._lock:
                self._writer.append(record)

    def fault(self, where: str, message: str) -> None:
        """Write down that the auditor itself failed in this process, which went on; the same is written once.

        Args:
            where: What failed, for people.
            message: The error; of several lines one is made.
        """
        fault = where, " ".join(message.split())
        if fault not in self._faults:
            self._faults.add(fault)
            self._write(lambda t_ns: Fault(t=t_ns, where=fault[0], message=fault[1]))

    def close(self) -> None:
        """Give the slots back; may be called twice."""
        self.end(0)
        self._write(lambda t_ns: Closed(t=t_ns))
        if self.is_own:
            with self._lock:
                self._writer.close()
        if _here.activity is self:
            _here.activity = None

    def _mark(self) -> None:
        self._write(self._process_mark)

    def _process_mark(self, t_ns: int) -> Mark:
        account = self._stack[-1] if self._stack else self.header.account
        if self._for_maker:
            self._cpu_ns = time.process_time_ns()
        elif start_ticks(self.header.pid) == self.header.start:  # else it ended, and used no more
            self._cpu_ns = cpu_clock_ns(self.header.pid) or self._cpu_ns
        return Mark(t=t_ns, c=self._cpu_ns, a=account, o=self._audit_ns)

    def _mark_lane(self, number: int, account: str) -> None:
        self._write(lambda t_ns: Mark(t=t_ns, c=time.thread_time_ns(), a=account, w=number))

    def _write(self, record: Callable[[int], Record]) -> None:
        """Write what a time makes of a record; the time is that of its turn, so that a journal is in order of time."""
        if not self.is_own:  # a thread that is not in this process may hold the lock
            return
        with self._lock:
            written = record(time.monotonic_ns())
            with suppress(JournalError):  # kept for the next time
                self._writer.append_or_keep(written)
            if isinstance(written, Mark) and not written.w and self._for_maker:
                self._audit_ns = time.process_time_ns() - written.c


def _look_for(pid: int) -> None:
    """Whether another process may be registered by this one.

    Raises:
        JournalError: it may not.
    """
    start, owner = start_ticks(pid), None
    with suppress(OSError):  # it may end meanwhile
        owner = Path(f"/proc/{pid}").stat().st_uid
    if start is None or owner != os.getuid():
        raise JournalError(f"no process {pid} of this user lives on this node")
    if (known := registrations().get(process_key(pid, start))) is not None:
        raise JournalError(f"process {pid} is registered already: it works for {known.account}")


def booked_elsewhere() -> bool:
    """Whether another process has this one on its books: one that started it, say, and marks what it works for."""
    if Activity.current() is not None:
        return False
    pid = os.getpid()
    return process_key(pid, start_ticks(pid) or 0) in registrations()


def forget(activity: Activity) -> None:
    """Withdraw the registration of an activity: its process lives on, and is nobody's from now on."""
    try:
        activity.close()
    finally:
        if _here.activity is activity:
            _here.activity = None
        if activity.is_own:
            activity.registration.unlink(missing_ok=True)
