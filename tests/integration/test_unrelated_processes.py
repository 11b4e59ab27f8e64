"""Trainings that know nothing of each other, on one node, without Ray: one agent meters, all mark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auditor.domain.study import Books
from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.processes import process_stat
from auditor.metering.runtime import Lease
from e2e.searches import SLOW_SPACE, wait_until
from linear_meter import W_PER_CPU

pytestmark = pytest.mark.slow

PRELUDE = """
import sys, threading, time
from pathlib import Path
from auditor.metering.activity import Activity, forget
from auditor.metering.runtime import AgentHandle
folder, study, name, meter, seconds = sys.argv[1:]
account = f"study/demo/training/{name}"
agent = AgentHandle([f"linear_meter:{meter}"], 0.25)
def keep():
    while True:
        agent.ensure()
        time.sleep(0.1)
threading.Thread(target=keep, daemon=True).start()
activity = Activity(Path(folder), study, account, cpu_slots=1)
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))
"""
BURN = "with activity.working_for(f'{account}/train'): burn(float(seconds))\nforget(activity)\n"
TRAIN = """
import pytorch_lightning as pl
import slow_space
from auditor.training.phases import TrialCallback
trainer = pl.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
                     num_sanity_val_steps=0, enable_progress_bar=False, enable_model_summary=False,
                     callbacks=[TrialCallback(activity, account, "val_acc")])
trainer.fit(slow_space.Net(pause=0.05), slow_space.Data())
forget(activity)
"""
FORK = """
import os
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
burn(float(seconds))
"""


@pytest.fixture(autouse=True)
def everything_ends(runtime_dir: Path) -> Iterator[None]:
    yield
    for registered in (runtime_dir / "processes").glob("*.json"):
        registered.unlink()
    if (pid := agent_pid(runtime_dir)) is not None:
        os.kill(pid, signal.SIGKILL)


def agent_pid(runtime_dir: Path) -> int | None:
    try:
        pid = int((runtime_dir / "lease").read_text())
    except (OSError, ValueError):
        return None
    stat = process_stat(pid)
    return None if stat is None or stat.zombie else pid


def made(path: Path) -> StudyFolder:
    folder = StudyFolder(path)
    about = dict.fromkeys(("space", "sampler", "test_metric"), "")
    about |= {"name": "demo", "metric": "loss", "direction": "minimize"}
    folder.create(StudyFile(uuid=path.name, study=about, config={}, parameters={}, versions={}, hardware={}))
    return folder


def start(
    code: str, folder: StudyFolder, name: str, *, meter: str = "LinearMeter", seconds: float = 3, cwd: Path
) -> subprocess.Popen[bytes]:
    paths = (str(Path(__file__).parents[1]), str(cwd))
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(folder.journals), folder.path.name, name, meter, str(seconds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=cwd,
    )


def wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    assert [process.wait(timeout=120) for process in processes] == [0] * len(processes)


def books(folder: StudyFolder, runtime_dir: Path) -> Books:
    """The books once the agent is gone."""
    wait_until(lambda: agent_pid(runtime_dir) is None, "the agent to leave", timeout_s=20)
    record, _ = read_study(folder.path)
    assert record.books.residual_uj == 0
    return record.books


def test_trainings_with_a_callback_share_what_the_node_used(tmp_path: Path, runtime_dir: Path) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    folder = made(tmp_path / "together")
    wait([start(TRAIN, folder, name, cwd=tmp_path) for name in ("a", "b", "c")])
    closed = books(folder, runtime_dir)
    assert len(list(folder.journals.glob("readings-*.jsonl"))) == 1  # one held the lease
    trained = {name: closed.accounts[f"study/demo/training/{name}/train"] for name in "abc"}
    assert closed.charged_uj == closed.metered_uj > sum(trained.values())
    # Each burns the same CPU time: 3 epochs x 4 batches x 0.05 s at least.
    assert all(energy > 0.6 * W_PER_CPU * 1e6 for energy in trained.values())
    assert max(trained.values()) < 2 * min(trained.values())


def test_studies_side_by_side_are_foreign_to_each_other(tmp_path: Path, runtime_dir: Path) -> None:
    folders = [made(tmp_path / name) for name in ("one", "two")]
    wait([start(BURN, folder, "x", seconds=4, cwd=tmp_path) for folder in folders])
    for folder in folders:
        closed = books(folder, runtime_dir)
        own = closed.accounts["study/demo/training/x/train"]
        assert own == pytest.approx(4 * W_PER_CPU * 1e6, rel=0.35)  # and the static power of its slot
        assert closed.accounts[f"node/{closed.windows[0].node}/foreign"] > 0.6 * own


@pytest.mark.parametrize("meter", ["LinearMeter", "LinearModel"])
def test_when_the_agent_dies_another_takes_over(meter: str, tmp_path: Path, runtime_dir: Path) -> None:
    folder = made(tmp_path / "killed")
    processes = [start(BURN, folder, name, meter=meter, seconds=7, cwd=tmp_path) for name in ("a", "b")]
    first = wait_until(lambda: agent_pid(runtime_dir), "an agent")
    wait_until(lambda: list(folder.journals.glob("readings-*.jsonl")), "readings")
    time.sleep(1)
    os.kill(first, signal.SIGKILL)
    second = wait_until(lambda: (pid := agent_pid(runtime_dir)) != first and pid, "another agent")
    assert second != first
    wait(processes)
    closed = books(folder, runtime_dir)
    assert len(list(folder.journals.glob("readings-*.jsonl"))) == 2
    ends = [(w.start_ns, w.end_ns) for w in closed.windows]
    gap_s = (ends[1][0] - ends[0][1]) / 1e9
    assert 0 < gap_s < 3.25  # three seconds, and the interval that was under way
    trained = sum(closed.accounts[f"study/demo/training/{name}/train"] for name in "ab")
    if meter == "LinearMeter":  # a counter: no gap, nothing lost
        assert closed.coverage == 1.0
        assert "meter-gap" not in [f.code for f in closed.findings]
        assert trained >= 0.95 * 14 * W_PER_CPU * 1e6 - 0.6 * W_PER_CPU * 1e6  # less what came before the first reading
    else:
        assert closed.coverage == pytest.approx(1 - gap_s * 1e9 / (ends[1][1] - ends[0][0]))
        assert [f.code for f in closed.findings if f.code == "meter-gap"] == ["meter-gap"]
        assert "At the power before it" in next(f.message for f in closed.findings if f.code == "meter-gap")


def test_a_fork_keeps_nothing_alive(tmp_path: Path, runtime_dir: Path) -> None:
    folder = made(tmp_path / "forked")
    process = start(FORK, folder, "x", seconds=2, cwd=tmp_path)
    wait_until(lambda: agent_pid(runtime_dir), "an agent")
    wait([process])
    wait_until(lambda: agent_pid(runtime_dir) is None, "the agent to leave although a forked child lives", timeout_s=20)
    lease = Lease()
    assert lease.acquire()
    lease.release()
    assert books(folder, runtime_dir).accounts["study/demo/training/x"] > 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_processes_of_other_users_are_foreign(tmp_path: Path, runtime_dir: Path) -> None:
    folder = made(tmp_path / "alone")
    stranger = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"], user=65534)
    try:
        wait([start(BURN, folder, "x", seconds=4, cwd=tmp_path)])
        closed = books(folder, runtime_dir)
    finally:
        stranger.kill()
        stranger.wait()
    own = closed.accounts["study/demo/training/x/train"]
    assert closed.accounts[f"node/{closed.windows[0].node}/foreign"] > 0.6 * own


def test_a_stranger_beside_a_training_hardly_moves_its_figures(tmp_path: Path, runtime_dir: Path) -> None:
    """The meter is linear, so the truth is known: the training's own CPU time, whatever runs beside it."""

    def dynamic_uj(name: str) -> float:
        folder = made(tmp_path / name)
        wait([start(BURN, folder, "x", seconds=6, cwd=tmp_path)])
        closed = books(folder, runtime_dir)
        return closed.policies["direct"]["study/demo/training/x/train"]

    alone = dynamic_uj("alone")
    stranger = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        disturbed = dynamic_uj("disturbed")
    finally:
        stranger.kill()
        stranger.wait()
    assert disturbed == pytest.approx(alone, rel=0.05)
    assert alone == pytest.approx(6 * W_PER_CPU * 1e6, rel=0.1)
