"""Trainings of several processes: one set of books, one meter, one report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import stop_agent
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify

TESTS = Path(__file__).parents[1]

FORWARD = 2 * 4 * 3
"""Operations of a sample; the backward pass takes as many."""

pytestmark = pytest.mark.slow

PRELUDE = """
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
import torch
import {lightning} as pl
from auditor import AuditCallback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

FAST = {{"meters": ("linear_meter:LinearMeter",), "interval_s": 0.1}}


class Net(pl.LightningModule):
    def __init__(self, step_s=0.02):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.step_s = step_s

    def forward(self, batch):
        return self.net(batch[0])

    def training_step(self, batch, number):
        if not batch[0].is_meta:
            self.work(number)
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def work(self, number):
        until_s = time.process_time() + self.step_s
        while time.process_time() < until_s:
            pass

    def validation_step(self, batch, number):
        self.net(batch[0])

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(samples=32):
    features = torch.arange(4 * samples, dtype=torch.float32).reshape(samples, 4) / 32
    return DataLoader(TensorDataset(features, torch.arange(samples) % 3), 4)


def trainer(*callbacks, **options):
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options = {{"max_epochs": 4, "accelerator": "cpu", **dict.fromkeys(quiet, False), **options}}
    return pl.Trainer(callbacks=list(callbacks), **options)


def tell(**what):
    with open(f"told-{{os.environ.get('LOCAL_RANK', '0')}}.jsonl", "a") as file:
        print(json.dumps(what), file=file)
"""


@pytest.fixture(autouse=True)
def agent(runtime_dir: Path) -> Iterator[None]:
    yield
    stop_agent(runtime_dir)


def run(
    folder: Path, script: str, *, lightning: str = "pytorch_lightning", timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, as a user does."""
    path = folder / "script.py"
    path.write_text(PRELUDE.format(lightning=lightning) + textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def told(folder: Path, rank: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"told-{rank}.jsonl").read_text().splitlines()]


def statement(folder: Path) -> dict[str, Any]:
    verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    assert found["energy"]["residual_uj"] == 0
    return found


def journals(folder: Path, role: str) -> int:
    return len(list((folder / "journal").glob(f"{role}-*.jsonl")))


class TestTwoProcesses:
    def test_they_share_books_figures_and_budget(self, tmp_path: Path) -> None:
        done = run(
            tmp_path,
            """
            class Look(pl.Callback):
                def on_train_epoch_end(self, trainer, module):
                    tell(seen={k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("audit/")})

            if __name__ == "__main__":
                import auditor.training.callback
                auditor.training.callback._REFRESH_S = 0.0
                auditor.training.callback._IDLE_SHARE = 0
                options = {"devices": 2, "strategy": "ddp"}
                trainer(AuditCallback("both", **FAST), Look(), **options).fit(Net(), loader(), loader())
                auditor.training.callback._REFRESH_S = 0.1
                made = trainer(AuditCallback("little", budget="4 J", **FAST), max_epochs=200, **options)
                made.fit(Net(), loader())
                tell(step=made.global_step, epoch=made.current_epoch)
            """,
        )
        assert done.returncode == 0, done.stderr
        runs = tmp_path / "auditor-runs"
        assert sorted(folder.name for folder in runs.iterdir()) == ["both", "little"]
        for name in ("both", "little"):
            found = statement(runs / name)
            assert [training["state"] for training in found["trainings"]] == ["complete"]
            assert journals(runs / name, "readings") == 1
            assert journals(runs / name, "marks") == 2
            assert done.stdout.count(f"audit · {name}:") == 1
        assert "not audited" not in done.stdout
        assert "failed" not in done.stderr

        found = statement(runs / "both")
        assert found["compute"]["cpu_s"] > 2 * 4 * 4 * 0.02  # ranks, epochs, batches
        sanity = 2 * 2 * 4  # ranks, batches, samples
        assert found["trainings"][0]["flops"] == FORWARD * (32 * 4 * (2 + 1) + sanity)
        *first, first_end = told(tmp_path, 0)
        *second, second_end = told(tmp_path, 1)
        assert first == second
        assert first[-1]["seen"]["audit/energy_j"] > 0
        assert first_end == second_end
        assert 0 < first_end["epoch"] < 200
        assert done.stderr.count("budget of 4.00 J spent") == 1

    def test_processes_that_the_trainer_starts(self, tmp_path: Path) -> None:
        done = run(
            tmp_path,
            """
            if __name__ == "__main__":
                for strategy in ("ddp_fork", "ddp_spawn"):
                    module = Net()
                    before = module.net.weight.clone()
                    made = trainer(AuditCallback(strategy, **FAST), devices=2, strategy=strategy)
                    made.fit(module, loader(), loader())
                    trained = not torch.equal(before, module.net.weight)
                    tell(trained=trained, told="audit/energy_j" in made.callback_metrics)
            """,
        )
        assert done.returncode == 0, done.stderr
        assert told(tmp_path, 0) == [{"trained": True, "told": True}] * 2
        assert "failed" not in done.stderr
        for strategy in ("ddp_fork", "ddp_spawn"):
            folder = tmp_path / "auditor-runs" / strategy
            assert done.stdout.count(f"audit · {strategy}:") == 1
            assert statement(folder)["compute"]["cpu_s"] > 2 * 4 * 4 * 0.02
            assert journals(folder, "marks") == 2

    def test_where_one_raises_both_end(self, tmp_path: Path) -> None:
        done = run(
            tmp_path,
            """
            class Raises(Net):
                def work(self, number):
                    super().work(number)
                    if self.global_rank == 1 and self.current_epoch == 1:
                        raise ValueError("mine")

            if __name__ == "__main__":
                try:
                    trainer(AuditCallback("both", **FAST), devices=2, strategy="ddp").fit(Raises(), loader())
                except BaseException as error:
                    tell(error=type(error).__name__, text=str(error))
                    raise
            """,
            timeout_s=90,
        )
        assert done.returncode != 0
        assert told(tmp_path, 1) == [{"error": "ValueError", "text": "mine"}]


class TestEitherLightning:
    @pytest.mark.parametrize(
        ("used", "other"), [("lightning.pytorch", "pytorch_lightning"), ("pytorch_lightning", "lightning")]
    )
    def test_the_other_is_not_imported(self, used: str, other: str, tmp_path: Path) -> None:
        done = run(
            tmp_path,
            f"""
            made, module, data = trainer(AuditCallback(**FAST)), Net(), loader()
            made.fit(module, data, data)
            made.validate(module, data, verbose=False)
            made.test(module, data, verbose=False)
            made.predict(module, data)
            tell(imported="{other}" in sys.modules)
            """,
            lightning=used,
        )
        assert done.returncode == 0, done.stderr
        assert told(tmp_path, 0) == [{"imported": False}]
        assert len(statement(tmp_path / "auditor-runs" / "Net")["trainings"]) == 4
        assert done.stdout.count("audit · Net:") == 4
