import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.domain.errors import JournalError
from auditor.metering.activity import Activity, forget, journal_path, make_header, node_name
from auditor.metering.journal import JournalReader
from auditor.metering.records import Closed, Fault, Header, Mark, Record, Seal
from auditor.metering.runtime import is_alive, registrations

BASE, TRAIN, VALIDATE = "study/u/search/orchestration", "study/u/trial/0/1/train", "study/u/trial/0/1/validate"


def records(folder: Path) -> list[Record]:
    (path,) = folder.glob("*.jsonl")
    return JournalReader(path).read_new()


def accounts(folder: Path) -> list[str]:
    return [record.a for record in records(folder) if isinstance(record, Mark)]


@pytest.fixture
def activity(tmp_path: Path) -> Activity:
    return Activity(tmp_path, "u", BASE, cpu_slots=0.5, gpu_slots=1.0, driver=True, holds_rest=True)


def test_the_header_says_who_writes(tmp_path: Path, activity: Activity) -> None:
    (path,) = tmp_path.glob("*.jsonl")
    reader = JournalReader(path)
    reader.read_new()
    first = reader.header
    assert isinstance(first, Header)
    assert (first.role, first.study, first.account, first.pid) == ("marks", "u", BASE, os.getpid())
    assert (first.cpu_slots, first.gpu_slots, first.driver, first.holds_rest) == (0.5, 1.0, True, True)
    assert first.started_ns < first.mono_ns <= time.monotonic_ns()
    assert abs(first.wall_ns - time.time_ns()) < 60e9
    assert "nas-auditor" in first.versions
    assert path.name == f"marks-{node_name()}-{first.key}.jsonl"


def test_the_process_is_registered(tmp_path: Path, activity: Activity) -> None:
    (mine,) = registrations().values()
    assert (mine.study, mine.account, mine.journal_dir) == ("u", BASE, str(tmp_path.resolve()))
    assert (mine.pid, mine.begin_ns, mine.cpu_ns) == (os.getpid(), activity.header.mono_ns, activity.header.cpu_ns)
    assert is_alive(mine)


def test_marks_are_a_stack(tmp_path: Path, activity: Activity) -> None:
    activity.begin(TRAIN)
    activity.begin(VALIDATE)
    assert activity.depth == 2
    activity.end()
    activity.end()
    assert accounts(tmp_path) == [TRAIN, VALIDATE, TRAIN, BASE]
    assert activity.depth == 0


def test_an_end_without_a_begin_marks_nothing(tmp_path: Path, activity: Activity) -> None:
    activity.end()
    activity.end(0)
    assert accounts(tmp_path) == []


def test_unwinding_goes_back_at_once(tmp_path: Path, activity: Activity) -> None:
    activity.begin(TRAIN)
    activity.begin(VALIDATE)
    activity.begin(TRAIN)
    activity.end(1)
    activity.end(1)
    activity.end(0)
    assert accounts(tmp_path) == [TRAIN, VALIDATE, TRAIN, TRAIN, BASE]


def test_a_block_closes_what_it_left_open(tmp_path: Path, activity: Activity) -> None:
    def fail() -> None:
        with activity.working_for(TRAIN):
            activity.begin(VALIDATE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert activity.depth == 0
    assert accounts(tmp_path) == [TRAIN, VALIDATE, BASE]


def test_blocks_nest(tmp_path: Path, activity: Activity) -> None:
    with activity.working_for(TRAIN):
        with activity.working_for(VALIDATE):
            pass
        assert activity.depth == 1
    assert accounts(tmp_path) == [TRAIN, VALIDATE, TRAIN, BASE]


def test_marks_carry_time_and_cpu_time(tmp_path: Path, activity: Activity) -> None:
    before = time.monotonic_ns(), time.process_time_ns()
    activity.begin(TRAIN)
    activity.begin(VALIDATE)
    first, second = (record for record in records(tmp_path) if isinstance(record, Mark))
    assert before[0] <= first.t <= second.t <= time.monotonic_ns()
    assert before[1] <= first.c <= second.c <= time.process_time_ns()


def test_closing_unwinds_and_gives_the_slots_back_once(tmp_path: Path, activity: Activity) -> None:
    activity.begin(TRAIN)
    activity.close()
    activity.close()
    activity.begin(VALIDATE)
    assert accounts(tmp_path) == [TRAIN, BASE]
    assert [type(r) for r in records(tmp_path)].count(Closed) == 1
    assert len(registrations()) == 1  # its process lives on


def test_other_records_go_into_the_same_journal(tmp_path: Path, activity: Activity) -> None:
    activity.record(Seal(t=5))
    assert records(tmp_path) == [Seal(t=5)]


def test_a_fault_is_written_once_in_one_line(tmp_path: Path, activity: Activity) -> None:
    activity.fault("on_fit_start", "OSError:\n  disk full")
    activity.fault("on_fit_start", "OSError: disk full")
    activity.fault("on_fit_end", "OSError: disk full")
    written = [(r.where, r.message) for r in records(tmp_path) if isinstance(r, Fault)]
    assert written == [("on_fit_start", "OSError: disk full"), ("on_fit_end", "OSError: disk full")]


def test_a_fault_on_a_full_disk_is_written_later(tmp_path: Path, activity: Activity) -> None:
    (path,) = tmp_path.glob("*.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        activity.fault("on_fit_start", "OSError: disk full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert records(tmp_path) == []
    activity.begin(TRAIN)
    fault, mark = records(tmp_path)
    assert isinstance(fault, Fault)
    assert isinstance(mark, Mark)
    assert fault.t <= mark.t


def test_forgetting_withdraws_the_registration(tmp_path: Path, activity: Activity) -> None:
    forget(activity)
    assert registrations() == {}
    assert isinstance(records(tmp_path)[-1], Closed)


def lane_marks(folder: Path, number: int) -> list[Mark]:
    return [r for r in records(folder) if isinstance(r, Mark) and r.w == number]


def test_a_lane_is_a_stack_of_its_own(tmp_path: Path, activity: Activity) -> None:
    first, second = activity.lane(), activity.lane()
    assert (first.depth, first.account) == (0, "")
    first.begin(TRAIN)
    with second.working_for(VALIDATE):
        second.begin(TRAIN)
        assert (first.depth, second.depth, second.account) == (1, 2, TRAIN)
    with first.working_for(VALIDATE):
        pass
    first.end()
    first.end()
    activity.begin(TRAIN)
    assert [m.a for m in lane_marks(tmp_path, 1)] == [TRAIN, VALIDATE, TRAIN, ""]
    assert [m.a for m in lane_marks(tmp_path, 2)] == [VALIDATE, TRAIN, ""]
    assert [m.a for m in lane_marks(tmp_path, 0)] == [TRAIN]
    assert activity.depth == 1


def test_a_closed_lane_works_for_nothing(tmp_path: Path, activity: Activity) -> None:
    lane = activity.lane()
    lane.begin(TRAIN)
    lane.begin(VALIDATE)
    lane.close()
    lane.close()
    assert (lane.depth, lane.account) == (0, "")
    assert [m.a for m in lane_marks(tmp_path, 1)] == [TRAIN, VALIDATE, ""]


def test_threads_write_one_journal_in_order_of_time(tmp_path: Path, activity: Activity) -> None:
    def work(number: int) -> None:
        lane = activity.lane()
        for trial in range(200):
            with lane.working_for(f"study/u/trial/{trial}/{number + 1}/train"):
                activity.audited(1)
        lane.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        with activity.working_for(VALIDATE):
            pass
    for thread in threads:
        thread.join()
    written = [r for r in records(tmp_path) if isinstance(r, Mark)]
    assert len(written) == 4 * 400 + 400
    assert [m.t for m in written] == sorted(m.t for m in written)
    for number in range(5):
        used = [m.c for m in written if m.w == number]
        assert len(used) == 400
        assert used == sorted(used)


def test_marks_of_a_lane_carry_the_cpu_time_of_its_thread(tmp_path: Path, activity: Activity) -> None:
    def work() -> None:
        lane = activity.lane()
        with lane.working_for(TRAIN):
            until = time.thread_time() + 0.1
            while time.thread_time() < until:
                pass

    began = time.thread_time()
    while time.thread_time() < began + 0.05:
        pass
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    first, last = lane_marks(tmp_path, 1)
    assert first.c < 0.05e9
    assert 0.1e9 <= last.c - first.c < 0.15e9


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_a_thread_writes_goes_on(tmp_path: Path, activity: Activity) -> None:
    lane = activity.lane()
    with activity._lock:
        pid = os.fork()
        if pid == 0:
            stack = threading.Thread(target=lambda: (lane.begin(TRAIN), activity.lane().begin(TRAIN), forget(activity)))
            stack.start()
            stack.join(timeout=10)
            os._exit(int(stack.is_alive()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert records(tmp_path) == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_nothing_and_withdraws_nothing(tmp_path: Path, activity: Activity) -> None:
    activity.begin(TRAIN)
    pid = os.fork()
    if pid == 0:
        try:
            activity.begin(VALIDATE)
            activity.record(Seal(t=5))
            forget(activity)
        finally:
            os._exit(activity.depth)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(registrations()) == 1
    activity.begin(VALIDATE)
    assert [r.a for r in records(tmp_path) if isinstance(r, Mark)] == [TRAIN, VALIDATE]
    assert len(records(tmp_path)) == 2


def test_a_process_has_one_activity_at_a_time(tmp_path: Path, activity: Activity) -> None:
    (tmp_path / "other").mkdir()
    assert Activity.current() is activity
    for folder in (tmp_path, tmp_path / "other"):
        with pytest.raises(JournalError, match=f"{activity.header.key} works for {BASE} already"):
            Activity(folder, "u", BASE)
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1
    assert len(registrations()) == 1


def test_a_process_opens_one_activity_after_another(tmp_path: Path) -> None:
    opened = []
    for count in range(30):
        assert Activity.current() is None
        activity = Activity(tmp_path, "u", BASE, driver=True, session=count + 1)
        assert Activity.current() is activity
        (mine,) = registrations().values()
        assert mine.begin_ns == activity.header.mono_ns
        opened.append(activity.header)
        forget(activity)
    assert registrations() == {}
    first = f"marks-{node_name()}-{opened[0].key}"
    names = {f"{first}.jsonl", *(f"{first}+{count}.jsonl" for count in range(2, 31))}
    assert {path.name for path in tmp_path.glob("*.jsonl")} == names
    assert all(isinstance(JournalReader(path).read_new()[-1], Closed) for path in tmp_path.glob("*.jsonl"))


def test_one_that_could_not_be_opened_is_in_nobodys_way(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Activity(tmp_path / "nowhere", "u", BASE)
    assert Activity.current() is None
    assert Activity.current() is not Activity(tmp_path, "u", BASE)


def test_forgetting_twice_does_not_withdraw_the_next(tmp_path: Path, activity: Activity) -> None:
    forget(activity)
    following = Activity(tmp_path, "u", BASE)
    forget(activity)
    assert Activity.current() is following
    assert [r.begin_ns for r in registrations().values()] == [following.header.mono_ns]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_none_and_may_open_its_own(tmp_path: Path, activity: Activity) -> None:
    (tmp_path / "child").mkdir()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if Activity.current() is None:
                forget(Activity(tmp_path / "child", "u", TRAIN))
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert Activity.current() is activity
    (path,) = (tmp_path / "child").glob("*.jsonl")
    reader = JournalReader(path)
    reader.read_new()
    assert reader.header is not None
    assert reader.header.pid == pid
    assert len(registrations()) == 1


def test_without_a_folder_nothing_is_registered(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Activity(tmp_path / "nowhere", "u", BASE)
    assert registrations() == {}


def test_journals_are_named_after_their_process(tmp_path: Path) -> None:
    header = make_header("search", "u")
    assert journal_path(tmp_path, header).name == f"search-{node_name()}-{header.key}.jsonl"
    assert "/" not in node_name()


SPIN = "import sys\nprint(flush=True)\nwhile True: pass"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, busy all the time."""
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


class TestAnotherProcess:
    def test_its_marks_carry_its_cpu_time(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        began_ns = time.process_time_ns()
        theirs = Activity(tmp_path, "u", BASE, cpu_slots=1.0, gpu_slots=0.5, pid=child.pid)
        assert (theirs.header.pid, theirs.header.cpu_slots, theirs.header.gpus) == (child.pid, 1.0, {})
        assert theirs.is_own
        theirs.audited(10**9)  # the work of this process is not its own
        with theirs.working_for(TRAIN):
            time.sleep(0.3)
        first, last = (record for record in records(tmp_path) if isinstance(record, Mark))
        assert (first.a, last.a) == (TRAIN, BASE)
        assert theirs.header.cpu_ns <= first.c
        assert 0.1e9 < last.c - first.c < 0.6e9
        assert (first.o, last.o) == (0, 0)
        assert time.process_time_ns() - began_ns < 0.2e9
        forget(theirs)

    def test_it_is_registered_beside_this_one(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        theirs = Activity(tmp_path, "u", TRAIN, cpu_slots=1.0, pid=child.pid)
        assert Activity.current() is None
        mine = Activity(tmp_path, "u", BASE)
        assert Activity.current() is mine
        known = registrations()
        assert known.keys() == {theirs.header.key, mine.header.key}
        their = known[theirs.header.key]
        assert (their.pid, their.account, their.cpu_slots) == (child.pid, TRAIN, 1.0)
        assert is_alive(their)
        forget(theirs)
        assert registrations().keys() == {mine.header.key}
        assert Activity.current() is mine

    def test_it_may_be_registered_once(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        for _ in range(2):
            theirs = Activity(tmp_path, "u", TRAIN, pid=child.pid)
            with pytest.raises(JournalError, match=f"process {child.pid} is registered already: it works for {TRAIN}"):
                Activity(tmp_path, "u", BASE, pid=child.pid)
            forget(theirs)
        assert len(list(tmp_path.glob("*.jsonl"))) == 2

    def test_one_that_does_not_live_is_refused(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        for pid in (child.pid, 4_194_000):
            with pytest.raises(JournalError, match=f"no process {pid} of this user lives on this node"):
                Activity(tmp_path, "u", TRAIN, pid=pid)
        assert list(tmp_path.iterdir()) == []
        assert registrations() == {}

    def test_after_its_death_it_used_no_more(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        theirs = Activity(tmp_path, "u", BASE, pid=child.pid)
        time.sleep(0.1)
        theirs.begin(TRAIN)
        child.kill()
        child.wait()
        theirs.end()
        forget(theirs)
        first, last = (record for record in records(tmp_path) if isinstance(record, Mark))
        assert theirs.header.cpu_ns < first.c == last.c

    def test_its_threads_have_no_lane_here(self, tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
        theirs = Activity(tmp_path, "u", BASE, pid=child.pid)
        with pytest.raises(JournalError, match="only its own threads can have lanes"):
            theirs.lane()
        forget(theirs)

    def test_the_own_id_is_this_process(self, tmp_path: Path) -> None:
        mine = Activity(tmp_path, "u", BASE, pid=os.getpid())
        assert Activity.current() is mine
