"""A dataset whose every sample takes CPU time; importable by spawned workers."""

from __future__ import annotations

import time

import torch
from torch.utils.data import Dataset


class BusyData(Dataset[tuple[torch.Tensor, int]]):
    """Samples of 4 numbers that each cost some CPU seconds to make."""

    def __init__(self, samples: int, cpu_s: float) -> None:
        self.samples = samples
        self.cpu_s = cpu_s

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        until_s = time.process_time() + self.cpu_s
        while time.process_time() < until_s:
            pass
        return torch.full((4,), float(index)), index % 3
