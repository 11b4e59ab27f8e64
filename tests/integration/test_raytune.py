"""``RayTuneCallback`` on real experiments, with a real node agent that draws 2 W without load and 10 W a busy CPU."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import FAST, agent_pid, stop_agent
from auditor import InputError
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify

ray: Any = pytest.importorskip("ray")
tune: Any = pytest.importorskip("ray.tune")

from auditor_plugins.callbacks.raytune import RayTuneCallback  # noqa: E402

TESTS = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray of two slots; its workers see the runtime folder that Ray was started with."""
    runtime = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDITOR_RUNTIME_DIR", str(runtime))
        patch.setenv("PYTHONPATH", f"{TESTS}")
        patch.setenv("RAY_AIR_NEW_OUTPUT", "0")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield runtime
        ray.shutdown()


@pytest.fixture(autouse=True)
def here(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(cluster))
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield
    stop_agent(cluster)


def trainable(config: dict[str, Any]) -> None:
    """Three results, each after some CPU seconds."""
    for _ in range(config.get("steps", 3)):
        until_s = time.process_time() + config["cpu_s"] / 3
        while time.process_time() < until_s:
            pass
        if config.get("fails"):
            raise ValueError("mine")
        tune.report({"score": config["cpu_s"]})


def run(callback: RayTuneCallback, configs: list[dict[str, Any]], what: Any = trainable, **options: Any) -> Any:
    tuning = {key: options.pop(key) for key in ("scheduler", "reuse_actors", "max_concurrent_trials") if key in options}
    tuner = tune.Tuner(
        what,
        param_space=tune.grid_search(configs) if len(configs) > 1 else configs[0],
        tune_config=tune.TuneConfig(metric="score", mode="max", **tuning),
        run_config=tune.RunConfig(
            name="exp", storage_path=str(Path("storage").resolve()), callbacks=[callback], verbose=0, **options
        ),
    )
    return tuner.fit()


def statement(name: str = "exp") -> dict[str, Any]:
    folder = Path("auditor-runs") / name
    verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    assert found["energy"]["residual_uj"] == 0
    return found


def attempts(found: dict[str, Any]) -> dict[tuple[int, int], float]:
    """Joules by trial and attempt."""
    parts: dict[tuple[int, int], float] = {}
    for name, energy_uj in found["energy"]["accounts"].items():
        account = name.split("/")
        if account[0] == "study" and account[2] == "trial":
            key = (int(account[3]), int(account[4]))
            parts[key] = parts.get(key, 0.0) + energy_uj / 1e6
    return parts


def test_each_trial_is_charged_what_it_used(capsys: pytest.CaptureFixture[str]) -> None:
    results = run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 1.0}, {"cpu_s": 3.0}])
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
        RayTuneCallback("score", "max", **FAST),
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
        RayTuneCallback("score", "max", **FAST),
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
            until_s = time.process_time() + self.cpu_s
            while time.process_time() < until_s:
                pass
            return {"score": self.iteration, "done": self.iteration == 2}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Nothing to keep."""

    run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 0.3}], what=Steps)
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

    run(RayTuneCallback("score", "max", **FAST), [{"folder": str(Path("inner").resolve())}], what=train)
    found = statement()
    assert attempts(found)[0, 1] > 5
    assert not Path("inner").exists()


def test_workers_on_other_machines_are_marked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "10.0.0.1")  # the driver is elsewhere
    run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 0.9}, {"cpu_s": 0.9}])
    found = statement()
    assert found["trials"]["complete"] == 2
    assert all(energy_j > 6 for energy_j in attempts(found).values())


class TestNothingBreaks:
    def test_no_meter(self, caplog: pytest.LogCaptureFixture) -> None:
        results = run(RayTuneCallback("score", "max", meters=("nonsense",)), [{"cpu_s": 0.3}])
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

        monkeypatch.setattr("auditor.training.trials.booked_process", broken)
        results = run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 0.3}])
        assert not results.errors
        assert caplog.text.count("nas-auditor failed in a worker") == 1

    def test_a_bad_name_is_refused(self) -> None:
        with pytest.raises(InputError, match="name: "):
            RayTuneCallback(name="a/b")


def test_no_agent_stays(cluster: Path) -> None:
    run(RayTuneCallback("score", "max", **FAST), [{"cpu_s": 0.3}])
    until_s = time.monotonic() + 10
    while agent_pid(cluster) is not None and time.monotonic() < until_s:
        time.sleep(0.1)
    assert agent_pid(cluster) is None


def test_the_documented_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    monkeypatch.setenv("HOME", str(tmp_path))  # Tune stores its results there unless told otherwise
    page = (TESTS.parent / "docs" / "audit-ray-tune.md").read_text()
    [shown] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(shown, {"trainable": lambda config: tune.report({"score": config["lr"]})})
    assert "audit · lr: " in capsys.readouterr().out
