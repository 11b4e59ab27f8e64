"""A search over training that you already have.

A LightningModule and a LightningDataModule as they are, a function that draws parameters, and the parameters you would
use without searching. Run it in this folder with::

    auditor search own_training.yaml
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from auditor import LightningSpace

if TYPE_CHECKING:
    import optuna

Batch = tuple[torch.Tensor, torch.Tensor]


class Classifier(pl.LightningModule):
    def __init__(self, width: int = 32, lr: float = 1e-3) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0))
        self.lr = lr

    def loss(self, batch: Batch) -> torch.Tensor:
        return nn.functional.binary_cross_entropy_with_logits(self.net(batch[0]), batch[1])

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.lr)


class BreastCancer(pl.LightningDataModule):
    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        features, labels = load_breast_cancer(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(labels))
        features = (features - features.mean(axis=0)) / features.std(axis=0)
        data = TensorDataset(
            torch.tensor(features[order], dtype=torch.float32), torch.tensor(labels[order], dtype=torch.float32)
        )
        self.parts = torch.utils.data.random_split(data, [369, 100, 100], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[0], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[1], 100)

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[2], 100)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 4, 128, log=True),
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64]),
    }


space = LightningSpace(
    module_class=Classifier,
    data_class=BreastCancer,
    suggest=suggest,
    default={"width": 32, "lr": 1e-3, "batch_size": 32},
    metric="val_loss",
    direction="minimize",
    test_metric="test_loss",
)
