"""Network and data of the glue benchmark."""

from __future__ import annotations

from functools import cache

import pytorch_lightning as pl
import torch
import torchmetrics
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(pl.LightningModule):
    """Some 3 x 3 convolutions, average pooling and a linear classifier."""

    def __init__(self, channels: int, depth: int, lr: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        incoming = 1
        for _ in range(depth):
            layers += [nn.Conv2d(incoming, channels, 3, padding=1), nn.ReLU()]
            incoming = channels
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10))
        self.acc = torchmetrics.Accuracy("multiclass", num_classes=10)
        self.lr = lr

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Cross-entropy."""
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        """Accuracy."""
        self.acc(self.net(batch[0]), batch[1])
        self.log("val_acc", self.acc)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), self.lr)


@cache
def split() -> tuple[TensorDataset, TensorDataset]:
    """1,200 images to train on and 300 to validate; a worker loads them once."""
    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    labels = torch.tensor(y)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return (
        TensorDataset(images[order[:1200]], labels[order[:1200]]),
        TensorDataset(images[order[1200:1500]], labels[order[1200:1500]]),
    )


class Digits(pl.LightningDataModule):
    """The digits in batches."""

    def setup(self, stage: str) -> None:
        """Load and split."""
        self.train, self.validation = split()

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Batches of 64."""
        return DataLoader(self.train, 64, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Batches of 256."""
        return DataLoader(self.validation, 256)
