"""How much longer does a training take for being audited?

Trains the same module in pairs, with and without ``AuditCallback``, in alternating order. A step does its work and then
spins until it has taken the time asked for, so that what Lightning and the callback add is all that differs. Counting
the operations of the first batch is part of it; a first pair, which also imports libraries, is left out.

    python benchmarks/callback.py --step-ms 5 --steps 2000 --pairs 7
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from auditor.domain.accounts import trial_account
from auditor.metering.activity import Activity, forget
from auditor.metering.runtime import ENVIRONMENT
from auditor.training.callback import AuditCallback

UUID = "6d0e6a1e-0000-4000-8000-00000000aaaa"
STUDY = "bench"
EPOCHS = 10
TARGET = 0.01


class Paced(pl.LightningModule):
    """A small network whose training step takes a given time."""

    def __init__(self, step_s: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.step_s = step_s

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Cross-entropy, no sooner than asked for."""
        until_s = time.perf_counter() + self.step_s
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        while not loss.is_meta and time.perf_counter() < until_s:
            pass
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Logged once an epoch."""
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain descent."""
        return torch.optim.SGD(self.parameters(), 0.01)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-ms", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ[ENVIRONMENT] = str(Path(place) / "runtime")
        activity = Activity(Path(place), UUID, trial_account(STUDY, 0, 1))
        for audited in (True, False):
            train(activity if audited else None, options.step_ms / 1e3, EPOCHS)
        pairs = [pair(activity, options.step_ms / 1e3, options.steps, turn % 2 == 0) for turn in range(options.pairs)]
        forget(activity)
    print("| pair | plain s | audited s | ratio |")
    print("|---|---|---|---|")
    for number, (plain_s, audited_s) in enumerate(pairs):
        print(f"| {number + 1} | {plain_s:.3f} | {audited_s:.3f} | {audited_s / plain_s:.4f} |")
    plain_s, audited_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [audited / plain for plain, audited in pairs]
    ratio = statistics.median(ratios)
    print(f"| median | {plain_s:.3f} | {audited_s:.3f} | {ratio:.4f} ({min(ratios):.4f}-{max(ratios):.4f}) |")
    more_us = statistics.median(audited - plain for plain, audited in pairs) * 1e6 / options.steps
    print(
        f"\n{options.steps} steps of {options.step_ms:g} ms: {ratio - 1:+.2%} ({more_us:+.0f} us a step; "
        f"target {TARGET:.0%}): {'met' if ratio - 1 <= TARGET else 'missed'}"
    )


def pair(activity: Activity, step_s: float, steps: int, audited_first: bool) -> tuple[float, float]:
    """Seconds of a plain training and of an audited one."""
    order = (activity, None) if audited_first else (None, activity)
    seconds = {whose is None: train(whose, step_s, steps) for whose in order}
    return seconds[True], seconds[False]


def train(activity: Activity | None, step_s: float, steps: int) -> float:
    """Seconds that ``fit`` takes, with the callback where an activity is given."""
    torch.manual_seed(0)
    batch = 32
    data = TensorDataset(
        torch.randn(batch * steps // EPOCHS, 64), torch.zeros(batch * steps // EPOCHS, dtype=torch.long)
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[] if activity is None else [AuditCallback(activity, trial_account(STUDY, 0, 1))],
    )
    loader = DataLoader(data, batch)
    began_s = time.perf_counter()
    trainer.fit(Paced(step_s), loader, DataLoader(TensorDataset(*data[:batch]), batch))
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
