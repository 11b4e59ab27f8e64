"""Experiments of MLflow, from a real database: flat and nested, with energy as CodeCarbon and MLflow log it."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mlflow_store
from auditor.cli import app
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy
from auditor.domain.study import TrialState
from auditor_plugins.importers.mlflow import MlflowImporter
from auditor_plugins.importers.mlflow_runs import MlflowRun, _Server


@pytest.fixture
def source(mlflow_database: Path) -> str:
    return f"sqlite:///{mlflow_database}"


def read(source: str, **options: str) -> ImportedStudy:
    return MlflowImporter().read(source, {name.replace("_", "-"): value for name, value in options.items()})


def refused(source: str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    return str(caught.value)


class TestFlat:
    def test_the_one_metric_is_found_beside_what_others_log(self, source: str) -> None:
        study = read(source, experiment="flat", test="test_acc")
        assert (study.name, study.metric, study.direction) == ("flat", "val_acc", "maximize")
        assert [(t.state.value, t.value, t.test_value) for t in study.trials] == [
            ("complete", 0.7, None),
            ("pruned", None, None),
            ("failed", None, None),
            ("complete", math.inf, 0.6),
            ("lost", None, None),
            ("running", None, None),
        ]
        assert study.trials[0].intermediate == {0: 0.5, 1: 0.7}

    def test_times_are_those_of_the_runs(self, source: str) -> None:
        first, *_, last = read(source, experiment="flat", metric="val_acc").trials
        assert (first.begin_ns, first.ran_s) == (mlflow_store.T0_MS * 10**6, 10.0)
        assert (last.end_ns, last.ran_s) == (None, None)

    def test_energy_by_codecarbon(self, source: str) -> None:
        study = read(source, experiment="flat", metric="val_acc")
        assert study.energy_source == "CodeCarbon, metric energy_consumed"
        assert [t.energy_j for t in study.trials] == [3600.0, 7200.0, None, None, None, None]
        assert study.findings[-1].message.startswith("The energy holds a PUE of 1.2, as CodeCarbon logs it")

    def test_parameters_are_text(self, source: str) -> None:
        trials = read(source, experiment="flat", metric="val_acc").trials
        assert trials[0].params == {"note": mlflow_store.WEIRD}
        assert trials[1].params == {"lr": "0.1"}


class TestNested:
    def test_what_has_runs_nested_in_it_is_no_trial(self, source: str) -> None:
        study = read(source, experiment="nested")
        assert (study.metric, study.direction) == ("loss", "minimize")
        assert [t.value for t in study.trials] == [0.5, 0.4, 0.3]
        assert study.findings[-1].message.endswith("--parent picks one: run 0, run 10.")

    def test_one_of_several(self, source: str) -> None:
        study = read(source, experiment="nested", parent="run 10")
        assert [t.value for t in study.trials] == [0.3]
        assert "--parent run 7: names no runs with nested ones; there is: run 0 (" in refused(
            source, experiment="nested", parent="run 7"
        )

    def test_energy_by_system_metrics(self, source: str) -> None:
        study = read(source, experiment="nested")
        gpu_0, gpu_1 = 100 * 2 + 200 * 2 + 200 * 6, 50 * 2 + 50 * 8  # 10 s, samples at 2 s and 4 s
        assert [t.energy_j for t in study.trials] == [gpu_0 + gpu_1, None, None]
        assert study.energy_source == "power of GPUs in MLflow's system metrics, over time"


class TestChoice:
    def test_experiments_are_listed(self, source: str) -> None:
        said = refused(source)
        assert "holds several; name one with --experiment: flat (6 trials), nested (5 trials), " in said
        assert "empty" not in said
        assert "--experiment x: no such experiment" in refused(source, experiment="x")

    def test_metrics_are_listed(self, source: str) -> None:
        said = refused(source, experiment=mlflow_store.WEIRD)
        assert said.endswith("has several metrics; name the one searched for with --metric: a, b, joules")
        assert "--metric c: no trial of" in refused(source, experiment=mlflow_store.WEIRD, metric="c")

    def test_what_was_chosen(self, source: str) -> None:
        options = {"metric": "a", "direction": "min", "energy": "joules", "energy_unit": "J"}
        study = read(source, experiment=mlflow_store.WEIRD, **options)
        assert [(t.value, t.energy_j) for t in study.trials] == [(1.0, 7.0)]
        assert (study.direction, study.energy_source) == ("minimize", "metric joules")
        assert [f.message for f in study.findings] == ["1 deleted runs were left out: the study used more than this."]

    def test_an_experiment_without_runs(self, source: str) -> None:
        assert "experiment empty: no trial has a metric" in refused(source, experiment="empty")

    def test_a_metric_that_does_not_say_its_direction(self, source: str) -> None:
        said = refused(source, experiment=mlflow_store.WEIRD, metric="a")
        assert "--direction: nothing says whether high or low values of 'a' are better" in said

    def test_a_state_that_is_none(self, mlflow_database: Path, tmp_path: Path) -> None:
        path = Path(shutil.copy(mlflow_database, tmp_path / "m.db"))
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE tags SET value = 'odd' WHERE key = 'state'")
        connection.close()
        assert "tag state of run run 1: 'odd' is no state" in refused(str(path), experiment="flat", metric="val_acc")


class TestPlaces:
    def test_an_older_schema_is_read_as_it_is(self, mlflow_database: Path, tmp_path: Path) -> None:
        path = Path(shutil.copy(mlflow_database, tmp_path / "old.db"))
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.close()
        assert read(str(path), experiment="flat", metric="val_acc").trials[0].value == 0.7

    def test_a_database_of_something_else(self, tmp_path: Path) -> None:
        sqlite3.connect(tmp_path / "x.db").execute("CREATE TABLE cats (name)").connection.close()
        assert "holds no runs of MLflow (expected its tables, found cats)" in refused(str(tmp_path / "x.db"))

    def test_the_old_file_store(self, tmp_path: Path) -> None:
        assert "mlflow migrate-filestore --source" in refused(str(tmp_path))


class Page(list[Any]):
    """A page of what a server gives."""

    token = None


class FakeClient:
    """What MLflow's client says of a server with one experiment."""

    def __init__(self, runs: list[Any]) -> None:
        self._runs = runs

    def search_experiments(self, **_: Any) -> Page:
        return Page([SimpleNamespace(name="e", experiment_id="1")])

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1")

    def search_runs(self, *, run_view_type: int, **_: Any) -> Page:
        return Page(self._runs if run_view_type == 1 else self._runs[:1])

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return [SimpleNamespace(step=i, timestamp=i, value=float(i)) for i in range(2)]


def test_a_server_gives_the_same_kind_of_runs() -> None:
    info = SimpleNamespace(run_id="r", run_name="n", status="FINISHED", start_time=5, end_time=7)
    data = SimpleNamespace(metrics={"acc": 1.7976931348623157e308}, params={"p": "1"}, tags={"t": "2"})
    server = object.__new__(_Server)
    server._shown, server._client = "http://h", FakeClient([SimpleNamespace(info=info, data=data)])  # type: ignore[assignment]
    assert server.experiments(None) == {"e": 1}
    assert server.experiments("e") == {"e": 0}
    runs = server.runs("e")
    assert runs == [MlflowRun("r", "n", "FINISHED", 5, 7, {"acc": math.inf}, {"p": "1"}, {"t": "2"})]
    assert server.deleted("e") == 1
    history: Iterator[Any] = server.history("e", ["acc", "none"], runs)
    assert [(run_id, key, point.value) for run_id, key, point in history] == [("r", "acc", 0.0), ("r", "acc", 1.0)]


@pytest.mark.slow
def test_a_real_server(source: str, tmp_path: Path) -> None:
    """What is read from a server is what is read from its database."""
    import os
    import socket
    import subprocess
    import sys
    import time

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", source, "--port", str(port)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        [*command, "--workers", "1", "--host", "127.0.0.1"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until_s = time.monotonic() + 90
        while time.monotonic() < until_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        url = f"http://127.0.0.1:{port}"
        for options in ({"experiment": "flat", "metric": "val_acc"}, {"experiment": "nested"}):
            here, there = read(source, **options), read(url, **options)
            assert here.trials == there.trials
            assert here.findings == there.findings
        assert "--experiment x: no such experiment" in refused(url, experiment="x")
    finally:
        server.terminate()
        server.wait(30)


def test_states_of_runs(source: str) -> None:
    states = {t.number: t.state for t in read(source, experiment="flat", metric="val_acc", state="none").trials}
    assert states[1] is TrialState.COMPLETE  # by its status alone


def test_one_command_reports_on_an_experiment(source: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app.main(["report", source, "--experiment", "flat", "--metric", "val_acc", "--json", "-"])
    assert left.value.code == 0
    read = json.loads(capfd.readouterr().out)
    assert (read["study"]["name"], read["energy"]["search_uj"]) == ("flat", 10_800_000_000)
    assert read["gain"]["best"]["value"] == 0.7


def test_the_only_experiment_with_runs_needs_no_name(
    mlflow_database: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(mlflow_database, tmp_path / "m.db"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name NOT IN ('nested', 'empty')")
    connection.close()
    with pytest.raises(SystemExit):
        app.main(["report", str(path), "--json", "-"])
    assert json.loads(capfd.readouterr().out)["study"]["name"] == "nested"
