import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from auditor.domain.errors import AuditorError, MeterError
from auditor.metering.processes import boot_id, start_ticks
from auditor.metering.runtime import (
    AgentHandle,
    Lease,
    Registration,
    is_alive,
    nudge_agent,
    register,
    registrations,
    runtime_dir,
    share_runtime_dir,
    withdraw,
)

HOLD = """
import signal, sys
from auditor.metering.runtime import Lease
signal.signal(signal.SIGUSR1, lambda *_: print("nudged", flush=True))
lease = Lease()
print(lease.acquire(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def runtime() -> Path:
    return runtime_dir()


def registration(pid: int | None = None, start: int | None = None, account: str = "study/u/audit") -> Registration:
    pid = os.getpid() if pid is None else pid
    begun = start_ticks(pid) if start is None else start
    assert begun is not None
    return Registration(journal_dir="/j", study="u", account=account, pid=pid, start=begun, begin_ns=1, cpu_ns=2)


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "True\n"
    yield child
    child.kill()
    child.communicate()


def test_the_lease_is_exclusive_between_processes(holder: subprocess.Popen[str]) -> None:
    assert not Lease().acquire()


def test_the_lease_dies_with_its_holder(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lease = Lease()
    assert lease.acquire()
    lease.release()


def test_the_lease_is_given_back() -> None:
    first, second = Lease(), Lease()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    first.release()
    assert second.acquire()
    second.release()


def test_the_holder_is_nudged(holder: subprocess.Popen[str]) -> None:
    nudge_agent()
    assert holder.stdout is not None
    assert holder.stdout.readline() == "nudged\n"


@pytest.mark.parametrize("content", [None, "", "not a pid", "4194999"])
def test_without_an_agent_nobody_is_nudged(runtime: Path, content: str | None) -> None:
    if content is not None:
        (runtime / "lease").write_text(content)
    nudge_agent()


def test_registrations_come_back() -> None:
    mine = registration()
    register(mine)
    assert registrations() == {f"{mine.pid}-{mine.start}": mine}
    register(registration(account="study/u/search/sampler"))  # again: the last word holds
    assert [r.account for r in registrations().values()] == ["study/u/search/sampler"]


def test_what_was_read_is_read_again_only_where_it_was_replaced() -> None:
    mine = registration()
    path = register(mine)
    known = registrations()
    path.write_bytes(b"not read")
    assert registrations(known) == known
    again = msgspec.structs.replace(mine, begin_ns=mine.begin_ns + 1, study="other")
    register(again)
    assert registrations(known) == {f"{mine.pid}-{mine.start}": again}


def test_who_asks_for_the_lease_is_not_named(runtime: Path) -> None:
    (runtime / "lease").write_text(str(os.getpid()))  # left behind by an agent that was killed
    assert Lease().is_free()
    assert (runtime / "lease").read_text() == ""
    lease = Lease()
    assert lease.acquire()
    assert not Lease().is_free()
    assert (runtime / "lease").read_text() == str(os.getpid())
    lease.release()


def test_a_lease_is_lost_with_its_folder(runtime: Path) -> None:
    lease = Lease()
    assert not lease.lost  # it was never held
    assert lease.acquire()
    assert not lease.lost
    shutil.rmtree(runtime)
    assert lease.lost
    lease.release()


def test_a_withdrawn_registration_is_gone() -> None:
    mine = registration()
    register(mine)
    withdraw(f"{mine.pid}-{mine.start}")
    withdraw("1-1")
    assert registrations() == {}


def test_what_is_no_registration_is_left_out(runtime: Path) -> None:
    register(registration())
    (runtime / "processes" / "1-1-1.json").write_text('{"pid": "x"}')
    (runtime / "processes" / "2-2-2.json").write_bytes(b"\xff")
    (runtime / "processes" / "x.json").write_bytes(b"x")
    (runtime / "processes" / ".3-3-3.json").write_text("{}")
    assert len(registrations()) == 1


def test_a_process_is_alive_while_pid_and_start_agree() -> None:
    mine = registration()
    assert is_alive(mine)
    assert not is_alive(registration(start=mine.start + 1))
    child = subprocess.Popen(["true"])
    child.wait()
    assert not is_alive(registration(pid=child.pid, start=1))


def test_without_a_named_folder_it_is_of_this_user_and_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir().parent == tmp_path
    assert f"-{os.getuid()}-" in runtime_dir().name
    assert runtime_dir() == runtime_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(runtime: Path) -> None:
    os.chown(runtime, 12345, -1)
    with pytest.raises(AuditorError, match=r"belongs to another user: set AUDITOR_RUNTIME_DIR"):
        runtime_dir()


def test_a_process_of_the_same_machine_uses_the_drivers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "mine"))
    share_runtime_dir(str(tmp_path / "theirs"), "another boot")
    assert runtime_dir().parent == tmp_path / "mine"
    share_runtime_dir(str(tmp_path / "theirs"), boot_id())
    assert runtime_dir() == tmp_path / "theirs"


def handle_until_error(handle: AgentHandle) -> None:
    for _ in range(30):
        handle.ensure()
        time.sleep(0.5)


def test_the_handle_tells_what_the_meter_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_REPLAY", raising=False)
    with pytest.raises(MeterError, match="replay: set AUDITOR_REPLAY to the readings journal"):
        handle_until_error(AgentHandle(["replay"], 0.1))


def test_the_handle_tells_an_unknown_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeterError, match=r"unknown meter 'codecarbo'\. Did you mean 'codecarbon'\?"):
        handle_until_error(AgentHandle(["codecarbo"], 0.1))


def test_no_agent_is_started_where_one_holds_the_lease(holder: subprocess.Popen[str], runtime: Path) -> None:
    AgentHandle(["replay"], 0.1).ensure()
    assert not (runtime / "agent.log").exists()
    assert (runtime / "lease").read_text() == str(holder.pid)
