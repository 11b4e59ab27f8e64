"""Small modules and data for the tests of training; everything on 8 samples of 4 numbers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from auditor import LightningSpace

THIRD_PARTY = [
    pytest.mark.filterwarnings(r"ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:The '\w+' does not have many workers"),
]
"""Notes of torch and Lightning that don't concern the tests."""


class Net(pl.LightningModule):
    """A linear layer from 4 to 3; ``trouble`` says what happens in the second training step."""

    def __init__(self, trouble: str = "", metric: str = "val_acc", value: float = 0.5) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.trouble = trouble
        self.metric = metric
        self.value = value

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        if batch_idx == 1:
            self.fail()
        loss: torch.Tensor = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        if self.trouble == "validation":
            raise ValueError("bad validation")
        self.net(batch[0])
        if self.metric:
            self.log(self.metric, self.value + self.current_epoch / 4)

    def test_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("test_acc", 0.25)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def fail(self) -> None:
        match self.trouble:
            case "error":
                raise ValueError("two\nlines")
            case "exit":
                raise SystemExit(143)
            case "interrupt":
                raise KeyboardInterrupt
            case "terminate":
                os.kill(os.getpid(), signal.SIGTERM)


class Data(pl.LightningDataModule):
    """8 samples in batches of 4."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader()

    def _loader(self) -> DataLoader[Any]:
        features = torch.arange(32, dtype=torch.float32).reshape(8, 4) / 32
        return DataLoader(TensorDataset(features, torch.arange(8) % 3), self.batch_size)


def space(**changes: Any) -> LightningSpace:
    """A space over :class:`Net`."""
    options: dict[str, Any] = {
        "suggest": lambda trial: {},
        "default": {},
        "module_class": Net,
        "data_class": Data,
        "metric": "val_acc",
        "test_metric": "test_acc",
        **changes,
    }
    return LightningSpace(**options)
