"""Difference of two means with Welch's interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """A difference of two means and its interval, in the unit of the values.

    Attributes:
        difference: Mean of the first sample less mean of the second.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    difference: float
    low: float
    high: float


def sample_variance(values: Sequence[float]) -> float:
    """Unbiased variance of ``(k,)`` values, ``k >= 2``; exactly 0 where all are equal.

    Rounding of the mean would otherwise leave a trace of variance in equal values.
    """
    array = np.asarray(values, dtype=np.float64)
    return 0.0 if np.ptp(array) == 0.0 else float(np.var(array, ddof=1))


def error_of_difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """Standard error of the difference of two means, and its degrees of freedom.

    Args:
        first: ``(m,)`` finite values.
        second: ``(n,)`` finite values, independent of the first.

    Returns:
        The error in the unit of the values and Satterthwaite's degrees of freedom, which are infinite where
        neither sample varies; ``None`` where a side has fewer than 2 values.

    Source: Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2 (1946).
    """
    m, n = len(first), len(second)
    if min(m, n) < 2:
        return None
    error_first, error_second = sample_variance(first) / m, sample_variance(second) / n
    squared_error = error_first + error_second
    if squared_error == 0.0:
        return 0.0, math.inf
    part = error_first / squared_error
    return math.sqrt(squared_error), 1.0 / (part**2 / (m - 1) + (1.0 - part) ** 2 / (n - 1))


def mean_difference(first: Sequence[float], second: Sequence[float], *, level: float = 0.95) -> MeanDifference | None:
    """Mean of ``first`` less mean of ``second`` with a two-sided interval for unequal variances.

    Where neither sample varies the interval has no width: it then says nothing about noise, and the caller
    has to say so.

    Args:
        first: ``(m,)`` finite values.
        second: ``(n,)`` finite values, independent of the first.
        level: Confidence level, between 0 and 1.

    Returns:
        The difference and its interval; ``None`` where a side has fewer than 2 values.

    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34 (1947), with Satterthwaite's degrees of freedom.
    """
    spread = error_of_difference(first, second)
    if spread is None:
        return None
    error, degrees = spread
    difference = float(np.mean(first) - np.mean(second))
    if error == 0.0:
        return MeanDifference(difference=difference, low=difference, high=difference)
    # Imported here: scipy.special costs more than the rest of the statement.
    from scipy.special import stdtrit

    half_width = float(stdtrit(degrees, 0.5 + level / 2.0)) * error
    return MeanDifference(difference=difference, low=difference - half_width, high=difference + half_width)
