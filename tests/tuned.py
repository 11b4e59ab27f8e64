"""Real Ray Tune experiments for tests, under a node agent that draws 2 W without load and 10 W a busy CPU."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from auditor import open_study
from auditor.domain.study import Trial
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify

TESTS = Path(__file__).parent


@contextmanager
def a_ray(runtime: Path, **options: Any) -> Iterator[None]:
    """A Ray whose workers see the runtime folder that it was started with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDITOR_RUNTIME_DIR", str(runtime))
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.setenv("RAY_AIR_NEW_OUTPUT", "0")
        try:
            ray.init(log_to_driver=False, logging_level="error", **options)
            yield
        finally:
            ray.shutdown()


def burn(cpu_s: float) -> None:
    """Compute for some CPU seconds."""
    until_s = time.process_time() + cpu_s
    while time.process_time() < until_s:
        pass


def trainable(config: dict[str, Any]) -> None:
    """Three results or as many as told, each after a third of its CPU seconds."""
    for _ in range(config.get("steps", 3)):
        burn(config["cpu_s"] / 3)
        if config.get("fails"):
            raise ValueError("mine")
        tune.report({"score": config.get("score", config["cpu_s"])})


def tuner(callback: Any, configs: list[dict[str, Any]], what: Any = trainable, **options: Any) -> Any:
    """A Tuner of some configurations; options of the tuning and of the run."""
    tuning = {"metric": "score", "mode": "max"}
    tuning |= {
        key: options.pop(key)
        for key in (*tuning, "scheduler", "reuse_actors", "max_concurrent_trials")
        if key in options
    }
    return tune.Tuner(
        what,
        param_space=tune.grid_search(configs) if len(configs) > 1 else configs[0],
        tune_config=tune.TuneConfig(**tuning),
        run_config=tune.RunConfig(
            name="exp", storage_path=str(Path("storage").resolve()), callbacks=[callback], verbose=0, **options
        ),
    )


def run(callback: Any, configs: list[dict[str, Any]], what: Any = trainable, **options: Any) -> Any:
    """The results of a Tuner; see :func:`tuner`."""
    return tuner(callback, configs, what, **options).fit()


def statement(folder: Path = Path("auditor-runs/exp")) -> dict[str, Any]:
    """The statement of a study, after its files were checked to be what its journals give."""
    verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    assert found["energy"]["residual_uj"] == 0
    assert sum(found["energy"]["accounts"].values()) == found["energy"]["metered_uj"]
    return found


def trials(folder: Path = Path("auditor-runs/exp")) -> list[Trial]:
    return list(open_study(folder)[0].trials)


def attempts(found: dict[str, Any]) -> dict[tuple[int, int], float]:
    """Joules by trial and attempt."""
    parts: dict[tuple[int, int], float] = {}
    for name, energy_uj in found["energy"]["accounts"].items():
        account = name.split("/")
        if account[0] == "study" and account[2] == "trial":
            key = (int(account[3]), int(account[4]))
            parts[key] = parts.get(key, 0.0) + energy_uj / 1e6
    return parts
