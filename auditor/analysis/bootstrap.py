"""Difference of two models on the same test examples, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.welch import MeanDifference

LEAST_UNITS = 20
RESAMPLES = 10_000

# Of the table of resamples, so that it takes tens of megabytes for any number of examples.
MOST_CELLS = 4_000_000

Floats = NDArray[np.float64]


def paired_example_difference(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95, seed: int = 0
) -> MeanDifference | None:
    """Mean of ``first`` less mean of ``second`` with the noise of which examples are in the test set.

    Of two trained models: it says nothing about other seeds of their training.

    Args:
        first: ``(n,)`` score of one model on each example, such as 1 for right and 0 for wrong.
        second: ``(n,)`` score of the other on the same examples; pairs that are not finite are skipped.
        level: Confidence level, between 0 and 1.
        seed: Seed of the resampling.

    Returns:
        The difference and its BCa interval; ``None`` with fewer than 20 examples, where it covers too rarely.

    Source: Efron, "Better bootstrap confidence intervals", Journal of the American Statistical Association 82
    (1987).
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    difference = difference[np.isfinite(difference)]
    if len(difference) < LEAST_UNITS:
        return None
    mean = float(difference.mean())
    if np.ptp(difference) == 0.0:
        return MeanDifference(difference=mean, low=mean, high=mean)
    low, high = _bca_of_mean(difference, level, seed)
    return MeanDifference(difference=mean, low=min(low, mean), high=max(high, mean))


def _bca_of_mean(values: Floats, level: float, seed: int) -> tuple[float, float]:
    """Bias-corrected and accelerated interval of the mean of ``(n,)`` values that are not all equal."""
    from scipy.special import ndtr, ndtri

    # Scaled first, so that no power of tiny values vanishes.
    centred = (values - values.mean()) / np.ptp(values)
    spread = np.sqrt(np.mean(centred**2))
    means = _resampled_means(values, seed)
    below = np.mean((means < values.mean()) + 0.5 * (means == values.mean()))
    bias = float(ndtri(below))
    # For a mean the jackknife has a closed form.
    acceleration = float(np.mean((centred / spread) ** 3)) / (6.0 * np.sqrt(len(values)))
    z = bias + ndtri(np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    low, high = np.quantile(means, ndtr(bias + z / (1.0 - acceleration * z)))
    return float(low), float(high)


def _resampled_means(values: Floats, seed: int) -> Floats:
    """``(RESAMPLES,)`` means of ``n`` draws with replacement from ``(n,)`` values."""
    generator = np.random.Generator(np.random.PCG64(seed))
    distinct, count = np.unique(values, return_counts=True)
    n = len(values)
    # Scores have few distinct values as a rule: how often each is drawn is then quicker than each draw.
    counted = len(distinct) < n / 10
    chunk = max(1, MOST_CELLS // (len(distinct) if counted else n))
    means = []
    for start in range(0, RESAMPLES, chunk):
        rows = min(chunk, RESAMPLES - start)
        if counted:
            means.append(generator.multinomial(n, count / n, size=rows) @ distinct / n)
        else:
            means.append(values[generator.integers(0, n, size=(rows, n))].mean(axis=1))
    return np.concatenate(means)
