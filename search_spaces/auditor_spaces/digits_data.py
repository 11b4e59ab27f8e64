"""Handwritten digits with a fixed split into training, validation and test set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

SPLIT = {"train": 1200, "validation": 300, "test": 297}
"""Images in each part; the order is a permutation under a fixed seed."""


def load() -> dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Images ``(n, 8, 8)`` scaled to [0, 1] and labels ``(n,)`` of each part."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images / 16).astype(np.float32)[order]
    labels = digits.target.astype(np.int64)[order]
    parts, start = {}, 0
    for name, size in SPLIT.items():
        parts[name] = (images[start : start + size], labels[start : start + size])
        start += size
    return parts


def arrays() -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Pixels ``(n, 64)`` and labels ``(n,)`` of each part, for classical models."""
    return {name: (images.reshape(len(images), -1), labels) for name, (images, labels) in load().items()}
