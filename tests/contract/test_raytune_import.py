"""Experiments of Ray Tune: folders made by hand, and one that Ray Tune made."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tune_folder
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy
from auditor_plugins.importers.raytune import RayTuneImporter
from tune_folder import experiment, steps, trial


def read(source: str | Path, **options: str) -> ImportedStudy:
    return RayTuneImporter().read(str(source), {name.replace("_", "-"): value for name, value in options.items()})


def refused(source: str | Path, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestAnExperiment:
    @pytest.fixture
    def study(self, tmp_path: Path) -> ImportedStudy:
        return read(tune_folder.usual(tmp_path / "exp"), test="nested/test")

    def test_trials_are_in_the_order_of_their_making(self, study: ImportedStudy) -> None:
        assert (study.name, study.metric, study.direction, study.test_metric) == (
            *("exp", "acc", "maximize", "nested/test"),
        )
        found = [(t.number, t.state.value, t.value, t.test_value) for t in study.trials]
        assert found[:3] == [(0, "complete", 0.5, 0.25), (1, "pruned", None, 0.45), (2, "failed", None, 0.2)]
        assert found[4] == (4, "running", None, 0.1)
        assert study.trials[3].value is not None
        assert math.isnan(study.trials[3].value)

    def test_what_each_ran(self, study: ImportedStudy) -> None:
        first = study.trials[0]
        assert first.params == {"lr": 0.0, "opt/<b>": "\u202e|*"}
        assert first.intermediate == {1: 0.1, 2: 0.5}
        assert (first.duration_s, first.fidelity, first.begin_ns) == (20.0, 2.0, round(tune_folder.T0_S * 1e9))
        assert (first.end_ns or 0) - (first.begin_ns or 0) == 21 * 10**9
        assert study.trials[4].end_ns is None

    def test_energy_as_codecarbon_gives_it(self, study: ImportedStudy) -> None:
        assert [t.energy_j for t in study.trials] == [3600.0, None, None, None, None]
        assert study.energy_source == "CodeCarbon, key energy_consumed"

    def test_what_is_guessed_is_said(self, study: ImportedStudy) -> None:
        assert [f.code for f in study.findings] == ["direction-by-name", "pruned-by-length"]
        assert study.findings[1].message.startswith("1 of 5 trials ended before iteration 2, which others reached")


def test_one_that_met_the_stopping_criterion_is_complete(tmp_path: Path) -> None:
    stopped = trial(tmp_path, 0, steps(0.99), stop={"acc": 0.95})
    study = read(experiment(tmp_path, [stopped, trial(tmp_path, 1, steps(0.1, 0.2))]))
    assert [t.state.value for t in study.trials] == ["complete", "complete"]
    assert [t.fidelity for t in study.trials] == [2.0, 2.0]  # both in full: either may be the winner


def test_results_are_newer_than_the_state(tmp_path: Path) -> None:
    (found,) = read(experiment(tmp_path, [trial(tmp_path, 0, steps(0.1, 0.2, 0.3), state_knows=1)])).trials
    assert (found.value, found.fidelity, found.duration_s) == (0.3, 3.0, 30.0)


def test_a_torn_last_result_is_left_out(tmp_path: Path) -> None:
    source = experiment(tmp_path, [trial(tmp_path, 0, steps(0.1, 0.2))])
    results = tmp_path / "f_abc_00000" / "result.json"
    results.write_text(results.read_text() + '{"acc": 0.')
    study = read(source)
    assert study.trials[0].value == 0.2
    assert "The last result of trial abc_00000 is torn" in study.findings[-1].message
    results.write_text('{"acc"\n' + results.read_text())
    assert "result.json: line 1 is damaged" in refused(source)


class TestChoice:
    def test_metrics_are_listed(self, tmp_path: Path) -> None:
        source = experiment(tmp_path, [trial(tmp_path, 0, steps(0.1))], metric=None)
        assert refused(source).endswith("name the one searched for with --metric: acc, nested/test")
        assert read(source, test="nested/test").metric == "acc"
        assert read(source, metric="nested/test", direction="min").trials[0].value == 0.05
        assert "--metric x: no trial of" in refused(source, metric="x")

    def test_energy_is_named_with_its_unit(self, tmp_path: Path) -> None:
        source = experiment(tmp_path, [trial(tmp_path, 0, steps(0.1, joules=7))])
        assert read(source, energy="joules", energy_unit="J").trials[0].energy_j == 7.0
        assert "--energy-unit: 'joules' does not say its unit" in refused(source, energy="joules")


class TestRefused:
    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        assert "is no experiment of Ray Tune (expected experiment_state-" in refused(tmp_path)

    def test_a_folder_above(self, tmp_path: Path) -> None:
        tune_folder.usual(tmp_path / "exp")
        assert refused(tmp_path).endswith("there are some in it: exp")

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"trial_data": [["{}", "{}"]]}', '{"trial_data": [["x"]]}'])
    def test_a_damaged_state(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "experiment_state-1.json").write_text(text)
        assert "experiment_state-1.json: is damaged" in refused(tmp_path)

    def test_nothing_began(self, tmp_path: Path) -> None:
        assert "no trial has a metric" in refused(
            experiment(tmp_path, [trial(tmp_path, 0, [], status="PENDING")], metric=None)
        )


PROGRAM = """
import sys
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

def train(config):
    for step in range(4):
        tune.report({"loss": config["x"] + 1 / (step + 1)})
        if config["x"] == 0:
            raise RuntimeError("broken")

ray.init(num_cpus=1, include_dashboard=False)
scheduler = ASHAScheduler(metric="loss", mode="min", max_t=4, grace_period=1, reduction_factor=2)
tune.Tuner(
    train,
    param_space={"x": tune.grid_search([1, 0, 3])},
    tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=1),
    run_config=tune.RunConfig(name="real", storage_path=sys.argv[1]),
).fit()
"""


@pytest.mark.slow
def test_an_experiment_that_ray_tune_made(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(16).hex()}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    study = read(tmp_path / "real")
    assert (study.name, study.metric, study.direction) == ("real", "loss", "minimize")
    assert [(t.state.value, t.params, t.fidelity) for t in study.trials] == [
        ("complete", {"x": 1}, 4.0),
        ("failed", {"x": 0}, 1.0),
        ("pruned", {"x": 3}, 1.0),
    ]
    assert study.trials[0].value == pytest.approx(1.25)
    assert study.trials[0].intermediate[2] == pytest.approx(1.5)
    assert all((t.ran_s or 0) > 0 for t in study.trials)
