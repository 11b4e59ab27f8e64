"""Network and data of the space ``digits_cnn``; imported by workers only."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from auditor_spaces.digits_data import load


class DigitsNet(pl.LightningModule):
    """Some convolutions, average pooling to 2 x 2, dropout and a linear classifier.

    Args:
        channels: Channels of every convolution.
        depth: Number of convolutions.
        kernel: Their kernel size.
        dropout: Probability of dropping a feature before the classifier.
        lr: Learning rate of Adam.
    """

    def __init__(
        self, channels: int = 16, depth: int = 2, kernel: int = 3, dropout: float = 0.1, lr: float = 3e-3
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        layers: list[nn.Module] = []
        incoming = 1
        for _ in range(depth):
            layers += [nn.Conv2d(incoming, channels, kernel, padding=kernel // 2), nn.ReLU()]
            incoming = channels
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * channels, 10)]
        self.net = nn.Sequential(*layers)
        self.lr = lr
        self.val_acc = torchmetrics.Accuracy("multiclass", num_classes=10)
        self.test_acc = torchmetrics.Accuracy("multiclass", num_classes=10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(n, 10)`` of images ``(n, 1, 8, 8)``."""
        logits: torch.Tensor = self.net(images)
        return logits

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Cross-entropy."""
        images, labels = batch
        return nn.functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> None:
        """Accuracy on the validation set."""
        images, labels = batch
        self.val_acc(self(images), labels)
        self.log("val_acc", self.val_acc)

    def test_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Accuracy on the test set; and whether each image was right, so that the noise of their choice is known."""
        images, labels = batch
        logits = self(images)
        self.test_acc(logits, labels)
        self.log("test_acc", self.test_acc)
        return {"score": (logits.argmax(dim=1) == labels).float()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


_cache: dict[str, TensorDataset] = {}


class DigitsData(pl.LightningDataModule):
    """The digits with their fixed split; loaded once a process.

    Args:
        batch_size: Images in a training batch.
    """

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        """Load the parts as tensors."""
        if not _cache:
            for name, (images, labels) in load().items():
                _cache[name] = TensorDataset(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels))

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Shuffled training batches."""
        return DataLoader(_cache["train"], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Validation batches."""
        return DataLoader(_cache["validation"], 300)

    def test_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Test batches."""
        return DataLoader(_cache["test"], 297)
