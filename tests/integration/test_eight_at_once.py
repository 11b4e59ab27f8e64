"""Eight trainings at once, each with the one line: together they claim what the machine used, and not more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agents import stop_agent
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.parts import Readings

TESTS = Path(__file__).parents[1]
TRAINING = """
import logging, warnings
warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
import pytorch_lightning as pl
import torch
from agents import FAST
from auditor import AuditCallback
from unit.training.nets import Data, Net
torch.set_num_threads(1)
trainer = pl.Trainer(max_epochs=-1, max_time={"seconds": 6}, accelerator="cpu", logger=False,
                     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                     callbacks=[AuditCallback(**FAST)])
trainer.fit(Net(), Data())
"""
Interval = tuple[int, int]


@pytest.fixture(autouse=True)
def everything_ends(runtime_dir: Path) -> Iterator[None]:
    yield
    stop_agent(runtime_dir)


def sums(folder: Path) -> tuple[dict[Interval, int], dict[Interval, dict[str, int]]]:
    """What was metered in each interval (CLOCK_MONOTONIC), and who was charged: ``study``, ``foreign``, ``idle`` ..."""
    reader = StudyReader(StudyFolder(folder))
    reader.refresh()
    [part] = [part for part in reader.parts() if isinstance(part, Readings)]
    times = [reading.t for reading in part.readings]
    metered = {
        (a.t, b.t): sum(b.e.values()) - sum(a.e.values())
        for a, b in zip(part.readings, part.readings[1:], strict=False)
    }
    _, ledger = reader.close()
    offset = int(ledger.start_ns.min()) - times[0]
    charged: dict[Interval, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = zip(ledger.start_ns, ledger.end_ns, ledger.account, ledger.energy_uj, strict=True)
    for start_ns, end_ns, account, energy_uj in rows:
        owner, *_, last = str(account).split("/")
        who = "study" if owner == "study" else last
        charged[int(start_ns) - offset, int(end_ns) - offset][who] += int(energy_uj)
    return metered, charged


@pytest.mark.slow
def test_their_claims_and_what_is_nobodys_are_the_meter(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    children = [
        subprocess.Popen([sys.executable, "-c", TRAINING], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(8)
    ]
    assert [child.wait(timeout=120) for child in children] == [0] * 8
    folders = sorted((tmp_path / "auditor-runs").iterdir())
    assert sorted(path.name for path in folders) == ["Net", *(f"Net-{number}" for number in range(2, 9))]
    books = [sums(folder) for folder in folders]

    common = set.intersection(*(set(metered) & set(charged) for metered, charged in books))
    assert len(common) > 20
    for interval in common:
        energies = {metered[interval] for metered, _ in books}
        assert len(energies) == 1  # all of them have the same readings
        charges: list[Mapping[str, int]] = [charged[interval] for _, charged in books]
        claims = [charge["study"] for charge in charges]
        idle = {charge["idle"] for charge in charges}
        nobodys = {charge["foreign"] + charge["study"] - sum(claims) for charge in charges}
        assert len(idle) == len(nobodys) == 1
        [rest] = nobodys
        assert rest >= 0
        assert sum(claims) + rest + idle.pop() == energies.pop()

    claimed = sum(charged[interval]["study"] for _, charged in books for interval in common)
    used = sum(books[0][0][interval] for interval in common)
    assert 0.85 < claimed / used <= 1  # nothing else runs here, but for the system and the agent
    shares = [sum(charged[interval]["study"] for interval in common) / claimed for _, charged in books]
    assert min(shares) > 0.06  # of an eighth
    assert max(shares) < 0.25
