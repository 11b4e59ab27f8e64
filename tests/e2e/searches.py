"""Starting, watching and killing real searches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SLOW_SPACE = """
import time
import torch, pytorch_lightning as pl
from torch.utils.data import DataLoader, TensorDataset
from auditor import LightningSpace

class Net(pl.LightningModule):
    def __init__(self, lr=0.1, pause=0.05):
        super().__init__()
        self.layer, self.lr, self.pause = torch.nn.Linear(4, 1), lr, pause
    def training_step(self, batch, i):
        until = time.process_time() + self.pause
        while time.process_time() < until:
            pass
        return self.layer(batch[0]).pow(2).mean()
    def validation_step(self, batch, i):
        self.log("val_loss", self.layer(batch[0]).pow(2).mean())
    def test_step(self, batch, i):
        self.log("test_loss", self.layer(batch[0]).pow(2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)

class Data(pl.LightningDataModule):
    def setup(self, stage):
        self.part = TensorDataset(torch.randn(32, 4, generator=torch.Generator().manual_seed(0)))
    def train_dataloader(self):
        return DataLoader(self.part, 8)
    val_dataloader = test_dataloader = train_dataloader

def suggest(trial):
    return {"lr": trial.suggest_float("lr", 1e-3, 1e-1, log=True), "pause": 0.1}

space = LightningSpace(module_class=Net, data_class=Data, suggest=suggest, default={"lr": 0.01, "pause": 0.05},
                       metric="val_loss", direction="minimize", test_metric="test_loss")
"""

SLOW_CONFIG = """
study: slow
space: slow_space:space
search: {sampler: random, pruner: none}
budget: {trials: 4}
resources: {workers: 2, retries: 1}
training: {max_epochs: 5}
baselines: [default]
evaluation: {seeds: 2, inference_s: 0}
"""


def auditor(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """The command line in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "auditor.cli.app", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(process: subprocess.Popen[str], timeout_s: float = 180) -> str:
    """Wait for a command that must succeed; its output."""
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        pytest.fail(f"the command did not end within {timeout_s} s:\n{output}")
    assert process.returncode == 0, output
    return output


def records(folder: Path, role: str) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Header and whole records of each journal of a role."""
    for path in sorted((folder / "journal").glob(f"{role}-*.jsonl")):
        lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        if lines:
            yield lines[0], lines[1:]


def training_worker(folder: Path) -> int | None:
    """Process id of a worker that is training a trial now."""
    for header, marks in records(folder, "marks"):
        current = [r["a"] for r in marks if r["k"] == "mark"][-1:]
        closed = any(r["k"] == "closed" for r in marks)
        if not closed and current and "/trial/" in current[0] and current[0].endswith("/train"):
            return int(header["pid"])
    return None


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    """Poll until something is there."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if found := condition():
            return found
        time.sleep(0.05)
    return pytest.fail(f"waited {timeout_s} s for {what}")


def statement_of(folder: Path) -> dict[str, Any]:
    """The statement of a study folder."""
    statement: dict[str, Any] = json.loads((folder / "statement.json").read_text())
    return statement


def assert_verified(folder: Path) -> None:
    """Another process finds every figure of a study folder in its journals."""
    output = finish(auditor("verify", str(folder), cwd=folder), 60)
    assert output.startswith("verified: "), output


def assert_balanced(statement: dict[str, Any]) -> None:
    """What must hold of every statement."""
    energy, trials = statement["energy"], statement["trials"]
    assert energy["residual_uj"] == 0
    assert energy["charged_uj"] == energy["metered_uj"] == sum(energy["accounts"].values()) > 0
    assert energy["coverage"] >= 0.99
    states = ("complete", "pruned", "failed", "lost", "running")
    assert sum(trials[state] for state in states) == trials["total"]
    study = statement["study"]["name"]
    for account in ("search/sampler", "search/orchestration", "search/tracking", "audit"):
        assert energy["accounts"][f"study/{study}/{account}"] > 0, account
