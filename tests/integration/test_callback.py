"""``AuditCallback`` in real trainings, with a real node agent."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from agents import FAST, stop_agent
from auditor import AuditCallback, InputError
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify
from unit.training.nets import THIRD_PARTY, Data, Net

TESTS = Path(__file__).parents[1]
FORWARD = 2 * 4 * 3
"""Operations of a sample; training takes three times as many."""

pytestmark = [
    *THIRD_PARTY,
    pytest.mark.filterwarnings("ignore:.*will be treated as:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and an agent whose true figures are known."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_agent(runtime_dir)
    for number, handler in kept.items():  # Lightning ignores SIGINT for good after a KeyboardInterrupt
        signal.signal(number, handler)


class Busy(Net):
    """A net whose every training step computes for some milliseconds."""

    def __init__(self, step_s: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.step_s = step_s

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        until_s = time.process_time() + self.step_s
        while not loss.is_meta and time.process_time() < until_s:
            pass
        return loss

    def predict_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return self.net(batch[0])


def trainer(*callbacks: Any, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "max_epochs": 8,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **options,
        }
    )


def statement(folder: Path) -> dict[str, Any]:
    """The statement of a study, after its files were checked to be what its journals give."""
    verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    assert found["energy"]["residual_uj"] == 0
    return found


def phases(found: dict[str, Any]) -> list[set[str]]:
    """Phases of each run."""
    return [set(run["phases"]) for run in found["trainings"]]


def findings(found: dict[str, Any]) -> dict[str, str]:
    return {finding["code"]: finding["message"] for finding in found["findings"]}


class TestOneLine:
    def test_it_writes_a_study_folder_and_says_what_it_cost(self, capsys: pytest.CaptureFixture[str]) -> None:
        audit = AuditCallback(**FAST)
        made = trainer(audit)
        made.fit(Busy(), Data())
        found = statement(Path("auditor-runs/Busy"))
        assert found["study"] | {"uuid": ""} == {
            "uuid": "",
            "kind": "training",
            "name": "Busy",
            **dict.fromkeys(("space", "sampler", "metric", "test_metric", "direction")),
            "imported": False,
        }
        [run] = found["trainings"]
        assert (run["run"], run["state"]) == ("0", "complete")
        assert {"setup", "train", "validate", "teardown"} <= set(run["phases"])
        assert run["phases"]["train"] > 0.8 * run["energy_uj"]
        assert run["flops"] == FORWARD * 8 * (3 * 8 + 1)  # with one sanity check
        first, second, third, rest = capsys.readouterr().out.split("\n")
        assert rest == ""
        assert re.fullmatch(
            r"audit · Busy: [\d.]+ J \([\d.]+ Wh\) in [\d.]+ s · train [\d.]+ %.* · [\d.]+ kFLOP", first
        )
        assert re.match(r"  measured: cpu counter \(books (good|limited)\)", second)  # limited where others compute
        assert third == "  report: auditor-runs/Busy/report.html"

    def test_figures_are_where_checkpoints_and_schedulers_look(self) -> None:
        audit = AuditCallback(**FAST)
        made = trainer(audit)
        made.fit(Busy(), Data())
        search_j = statement(Path("auditor-runs/Busy"))["energy"]["search_uj"] / 1e6
        assert float(made.callback_metrics["audit/energy_j"]) == search_j == audit.figures["energy_j"]
        assert float(made.callback_metrics["audit/energy_cpu_j"]) == search_j
        assert float(made.callback_metrics["audit/flops"]) == audit.figures["flops"] > 0
        assert 0.8 < float(made.callback_metrics["audit/wall_s"]) < 10

    def test_they_are_there_while_it_trains(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.training.callback._REFRESH_S", 0.0)
        monkeypatch.setattr("auditor.training.callback._IDLE_SHARE", 0)
        seen: list[float] = []

        class Look(pl.Callback):
            def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                if "audit/energy_j" in trainer.callback_metrics:
                    seen.append(float(trainer.callback_metrics["audit/energy_j"]))

        checkpoint = ModelCheckpoint("checkpoints", monitor="audit/wall_s", mode="max", save_top_k=1)
        trainer(AuditCallback(**FAST), Look(), checkpoint, enable_checkpointing=True).fit(Busy(), Data())
        assert len(seen) >= 3
        assert seen == sorted(seen)
        assert seen[-1] > seen[0] > 0
        assert checkpoint.best_model_path
        assert "checkpoint" in phases(statement(Path("auditor-runs/Busy")))[0]

    def test_the_energy_is_that_of_the_cpu_time(self) -> None:
        """The meter draws 2 W without load and 10 W a busy CPU."""
        trainer(AuditCallback(**FAST), max_epochs=10).fit(Busy(0.1), Data())
        found = statement(Path("auditor-runs/Busy"))
        cpu_s, wall_s = found["compute"]["cpu_s"], found["compute"]["wall_s"]
        assert cpu_s > 1.8
        expected_j = 10 * cpu_s + 2 * wall_s  # it holds all slots of the machine
        assert found["energy"]["search_uj"] / 1e6 == pytest.approx(expected_j, rel=0.05)

    def test_each_training_gets_a_folder_of_its_own(self) -> None:
        for _ in range(2):
            trainer(AuditCallback(**FAST), max_epochs=1).fit(Net(), Data())
        assert sorted(path.name for path in Path("auditor-runs").iterdir()) == ["Net", "Net-2"]

    def test_name_and_folder_may_be_given(self) -> None:
        trainer(AuditCallback("mine", folder="books/here", **FAST), max_epochs=1).fit(Net(), Data())
        assert statement(Path("books/here"))["study"]["name"] == "mine"
        assert not Path("auditor-runs").exists()

    def test_a_folder_that_is_named_again_is_gone_on_with(self) -> None:
        for _ in range(2):
            trainer(AuditCallback("mine", folder="books", **FAST), max_epochs=4).fit(Busy(), Data())
        found = statement(Path("books"))
        assert [run["run"] for run in found["trainings"]] == ["0", "1"]
        assert all(run["energy_uj"] > 0 for run in found["trainings"])


class TestBadArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "a/b"}, "name: expected letters, digits"),
            ({"budget": "much"}, "budget: expected an energy such as '500 J' or '0.5 kWh' with a unit .*, got 'much'"),
            ({"budget": "-1 J"}, "budget: "),
            ({"name": "x", "folder": "."}, "folder: .* is not empty and holds no study"),
        ],
    )
    def test_they_are_refused_before_anything_is_spent(self, options: dict[str, Any], message: str) -> None:
        Path("something").touch()
        with pytest.raises(InputError, match=message):
            AuditCallback(**options)

    def test_a_folder_of_another_study_too(self) -> None:
        trainer(AuditCallback("one", folder="books", **FAST), max_epochs=1).fit(Net(), Data())
        with pytest.raises(InputError, match="holds the study 'one', expected 'two'"):
            AuditCallback("two", folder="books")


class TestWaysToTrain:
    def test_fit_validate_test_and_predict_are_runs_of_one_study(self) -> None:
        audit = AuditCallback(**FAST)
        made, module, data = trainer(audit, max_epochs=4), Busy(), Data()
        made.fit(module, data)
        made.validate(module, data, verbose=False)
        made.test(module, data, verbose=False)
        made.predict(module, data.test_dataloader())
        found = statement(Path("auditor-runs/Busy"))
        named = [{phase for phase in run if phase in {"train", "validate", "test", "predict"}} for run in phases(found)]
        assert named == [{"train", "validate"}, {"validate"}, {"test"}, {"predict"}]
        assert len(list(Path("auditor-runs").iterdir())) == 1

    def test_fit_several_times(self) -> None:
        audit = AuditCallback(**FAST)
        for _ in range(3):
            trainer(audit, max_epochs=3).fit(Busy(), Data())
        found = statement(Path("auditor-runs/Busy"))
        assert [run["state"] for run in found["trainings"]] == ["complete"] * 3
        assert found["energy"]["coverage"] > 0.99
        total_uj = sum(run["energy_uj"] for run in found["trainings"])
        assert audit.figures["energy_j"] * 1e6 == pytest.approx(total_uj, rel=0.2)  # and the audit

    def test_manual_optimisation(self) -> None:
        class Manual(Busy):
            def __init__(self) -> None:
                super().__init__()
                self.automatic_optimization = False

            def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
                loss = super().training_step(batch, batch_idx)
                optimizer: Any = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
                return loss

        made = trainer(AuditCallback(**FAST), max_epochs=4)
        made.fit(Manual(), Data())
        assert made.global_step == 8
        [run] = statement(Path("auditor-runs/Manual"))["trainings"]
        assert run["state"] == "complete"
        assert run["flops"] == FORWARD * 8 * (3 * 4 + 1)

    def test_gradient_accumulation_and_sanity_checks(self) -> None:
        made = trainer(AuditCallback(**FAST), max_epochs=4, accumulate_grad_batches=2, num_sanity_val_steps=2)
        made.fit(Busy(), Data())
        assert made.global_step == 4
        assert statement(Path("auditor-runs/Busy"))["trainings"][0]["state"] == "complete"

    def test_early_stopping(self) -> None:
        stop = EarlyStopping("val_acc", mode="min", patience=0)
        made = trainer(AuditCallback(**FAST), stop)
        made.fit(Busy(), Data())
        assert made.current_epoch < 8
        assert statement(Path("auditor-runs/Busy"))["trainings"][0]["state"] == "complete"

    @pytest.mark.parametrize("context", ["fork", "spawn"])
    def test_the_cpu_time_of_data_loader_workers_counts(self, context: str) -> None:
        from busy_data import BusyData

        loader = DataLoader(
            BusyData(16, 0.05), 4, num_workers=2, multiprocessing_context=context, persistent_workers=True
        )
        plain = DataLoader(BusyData(4, 0.0), 4)
        trainer(AuditCallback(**FAST), max_epochs=2).fit(Net(), loader, plain)
        found = statement(Path("auditor-runs/Net"))
        assert found["compute"]["cpu_s"] > 2 * 16 * 0.05
        assert found["energy"]["search_uj"] / 1e6 > 10 * 2 * 16 * 0.05

    def test_a_callback_may_be_copied_and_sent(self) -> None:
        import copy
        import pickle

        audit = AuditCallback("mine", folder="books", **FAST)
        trainer(audit, max_epochs=1).fit(Net(), Data())
        for twin in (copy.deepcopy(audit), pickle.loads(pickle.dumps(audit))):
            trainer(twin, max_epochs=1).fit(Net(), Data())
        assert len(statement(Path("books"))["trainings"]) == 3


class TestEnds:
    @pytest.mark.parametrize(
        ("trouble", "raised", "error"),
        [
            ("error", ValueError, "ValueError: two lines"),
            ("exit", SystemExit, "SystemExit: 143"),
            ("interrupt", SystemExit, "KeyboardInterrupt"),
            ("terminate", SystemExit, "SIGTERMException"),
        ],
    )
    def test_whatever_ends_a_training_its_books_are_closed(
        self, trouble: str, raised: type[BaseException], error: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Later(Busy):
            def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
                self.trouble = trouble if self.current_epoch == 4 and not batch[0].is_meta else ""
                return super().training_step(batch, batch_idx)

        with pytest.raises(raised) as caught:
            trainer(AuditCallback(**FAST)).fit(Later(), Data(batch_size=2))
        if trouble == "error":
            assert caught.value.args == ("two\nlines",)
        [run] = statement(Path("auditor-runs/Later"))["trainings"]
        assert (run["state"], run["error"]) == ("failed", error)
        assert run["energy_uj"] > 0
        assert "audit · Later: " in capsys.readouterr().out

    def test_it_can_be_used_again_afterwards(self) -> None:
        audit = AuditCallback(**FAST)
        with pytest.raises(ValueError, match="two"):
            trainer(audit).fit(Net("error"), Data())
        trainer(audit).fit(Net(), Data())
        assert [r["state"] for r in statement(Path("auditor-runs/Net"))["trainings"]] == ["failed", "complete"]


class TestCheckpoints:
    def test_what_was_spent_goes_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        save = ModelCheckpoint("checkpoints", save_last=True)
        before = AuditCallback(**FAST)
        trainer(before, save, enable_checkpointing=True, max_epochs=6).fit(Busy(), Data())
        capsys.readouterr()
        carried = torch.load("checkpoints/last.ckpt", weights_only=True)["callbacks"]["AuditCallback"]["spent"]
        [spent] = carried.values()
        earlier_j = sum(spent["energy_uj"].values()) / 1e6
        assert 0 < earlier_j <= before.figures["energy_j"]

        after = AuditCallback(**FAST)
        made = trainer(after, ModelCheckpoint("checkpoints"), enable_checkpointing=True, max_epochs=12)
        made.fit(Busy(), Data(), ckpt_path="checkpoints/last.ckpt", weights_only=False)
        found = statement(Path("auditor-runs/Busy-2"))
        here_j = found["energy"]["search_uj"] / 1e6
        assert after.figures["energy_j"] == pytest.approx(earlier_j + here_j)
        assert float(made.callback_metrics["audit/energy_j"]) == after.figures["energy_j"]
        assert after.figures["flops"] > before.figures["flops"]
        [run] = found["trainings"]
        assert run["carried_uj"] == pytest.approx(earlier_j * 1e6)
        assert run["carried_from"] == [str(Path("auditor-runs/Busy").resolve())]
        assert "energy-carried" in findings(found)
        assert "in earlier sessions" in capsys.readouterr().out

    def test_in_the_same_folder_nothing_is_counted_twice(self) -> None:
        save = ModelCheckpoint("checkpoints", save_last=True)
        options = {"name": "mine", "folder": "books", **FAST}
        trainer(AuditCallback(**options), save, enable_checkpointing=True, max_epochs=6).fit(Busy(), Data())
        again = AuditCallback(**options)
        made = trainer(again, ModelCheckpoint("checkpoints"), enable_checkpointing=True, max_epochs=12)
        made.fit(Busy(), Data(), ckpt_path="checkpoints/last.ckpt", weights_only=False)
        found = statement(Path("books"))
        assert again.figures["energy_j"] == found["energy"]["search_uj"] / 1e6
        assert [run["carried_uj"] for run in found["trainings"]] == [0, 0]

    def test_a_checkpoint_with_nonsense_in_it_is_trained_from_all_the_same(self) -> None:
        audit = AuditCallback(**FAST)
        audit.load_state_dict({"spent": 7})
        trainer(audit, max_epochs=1).fit(Net(), Data())
        assert statement(Path("auditor-runs/Net"))["trainings"][0]["carried_uj"] == 0


class TestBudget:
    def test_it_stops_in_good_order(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.training.callback._REFRESH_S", 0.1)
        audit = AuditCallback(budget="8 J", **FAST)
        made = trainer(audit, max_epochs=100)
        made.fit(Busy(), Data())
        assert made.current_epoch < 50
        assert 8 <= audit.figures["energy_j"] < 16
        assert statement(Path("auditor-runs/Busy"))["trainings"][0]["state"] == "complete"
        assert caplog.text.count("budget of 8.00 J spent") == 1

    def test_what_a_checkpoint_carries_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.training.callback._REFRESH_S", 0.1)
        audit = AuditCallback(budget="100 J", **FAST)
        audit.load_state_dict(
            {"spent": {"other": {"folder": "x", "energy_uj": {"cpu": 99_000_000}, "wall_s": 9.0, "flops": None}}}
        )
        made = trainer(audit, max_epochs=100)
        made.fit(Busy(), Data())
        assert made.current_epoch < 20
