"""Mean of repeated measurements with Student's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from auditor.analysis.welch import sample_variance


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and its interval, in the unit of the values.

    Attributes:
        mean: The mean.
        low: Lower end of the interval; ``None`` with fewer than 2 values.
        high: Upper end, likewise.
    """

    mean: float
    low: float | None
    high: float | None

    @property
    def relative_half_width(self) -> float:
        """Half of the interval's width as a share of the mean; infinite where that is not known."""
        if self.low is None or self.high is None or self.mean == 0.0:
            return math.inf
        return (self.high - self.low) / 2.0 / abs(self.mean)


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> Mean | None:
    """Mean of ``(n,)`` independent measurements with a two-sided interval.

    Args:
        values: The measurements; those that are not finite are skipped.
        level: Confidence level, between 0 and 1.

    Returns:
        ``None`` without a finite value.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return None
    middle = float(np.mean(array))
    if len(array) < 2:
        return Mean(mean=middle, low=None, high=None)
    from scipy.special import stdtrit

    error = math.sqrt(sample_variance(array.tolist()) / len(array))
    half_width = float(stdtrit(len(array) - 1, 0.5 + level / 2.0)) * error
    return Mean(mean=middle, low=middle - half_width, high=middle + half_width)
