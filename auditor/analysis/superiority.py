"""Probability that one configuration beats another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def probability_of_superiority(
    first: Sequence[float], second: Sequence[float], *, maximize: bool = True
) -> float | None:
    """Share of all pairs in which ``first`` is the better one; a tie counts half.

    Args:
        first: ``(m,)`` finite values.
        second: ``(n,)`` finite values.
        maximize: Whether higher is better.

    Returns:
        A probability between 0 and 1; ``None`` where a side is empty.

    Source: Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021.
    """
    if not len(first) or not len(second):
        return None
    a = np.asarray(first, dtype=np.float64)[:, None]
    b = np.asarray(second, dtype=np.float64)[None, :]
    better = a > b if maximize else a < b
    return float((np.count_nonzero(better) + 0.5 * np.count_nonzero(a == b)) / (a.size * b.size))
