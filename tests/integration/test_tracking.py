"""Studies projected into real MLflow stores, and read back as its UI would."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from auditor.domain.parameters import Parameters
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from auditor.tracking.handle import ProjectorHandle
from auditor.tracking.projector import Projector
from studies import START_NS, TRIALS, UUID, MadeStudy, MadeTrial, made_study

pytestmark = pytest.mark.slow

START_MS = START_NS // 1_000_000
CLIENT: Any = pytest.importorskip("mlflow").MlflowClient


def project(uri: str, study: MadeStudy | Path, *, parent: bool = True) -> int:
    """Project a study as a new process would; returns how many children were written."""
    path = study if isinstance(study, Path) else study.folder.path
    folder = StudyFolder(path)
    projector = Projector(CLIENT(uri), "experiment", folder)
    written = projector.project()
    if parent:
        publish(folder, Parameters(), "reserved")
        projector.publish()
    return written


def runs_of(uri: str) -> list[Any]:
    client = CLIENT(uri)
    experiment = client.get_experiment_by_name("experiment")
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


def parent_of(uri: str) -> Any:
    [found] = [run for run in runs_of(uri) if run.data.tags["auditor.key"] == UUID]
    return found


def children_of(uri: str) -> list[Any]:
    """Children by trial number."""
    parent = parent_of(uri).info.run_id
    found = [run for run in runs_of(uri) if run.data.tags.get("mlflow.parentRunId") == parent]
    return sorted(found, key=lambda run: int(run.data.tags["auditor.trial"]))


def points(uri: str) -> dict[tuple[str, str], list[tuple[float, int, int]]]:
    """Every metric point of every run."""
    client = CLIENT(uri)
    return {
        (run.data.tags["auditor.key"], name): [
            (m.value, m.timestamp, m.step) for m in client.get_metric_history(run.info.run_id, name)
        ]
        for run in runs_of(uri)
        for name in run.data.metrics
    }


def test_a_study_is_a_parent_and_its_trials_are_children(uri: str, tmp_path: Path) -> None:
    study = made_study(tmp_path / "study", config={"metering": {"policy": "reserved"}})
    assert project(uri, study.path) == len(TRIALS)
    parent, children = parent_of(uri), children_of(uri)

    assert parent.info.run_name == "demo"
    assert parent.info.status == "FINISHED"
    statement = json.loads(study.statement.read_bytes())
    assert parent.data.tags["auditor.verdict"] == statement["verdict"]["grade"]
    assert parent.data.tags["auditor.measurement"] == statement["measurement"]["grade"]
    assert parent.data.tags["mlflow.note.content"].startswith("#")
    assert parent.data.metrics["energy_j"] == statement["energy"]["search_uj"] / 1e6
    assert parent.data.params["sampler"] == "tpe"
    client = CLIENT(uri)
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} == {"report.html", "statement.json"}
    client.download_artifacts(parent.info.run_id, "statement.json", str(tmp_path))
    assert (tmp_path / "statement.json").read_bytes() == study.statement.read_bytes()

    assert [run.info.run_name for run in children] == ["trial 0", "trial 1", "trial 2", "trial 3"]
    assert [run.info.status for run in children] == ["FINISHED", "FINISHED", "FAILED", "FINISHED"]
    assert [run.data.tags["auditor.state"] for run in children] == ["complete", "pruned", "failed", "complete"]
    assert [run.data.params for run in children] == [{k: str(v) for k, v in t.params.items()} for t in TRIALS]
    assert (children[0].info.start_time, children[0].info.end_time) == (START_MS, START_MS + 3000)
    assert children[2].data.tags["auditor.error"] == "ValueError: too deep"
    assert children[3].data.tags["auditor.attempts"] == "2"
    assert points(uri)[f"{UUID}/0", "val_acc"] == [(0.5, START_MS + 500, 0), (0.75, START_MS + 1000, 1)]
    assert all(run.data.metrics["energy_j"] > 0 for run in children)

    before = points(uri)
    assert project(uri, study.path) == 0
    assert len(runs_of(uri)) == 1 + len(TRIALS)
    assert points(uri) == before


def test_only_what_is_new_is_added(uri: str, tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study").add(*TRIALS[:2])
    assert project(uri, study, parent=False) == 2
    before = points(uri)
    assert parent_of(uri).info.status == "RUNNING"

    study.add(*TRIALS[2:])
    assert project(uri, study, parent=False) == 2
    after = points(uri)
    assert {key: after[key] for key in before} == before
    assert len(children_of(uri)) == 4
    study.seal()
    assert project(uri, study) == 0
    assert len(runs_of(uri)) == 5


def test_a_running_projector_keeps_up(sqlite: str, tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study")
    projector = Projector(CLIENT(sqlite), "experiment", study.folder)
    assert projector.project() == 0
    assert runs_of(sqlite) == []
    for number in range(3):
        study.add(MadeTrial())
        assert projector.project() == 1
        assert len(children_of(sqlite)) == number + 1
    assert projector.project() == 0
    study.close()


def test_a_trial_waits_for_its_last_joule(sqlite: str, tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study").add(MadeTrial(), MadeTrial(states=("running",), steps=()))
    projector = Projector(CLIENT(sqlite), "experiment", study.folder)
    assert projector.project() == 1
    assert not projector.waiting()
    assert [run.data.tags["auditor.trial"] for run in children_of(sqlite)] == ["0"]
    study.close()


def test_many_points_and_parameters_and_odd_names(sqlite: str, tmp_path: Path) -> None:
    params = {f"p{i}": i for i in range(250)} | {"a[0]": 1, "a(0)": 2, "../x": 3, "ümlaut": "ü", "none": None}
    steps = [float(i) for i in range(2500)]
    study = MadeStudy(tmp_path / "study", metric="val:acc").add(MadeTrial(params=params, steps=steps)).seal()
    # the made-up steps reach beyond the trial's end, which MLflow does not mind
    assert project(sqlite, study, parent=False) == 1
    [run] = children_of(sqlite)
    assert len(run.data.params) == len(params)
    assert run.data.params["p249"] == "249"
    assert len(points(sqlite)[f"{UUID}/0", "val_acc"]) == 2500
    assert project(sqlite, study, parent=False) == 0


def test_studies_of_one_experiment_stay_apart(sqlite: str, tmp_path: Path) -> None:
    first = made_study(tmp_path / "first")
    project(sqlite, first.path)
    second = made_study(tmp_path / "second", name="second")
    for path in (second.study_yaml, *second.journals.iterdir()):
        path.write_text(path.read_text().replace(UUID, "11111111-0000-4000-8000-000000000000"))
    assert project(sqlite, second.path) == len(TRIALS)
    assert len(runs_of(sqlite)) == 2 * (1 + len(TRIALS))
    assert len(children_of(sqlite)) == len(TRIALS)


class TestProcess:
    def test_drain_and_parent(self, sqlite: str, tmp_path: Path) -> None:
        study = made_study(tmp_path / "study")
        handle = ProjectorHandle(study.path, sqlite, "experiment")
        handle.drain()
        assert handle.error == ""
        assert len(children_of(sqlite)) == len(TRIALS)
        publish(study, Parameters(), "reserved")
        handle.publish_parent()
        assert (handle.error, handle.tracking_uri) == ("", sqlite)
        assert parent_of(sqlite).info.status == "FINISHED"
        assert handle._process.wait(15) == 0  # it ends by itself
        time.sleep(0.1)  # its reader sees the end of the pipe

    def test_a_store_that_cannot_be_reached_fails_nothing(self, tmp_path: Path) -> None:
        study = made_study(tmp_path / "study")
        handle = ProjectorHandle(study.path, "nowhere://store", "experiment")
        handle.drain()
        handle.publish_parent()
        assert "nowhere" in handle.error
        assert "\n" not in handle.error
        _end(handle)

    def test_passwords_are_not_repeated(self, tmp_path: Path) -> None:
        study = made_study(tmp_path / "study")
        handle = ProjectorHandle(study.path, "http://me:secret@127.0.0.1:9/", "e")
        command = Path(f"/proc/{handle._process.pid}/cmdline").read_bytes()
        assert b"secret" not in command
        _end(handle)


def _end(handle: ProjectorHandle) -> None:
    """End a projector that was not asked for its parent run, and give its pipes back."""
    with suppress(ProcessLookupError):
        handle._process.kill()
    handle._process.wait()
    if handle._process.stdin is not None:
        handle._process.stdin.close()
    time.sleep(0.1)
