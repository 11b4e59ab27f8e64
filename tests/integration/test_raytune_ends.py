"""``RayTuneCallback`` on real experiments: how trials end, what fails, and what does not for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from agents import FAST, stop_agent
from auditor import InputError
from auditor_plugins.callbacks.raytune import RayTuneCallback
from tuned import TESTS, a_ray, attempts, run, statement, trials, tuner

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


def states(folder: Path = Path("auditor-runs/exp")) -> list[tuple[str, int, float | None]]:
    """How each trial ended, in how many attempts, and with what value."""
    return [(trial.state.value, len(trial.attempts), trial.value) for trial in trials(folder)]


def slowly(config: dict[str, Any]) -> None:
    for _ in range(config["steps"]):
        time.sleep(config["wait_s"])
        tune.report({"score": config["score"]})


class Steps(tune.Trainable):  # type: ignore[misc]
    """Goes on for ever, with a score that does not change; can be paused."""

    def setup(self, config: dict[str, Any]) -> None:
        self.score = config["score"]

    def step(self) -> dict[str, Any]:
        time.sleep(0.02)
        return {"score": self.score}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"score": self.score}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.score = checkpoint["score"]


class Dies(tune.Trainable):  # type: ignore[misc]
    def setup(self, config: dict[str, Any]) -> None:
        os._exit(1)


class TestStopped:
    def test_two_at_once_by_a_scheduler_that_lets_nobody_run_on(self) -> None:
        scheduler = tune.schedulers.AsyncHyperBandScheduler(max_t=6, grace_period=1, reduction_factor=2)
        good = [{"score": 3.0, "steps": 20, "wait_s": 0.2}, {"score": 2.0, "steps": 20, "wait_s": 0.2}]
        bad = [{"score": 1.0, "steps": 20, "wait_s": 0.02}, {"score": 0.0, "steps": 20, "wait_s": 0.02}]
        results = run(RayTuneCallback(**FAST), good + bad, what=slowly, scheduler=scheduler)
        ran = {result.config["score"]: result.metrics["training_iteration"] for result in results}
        assert {trial.params["score"]: trial.state.value for trial in trials()} == {
            score: "complete" if steps == 6 else "pruned" for score, steps in ran.items()
        }
        assert {trial.state.value for trial in trials()} == {"complete", "pruned"}
        assert {trial.value for trial in trials() if trial.state.value == "pruned"} == {None}

    def test_while_it_was_paused(self) -> None:
        scheduler = tune.schedulers.HyperBandScheduler(max_t=4, reduction_factor=2)
        run(RayTuneCallback(**FAST), [{"score": float(n)} for n in range(4)], what=Steps, scheduler=scheduler)
        assert sorted(states(), key=str) == [
            ("complete", 1, 2.0),
            ("complete", 1, 3.0),
            ("pruned", 1, None),
            ("pruned", 1, None),
        ]
        statement()

    def test_with_the_experiment_whose_time_is_up(self) -> None:
        stop = tune.stopper.TimeoutStopper(2)
        run(RayTuneCallback(**FAST), [{"score": 1.0, "steps": 1000, "wait_s": 0.05}], what=slowly, stop=stop)
        assert states() == [("pruned", 1, None)]

    def test_by_the_criteria_of_the_experiment(self) -> None:
        run(RayTuneCallback(**FAST), [{"score": 1.0}], what=Steps, stop={"training_iteration": 3})
        assert states() == [("complete", 1, 1.0)]
        [trial] = trials()
        assert dict(trial.intermediate) == {1: 1.0, 2: 1.0, 3: 1.0}

    def test_population_based_training_pauses_and_goes_on(self) -> None:
        scheduler = tune.schedulers.PopulationBasedTraining(
            perturbation_interval=2, hyperparam_mutations={"score": [0.0, 1.0]}, synch=True
        )
        configs = [{"score": 0.0}, {"score": 1.0}]
        run(RayTuneCallback(**FAST), configs, what=Steps, scheduler=scheduler, stop={"training_iteration": 6})
        assert [(state, tried) for state, tried, _ in states()] == [("complete", 1), ("complete", 1)]
        statement()


class TestFailed:
    def test_a_worker_that_dies_while_it_starts(self) -> None:
        results = run(RayTuneCallback(**FAST), [{"cpu_s": 0.1}, {"cpu_s": 0.2}], what=Dies)
        assert len(results.errors) == 2
        assert states() == [("failed", 1, None)] * 2
        assert {trial.params["cpu_s"] for trial in trials()} == {0.1, 0.2}

    def test_a_restored_experiment_goes_on_in_its_folder(self) -> None:
        fixed = Path("fixed").resolve()

        def fails_at_first(config: dict[str, Any]) -> None:
            if config["score"] > 1 and not fixed.exists():
                raise ValueError("mine")
            tune.report({"score": config["score"]})

        configs = [{"score": 1.0}, {"score": 2.0}]
        run(RayTuneCallback(**FAST), configs, what=fails_at_first, max_concurrent_trials=1)
        assert states() == [("complete", 1, 1.0), ("failed", 1, None)]
        fixed.touch()
        tune.Tuner.restore(str(Path("storage/exp").resolve()), fails_at_first, resume_errored=True).fit()
        assert states() == [("complete", 1, 1.0), ("complete", 2, 2.0)]
        assert [path.name for path in Path("auditor-runs").iterdir()] == ["exp"]
        statement()

    def test_a_second_experiment_in_one_folder_has_trials_of_its_own(self) -> None:
        for name in ("first", "second"):
            run(RayTuneCallback(name="both", folder="both", **FAST), [{"cpu_s": 0.1}])
            Path("storage").rename(name)
        assert states(Path("both")) == [("complete", 1, 0.1)] * 2


class TestReported:
    def test_metrics_that_are_nested_or_of_numpy(self) -> None:
        def train(config: dict[str, Any]) -> None:
            import numpy as np

            tune.report({"val": {"acc": np.float32(0.5)}})

        configs = [{"net": {"width": 8}, "kind": int, "layers": (1, 2)}]
        run(RayTuneCallback(**FAST), configs, what=train, metric="val/acc")
        assert states() == [("complete", 1, 0.5)]
        assert trials()[0].params == {"net": {"width": 8}, "kind": "<class 'int'>", "layers": [1, 2]}

    def test_what_is_named_goes_before_what_tune_was_told(self) -> None:
        def train(config: dict[str, Any]) -> None:
            tune.report({"score": 1.0, "loss": 2.0})

        run(RayTuneCallback("loss", "min", **FAST), [{}], what=train)
        found = statement()["study"]
        assert (found["metric"], found["direction"], found["sampler"]) == ("loss", "minimize", "BasicVariantGenerator")
        assert states() == [("complete", 1, 2.0)]


class TestNothingBreaks:
    def test_no_meter(self, caplog: pytest.LogCaptureFixture) -> None:
        results = run(RayTuneCallback(meters=("nonsense",)), [{"cpu_s": 0.3}])
        assert not results.errors
        assert "nas-auditor failed in" in caplog.text
        found = json.loads(Path("auditor-runs/exp/statement.json").read_bytes())
        assert found["measurement"]["grade"] == "none"
        assert any(finding["code"] == "auditor-fault" for finding in found["findings"])

    def test_workers_that_cannot_be_booked(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise OSError("no")

        monkeypatch.setattr("auditor.training.workers.booked_process", broken)
        results = run(RayTuneCallback(**FAST), [{"cpu_s": 0.3}])
        assert not results.errors
        assert caplog.text.count("nas-auditor failed in a worker") == 1
        assert states() == [("complete", 1, 0.3)]

    def test_a_worker_that_does_not_answer_is_found_where_it_reports(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def silent(trial: Any) -> None:
            raise TimeoutError("no answer")

        monkeypatch.setattr("auditor_plugins.callbacks.raytune.worker_of", silent)
        run(RayTuneCallback(**FAST), [{"cpu_s": 3.0}])
        found = statement()
        assert attempts(found)[0, 1] > 15  # without the first of three results
        [fault] = [finding for finding in found["findings"] if finding["code"] == "auditor-fault"]
        assert "finding a worker" in fault["message"]

    @pytest.mark.parametrize("folder", ["full", "file/below"])
    def test_a_folder_that_cannot_be_used(self, folder: str, caplog: pytest.LogCaptureFixture) -> None:
        Path("full").mkdir()
        Path("full/something").touch()
        Path("file").touch()
        results = run(RayTuneCallback(folder=folder, **FAST), [{"cpu_s": 0.1}, {"cpu_s": 0.2}])
        assert not results.errors
        assert caplog.text.count("nas-auditor failed in") == 1
        assert "nas-auditor failed in opening the books" in caplog.text

    def test_what_tune_was_told_cannot_be_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unseen(given: Any) -> None:
            raise LookupError("not to be seen")

        monkeypatch.setattr("auditor_plugins.callbacks.raytune.told", unseen)
        run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 0.1}])
        found = statement()
        assert states() == [("complete", 1, 0.1)]
        assert any("not to be seen" in finding["message"] for finding in found["findings"])

    def test_a_bad_name_is_refused(self) -> None:
        with pytest.raises(InputError, match="name: "):
            RayTuneCallback(name="a/b")


def test_workers_that_ended_are_let_go_of() -> None:
    class Look(tune.Callback):  # type: ignore[misc]
        most = 0

        def on_trial_complete(self, **info: Any) -> None:
            links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
            here = str(Path.cwd())  # other tests of this process have journals too
            Look.most = max(Look.most, sum(str(link).startswith(here) and "/journal/" in str(link) for link in links))

    made = tuner(RayTuneCallback(**FAST), [{"cpu_s": 0.1 + n / 100} for n in range(6)], max_concurrent_trials=1)
    made._local_tuner.get_run_config().callbacks.append(Look())
    made.fit()
    assert states() == [("complete", 1, pytest.approx(0.1 + n / 100)) for n in range(6)]
    assert 0 < Look.most <= 4  # driver, search log, the worker and the one before
