"""``OptunaCallback`` on real studies, with a real node agent that draws 2 W without load and 10 W a busy CPU."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import pytorch_lightning as pl

from agents import FAST, stop_agent
from auditor import AuditCallback, InputError, OptunaCallback
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify
from unit.training.nets import THIRD_PARTY, Data, Net

TESTS = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, *THIRD_PARTY]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and an agent whose true figures are known."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_agent(runtime_dir)


def burn(cpu_s: float) -> None:
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


def objective(trial: optuna.Trial) -> float:
    """Takes 0.2, 0.4 or 0.6 CPU seconds."""
    x = trial.suggest_float("x", -1, 1)
    burn(0.2 * (1 + trial.number % 3))
    return x**2


def statement(name: str = "optuna") -> dict[str, Any]:
    """The statement of a study, after its files were checked to be what its journals give."""
    folder = Path("auditor-runs") / name
    verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    assert found["energy"]["residual_uj"] == 0
    return found


def trial_j(found: dict[str, Any]) -> dict[int, float]:
    """Joules by trial."""
    energy: dict[int, float] = {}
    for account, energy_uj in found["energy"]["accounts"].items():
        parts = account.split("/")
        if parts[0] == "study" and parts[2] == "trial":
            energy[int(parts[3])] = energy.get(int(parts[3]), 0.0) + energy_uj / 1e6
    return energy


class TestOneLine:
    def test_each_trial_is_on_the_books(self, capsys: pytest.CaptureFixture[str]) -> None:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(objective, n_trials=6, callbacks=[OptunaCallback(study, **FAST)])
        found = statement()
        assert (found["study"]["sampler"], found["study"]["direction"]) == ("RandomSampler", "minimize")
        assert found["trials"]["complete"] == 6
        assert found["gain"]["best"]["value"] == study.best_value
        assert found["gain"]["best"]["params"] == study.best_params
        assert found["verdict"]["grade"] == "cannot say"
        assert found["verdict"]["next"].endswith("auditor search does that.")
        assert 0 < found["energy"]["accounts"]["study/optuna/search/sampler"] < 0.1 * found["energy"]["search_uj"]
        for number, energy_j in trial_j(found).items():
            took_s = study.trials[number].duration.total_seconds()
            assert energy_j == pytest.approx(10 * 0.2 * (1 + number % 3) + 2 * took_s, rel=0.3)
        first, *_ = capsys.readouterr().out.splitlines()
        assert first.startswith("audit · optuna: ")
        assert "6 trials (6 complete)" in first

    def test_attributes_hold_the_joules(self) -> None:
        study = optuna.create_study(storage="sqlite:///study.db", study_name="named")
        study.optimize(objective, n_trials=4, callbacks=[OptunaCallback(study, **FAST)])
        energy_j = trial_j(statement("named"))
        for trial in optuna.load_study(study_name="named", storage="sqlite:///study.db").trials:
            assert trial.user_attrs["auditor:energy_basis"] in {"metered", "estimated"}
            assert trial.user_attrs["auditor:energy_j"] == pytest.approx(energy_j[trial.number], rel=0.35)

    def test_a_long_trial_has_exactly_what_the_books_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.training.trials._WORTH_WAITING_S", 0.0)
        study = optuna.create_study()
        study.optimize(objective, n_trials=3, callbacks=[OptunaCallback(study, **FAST)])
        energy_j = trial_j(statement())
        for trial in study.trials:
            assert trial.user_attrs["auditor:energy_basis"] == "metered"
            assert trial.user_attrs["auditor:energy_j"] == pytest.approx(energy_j[trial.number], rel=0.1)

    def test_several_at_once(self) -> None:
        study = optuna.create_study()
        study.optimize(objective, n_trials=9, n_jobs=3, callbacks=[OptunaCallback(study, **FAST)])
        found = statement()
        assert found["trials"]["complete"] == 9
        energy_j = trial_j(found)
        assert sorted(energy_j) == list(range(9))
        by_length = [sum(energy_j[n] for n in range(9) if n % 3 == kind) for kind in range(3)]
        assert by_length[0] < by_length[1] < by_length[2]
        assert sum(energy_j.values()) > 0.9 * found["energy"]["search_uj"] / 1e6
        assert all(trial.user_attrs["auditor:energy_j"] is not None for trial in study.trials)


class TestTheStudyGoesOnAsItWould:
    def test_the_same_trials_are_drawn(self) -> None:
        def drawn(*, audited: bool) -> list[dict[str, Any]]:
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=3, n_startup_trials=2))
            callbacks = [OptunaCallback(study, **FAST)] if audited else []
            study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 1, 9), 8, callbacks=callbacks)
            return [trial.params for trial in study.trials]

        assert drawn(audited=True) == drawn(audited=False)

    def test_its_own_sampler_comes_back(self) -> None:
        sampler = optuna.samplers.RandomSampler()
        study = optuna.create_study(sampler=sampler)
        callback = OptunaCallback(study, **FAST)
        study.optimize(objective, n_trials=1, callbacks=[callback])
        assert type(pickle.loads(pickle.dumps(study.sampler))) is optuna.samplers.RandomSampler
        assert study.sampler._rng is sampler._rng
        callback.close()
        callback.close()
        assert study.sampler is sampler

    def test_a_failing_objective_fails_as_it_would(self) -> None:
        error = ValueError("mine")

        def fails(trial: optuna.Trial) -> float:
            burn(0.2)
            if trial.number == 1:
                raise error
            return 1.0

        study = optuna.create_study()
        callback = OptunaCallback(study, **FAST)
        with pytest.raises(ValueError, match="mine") as caught:
            study.optimize(fails, n_trials=3, callbacks=[callback])
        assert caught.value is error
        callback.close()
        found = statement()["trials"]
        assert (found["total"], found["complete"], found["failed"]) == (2, 1, 1)

    def test_pruned_failed_and_interrupted_trials_are_booked_as_such(self) -> None:
        def ends(trial: optuna.Trial) -> float:
            burn(0.2)
            if trial.number == 1:
                raise optuna.TrialPruned
            if trial.number == 2:
                raise RuntimeError("lost")
            if trial.number == 4:
                raise KeyboardInterrupt
            return 1.0

        study = optuna.create_study()
        callback = OptunaCallback(study, **FAST)
        with pytest.raises(KeyboardInterrupt):
            study.optimize(ends, n_trials=6, catch=(RuntimeError,), callbacks=[callback])
        callback.close()
        found = statement()
        assert [found["trials"][state] for state in ("complete", "pruned", "failed")] == [2, 1, 2]
        assert all(energy_j > 0 for energy_j in trial_j(found).values())

    def test_several_objectives(self) -> None:
        study = optuna.create_study(directions=["minimize", "maximize"])
        study.optimize(
            lambda t: (t.suggest_float("x", 0, 1), burn(0.2) or 1.0), 3, callbacks=[OptunaCallback(study, **FAST)]
        )
        found = statement()
        assert found["trials"]["complete"] == 3
        assert found["study"]["direction"] is None
        assert all(energy_j > 0 for energy_j in trial_j(found).values())


class TestGoingOn:
    def test_a_stored_study_goes_on_in_its_folder(self) -> None:
        for _ in range(2):
            study = optuna.create_study(storage="sqlite:///study.db", study_name="named", load_if_exists=True)
            study.optimize(objective, n_trials=2, callbacks=[OptunaCallback(study, **FAST)])
        assert [path.name for path in Path("auditor-runs").iterdir()] == ["named"]
        assert statement("named")["trials"]["complete"] == 4

    def test_the_books_close_when_no_trial_begins_and_open_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.training.trials._IDLE_S", 0.3)
        study = optuna.create_study()
        callback = OptunaCallback(study, **FAST)
        study.optimize(objective, n_trials=2, callbacks=[callback])
        time.sleep(1.5)
        assert statement()["trials"]["complete"] == 2
        study.optimize(objective, n_trials=2, callbacks=[callback])
        callback.close()
        found = statement()
        assert found["trials"]["complete"] == 4
        assert found["energy"]["coverage"] > 0.98

    def test_a_name_that_is_none(self) -> None:
        with pytest.raises(InputError, match="name: expected letters"):
            OptunaCallback(optuna.create_study(), name="a/b")


def test_a_training_within_is_marked_on_its_trial(capsys: pytest.CaptureFixture[str]) -> None:
    def train(trial: optuna.Trial) -> float:
        trainer = pl.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[AuditCallback(**FAST)],
        )
        trainer.fit(Net(), Data())
        burn(0.2)
        return trial.suggest_float("x", 0, 1)

    study = optuna.create_study()
    study.optimize(train, n_trials=3, callbacks=[OptunaCallback(study, **FAST)])
    found = statement()
    assert [path.name for path in Path("auditor-runs").iterdir()] == ["optuna"]
    assert {"study/optuna/trial/1/1/train", "study/optuna/trial/1/1/validate"} <= set(found["energy"]["accounts"])
    assert found["compute"]["flops"] == 3 * 24 * 8 * (3 * 2 + 1)
    assert capsys.readouterr().out.count("audit ·") == 1
