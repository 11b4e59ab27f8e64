"""A real MLflow database with flat and nested experiments, for the tests of importers; made in a process of its own."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

T0_MS = 1_700_000_000_000
WEIRD = "<b>|*`\n\u202eddo"


def make(path: Path) -> None:
    """Make the database; MLflow's threads end with the process that did it."""
    command = [sys.executable, __file__, str(path)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def _run(
    client: MlflowClient,
    experiment: str,
    number: int,
    metrics: dict[str, list[float]],
    *,
    status: str = "FINISHED",
    tags: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    seconds: float = 10.0,
) -> str:
    """A run of ten seconds, each value of a metric 2 s after the one before."""
    begin_ms = T0_MS + 20_000 * number
    run = client.create_run(experiment, start_time=begin_ms, tags=tags or {}, run_name=f"run {number}")
    run_id = str(run.info.run_id)
    for key, value in (params or {"lr": 0.1 * number}).items():
        client.log_param(run_id, key, value)
    for key, values in metrics.items():
        for step, value in enumerate(values):
            client.log_metric(run_id, key, value, timestamp=begin_ms + 2000 * (step + 1), step=step)
    if status != "RUNNING":
        client.set_terminated(run_id, status, end_time=begin_ms + round(1000 * seconds))
    return run_id


def _fill(client: MlflowClient) -> None:
    flat = client.create_experiment("flat")
    carbon = {"emissions": [1.0], "cpu_energy": [0.0], "duration": [3.0], "epoch": [1.0], "pue": [1.2]}
    _run(client, flat, 0, {"val_acc": [0.5, 0.7], "energy_consumed": [0.001], **carbon}, params={"note": WEIRD})
    _run(client, flat, 1, {"val_acc": [0.9], "energy_consumed": [0.002]}, tags={"state": "TrialState.PRUNED"})
    _run(client, flat, 2, {"energy_consumed": [math.nan]}, status="FAILED")
    _run(client, flat, 3, {"val_acc": [math.inf], "test_acc": [0.6]})
    _run(client, flat, 4, {"val_acc": [0.4]}, status="KILLED")
    _run(client, flat, 5, {"val_acc": [0.3]}, status="RUNNING")

    nested = client.create_experiment("nested")
    parents = [_run(client, nested, place, {"other": [1.0]}) for place in (0, 10)]
    power = {"system/gpu_0_power_usage_watts": [100.0, 200.0], "system/node_1/gpu_1_power_usage_watts": [50.0]}
    for place, parent in enumerate([parents[0], parents[0], parents[1]]):
        tags = {"mlflow.parentRunId": parent}
        metrics = {"loss": [0.5 - place / 10], **(power if place == 0 else {})}
        _run(client, nested, place + 1, metrics, tags=tags)

    several = client.create_experiment(WEIRD)
    _run(client, several, 0, {"a": [1.0], "b": [2.0], "joules": [7.0]})
    deleted = _run(client, several, 1, {"a": [3.0]})
    client.delete_run(deleted)
    client.create_experiment("empty")


if __name__ == "__main__":
    from mlflow import MlflowClient

    _fill(MlflowClient(f"sqlite:///{sys.argv[1]}"))
