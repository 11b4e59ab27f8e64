"""The figures of a training in the MLflow run that is there already: read back as the UI would."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import MLFlowLogger

from agents import FAST, stop_agent
from auditor import AuditCallback, audit
from unit.training.nets import THIRD_PARTY, Data, Net

pytestmark = [pytest.mark.slow, *THIRD_PARTY]
TESTS = Path(__file__).parents[1]
mlflow: Any = pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # set_experiment leaves it to whoever comes next
    stop_agent(runtime_dir)


def fit(audit: AuditCallback, logger: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=60,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[audit],
    )
    trainer.fit(Net(), Data())
    return trainer


def only_run(uri: str, experiment: str = "mine") -> Any:
    client = mlflow.MlflowClient(uri)
    [run] = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def test_the_run_of_the_logger(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.training.callback._REFRESH_S", 0.0)
    monkeypatch.setattr("auditor.training.callback._IDLE_SHARE", 0)
    callback = AuditCallback(**FAST)
    fit(callback, MLFlowLogger("mine", tracking_uri=uri))
    run = only_run(uri)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val_acc"] > 0  # the training's own are there too
    logged = {name.removeprefix("audit/"): v for name, v in run.data.metrics.items() if name.startswith("audit/")}
    assert logged == pytest.approx(dict(callback.figures))
    assert logged["energy_j"] > 0
    assert run.data.tags["auditor.provenance"] == "counter"
    assert run.data.tags["auditor.measurement"] in {"good", "limited"}
    assert run.data.tags["auditor.folder"] == str(callback.study_folder)
    curve = mlflow.MlflowClient(uri).get_metric_history(run.info.run_id, "audit/energy_j")
    assert len(curve) > 3
    assert [point.value for point in curve] == sorted(point.value for point in curve)
    assert curve[-1].step == 120 > curve[0].step


def test_the_active_run(sqlite: str) -> None:
    mlflow.set_tracking_uri(sqlite)
    mlflow.set_experiment("mine")
    with mlflow.start_run() as active:
        callback = AuditCallback(**FAST)
        fit(callback, logger=False)
    run = only_run(sqlite)
    assert run.info.run_id == active.info.run_id
    assert run.data.metrics["audit/energy_j"] == callback.figures["energy_j"]


def test_the_active_run_of_a_training_without_lightning(sqlite: str) -> None:
    mlflow.set_tracking_uri(sqlite)
    mlflow.set_experiment("mine")
    with mlflow.start_run(), audit("plain", **FAST) as books:
        import time

        time.sleep(1.0)
    assert only_run(sqlite).data.metrics["audit/energy_j"] == books.energy_j


def test_a_store_that_is_gone_is_a_finding(sqlite: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import json

    class Gone(Net):
        def on_train_end(self) -> None:
            (tmp_path / "mlflow.db").write_bytes(b"no database")

    mlflow.set_tracking_uri(sqlite)
    mlflow.set_experiment("mine")
    mlflow.start_run()
    callback = AuditCallback(**FAST)
    trainer = pl.Trainer(
        max_epochs=60,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(Gone(), Data())
    assert trainer.state.finished
    assert caplog.text.count("nas-auditor failed in MLflow") == 1
    found = json.loads((tmp_path / "auditor-runs" / "Gone" / "statement.json").read_bytes())
    assert any(f["code"] == "auditor-fault" and "MLflow" in f["message"] for f in found["findings"])
    (tmp_path / "mlflow.db").unlink()
    mlflow.tracking.fluent._active_run_stack.get().clear()
