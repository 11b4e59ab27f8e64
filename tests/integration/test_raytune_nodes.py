"""``RayTuneCallback`` on real experiments: workers on other machines of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import tune
from ray.cluster_utils import Cluster

from agents import FAST, stop_agent
from auditor_plugins.callbacks.raytune import RayTuneCallback
from tuned import TESTS, a_ray, attempts, run, statement, trainable, trials

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(scope="module")
def two_machines(runtime: Path) -> Iterator[None]:
    cluster = Cluster()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDITOR_RUNTIME_DIR", str(runtime))
        patch.setenv("PYTHONPATH", str(TESTS))
        cluster.add_node(num_cpus=2, include_dashboard=False)
        cluster.add_node(num_cpus=1, resources={"other": 1})
    try:
        with a_ray(runtime, address=cluster.address):
            yield
    finally:
        cluster.shutdown()


@pytest.fixture(autouse=True)
def here(two_machines: None, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield
    stop_agent(runtime)


def test_workers_on_another_machine_are_marked_there() -> None:
    """Two machines for Ray, and one for the books: they share a boot, so that one agent meters both."""
    there = tune.with_resources(trainable, {"cpu": 1, "other": 1})
    run(RayTuneCallback(**FAST), [{"cpu_s": 0.9}, {"cpu_s": 1.8}], what=there)
    found = statement()
    assert sorted(trial.value for trial in trials() if trial.value is not None) == [0.9, 1.8]
    short, long = sorted(attempts(found).values())
    assert short > 9
    assert long - short == pytest.approx(9, rel=0.35)
    [driver] = [path for path in Path("auditor-runs/exp/journal").glob("marks-*") if '"clock"' in path.read_text()]
    assert '"driver":true' in driver.read_text().replace(" ", "")
    assert not [finding for finding in found["findings"] if finding["code"] == "auditor-fault"]
