"""Processes that die in the middle of a search."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.searches import (
    SLOW_CONFIG,
    SLOW_SPACE,
    assert_balanced,
    assert_verified,
    auditor,
    finish,
    records,
    statement_of,
    training_worker,
    wait_until,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a slow space and its configuration."""
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    return tmp_path


def test_a_killed_worker_is_a_lost_attempt_and_its_trial_is_retried(place: Path) -> None:
    folder = place / "auditor-runs" / "slow"
    process = auditor("search", "slow.yaml", cwd=place)
    pid = wait_until(lambda: folder.exists() and training_worker(folder), "a trial in training")
    os.kill(pid, signal.SIGKILL)
    finish(process)
    statement = statement_of(folder)
    assert_balanced(statement)
    assert_verified(folder)
    trials, energy = statement["trials"], statement["energy"]
    assert trials["total"] == trials["complete"] == 4
    assert trials["attempts"] == 5
    assert energy["by_state"]["lost"] > 0
    retried = [name.split("/") for name in energy["accounts"] if re.search(r"/trial/\d+/2/train$", name)]
    assert len(retried) == 1
    number = retried[0][3]
    attempts = [
        r
        for _, journal in records(folder, "search")
        for r in journal
        if r["k"] == "attempt" and r["trial"] == int(number)
    ]
    assert [r["attempt"] for r in attempts] == [1, 2]
    assert attempts[0]["params"] == attempts[1]["params"]


def test_a_killed_driver_is_taken_up_and_the_books_hold_both_parts(place: Path) -> None:
    folder = place / "auditor-runs" / "slow"
    process = auditor("search", "slow.yaml", cwd=place)

    def one_done() -> bool:
        done = [r for _, journal in records(folder, "search") for r in journal if r["k"] == "outcome"]
        return bool(done) and training_worker(folder) is not None

    wait_until(lambda: folder.exists() and one_done(), "a finished trial and one in training")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = [r["trial"] for _, journal in records(folder, "search") for r in journal if r["k"] == "outcome"]
    finish(auditor("search", "slow.yaml", cwd=place))
    statement = statement_of(folder)
    assert_balanced(statement)
    assert_verified(folder)
    trials, energy = statement["trials"], statement["energy"]
    assert trials["total"] == trials["complete"] == 4
    assert trials["attempts"] > 4
    assert energy["by_state"]["lost"] > 0
    for number in before:  # what the first part did is still on the books
        assert energy["accounts"][f"study/slow/trial/{number}/1/train"] > 0
    drivers = [header for header, _ in records(folder, "marks") if header.get("driver")]
    assert len(drivers) == 2


def test_ctrl_c_closes_the_books(place: Path) -> None:
    folder = place / "auditor-runs" / "slow"
    process = auditor("search", "slow.yaml", cwd=place)
    wait_until(lambda: folder.exists() and training_worker(folder), "a trial in training")
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    finish(process)
    statement = statement_of(folder)
    assert_balanced(statement)
    assert 1 <= statement["trials"]["complete"] < 4
    assert statement["trials"]["running"] == statement["trials"]["lost"] == 0
    assert statement["verdict"]["grade"] == "cannot say"
    finish(auditor("search", "slow.yaml", cwd=place))
    assert statement_of(folder)["trials"]["complete"] == 4
    assert_verified(folder)


def test_our_own_ray_refuses_who_has_no_token(place: Path) -> None:
    folder = place / "auditor-runs" / "slow"
    process = auditor("search", "slow.yaml", "--set", "budget.trials=8", cwd=place)
    try:
        wait_until(lambda: folder.exists() and training_worker(folder), "a trial in training")
        address = wait_until(lambda: gcs_address(process.pid), "the address of Ray")
        bare = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        assert "Unauthenticated" in connect(address, bare)
        assert "Unauthenticated" in connect(address, {**bare, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64})
        token = {k: v for k, v in environment(training_worker(folder) or 0).items() if k.startswith("RAY_AUTH")}
        assert "connected" in connect(address, {**bare, **token})
    finally:
        finish(process)


def connect(address: str, env: dict[str, str]) -> str:
    """What a stranger hears who connects to a Ray: reads until it is let in or refused."""
    program = f"import ray; ray.init(address='{address}', log_to_driver=False); print('connected', flush=True)"
    stranger = subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    heard = ""
    try:
        for line in stranger.stdout or ():
            heard += line
            if "connected" in line or "Unauthenticated" in line:
                break
    finally:
        stranger.kill()
        stranger.communicate()
    return heard


def environment(pid: int) -> dict[str, str]:
    """The environment of a process."""
    pairs = (item.partition("=") for item in Path(f"/proc/{pid}/environ").read_text().split("\0"))
    return {key: value for key, _, value in pairs if key}


def gcs_address(driver: int) -> str | None:
    """Where the Ray of a driver listens."""
    children = subprocess.run(
        ["ps", "--ppid", str(driver), "-o", "args", "ww"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"--gcs-address=(\S+)", children)
    return found.group(1) if found else None
