"""Two Ray actors with half a GPU each, on a node with two GPUs: real Ray, agent and nvidia-ml-py, GPUs made up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.metering.activity import node_name
from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.testing import FakeNvml

pytestmark = pytest.mark.slow

STATIC_W, BUSY_W, IDLE_W = 50.0, 150.0, 60.0
SHARES = (60, 20)  # percent of the multiprocessors
PROGRAM = f"""
import os, sys, time
from pathlib import Path
from auditor.metering.activity import Activity, forget
from auditor.metering.runtime import AgentHandle
from auditor.search.cluster import as_actor, start_ray
from auditor.search.config import ResourcesSection

folder, study, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

class Half:
    def pid(self):
        return os.getpid()
    def begin(self, number):
        account = f"study/demo/trial/{{number}}/1/train"
        self.activity = Activity(folder, study, account, cpu_slots=0.5, gpu_slots=0.5)
        return self.activity.header.gpus
    def end(self):
        forget(self.activity)

start_ray(ResourcesSection(workers=2, cpus_per_trial=0.5, gpus_per_trial=0.5), 2, 2)
import ray
halves = [as_actor(Half, num_cpus=0.5, num_gpus=0.5).remote() for _ in range(2)]
print(*ray.get([half.pid.remote() for half in halves]), flush=True)
sys.stdin.readline()
driver = Activity(folder, study, "study/demo/search/orchestration", holds_rest=True, driver=True)
print(ray.get([half.begin.remote(number) for number, half in enumerate(halves)]), flush=True)
agent = AgentHandle(["nvml"], 0.25, {{"gpu": {STATIC_W}}})
agent.ensure()
time.sleep(seconds)
ray.get([half.end.remote() for half in halves])
time.sleep(0.5)
forget(driver)
ray.shutdown()
"""


@pytest.fixture
def gpus(tmp_path: Path) -> FakeNvml:
    """The first GPU works, the second does not."""
    if shutil.which("cc") is None:
        pytest.skip("the GPUs are a C library, and there is no C compiler")
    fake = FakeNvml(tmp_path)
    fake.power(0, BUSY_W, runs=True)
    fake.power(1, IDLE_W, runs=True)
    return fake


@pytest.fixture(autouse=True)
def no_agent_left(runtime_dir: Path) -> Iterator[None]:
    yield
    lease = runtime_dir / "lease"
    if lease.exists() and (pid := lease.read_text()):
        os.kill(int(pid), signal.SIGKILL)


def test_halves_of_a_gpu_are_split_and_never_doubled(gpus: FakeNvml, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "halves")
    about = {"name": "demo", "space": "x", "sampler": "tpe", "metric": "m", "direction": "maximize", "test_metric": ""}
    folder.create(StudyFile(uuid="u", study=about, config={}, parameters={}, versions={}, hardware={}))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder.journals), "u", "4"],
        env={**os.environ, **gpus.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    pids = [int(pid) for pid in program.stdout.readline().split()]
    gpus.users(0, *zip(pids, SHARES, strict=True))
    held, _ = program.communicate("\n", timeout=60)
    assert program.returncode == 0
    first, second = gpus.uuids
    assert held.strip() == str([{first: 0.5}, {first: 0.5}])  # as Ray gave them

    record, ledger = read_study(folder.path)
    books = record.books
    assert books.residual_uj == 0
    assert {(c.component, c.provenance.value) for c in books.components} == {
        (f"gpu:{uuid}", "counter") for uuid in gpus.uuids
    }
    of = {
        uuid: {
            str(account): int(ledger.energy_uj[(ledger.component == f"gpu:{uuid}") & (ledger.account == account)].sum())
            for account in set(ledger.account[ledger.component == f"gpu:{uuid}"].tolist())
        }
        for uuid in gpus.uuids
    }
    trials = [of[first][f"study/demo/trial/{number}/1/train"] / 1e6 for number in (0, 1)]
    seconds = sum(trials) / BUSY_W
    assert 3.0 < seconds < 5.0
    one, two = SHARES
    for energy_j, share in zip(trials, SHARES, strict=True):
        expected_w = STATIC_W / 2 + (BUSY_W - STATIC_W) * share / (one + two)
        assert energy_j == pytest.approx(expected_w * seconds, rel=0.1)
    assert sum(of[first].values()) == next(c.metered_uj for c in books.components if c.component == f"gpu:{first}")
    assert set(of[second]) == {f"node/{node_name()}/idle"}
    assert record.books.device_s["gpu"] == pytest.approx(seconds, rel=0.1)  # two halves for as long: one GPU
