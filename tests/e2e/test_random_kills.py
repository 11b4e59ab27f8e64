"""SIGKILL at a random moment: of one kind of process, or of all. Afterwards the books are right and the study goes on.

One run for each kind by default; ``AUDITOR_KILLS=20`` makes it twenty, each at another moment.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFolder
from e2e.searches import SLOW_SPACE, auditor, finish, records, statement_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = int(os.environ.get("AUDITOR_KILLS", "1"))
INTERVAL_S = 0.5
MOST_TAKEOVER_S = 3.0
CONFIG = f"""
study: killed
space: slow_space:space
search: {{sampler: random, pruner: none}}
budget: {{trials: 4}}
resources: {{workers: 2, retries: 5}}
training: {{max_epochs: 4}}
metering: {{interval_s: {INTERVAL_S}}}
baselines: []
evaluation: {{seeds: 0}}
"""
TITLES = {
    "worker": ("ray::Worker",),
    "agent": ("auditor.metering.agent",),
    "coordinator": ("ray::Coordinator",),
    "raylet": ("raylet/raylet",),
    "driver": ("auditor.cli.app",),
    "everything": ("ray::", "auditor.", "raylet/raylet", "gcs_server", "ray/_private"),
}


def belonging(runtime_dir: Path, titles: tuple[str, ...] = ("",)) -> list[int]:
    """Living processes that inherited this test's environment, by what stands in their command line."""
    mark = f"AUDITOR_RUNTIME_DIR={runtime_dir}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and mark in environment and any(title in command for title in titles):
            found.append(int(folder.name))
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def assert_one_interval_missing_at_most(folder: Path, at_ns: int) -> None:
    """Who was on the books at some time was so up to one interval before it, and one more on a busy machine."""
    told_ns = [reading["t"] for _, readings in records(folder, "readings") for reading in readings if "e" in reading]
    last_ns = max((t_ns for t_ns in told_ns if t_ns <= at_ns), default=0)
    assert last_ns >= at_ns - 2 * INTERVAL_S * 1e9, f"{(at_ns - last_ns) / 1e9:.2f} s before the kill are missing"


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("target", TITLES)
def test_after_a_kill_the_books_are_right_and_the_study_goes_on(
    target: str, run: int, tmp_path: Path, runtime_dir: Path
) -> None:
    moment = random.Random(f"{target} {run}")
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "killed.yaml").write_text(CONFIG)
    folder = tmp_path / "auditor-runs" / "killed"
    process = auditor("search", "killed.yaml", cwd=tmp_path)
    try:
        wait_until(lambda: list(folder.glob("journal/readings-*.jsonl")), "a first reading")
        wait_until(lambda: belonging(runtime_dir, TITLES[target]), f"a process of the {target}")
        time.sleep(moment.uniform(0, 6))
        victims = wait_until(lambda: belonging(runtime_dir, TITLES[target]), f"a process of the {target} to kill")
        killed_ns = time.monotonic_ns()
        kill(victims if target in {"everything", "worker", "agent"} else victims[:1])
        try:
            output, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the search hangs after its {target} was killed")
        if process.returncode > 0:  # it says in one line what happened
            assert "Traceback" not in output, output
            last = output.strip().splitlines()[-1]
            by_ray = target in {"raylet", "everything"} and "core_worker" in last  # Ray ends the driver's process then
            assert last.startswith("error: ") or by_ray, output
        ours = ("ray::Worker", "ray::Coordinator", "auditor.cli")  # Ray's own agents live on for some time
        wait_until(lambda: not belonging(runtime_dir, ours), "its processes to end", timeout_s=60)
        assert_one_interval_missing_at_most(folder, killed_ns)
        record, _ = read_study(folder)
        assert record.books.residual_uj == 0
        for _ in range(2):
            if process.returncode != 0:
                process = auditor("search", "killed.yaml", cwd=tmp_path)
                output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
        statement = statement_of(folder)
        assert statement["trials"]["complete"] == statement["trials"]["total"] == 4
        assert statement["energy"]["residual_uj"] == 0
        gaps_s = [
            float(found[1])
            for finding in statement["findings"]
            if finding["code"] == "meter-gap"
            and (found := re.search(r"No reading of node \S+ for (\S+) s", finding["message"]))
        ]
        coverage = statement["energy"]["coverage"]
        if target == "agent" and gaps_s:  # the agent that takes over has to start its meters first
            assert coverage < 1
            assert sum(gaps_s) <= MOST_TAKEOVER_S + 2 * INTERVAL_S
        else:
            assert not gaps_s
            assert coverage >= 0.99
        assert "verified" in finish(auditor("verify", str(folder), cwd=tmp_path))
        before = {name: (folder / name).read_bytes() for name in ("statement.json", "ledger.parquet", "manifest.json")}
        finish(auditor("search", "killed.yaml", cwd=tmp_path))  # nothing left to do: the books are closed again
        assert {name: (folder / name).read_bytes() for name in before} == before
        assert StudyFolder(folder).exists()
    finally:
        kill(belonging(runtime_dir))
