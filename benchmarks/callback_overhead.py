"""How much longer does a training take for being audited, and beside that for what people use today?

Trains the same module without anything, with ``AuditCallback``, with Lightning's ``DeviceStatsMonitor``, and with a
CodeCarbon tracker running in the same process, one after the other in an order that turns, several rounds. A step does
its work and then spins until it has taken the time asked for, so that what is added is all that differs. Compared are
the steps after the first epoch, in which a node agent or a tracker starts, within each round; what each takes before
the first step and after the last stands apart.

    python benchmarks/callback_overhead.py --rounds 7
    python benchmarks/callback_overhead.py --imports
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

EPOCHS = 5
SECONDS = 6.0
ARMS = ("nothing", "AuditCallback", "DeviceStatsMonitor", "CodeCarbon tracker")
IMPORT = """
import time
began = time.perf_counter()
import {lightning}
middle = time.perf_counter()
from auditor import AuditCallback
print(middle - began, time.perf_counter() - middle)
"""


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-ms", type=float, nargs="+", default=[1.0, 5.0, 50.0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--imports", action="store_true", help="only measure what importing AuditCallback adds")
    options = parser.parse_args()
    if options.imports:
        imports(options.rounds)
        return
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ["AUDITOR_RUNTIME_DIR"] = str(Path(place) / "runtime")
        os.chdir(place)
        sys.stdout, shown = open(os.devnull, "w"), sys.stdout  # noqa: SIM115 - the three lines of each training
        for arm in ARMS:
            train(arm, 0.001, 100)  # imports, and what is counted once
        tables = [table(step_ms, options.rounds) for step_ms in options.step_ms]
        sys.stdout = shown
    print("\n\n".join(tables))


def table(step_ms: float, rounds: int) -> str:
    """Medians over rounds for one length of a step."""
    steps = max(EPOCHS, int(SECONDS * 1e3 / step_ms) // (EPOCHS - 1) * EPOCHS)
    compared = steps * (EPOCHS - 1) // EPOCHS
    loops: dict[str, list[float]] = {arm: [] for arm in ARMS}
    once: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(rounds):
        for arm in [*ARMS[turn % len(ARMS) :], *ARMS[: turn % len(ARMS)]]:
            loop_s, once_s = train(arm, step_ms / 1e3, steps)
            loops[arm].append(loop_s)
            once[arm].append(once_s)
    lines = [
        f"Steps of {step_ms:g} ms, {compared} compared a training, {rounds} rounds:",
        "",
        "| with | longer (median, least to most) | us a step | once, s |",
        "|---|---|---|---|",
    ]
    plain_s = loops["nothing"]
    for arm in ARMS[1:]:
        ratios = [took / plain - 1 for took, plain in zip(loops[arm], plain_s, strict=True)]
        more_us = (
            statistics.median(took - plain for took, plain in zip(loops[arm], plain_s, strict=True)) / compared * 1e6
        )
        more_s = statistics.median(o - p for o, p in zip(once[arm], once["nothing"], strict=True))
        lines.append(
            f"| {arm} | {statistics.median(ratios):+.2%} ({min(ratios):+.2%} to {max(ratios):+.2%}) "
            f"| {more_us:+.1f} | {more_s:+.2f} |"
        )
    return "\n".join(lines)


def train(arm: str, step_s: float, steps: int) -> tuple[float, float]:
    """Seconds of the steps that are compared, and of everything but steps."""
    import pytorch_lightning as pl
    import torch
    from codecarbon import OfflineEmissionsTracker
    from pytorch_lightning.callbacks import DeviceStatsMonitor
    from pytorch_lightning.loggers import CSVLogger
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from auditor import AuditCallback

    class Paced(pl.LightningModule):
        """A small network whose training step takes a given time."""

        entered_s = began_s = ended_s = 0.0

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 0:
                self.entered_s = time.perf_counter()
            elif self.current_epoch == 1:
                self.began_s = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.ended_s = time.perf_counter()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            until_s = time.perf_counter() + step_s
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            while not loss.is_meta and time.perf_counter() < until_s:
                pass
            return loss

        def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.01)

    gc.collect()
    torch.manual_seed(0)
    count = 32 * steps // EPOCHS
    data = TensorDataset(torch.randn(count, 64), torch.zeros(count, dtype=torch.long))
    module = Paced()
    entered_s = time.perf_counter()
    callbacks = {"AuditCallback": AuditCallback, "DeviceStatsMonitor": DeviceStatsMonitor}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=CSVLogger("logs"),  # the monitor asks for a logger, so all of them have one
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callbacks[arm]()] if arm in callbacks else [],
    )
    tracker = None
    if arm == "CodeCarbon tracker":
        tracker = OfflineEmissionsTracker(
            country_iso_code="FRA",
            measure_power_secs=1,
            save_to_file=False,
            log_level="critical",
            allow_multiple_runs=True,
        )
        tracker.start()
    trainer.fit(module, DataLoader(data, 32), DataLoader(TensorDataset(*data[:32]), 32))
    if tracker is not None:
        tracker.stop()
    return module.ended_s - module.began_s, time.perf_counter() - entered_s - (module.ended_s - module.entered_s)


def imports(rounds: int) -> None:
    """What ``from auditor import AuditCallback`` adds to the import of Lightning, each in a process of its own."""
    print("| Lightning | its own import, s | AuditCallback beyond it, s |")
    print("|---|---|---|")
    for lightning in ("pytorch_lightning", "lightning.pytorch"):
        rows = [_import(lightning) for _ in range(rounds)]
        own, beyond = ([row[column] for row in rows] for column in (0, 1))
        most = f"{min(beyond):.2f}-{max(beyond):.2f}"
        print(f"| {lightning} | {statistics.median(own):.2f} | {statistics.median(beyond):.2f} ({most}) |")


def _import(lightning: str) -> Sequence[float]:
    code = IMPORT.format(lightning=lightning)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return [float(part) for part in done.stdout.split()]


if __name__ == "__main__":
    main()
