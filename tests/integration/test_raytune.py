"""``RayTuneCallback`` on real experiments: what is charged to whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from agents import FAST, agent_pid, stop_agent
from auditor_plugins.callbacks.raytune import RayTuneCallback
from tuned import TESTS, a_ray, attempts, burn, run, statement

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(scope="module")
def two_slots(runtime: Path) -> Iterator[None]:
    with a_ray(runtime, address="local", num_cpus=2, include_dashboard=False):
        yield


@pytest.fixture(autouse=True)
def here(two_slots: None, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield
    stop_agent(runtime)


def test_each_trial_is_charged_what_it_used(capsys: pytest.CaptureFixture[str]) -> None:
    results = run(RayTuneCallback(**FAST), [{"cpu_s": 1.0}, {"cpu_s": 3.0}])
    assert not results.errors
    found = statement()
    energy_j = attempts(found)
    assert set(energy_j) == {(0, 1), (1, 1)}
    long = found["gain"]["best"]["trial"]  # the order in which two trials start is Tune's
    assert energy_j[1 - long, 1] > 10 * 1.0
    assert energy_j[long, 1] - energy_j[1 - long, 1] == pytest.approx(10 * 2.0, rel=0.3)
    assert found["trials"]["complete"] == 2
    assert (found["gain"]["best"]["value"], found["gain"]["best"]["params"]) == (3.0, {"cpu_s": 3.0})
    assert (found["study"]["metric"], found["study"]["direction"]) == ("score", "maximize")
    assert found["compute"]["device_s"]["cpu"] > 3.5  # what Tune reserved for them
    assert "2 trials (2 complete)" in capsys.readouterr().out


def test_a_trial_that_fails_is_tried_again_as_the_next_attempt() -> None:
    results = run(
        RayTuneCallback(**FAST),
        [{"cpu_s": 0.9, "fails": True}],
        failure_config=tune.FailureConfig(max_failures=1),
    )
    assert "mine" in str(results.errors[0])
    found = statement()
    assert (found["trials"]["failed"], found["trials"]["attempts"]) == (1, 2)
    assert set(attempts(found)) == {(0, 1), (0, 2)}
    assert all(energy_j > 1 for energy_j in attempts(found).values())


def test_a_trial_that_its_scheduler_stops_is_pruned_and_its_worker_used_again() -> None:
    scheduler = tune.schedulers.AsyncHyperBandScheduler(max_t=8, grace_period=1, reduction_factor=2)
    configs = [{"cpu_s": cpu_s, "steps": 8} for cpu_s in (0.9, 0.6, 0.3)]
    run(
        RayTuneCallback(**FAST),
        configs,
        scheduler=scheduler,
        reuse_actors=True,
        max_concurrent_trials=1,
    )
    found = statement()
    assert (found["trials"]["complete"], found["trials"]["pruned"]) == (1, 2)
    assert len(attempts(found)) == 3
    marks = list(Path("auditor-runs/exp/journal").glob("marks-*"))
    assert len(marks) == 2  # the driver and one worker


def test_a_class_works_too() -> None:
    class Steps(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.cpu_s = config["cpu_s"]

        def step(self) -> dict[str, Any]:
            burn(self.cpu_s)
            return {"score": self.iteration, "done": self.iteration == 2}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Nothing to keep."""

    run(RayTuneCallback(**FAST), [{"cpu_s": 0.3}], what=Steps)
    found = statement()
    assert found["trials"]["complete"] == 1
    assert attempts(found)[0, 1] > 6


def test_a_training_within_leaves_the_books_to_the_experiment() -> None:
    def train(config: dict[str, Any]) -> None:
        import pytorch_lightning as pl

        from agents import FAST
        from auditor import AuditCallback
        from unit.training.nets import Data, Net

        pl.Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            callbacks=[AuditCallback(folder=config["folder"], **FAST)],
        ).fit(Net(), Data())
        tune.report({"score": 1.0})

    run(RayTuneCallback(**FAST), [{"folder": str(Path("inner").resolve())}], what=train)
    found = statement()
    assert attempts(found)[0, 1] > 5
    assert not Path("inner").exists()


def test_no_agent_stays(runtime: Path) -> None:
    run(RayTuneCallback(**FAST), [{"cpu_s": 0.3}])
    until_s = time.monotonic() + 10
    while agent_pid(runtime) is not None and time.monotonic() < until_s:
        time.sleep(0.1)
    assert agent_pid(runtime) is None


def test_the_documented_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    monkeypatch.setenv("HOME", str(tmp_path))  # Tune stores its results there unless told otherwise
    page = (TESTS.parent / "docs" / "audit-ray-tune.md").read_text()
    [shown] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(shown, {"trainable": lambda config: tune.report({"score": config["lr"]})})
    assert "audit · lr: " in capsys.readouterr().out
