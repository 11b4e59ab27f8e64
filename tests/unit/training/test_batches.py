"""How many samples some batches have, told by the loader alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler, TensorDataset

from auditor.training.batches import RegularBatches, regular_batches

DATA = TensorDataset(torch.zeros(10, 2))


class Stream(IterableDataset[torch.Tensor]):
    def __iter__(self) -> Iterator[torch.Tensor]:
        yield torch.zeros(2)


class Buckets(BatchSampler):
    """Batches of one's own making."""


def test_the_last_batch_is_shorter() -> None:
    found = regular_batches(DataLoader(DATA, 4), 4)
    assert found == RegularBatches(size=4, epoch=10)
    assert [found.samples(batches) for batches in range(4)] == [0, 4, 8, 10]


def test_or_is_dropped() -> None:
    found = regular_batches(DataLoader(DATA, 4, drop_last=True), 4)
    assert found is not None
    assert [found.samples(batches) for batches in range(3)] == [0, 4, 8]


def test_one_batch_may_be_all() -> None:
    assert regular_batches(DataLoader(DATA, 64), 10) == RegularBatches(size=64, epoch=10)


@pytest.mark.parametrize(
    ("loader", "first"),
    [
        (DataLoader(DATA, 4), 3),  # a batch that is no list of samples
        (DataLoader(DATA, None), 1),
        (DataLoader(Stream(), 4), 4),
        (DataLoader(DATA, batch_sampler=Buckets(SequentialSampler(DATA), 4, False)), 4),
        ([DataLoader(DATA, 4)], 4),
        ("text", 4),
    ],
)
def test_others_are_looked_at_one_by_one(loader: object, first: int) -> None:
    assert regular_batches(loader, first) is None
