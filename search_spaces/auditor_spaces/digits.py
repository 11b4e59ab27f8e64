"""Small convolutional networks on scikit-learn's handwritten digits (1,797 images of 8 x 8 pixels, 10 classes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor import LightningSpace

if TYPE_CHECKING:
    import optuna


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Architecture and optimiser of one trial."""
    return {
        "channels": trial.suggest_categorical("channels", [8, 16, 32]),
        "depth": trial.suggest_int("depth", 1, 3),
        "kernel": trial.suggest_categorical("kernel", [3, 5]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
    }


digits_cnn = LightningSpace(
    suggest=suggest,
    default={"channels": 16, "depth": 2, "kernel": 3, "dropout": 0.1, "lr": 3e-3, "batch_size": 32},
    module_class="auditor_spaces.digits_cnn:DigitsNet",
    data_class="auditor_spaces.digits_cnn:DigitsData",
    arrays_from="auditor_spaces.digits_data:arrays",
    metric="val_acc",
    test_metric="test_acc",
)
