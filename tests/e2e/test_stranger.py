"""A CPU hog beside a search: it pays for itself, and the trials' figures stay what they are.

The meter is linear in CPU time, so the truth is known: so many joules a CPU second, whoever uses it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.searches import SLOW_SPACE, assert_verified, auditor, finish, statement_of
from linear_meter import W_PER_CPU

pytestmark = pytest.mark.slow

CONFIG = """
study: beside
space: slow_space:space
search: {sampler: random, pruner: none}
budget: {trials: 4}
resources: {workers: 1, retries: 0}
training: {max_epochs: 5}
metering: {meters: ["linear_meter:LinearMeter"], interval_s: 0.5, policy: direct}
baselines: []
evaluation: {seeds: 0}
"""


@contextmanager
def hog() -> Iterator[list[float]]:
    """Keep a core busy; afterwards the list holds the CPU seconds that took."""
    used_s: list[float] = []
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield used_s
    finally:
        process.kill()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = -9
        used_s.append(usage.ru_utime + usage.ru_stime)


def searched(place: Path, name: str) -> dict[str, Any]:
    (place / "slow_space.py").write_text(SLOW_SPACE)
    (place / "beside.yaml").write_text(CONFIG)
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    finish(auditor("search", "beside.yaml", "--out", name, cwd=place, env=paths))
    assert_verified(place / name)
    statement = statement_of(place / name)
    assert statement["energy"]["residual_uj"] == 0
    return statement


def by_trial(statement: dict[str, Any]) -> list[float]:
    """Joules of each trial; under the policy ``direct`` that is what it added."""
    accounts = statement["energy"]["accounts"]
    return [
        sum(uj for name, uj in accounts.items() if re.match(rf"study/beside/trial/{number}/", name)) / 1e6
        for number in range(4)
    ]


def foreign_j(statement: dict[str, Any]) -> float:
    return sum(uj for name, uj in statement["energy"]["accounts"].items() if name.endswith("/foreign")) / 1e6


def test_a_hog_pays_for_itself_and_moves_no_trial(tmp_path: Path) -> None:
    alone = searched(tmp_path, "alone")
    with hog() as used_s:
        disturbed = searched(tmp_path, "disturbed")
    assert by_trial(disturbed) == pytest.approx(by_trial(alone), rel=0.05)
    least_j = 5 * 4 * 0.1 * W_PER_CPU  # epochs x batches x CPU seconds of a step
    assert all(energy_j > least_j for energy_j in by_trial(alone))
    (hog_s,) = used_s
    metered_s = disturbed["compute"]["wall_s"]
    assert hog_s > 0.3 * metered_s
    # it ran before the first reading too, and beside whatever else runs on this machine
    assert foreign_j(disturbed) > 0.6 * W_PER_CPU * hog_s
