"""The real node agent process, metering real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.accounting.allocate import Policy
from auditor.domain.study import StudyRecord
from auditor.metering.activity import Activity, forget, node_name
from auditor.metering.closing import StudyReader, read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.processes import boot_id, process_stat
from auditor.metering.records import Seal
from auditor.metering.runtime import AgentHandle, Registration, nudge_agent, register, registrations, withdraw

HERE = (node_name(), boot_id())
CPU_W, RAM_W = 40.0, 6.0
WORKER = """
import sys, time
from dataclasses import replace
from pathlib import Path
from auditor.metering.activity import Activity
folder, study, account, seconds = sys.argv[1:]
activity = Activity(Path(folder), study, account)
print(flush=True)
until = time.process_time() + float(seconds)
while time.process_time() < until:
    pass
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A readings journal of a node that draws constant power, for agents with the replay meter."""
    path = tmp_path / "recorded.jsonl"
    components = [
        {"k": "component", "name": "cpu", "meter": "x", "provenance": "counter", "static_w": 0.0},
        {"k": "component", "name": "ram", "meter": "x", "provenance": "counter"},
    ]
    readings = [
        {"k": "reading", "t": t * 10**9, "e": {"cpu": round(CPU_W * t * 1e6), "ram": round(RAM_W * t * 1e6)}}
        for t in (0, 1)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in (*components, *readings)))
    monkeypatch.setenv("AUDITOR_REPLAY", str(path))
    return path


@pytest.fixture(autouse=True)
def no_agent_left(runtime_dir: Path) -> Iterator[None]:
    """Agents of this test end with it."""
    yield
    for registered in (runtime_dir / "processes").glob("*.json"):
        registered.unlink()
    pid = agent_pid(runtime_dir)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def agent_pid(runtime_dir: Path) -> int | None:
    """The agent that holds the lease, if it lives."""
    try:
        pid = int((runtime_dir / "lease").read_text())
    except (OSError, ValueError):
        return None
    stat = process_stat(pid)
    return None if stat is None or stat.zombie else pid


def study_folder(path: Path, uuid: str) -> StudyFolder:
    made = StudyFolder(path)
    about = {"name": uuid, "space": "x", "sampler": "tpe", "metric": "m", "direction": "maximize"}
    made.create(StudyFile(uuid=uuid, study=about, config={}, parameters={}, versions={}, hardware={}))
    return made


def driver(folder: StudyFolder, uuid: str) -> Activity:
    return Activity(
        folder.journals, uuid, f"study/{uuid}/search/orchestration", cpu_slots=1.0, holds_rest=True, driver=True
    )


def readings(reader: StudyReader) -> int:
    reader.refresh()
    return len(reader.close()[0].books.cumulative_ns)


def wait(until: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def seal(activity: Activity, reader: StudyReader) -> StudyRecord:
    """Close the books at the newest reading."""
    reader.refresh()
    last = reader.last_reading
    assert last is not None
    activity.record(Seal(t=last.t))
    return read_study(reader.folder.path)[0]


def spawn(folder: StudyFolder, uuid: str, account: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder.journals), uuid, account, str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "\n"


def finish(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=10)
    assert child.returncode == 0


def start(handle: AgentHandle, reader: StudyReader, count: int = 2) -> None:
    handle.ensure()
    wait(lambda: readings(reader) >= count)


@pytest.mark.slow
def test_codecarbon_books_balance_and_a_burning_child_pays(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["codecarbon"], 0.5), reader)
    trial = "study/u/trial/0/1/train"
    child = spawn(folder, "u", trial, 2.0)
    line(child)
    line(child)
    before = readings(reader)
    wait(lambda: readings(reader) > before)
    finish(child)
    record = seal(mine, reader)
    books = record.books
    assert books.residual_uj == 0
    assert books.sealed
    assert {c.component for c in books.components} >= {"cpu", "ram"}
    assert {c.meter for c in books.components} == {"codecarbon"}
    assert books.account_cpu_s[trial] == pytest.approx(2.0, rel=0.15)
    assert books.account_cpu_s["study/u/audit"] > 0
    assert books.accounts.get("study/u/audit", 0) > 0
    assert books.accounts[trial] > 0
    assert books.coverage == 1.0
    forget(mine)


@pytest.mark.slow
def test_energy_follows_cpu_time(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.2), reader)
    children = {n: spawn(folder, "u", f"study/u/trial/{n}/1/train", seconds) for n, seconds in ((0, 1.2), (1, 0.4))}
    for child in children.values():
        line(child)
    for child in children.values():
        line(child)
    before = readings(reader)
    wait(lambda: readings(reader) > before)
    for child in children.values():
        finish(child)
    mine.record(Seal(t=time.monotonic_ns()))
    books = read_study(folder.path, Policy.DIRECT)[0].books
    assert books.residual_uj == 0
    used = {n: books.account_cpu_s[f"study/u/trial/{n}/1/train"] for n in children}
    assert used[0] == pytest.approx(1.2, rel=0.15)
    assert used[1] == pytest.approx(0.4, rel=0.25)
    paid = {n: books.accounts[f"study/u/trial/{n}/1/train"] for n in children}
    assert paid[0] > 1.3 * paid[1]
    metered = {c.component: c.metered_uj for c in books.components}
    wall_s = (books.windows[-1].end_ns - books.windows[0].start_ns) / 1e9
    assert metered["cpu"] == pytest.approx(CPU_W * wall_s * 1e6, rel=0.02)
    assert metered["ram"] == pytest.approx(RAM_W * wall_s * 1e6, rel=0.02)
    forget(mine)


@pytest.mark.slow
def test_a_killed_agent_is_replaced_and_the_gap_found(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    handle = AgentHandle(["replay"], 0.2)
    start(handle, reader, 3)
    first = agent_pid(runtime_dir)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    killed_s = time.monotonic()

    def taken_over() -> bool:
        handle.ensure()
        return len(list(folder.journals.glob("readings-*.jsonl"))) == 2

    wait(taken_over)
    assert time.monotonic() - killed_s < 3.0
    before = readings(reader)
    wait(lambda: readings(reader) >= before + 2)
    assert agent_pid(runtime_dir) not in {first, None}
    books = seal(mine, reader).books
    assert [f.code for f in books.findings] == ["meter-gap"]
    assert len(books.windows) == 2
    assert books.residual_uj == 0
    assert books.coverage is not None
    assert books.coverage < 1.0
    forget(mine)


@pytest.mark.slow
def test_the_agent_outlives_what_started_it(tmp_path: Path, runtime_dir: Path) -> None:
    """Ray kills the children of a worker that ends, sessions of their own or not."""
    folder = study_folder(tmp_path / "s", "u")
    activity = driver(folder, "u")
    reader, handle = StudyReader(folder), AgentHandle(["replay"], 0.2)
    start(handle, reader)
    child = handle._process
    assert child is not None
    child.kill()
    child.wait()
    before = readings(reader)
    wait(lambda: readings(reader) >= before + 2)
    assert agent_pid(runtime_dir) not in {None, child.pid}
    forget(activity)


@pytest.mark.slow
def test_the_agent_leaves_when_no_registered_process_lives(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    child = spawn(folder, "u", "study/u/search/orchestration", 0.0)
    line(child)
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.2), reader)
    assert agent_pid(runtime_dir) is not None
    child.kill()
    child.communicate()
    wait(lambda: agent_pid(runtime_dir) is None)
    assert registrations() == {}
    record, _ = read_study(folder.path)
    assert record.books.residual_uj == 0


@pytest.mark.slow
def test_two_studies_on_one_node_are_foreign_to_each_other(tmp_path: Path) -> None:
    folders = {uuid: study_folder(tmp_path / uuid, uuid) for uuid in ("one", "two")}
    readers = {uuid: StudyReader(folder) for uuid, folder in folders.items()}
    mine = driver(folders["one"], "one")
    child = spawn(folders["two"], "two", "study/two/trial/0/1/train", 1.5)
    line(child)
    handle = AgentHandle(["replay"], 0.2)
    for reader in readers.values():
        start(handle, reader)
    line(child)
    before = {uuid: readings(reader) for uuid, reader in readers.items()}
    wait(lambda: all(readings(reader) > before[uuid] for uuid, reader in readers.items()))
    finish(child)
    one, two = (read_study(folder.path)[0].books for folder in folders.values())
    assert one.residual_uj == two.residual_uj == 0
    burnt = two.accounts["study/two/trial/0/1/train"]
    assert burnt > 10e6
    assert one.accounts[f"node/{node_name()}/foreign"] > 0.8 * burnt
    assert not any("two" in account.split("/")[1] for account in one.accounts if account.startswith("study"))
    assert not any(account.startswith("study/one") for account in two.accounts)
    forget(mine)


@pytest.mark.slow
def test_a_withdrawn_study_is_let_go_at_once(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 1.0), reader)
    forget(mine)
    begun = time.monotonic()
    nudge_agent()
    assert reader.wait_for_agents([HERE], 0.5)
    assert time.monotonic() - begun < 0.5
    (journal,) = folder.journals.glob("readings-*.jsonl")
    assert '"k":"closed"' in journal.read_text().splitlines()[-1]
    assert agent_pid(runtime_dir) is not None  # it stays a while for whoever comes next


@pytest.mark.slow
def test_a_study_let_go_may_come_back_to_the_same_agent(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    reader = StudyReader(folder)
    handle = AgentHandle(["replay"], 0.2)
    for count in (1, 2):
        child = spawn(folder, "u", "study/u/search/orchestration", 0.1)
        line(child)
        line(child)
        handle.ensure()
        wait(lambda count=count: len(list(folder.journals.glob("readings-*.jsonl"))) == count)
        key = next(iter(registrations()))
        withdraw(key)
        nudge_agent()
        assert reader.wait_for_agents([HERE], 2)
        finish(child)
    record, _ = read_study(folder.path)
    assert record.books.residual_uj == 0
    assert not any(f.code == "journal-unreadable" for f in record.findings)


@pytest.mark.slow
def test_a_study_whose_folder_is_gone_takes_no_other_with_it(tmp_path: Path) -> None:
    lost = study_folder(tmp_path / "lost", "lost")
    folder = study_folder(tmp_path / "s", "u")
    child = spawn(lost, "lost", "study/lost/search/orchestration", 0.0)
    line(child)
    for path in [*lost.journals.iterdir(), lost.journals]:
        path.rmdir() if path.is_dir() else path.unlink()
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.2), reader, 4)
    finish(child)
    forget(mine)


@pytest.mark.slow
def test_nudges_never_hang_the_agent(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.05), reader)
    pid = agent_pid(runtime_dir)
    assert pid is not None
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        os.kill(pid, signal.SIGUSR1)
    before = readings(reader)
    wait(lambda: readings(reader) > before, 5)
    forget(mine)
    nudge_agent()
    assert reader.wait_for_agents([HERE], 2)


@pytest.mark.slow
def test_a_terminated_agent_leaves_a_whole_journal(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.2), reader)
    pid = agent_pid(runtime_dir)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    wait(lambda: agent_pid(runtime_dir) is None, 3)
    (journal,) = folder.journals.glob("readings-*.jsonl")
    assert journal.read_bytes().endswith(b"\n")
    forget(mine)


@pytest.mark.slow
def test_a_registration_left_behind_is_withdrawn(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    dead = Registration(
        journal_dir=str(tmp_path / "old"),
        study="old",
        account="study/old/audit",
        pid=4_194_000,
        start=1,
        begin_ns=0,
        cpu_ns=0,
    )
    register(dead)
    mine = driver(folder, "u")
    start(AgentHandle(["replay"], 0.2), StudyReader(folder))
    assert list(registrations()) == [mine.header.key]
    forget(mine)


TWO = """
import sys, time
from dataclasses import replace
from pathlib import Path
from auditor.metering.activity import Activity, forget
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
for uuid, folder in zip(("one", "two"), sys.argv[1:]):
    activity = Activity(Path(folder), uuid, f"study/{uuid}/search/sampler")
    burn(2.0)
    forget(activity)
"""


@pytest.mark.slow
def test_a_process_that_goes_from_one_study_to_another_works_for_each(tmp_path: Path) -> None:
    folders = [study_folder(tmp_path / name, name) for name in ("one", "two")]
    stays = driver(folders[0], "one")
    start(AgentHandle(["replay"], 0.2, {"cpu": 0.0}), StudyReader(folders[0]))
    subprocess.run([sys.executable, "-c", TWO, *(str(folder.journals) for folder in folders)], check=True)
    nudge_agent()
    time.sleep(0.5)
    forget(stays)
    for folder, name in zip(folders, ("one", "two"), strict=True):
        books = read_study(folder.path, Policy.DIRECT)[0].books
        others = {account for account in books.accounts if account.startswith("study/") and f"/{name}/" not in account}
        assert not others
        assert books.account_cpu_s[f"study/{name}/search/sampler"] == pytest.approx(2.0, rel=0.2)


AGAIN = """
import sys, time
from pathlib import Path
from auditor.metering.activity import Activity, forget
from auditor.metering.runtime import AgentHandle
folder, pause_s = Path(sys.argv[1]), float(sys.argv[2])
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
for session, phase in enumerate(("train", "test", "train"), 1):
    activity = Activity(folder, "u", "study/u/search/orchestration", driver=True, holds_rest=True, session=session)
    agent = AgentHandle(["replay"], 0.2, {"cpu": 0.0})
    until = time.monotonic() + 15
    while not list(folder.glob("readings-*.jsonl")) and time.monotonic() < until:
        agent.ensure()
        time.sleep(0.05)
    agent.ensure()
    with activity.working_for(f"study/u/training/run/{phase}"):
        burn(1.0)
    forget(activity)
    burn(pause_s)
"""


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.5])  # within one interval, and longer than it
def test_a_process_that_opens_its_study_again_is_booked_each_time(tmp_path: Path, pause_s: float) -> None:
    folder = study_folder(tmp_path / "s", "u")
    subprocess.run([sys.executable, "-c", AGAIN, str(folder.journals), str(pause_s)], check=True)
    nudge_agent()
    wait(lambda: all('"k":"closed"' in p.read_text() for p in folder.journals.glob("readings-*.jsonl")))
    record, _ = read_study(folder.path, Policy.DIRECT)
    books = record.books
    assert books.residual_uj == 0
    assert books.coverage == pytest.approx(1.0, abs=0.02)
    assert [f.code for f in (*record.findings, *books.findings) if f.code != "unexplained-energy"] == []
    used = {phase: books.account_cpu_s[f"study/u/training/run/{phase}"] for phase in ("train", "test")}
    assert used == {"train": pytest.approx(2.0, rel=0.1), "test": pytest.approx(1.0, rel=0.1)}
    paid = {phase: books.accounts[f"study/u/training/run/{phase}"] for phase in used}
    assert paid["train"] > paid["test"] > 0  # by how much depends on what else the machine does meanwhile
    assert len(list(folder.journals.glob("marks-*.jsonl"))) == 3


THREADS = """
import sys, threading, time
from pathlib import Path
from auditor.metering.activity import Activity, forget
from auditor.metering.runtime import AgentHandle, nudge_agent
folder = Path(sys.argv[1])
activity = Activity(folder, "u", "study/u/search/orchestration", cpu_slots=64, driver=True)
AgentHandle(["replay"], 0.2, {"cpu": 0.0}).ensure()
while not list(folder.glob("readings-*.jsonl")):
    time.sleep(0.05)
def work(number, seconds):
    lane = activity.lane()
    with lane.working_for(f"study/u/trial/{number}/1/train"):
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass
        time.sleep(max(0.0, end - time.monotonic()))
    lane.close()
end = time.monotonic() + 4.0
threads = [threading.Thread(target=work, args=(number, seconds)) for number, seconds in ((0, 1.5), (1, 0.5))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
nudge_agent()
time.sleep(0.3)
forget(activity)
"""


@pytest.mark.slow
def test_threads_pay_for_what_each_of_them_used(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    subprocess.run([sys.executable, "-c", THREADS, str(folder.journals)], check=True)
    nudge_agent()
    time.sleep(0.5)
    record, ledger = read_study(folder.path)
    assert record.books.residual_uj == 0
    first, second = (f"study/u/trial/{number}/1/train" for number in (0, 1))
    used = record.books.account_cpu_s
    assert used[first] == pytest.approx(1.5, rel=0.15)
    assert used[second] == pytest.approx(0.5, rel=0.15)
    ram = [int(ledger.energy_uj[(ledger.component == "ram") & (ledger.account == a)].sum()) for a in (first, second)]
    assert ram[0] == pytest.approx(ram[1], rel=0.02)  # they lasted equally long
    assert ram[0] + ram[1] == pytest.approx(RAM_W * 4e6, rel=0.1)


UNAWARE = """
import sys, time
for line in sys.stdin:
    until = time.process_time() + float(line)
    while time.process_time() < until:
        pass
    print(flush=True)
"""


@pytest.mark.slow
def test_a_process_that_knows_nothing_is_booked_by_another(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.2, {"cpu": 0.0}), reader)
    trials = [f"study/u/trial/{number}/1/train" for number in (0, 1)]
    command = [sys.executable, "-c", UNAWARE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        theirs = Activity(folder.journals, "u", "study/u/search/orchestration", pid=child.pid)
        for account, seconds in zip(trials, (1.5, 0.5), strict=True):
            with theirs.working_for(account):
                assert child.stdin is not None
                print(seconds, file=child.stdin, flush=True)
                line(child)
        before = readings(reader)
        wait(lambda: readings(reader) > before)
        forget(theirs)
        child.stdin.close()
    record = seal(mine, reader)
    books = read_study(folder.path, Policy.DIRECT)[0].books
    forget(mine)
    assert books.residual_uj == 0
    assert [f.code for f in (*record.findings, *record.books.findings) if f.code != "unexplained-energy"] == []
    used = [books.account_cpu_s[account] for account in trials]
    assert used == [pytest.approx(1.5, rel=0.1), pytest.approx(0.5, rel=0.1)]
    paid = [books.accounts[account] for account in trials]
    assert paid[0] / paid[1] == pytest.approx(3, rel=0.3)


@pytest.mark.slow
def test_a_runtime_folder_that_is_cleaned_away_ends_no_reading(tmp_path: Path, runtime_dir: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.1), reader)
    pid = agent_pid(runtime_dir)
    assert pid is not None
    shutil.rmtree(runtime_dir)
    before = readings(reader)
    wait(lambda: readings(reader) > before + 5, 5)
    os.kill(pid, signal.SIGTERM)
    forget(mine)


@pytest.mark.slow
def test_an_agent_started_with_other_settings_is_named(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    file = folder.read_study()
    asked = {"meters": ["codecarbon"], "interval_s": 0.2, "static_w": {"cpu": 35.0}}
    folder.write_study(replace(file, config={"metering": asked}))
    mine = driver(folder, "u")
    start(AgentHandle(["replay"], 1.0, {"cpu": 1.0}), StudyReader(folder))
    forget(mine)
    found = [f.message for f in read_study(folder.path)[0].findings if f.code == "metered-otherwise"]
    assert len(found) == 1
    assert "with meters replay, readings each 1 s, static power cpu=1 W" in found[0]
    assert "the study asks for meters codecarbon, readings each 0.2 s, static power cpu=35 W" in found[0]


@pytest.mark.slow
def test_the_agent_bears_its_own_memory(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "s", "u")
    mine = driver(folder, "u")
    reader = StudyReader(folder)
    start(AgentHandle(["replay"], 0.1, {"ram": 1.0}), reader, 4)
    forget(mine)
    (journal,) = folder.journals.glob("readings-*.jsonl")
    header, *_, last = (json.loads(line) for line in journal.read_text().splitlines() if '"closed"' not in line)
    own = last["m"][f"{header['pid']}-{header['start']}"]
    assert 10e6 < own < 200e6
    assert own < last["m"][""]
    assert read_study(folder.path)[0].books.residual_uj == 0
