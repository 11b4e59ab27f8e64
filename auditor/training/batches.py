"""Batches whose sizes follow from how the loader makes them, so that nobody has to look at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.utils.data import BatchSampler, DataLoader


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularBatches:
    """Batches of one size, but for the last of an epoch.

    Attributes:
        size: Samples of a batch.
        epoch: Samples of an epoch.
    """

    size: int
    epoch: int

    def samples(self, batches: int) -> int:
        """Samples in the first so many batches of an epoch."""
        return min(batches * self.size, self.epoch)


def regular_batches(loader: Any, first: int) -> RegularBatches | None:
    """How a loader makes its batches; ``None`` where that can't be told.

    Args:
        loader: What a Trainer trains on.
        first: Samples in the first batch.
    """
    if not isinstance(loader, DataLoader) or type(loader.batch_sampler) is not BatchSampler:
        return None
    sampler = loader.batch_sampler
    try:
        samples = len(sampler.sampler)  # type: ignore[arg-type]  # one without a length raises
    except TypeError:
        return None
    if first != min(sampler.batch_size, samples):  # a batch is no list of samples: a graph, a sequence
        return None
    return RegularBatches(
        size=sampler.batch_size, epoch=samples - samples % sampler.batch_size if sampler.drop_last else samples
    )
