"""The runtime folder of a node: who holds the lease on its meters, and which processes are registered.

The folder is per user and per boot. A lock on the file ``lease`` dies with its holder; registrations are one small file
a process, written beside and renamed.
"""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from auditor.domain.errors import AuditorError, MeterError
from auditor.metering.processes import boot_id, start_ticks

ENVIRONMENT = "AUDITOR_RUNTIME_DIR"
"""Names another folder for the lease and the registrations; tests isolate themselves with it."""

_LOOK_S = 0.25


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process that wants its usage read.

    Attributes:
        journal_dir: Where the readings of its study go.
        study: UUID of the study.
        account: Account it works for where no mark says otherwise.
        pid: Process id.
        start: Start time in clock ticks since boot.
        begin_ns: CLOCK_MONOTONIC from which it holds its slots.
        cpu_ns: Its CPU time then.
        cpu_slots: CPU slots it holds.
        gpu_slots: GPU slots it holds.
        gpus: Share it holds of each GPU, by UUID, where that is known.
        holds_rest: Whether slots nobody reserves are its own.
    """

    journal_dir: str
    study: str
    account: str
    pid: int
    start: int
    begin_ns: int
    cpu_ns: int
    cpu_slots: float = 0.0
    gpu_slots: float = 0.0
    gpus: dict[str, float] = {}
    holds_rest: bool = False


def runtime_dir() -> Path:
    """The runtime folder of this user and boot; made where missing.

    Raises:
        AuditorError: the folder belongs to somebody else, or can't be written.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        path = Path(named)
    else:
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        path = base / f"nas-auditor-{os.getuid()}-{boot_id()}"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (path / "processes").mkdir(exist_ok=True, mode=0o700)
        owner = path.stat().st_uid
    except OSError as error:
        raise AuditorError(
            f"{path}: can't be written ({error.strerror}); set {ENVIRONMENT} to another folder"
        ) from error
    if owner != os.getuid():
        raise AuditorError(f"{path} belongs to another user: set {ENVIRONMENT} to a folder of your own")
    return path


def share_runtime_dir(path: str, boot: str) -> None:
    """Use the runtime folder of another process on the same machine, whatever this process's environment says."""
    if boot == boot_id():
        os.environ[ENVIRONMENT] = path


def register(registration: Registration) -> Path:
    """Publish a registration in place of an earlier one of its process; the agent finds it at its next reading."""
    folder = runtime_dir() / "processes"
    key = f"{registration.pid}-{registration.start}"
    path = folder / f"{key}-{registration.begin_ns}.json"
    beside = folder / f".{path.name}"
    beside.write_bytes(msgspec.json.encode(registration))
    beside.rename(path)
    for other in folder.glob(f"{key}-*.json"):
        if other != path:
            other.unlink(missing_ok=True)
    return path


def registrations(known: Mapping[str, Registration] | None = None) -> dict[str, Registration]:
    """All registrations by process key; files that are no registration are left out.

    Args:
        known: Registrations read before: a file is never changed, so that these are not read again.
    """
    found = {}
    folder = runtime_dir() / "processes"
    for name in os.listdir(folder):  # noqa: PTH208 - hot path
        if not name.endswith(".json") or name.startswith("."):
            continue
        key, _, begin_ns = name.removesuffix(".json").rpartition("-")
        if known is not None and key in known and str(known[key].begin_ns) == begin_ns:
            found[key] = known[key]
            continue
        try:
            found[key] = msgspec.json.decode((folder / name).read_bytes(), type=Registration)
        except (OSError, msgspec.MsgspecError):  # just removed, or not ours
            continue
    return found


def withdraw(key: str) -> None:
    """Remove the registration of a process."""
    for path in (runtime_dir() / "processes").glob(f"{key}-*.json"):
        path.unlink(missing_ok=True)


def withdraw_study(journal_dir: str, *, but: str = "") -> None:
    """Remove all registrations of a study on this node but that of one process, and have its agent let go of them."""
    for key, registration in registrations().items():
        if registration.journal_dir == journal_dir and key != but:
            withdraw(key)
    nudge_agent()


def known_static_w() -> dict[str, float]:
    """Power without load by ``<component>@<meter>`` as calibrated earlier in this boot, in watts."""
    try:
        return msgspec.json.decode((runtime_dir() / "static.json").read_bytes(), type=dict[str, float])
    except (OSError, msgspec.MsgspecError):
        return {}


def keep_static_w(found: Mapping[str, float]) -> None:
    """Keep what was calibrated for later agents of this boot, which may start under load."""
    beside = runtime_dir() / ".static.json"
    beside.write_bytes(msgspec.json.encode({**known_static_w(), **found}))
    beside.rename(runtime_dir() / "static.json")


class Lease:
    """The right to meter this node: an exclusive lock that dies with its holder.

    The holder must not fork: a forked child would keep the lock.
    """

    def __init__(self) -> None:
        self._fd = -1

    def acquire(self) -> bool:
        """Take the lease; ``False`` where somebody holds it."""
        fd = os.open(runtime_dir() / "lease", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._fd = fd
        return True

    def is_free(self) -> bool:
        """Whether nobody holds it. Who asks has it for an instant and is not named, for who is named gets signals."""
        fd = os.open(runtime_dir() / "lease", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @property
    def lost(self) -> bool:
        """Whether the runtime folder was removed under its holder: what is registered can't be read any more."""
        try:
            return self._fd >= 0 and (runtime_dir() / "lease").stat().st_ino != os.fstat(self._fd).st_ino
        except OSError:
            return True

    def release(self) -> None:
        """Give the lease back; may be called twice."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


class _Detached(subprocess.Popen[bytes]):
    """A process that outlives whoever started it."""

    def __del__(self) -> None:
        """Nothing to warn of where it still runs."""


class AgentHandle:
    """Keeps a node agent running: starts one, and another when it dies.

    Args:
        meters: Names of the meters to use.
        interval_s: Seconds between readings.
        static_w: Power without load by component, where the user states it, in watts.
    """

    def __init__(self, meters: Sequence[str], interval_s: float, static_w: Mapping[str, float] | None = None) -> None:
        # Ray kills the children of a worker that ends: the agent is a child of a shell, which tells how it ended
        self._command = ["sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-m", "auditor.metering.agent"]
        self._command += ["--interval", str(interval_s)]
        self._command += [part for meter in meters for part in ("--meter", meter)]
        self._command += [part for name, watts in (static_w or {}).items() for part in ("--static", f"{name}={watts}")]
        self._process: subprocess.Popen[bytes] | None = None
        self._looked_s = -math.inf
        self._released = threading.Event()
        self._fault: AuditorError | None = None

    def ensure(self) -> None:
        """Start an agent unless one holds the lease; call it again now and then (it looks four times a second at most).

        Raises:
            MeterError: the agent said that no meter works here.
        """
        if self._process is not None:
            if self._process.poll() is None:
                return
            if self._process.returncode == MeterError.exit_code:
                raise MeterError(_last_line(runtime_dir() / "agent.log") or "the node agent failed without a message")
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        if not Lease().is_free():
            self._process = None
            return
        with (runtime_dir() / "agent.log").open("wb") as log:
            self._process = _Detached(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def keep(self) -> None:
        """Have a thread ensure an agent until :meth:`release`: what no meter sees between two agents is lost."""
        threading.Thread(target=self._keep, daemon=True, name="agent-keeper").start()

    def check(self) -> None:
        """Whether an agent could be kept so far.

        Raises:
            MeterError: the agent said that no meter works here.
        """
        if self._fault is not None:
            raise self._fault

    def release(self) -> None:
        """Start no other agent from now on; the one that runs leaves when nobody needs it."""
        self._released.set()

    def _keep(self) -> None:
        while not self._released.wait(_LOOK_S):
            try:
                self.ensure()
            except AuditorError as error:
                self._fault = error
                return


def nudge_agent() -> None:
    """Ask the agent of this node for a reading now, and to let go of processes that withdrew their registration."""
    if Lease().is_free():
        return
    try:
        os.kill(int((runtime_dir() / "lease").read_text()), signal.SIGUSR1)
    except (OSError, ValueError):  # no agent: nobody to ask
        return


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def is_alive(registration: Registration) -> bool:
    """Whether the registered process still runs."""
    return start_ticks(registration.pid) == registration.start
