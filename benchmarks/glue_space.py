"""The search space of the glue benchmark: the same networks, data and split as the glue program it is timed against."""

from __future__ import annotations

from typing import Any

from auditor import LightningSpace


def suggest(trial: Any) -> dict[str, Any]:
    """Channels, depth and learning rate."""
    return {
        "channels": trial.suggest_categorical("channels", [8, 16, 32]),
        "depth": trial.suggest_categorical("depth", [1, 2, 3]),
        "lr": trial.suggest_float("lr", 1e-3, 1e-2, log=True),
    }


space = LightningSpace(
    suggest=suggest,
    default={"channels": 16, "depth": 2, "lr": 3e-3},
    module_class="glue_net:Net",
    data_class="glue_net:Digits",
    metric="val_acc",
)
