"""Eight trainings at once on one machine: what do they claim together, and what did the machine use?

Each training is a process of its own with both: ``AuditCallback``, and around its ``fit`` a CodeCarbon tracker, as
people use it. Prints what all of them claim, beside the energy that the machine used while they ran.

    python benchmarks/eight_trainings.py --trainings 8 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from auditor import open_study
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.parts import Readings

CODECARBON = {
    "measure_power_secs": 1,
    "save_to_file": False,
    "log_level": "critical",
    "allow_multiple_runs": True,
    "country_iso_code": "FRA",
}


def main() -> None:
    """Run them and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        train(options.child, options.seconds)
        return
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / f"training-{number}" for number in range(options.trainings)]
        command = [sys.executable, __file__, "--seconds", str(options.seconds), "--child"]
        children = [
            subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for folder in folders
        ]
        trackers_j = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
        print(table(folders, trackers_j))


def table(folders: list[Path], trackers_j: list[float]) -> str:
    """What the trainings claim, and what the machine used while any of them ran."""
    readings: dict[int, int] = {}
    claims_j = []
    for folder in folders:
        record, _ = open_study(folder)
        claims_j.append(sum(uj for name, uj in record.books.accounts.items() if name.startswith("study/")) / 1e6)
        reader = StudyReader(StudyFolder(folder))
        reader.refresh()
        readings |= {r.t: sum(r.e.values()) for p in reader.parts() if isinstance(p, Readings) for r in p.readings}
    used_j, claimed_j = (readings[max(readings)] - readings[min(readings)]) / 1e6, sum(claims_j)
    lines = [
        "| who says | joules | times the machine |",
        "|---|---|---|",
        f"| the machine, metered once | {used_j:,.1f} | 1 |",
        f"| {len(claims_j)} x AuditCallback, sum | {claimed_j:,.1f} | {claimed_j / used_j:.3f} |",
        f"| (idle, and processes of nobody) | {used_j - claimed_j:,.1f} | {1 - claimed_j / used_j:.3f} |",
        f"| {len(trackers_j)} x CodeCarbon tracker, sum | {sum(trackers_j):,.1f} | {sum(trackers_j) / used_j:.2f} |",
    ]
    return "\n".join(lines)


def train(folder: Path, seconds: float) -> None:
    """One training that computes for some seconds; the last line says what its tracker claims, in joules."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    import pytorch_lightning as pl
    import torch
    from codecarbon import OfflineEmissionsTracker
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from auditor import AuditCallback

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.01)

    torch.set_num_threads(1)
    data = TensorDataset(torch.randn(3200, 256), torch.zeros(3200, dtype=torch.long))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_time={"seconds": int(seconds)},
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[AuditCallback(folder.name, folder=folder)],
    )
    tracker = OfflineEmissionsTracker(**CODECARBON)
    tracker.start()
    trainer.fit(Net(), DataLoader(data, 32))
    tracker.stop()
    print(json.dumps(tracker.final_emissions_data.energy_consumed * 3.6e6))


if __name__ == "__main__":
    main()
