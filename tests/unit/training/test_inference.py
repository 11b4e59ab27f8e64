"""Repeated inference in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from auditor.domain.study import InferenceBlock
from auditor.metering.activity import Activity, forget
from auditor.training.inference import forward_of, is_known, measure_inference


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.seen.append(tuple(x.shape))
        return self.layer(x)


class OwnPredict(Net):
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch[1])


def loader() -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(TensorDataset(torch.rand(20, 4), torch.rand(20, 4)), batch_size=8)


@pytest.fixture
def activity(tmp_path: Path) -> Iterator[Activity]:
    (tmp_path / "journal").mkdir()
    made = Activity(tmp_path / "journal", "u", "study/s/search/orchestration")
    yield made
    forget(made)


def measure(activity: Activity, energies: list[float | None], most_s: float = 0.0) -> tuple[InferenceBlock, ...]:
    given = iter(energies)
    return measure_inference(
        Net(),
        loader(),
        activity=activity,
        account=lambda block: f"study/s/evaluation/winner-1-inference-{block}",
        energy_j=lambda account: next(given),
        most_s=most_s,
        block_s=0.01,
    )


def test_three_blocks_are_run_where_time_is_up(activity: Activity) -> None:
    blocks = measure(activity, [None] * 3)
    assert [block.number for block in blocks] == [0, 1, 2]
    assert all(block.batch_size == 8 and block.samples % 8 == 0 and block.samples > 0 for block in blocks)


def test_each_block_has_an_account_of_its_own(activity: Activity, tmp_path: Path) -> None:
    measure(activity, [1.0] * 3)
    [journal] = (tmp_path / "journal").glob("*.jsonl")
    accounts = [record.get("a") for record in map(json.loads, journal.read_text().splitlines())]
    for number in range(3):
        assert f"study/s/evaluation/winner-1-inference-{number}/predict" in accounts
    assert "study/s/audit" in accounts  # asking for the energy is the audit's


class TestForward:
    def test_of_inputs_and_labels_the_inputs(self) -> None:
        module = Net().eval()
        with torch.inference_mode():
            forward_of(module, (torch.rand(3, 4), torch.rand(3, 9)))()
            forward_of(module, torch.rand(5, 4))()
        assert module.seen == [(3, 4), (5, 4)]

    def test_its_own_predict_step_comes_first(self) -> None:
        module = OwnPredict().eval()
        with torch.inference_mode():
            forward_of(module, (torch.rand(3, 9), torch.rand(7, 4)))()
        assert module.seen == [(7, 4)]


def blocks(count: int) -> list[InferenceBlock]:
    return [InferenceBlock(number=n, samples=100, batch_size=10) for n in range(count)]


class TestKnown:
    def test_an_interval_within_five_per_cent(self) -> None:
        assert is_known([1.0, 1.01, 0.99], blocks(3))
        assert not is_known([1.0, 1.2, 0.8], blocks(3))

    def test_needs_three_blocks_whose_energy_is_known(self) -> None:
        assert not is_known([1.0, 1.0], blocks(2))
        assert not is_known([1.0, None, 1.0], blocks(3))

    def test_no_energy_is_not_known(self) -> None:
        assert not is_known([0.0, 0.0, 0.0], blocks(3))
