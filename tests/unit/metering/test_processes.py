"""CPU time of process trees: against a kernel made up for the test, and against real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.metering import processes
from auditor.metering.processes import (
    ProcessStat,
    TreeUsage,
    boot_id,
    busy_ns,
    cpu_clock_ns,
    last_pid,
    pid_namespace,
    process_stat,
    start_ticks,
    started_monotonic_ns,
)

S = 1_000_000_000
INIT, AGENT = 1, 2


@dataclass
class Kernel:
    """A process table: who lives, who is whose parent, what each used itself and reaped of its ended children."""

    parent: dict[int, int] = field(default_factory=lambda: {INIT: 0})
    cpu: dict[int, int] = field(default_factory=lambda: {INIT: 0})
    reaped: dict[int, int] = field(default_factory=lambda: {INIT: 0})
    start: dict[int, int] = field(default_factory=lambda: {INIT: 0})
    leaders: dict[int, tuple[int, int]] = field(default_factory=lambda: {INIT: (INIT, INIT)})
    last: int = INIT
    looked_at: list[int] = field(default_factory=list)

    def spawn(self, pid: int, parent: int = INIT, cpu: int = 0, *, group: int = 0, session: int = 0) -> int:
        """Start a process: in its parent's process group and session, unless others are given."""
        self.parent[pid], self.cpu[pid], self.reaped[pid] = parent, cpu, 0
        inherited = self.leaders[parent]
        self.leaders[pid] = (group or session or inherited[0], session or inherited[1])
        self.start[pid], self.last = max(self.start.values()) + 1, pid
        return pid

    def burn(self, pid: int, seconds: float) -> None:
        self.cpu[pid] += round(seconds * S)

    def end(self, pid: int) -> None:
        """End a process: its parent reaps it, its children become init's."""
        parent = self.parent.pop(pid)
        self.reaped[parent] += self.cpu.pop(pid) + self.reaped.pop(pid)
        for child in [c for c, p in self.parent.items() if p == pid]:
            self.parent[child] = INIT

    def stat(self, pid: int) -> ProcessStat | None:
        if pid not in self.parent:
            return None
        self.looked_at.append(pid)
        return ProcessStat(
            self.parent[pid], self.start[pid], self.cpu[pid], self.reaped[pid], False, *self.leaders[pid]
        )

    @contextmanager
    def booted(self) -> Iterator[Kernel]:
        """Let the module under test see this kernel only."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(processes, "process_stat", self.stat)
            patch.setattr(processes, "cpu_clock_ns", self.cpu.get)
            patch.setattr(processes, "last_pid", lambda: self.last)
            patch.setattr(processes.os, "getpid", lambda: AGENT)
            patch.setattr(processes.os, "listdir", lambda path: [str(pid) for pid in self.parent] + ["stat", "self"])
            yield self


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel().booted() as made:
        yield made


def tree(usage: TreeUsage) -> dict[str, float]:
    """Seconds by key."""
    return {key: used / S for key, (used, _) in usage.sample().items()}


def test_usage_counts_from_the_registration(kernel: Kernel) -> None:
    kernel.spawn(10, cpu=7 * S)
    usage = TreeUsage()
    usage.register("a", 10, 7 * S)
    kernel.burn(10, 2)
    assert usage.sample() == {"a": (2 * S, 9 * S)}


def test_cpu_time_between_registration_and_the_first_sample_counts(kernel: Kernel) -> None:
    kernel.spawn(10, cpu=9 * S)
    usage = TreeUsage()
    usage.register("a", 10, 7 * S)
    assert tree(usage) == {"a": 2.0}


def test_descendants_count(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.spawn(12, kernel.spawn(11, 10))
    kernel.burn(12, 3)
    assert tree(usage) == {"a": 3.0}


def test_strangers_do_not_count(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.burn(kernel.spawn(20), 5)
    assert tree(usage) == {"a": 0.0}


@pytest.mark.parametrize("first", [11, 12, 70, 250, 4000])
def test_generations_born_between_two_samples_count_whatever_their_ids(kernel: Kernel, first: int) -> None:
    # a child's id may be met before its parent's
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    pids = [first, first + 14, first + 7, first + 260, first + 3]
    for parent, pid in zip([10, *pids], pids, strict=False):
        kernel.spawn(pid, parent)
        kernel.burn(pid, 1)
    assert tree(usage) == {"a": 5.0}


def test_children_that_ended_count_through_reaping(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.burn(kernel.spawn(11, 10), 3)
    kernel.end(11)
    assert tree(usage) == {"a": 3.0}


def test_a_child_that_was_seen_is_not_counted_again_when_reaped(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    kernel.burn(kernel.spawn(11, 10), 3)
    usage.sample()
    kernel.burn(11, 1)
    assert tree(usage) == {"a": 1.0}  # what ran before the first sample is nobody's
    kernel.burn(11, 1)
    kernel.end(11)
    assert tree(usage) == {"a": 2.0}


def test_a_grandchild_that_was_seen_is_not_counted_again_when_the_family_ends(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.spawn(12, kernel.spawn(11, 10))
    kernel.burn(12, 3)
    assert tree(usage) == {"a": 3.0}
    kernel.end(12)
    kernel.end(11)
    assert tree(usage) == {"a": 3.0}


def test_a_registered_child_is_not_counted_under_its_parent(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10), 0)
    usage.register("worker", kernel.spawn(11, 10), 0)
    usage.sample()
    kernel.burn(10, 1)
    kernel.burn(11, 5)
    assert tree(usage) == {"driver": 1.0, "worker": 5.0}
    kernel.burn(11, 2)
    kernel.end(11)
    assert tree(usage) == {"driver": 1.0, "worker": 7.0}


def test_a_registered_grandchild_is_not_counted_under_its_grandparent(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10), 0)
    usage.register("worker", kernel.spawn(12, kernel.spawn(11, 10)), 0)
    usage.sample()
    kernel.burn(11, 1)
    kernel.burn(12, 5)
    assert tree(usage) == {"driver": 1.0, "worker": 5.0}
    kernel.end(12)
    kernel.end(11)
    assert tree(usage) == {"driver": 1.0, "worker": 5.0}


def test_a_process_registered_later_takes_what_follows_only(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10), 0)
    usage.sample()
    kernel.spawn(12, kernel.spawn(11, 10))
    kernel.burn(11, 2)
    assert tree(usage) == {"driver": 2.0}
    kernel.burn(11, 3)
    usage.register("worker", 11, 5 * S)
    kernel.burn(11, 4)
    kernel.burn(12, 1)
    assert tree(usage) == {"driver": 5.0, "worker": 5.0}


def test_a_process_registered_later_brings_nothing_its_children_used_before(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.sample()
    kernel.spawn(11, kernel.spawn(10))
    usage.sample()  # a stranger so far
    kernel.burn(kernel.spawn(12, 10), 5)
    kernel.end(12)
    kernel.burn(10, 3)
    kernel.burn(11, 4)
    usage.register("late", 10, 3 * S)
    kernel.burn(10, 1)
    kernel.burn(11, 1)
    assert tree(usage) == {"late": 2.0}


def test_an_orphan_stays_with_who_started_it(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.spawn(12, kernel.spawn(11, 10))
    usage.sample()
    kernel.end(11)
    kernel.burn(12, 1)
    assert tree(usage) == {"a": 1.0}
    usage.register("b", kernel.spawn(20), 0)
    kernel.burn(12, 1)
    assert tree(usage) == {"a": 2.0, "b": 0.0}


def test_a_process_that_is_gone_keeps_its_sum(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.burn(10, 2)
    usage.sample()
    kernel.end(10)
    assert usage.sample() == {"a": (2 * S, -1)}
    usage.unregister("a")
    assert usage.sample() == {}


def test_a_process_let_go_and_registered_again_starts_anew(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    usage.unregister("a")
    kernel.burn(10, 4)
    usage.register("a", 10, 4 * S)
    kernel.burn(10, 1)
    assert tree(usage) == {"a": 1.0}


def test_a_process_let_go_is_its_ancestors_again(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10), 0)
    usage.register("worker", kernel.spawn(11, 10), 0)
    usage.sample()
    usage.unregister("worker")
    kernel.burn(11, 2)
    assert tree(usage) == {"driver": 2.0}


def test_the_agent_is_in_no_tree_whoever_started_it(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10), 0)
    usage.sample()
    kernel.burn(kernel.spawn(AGENT, 10), 3)
    kernel.burn(kernel.spawn(11, AGENT), 5)
    kernel.burn(kernel.spawn(12, 10), 1)
    assert tree(usage) == {"driver": 1.0}
    assert usage.pids() == {10: "driver", 12: "driver"}
    usage.register("worker", 12, 1 * S)
    kernel.burn(AGENT, 3)
    kernel.burn(11, 5)
    kernel.end(11)
    assert tree(usage) == {"driver": 1.0, "worker": 0.0}
    assert usage.owner(AGENT) is None


def test_a_strangers_process_with_the_id_of_one_that_ended_is_no_trees(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.burn(kernel.spawn(11, 10), 3)
    assert tree(usage) == {"a": 3.0}
    kernel.burn(11, 1)
    kernel.end(11)
    kernel.burn(kernel.spawn(11), 7)
    kernel.burn(kernel.spawn(12, 11), 7)
    assert tree(usage) == {"a": 4.0}
    assert usage.owner(11) is None


def test_a_process_of_a_tree_with_the_id_of_a_stranger_that_ended_counts(kernel: Kernel) -> None:
    kernel.spawn(20)
    kernel.spawn(900)
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    kernel.spawn(800)
    usage.sample()
    for stranger, parent in ((900, 10), (20, 900)):  # ids are given out in turn and begin again after the last
        kernel.end(stranger)
        kernel.burn(kernel.spawn(stranger, parent), 2)
    kernel.burn(kernel.spawn(21, 20), 1)
    assert tree(usage) == {"a": 5.0}


def test_an_id_that_was_not_given_out_again_is_not_looked_up(kernel: Kernel) -> None:
    usage = TreeUsage()
    for pid in (30, 40, 50):
        kernel.spawn(pid)
    usage.register("a", kernel.spawn(60), 0)
    usage.sample()
    for last, looked_at in ((60, []), (70, []), (45, [30, 40])):
        kernel.last = last
        kernel.looked_at.clear()
        usage.sample()
        assert sorted(kernel.looked_at) == [*[INIT] * (last == 45), *looked_at, 60]


def test_a_registered_process_whose_id_is_used_again_is_gone(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(9), 0)
    usage.register("a", kernel.spawn(10, 9), 0)
    kernel.spawn(11, 10)
    usage.sample()
    kernel.burn(10, 2)
    kernel.end(10)
    kernel.burn(kernel.spawn(10), 7)
    kernel.burn(11, 1)
    assert usage.sample() == {"driver": (0, 0), "a": (3 * S, -1)}
    assert usage.owner(10) is None
    usage.unregister("a")
    usage.register("b", 10, 7 * S)
    kernel.burn(10, 1)
    kernel.burn(11, 1)
    assert tree(usage) == {"driver": 0.0, "b": 1.0}


def test_a_process_registered_under_an_id_used_before_starts_at_its_own_time(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    kernel.spawn(11, 10)
    usage.sample()
    kernel.burn(11, 9)
    usage.sample()
    kernel.end(11)
    usage.register("b", kernel.spawn(11, cpu=S), S)
    kernel.burn(11, 2)
    assert tree(usage) == {"a": 9.0, "b": 2.0}


def daemon(kernel: Kernel, pid: int, parent: int) -> int:
    """A process whose parent ended at once."""
    kernel.spawn(5000, parent)
    kernel.spawn(pid, 5000)
    kernel.end(5000)
    return pid


@pytest.mark.parametrize("leads", [{"group": 10}, {"session": 10}])
def test_a_daemon_belongs_where_its_leader_does(kernel: Kernel, leads: dict[str, int]) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10, **leads), 0)
    usage.sample()
    kernel.burn(daemon(kernel, 11, 10), 2)
    kernel.burn(kernel.spawn(12, 11), 3)  # its child, met with it
    assert tree(usage) == {"a": 5.0}
    kernel.burn(kernel.spawn(13, 12, session=13), 1)  # and one met later
    kernel.burn(11, 1)
    assert tree(usage) == {"a": 7.0}
    usage.register("b", kernel.spawn(20), 0)
    kernel.burn(13, 1)
    assert tree(usage) == {"a": 8.0, "b": 0.0}
    usage.unregister("a")
    assert usage.pids() == {20: "b"}


def test_a_daemon_without_a_leader_in_a_tree_is_nobodys(kernel: Kernel) -> None:
    kernel.spawn(9, session=9)
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10, 9), 0)
    usage.sample()
    kernel.burn(daemon(kernel, 11, 10), 2)
    kernel.burn(kernel.spawn(12, INIT, session=12), 2)
    assert tree(usage) == {"a": 0.0}


def test_a_pipeline_is_not_one_tree(kernel: Kernel) -> None:
    # A shell puts what it pipes into one process group, led by the first; the shell is the parent of both.
    kernel.spawn(9, session=9)
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10, 9, group=10), 0)
    usage.sample()
    kernel.burn(kernel.spawn(11, 9, group=10), 2)
    assert tree(usage) == {"a": 0.0}


def test_a_daemon_met_before_its_leader_registered_stays_nobodys(kernel: Kernel) -> None:
    kernel.spawn(10, session=10)
    usage = TreeUsage()
    usage.sample()
    daemon(kernel, 11, 10)
    usage.sample()
    usage.register("a", 10, 0)
    kernel.burn(11, 2)
    assert tree(usage) == {"a": 0.0}


def test_a_daemon_of_the_agent_is_nobodys(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("driver", kernel.spawn(10, session=10), 0)
    usage.sample()
    kernel.spawn(AGENT, 10)
    kernel.parent[AGENT] = INIT
    kernel.burn(kernel.spawn(11, AGENT, session=11), 2)
    assert tree(usage) == {"driver": 0.0}


def test_what_an_orphan_starts_stays_with_who_started_the_orphan(kernel: Kernel) -> None:
    usage = TreeUsage()
    usage.register("a", kernel.spawn(10), 0)
    usage.sample()
    kernel.spawn(12, kernel.spawn(11, 10))
    usage.sample()
    kernel.end(11)
    usage.sample()
    kernel.burn(kernel.spawn(13, 12), 3)
    assert tree(usage) == {"a": 3.0}


steps = st.lists(
    st.tuples(st.sampled_from(["spawn", "burn", "burn", "end", "sample"]), st.integers(0, 30), st.integers(1, 9)),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps, st.permutations(range(11, 31)))
def test_a_tree_is_counted_once_whatever_its_processes_do(script: list[tuple[str, int, int]], ids: list[int]) -> None:
    """All that a registered tree used is counted, none of it twice."""
    with Kernel().booted() as kernel:
        usage = TreeUsage()
        usage.register("a", kernel.spawn(10), 0)
        usage.sample()
        fresh, family, burnt = list(ids), [10], 0
        for what, who, amount in [*script, ("sample", 0, 0)]:
            pid = family[who % len(family)]
            if what == "spawn" and fresh:
                family.append(kernel.spawn(fresh.pop(), pid))
            elif what == "burn":
                kernel.cpu[pid] += amount
                burnt += amount
            elif what == "end" and pid != 10 and pid not in kernel.parent.values():
                kernel.end(pid)
                family.remove(pid)
                if amount > 5:  # its id may be used again
                    fresh.append(pid)
            elif what == "sample":
                assert usage.sample()["a"] == (burnt, kernel.cpu[10])


# Real processes.

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
WAIT = "import sys\nprint(flush=True)\nsys.stdin.readline()\n"


def python(code: str, *, start_new_session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=start_new_session,
    )


def until_line(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    child.stdout.readline()


def finish(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=20)


def test_stat_of_this_process() -> None:
    mine = process_stat(os.getpid())
    assert mine is not None
    assert mine.parent == os.getppid()
    assert not mine.zombie
    assert mine.cpu_ns == pytest.approx(time.process_time_ns(), abs=0.05 * S)
    assert start_ticks(os.getpid()) == mine.start


def test_stat_of_a_process_with_a_misleading_name() -> None:
    child = python(f"open('/proc/self/comm', 'w').write('x) R 1 (y'){chr(10)}{WAIT}")
    until_line(child)
    found = process_stat(child.pid)
    finish(child)
    assert found is not None
    assert found.parent == os.getpid()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = process_stat(child.pid)
    assert found is not None
    assert found.zombie
    assert start_ticks(child.pid) is None
    child.wait()
    assert process_stat(child.pid) is None
    assert cpu_clock_ns(child.pid) is None


def test_the_cpu_clock_of_another_process() -> None:
    child = python(BURN.format(seconds=0.1) + WAIT)
    until_line(child)
    used = cpu_clock_ns(child.pid)
    finish(child)
    assert used is not None
    assert 0.1 * S <= used < 1.0 * S


def test_start_time_in_monotonic_nanoseconds() -> None:
    before = time.monotonic_ns()
    child = python(WAIT)
    until_line(child)
    start = start_ticks(child.pid)
    finish(child)
    assert start is not None
    assert before - 0.05 * S <= started_monotonic_ns(start) <= time.monotonic_ns()


def test_the_id_given_out_last() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert last_pid() >= child.pid or last_pid() < 1000


def test_busy_time_grows_with_work() -> None:
    before = busy_ns()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert busy_ns() - before >= 0.08 * S


def test_boot_and_namespace_have_names() -> None:
    assert len(boot_id()) == 36
    assert pid_namespace().startswith("pid:[")


def test_a_real_tree_counts_children_and_those_that_ended() -> None:
    usage = TreeUsage()
    burner = f"import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', {BURN.format(seconds=0.2)!r}])\n"
    child = python(WAIT + burner + WAIT)
    until_line(child)
    usage.register("a", child.pid, cpu_clock_ns(child.pid) or 0)
    usage.sample()
    assert child.stdin is not None
    child.stdin.write("\n")
    until_line(child)
    used, own = usage.sample()["a"]
    finish(child)
    assert own < 0.15 * S
    assert 0.19 * S < used < 0.6 * S


def test_a_real_daemon_counts() -> None:
    usage = TreeUsage()
    daemon = (
        f"import os\nif os.fork() == 0:\n  if os.fork(): os._exit(0)\n  exec({BURN.format(seconds=0.2)!r})\n"
        "  print(flush=True)\n  sys.stdin.readline()\n  os._exit(0)\nos.wait()\nsys.stdin.readline()\n"
    )
    child = python(WAIT + daemon, start_new_session=True)
    until_line(child)
    usage.register("a", child.pid, cpu_clock_ns(child.pid) or 0)
    usage.sample()
    assert child.stdin is not None
    child.stdin.write("\n")
    until_line(child)
    used, own = usage.sample()["a"]
    child.communicate("\n\n", timeout=20)
    assert own < 0.15 * S
    assert 0.19 * S < used < 0.6 * S


def test_a_real_registered_child_is_not_counted_twice() -> None:
    usage = TreeUsage()
    code = BURN.format(seconds=0.4) + WAIT
    burner = (
        f"import subprocess, sys\nc = subprocess.Popen([sys.executable, '-S', '-c', {code!r}],"
        " stdin=subprocess.PIPE, text=True, stdout=subprocess.PIPE)\nprint(c.pid, flush=True)\nc.stdout.readline()\n"
        "print(flush=True)\nsys.stdin.readline()\nc.communicate(chr(10))\nprint(flush=True)\nsys.stdin.readline()\n"
    )
    parent = python(burner)
    assert parent.stdout is not None
    assert parent.stdin is not None
    usage.register("parent", parent.pid, cpu_clock_ns(parent.pid) or 0)
    child = int(parent.stdout.readline())
    usage.register("child", child, cpu_clock_ns(child) or 0)
    usage.sample()
    until_line(parent)
    seen = usage.sample()
    parent.stdin.write("\n")
    until_line(parent)
    ended = usage.sample()
    finish(parent)
    assert seen["child"][0] > 0.3 * S
    assert seen["parent"][0] < 0.15 * S
    assert ended["child"][1] == -1
    assert ended["child"][0] < 0.7 * S
    assert ended["parent"][0] < 0.2 * S
