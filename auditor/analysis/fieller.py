"""Ratio of two estimates with Fieller's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioInterval:
    """A ratio and its interval.

    Attributes:
        ratio: Numerator by denominator; ``None`` where the denominator is 0 or one of both is not finite.
        low: Lower end of the interval; ``None`` where it is not bounded.
        high: Upper end, likewise.
        bounded: Whether the interval is a finite one. It is not where the denominator could be 0: the ratios
            that fit are then all of them, or all but those between two limits.
    """

    ratio: float | None
    low: float | None
    high: float | None
    bounded: bool


def ratio_interval(
    numerator: float,
    numerator_se: float,
    denominator: float,
    denominator_se: float,
    *,
    covariance: float = 0.0,
    degrees: float | None = None,
    level: float = 0.95,
) -> RatioInterval:
    """Interval of a ratio of two estimates with normal errors.

    It is not symmetric about the ratio, and it need not be bounded, which says that the figures don't settle
    the ratio.

    Args:
        numerator: Estimate of the numerator.
        numerator_se: Its standard error, not negative.
        denominator: Estimate of the denominator.
        denominator_se: Its standard error, not negative.
        covariance: Covariance of both estimates; beyond the product of both errors it counts as that.
        degrees: Degrees of freedom of the standard errors; ``None``: they are known, as of a normal
            distribution.
        level: Confidence level, between 0 and 1.

    Source: Fieller, "Some problems in interval estimation", Journal of the Royal Statistical Society B 16
    (1954).
    """
    finite = all(map(math.isfinite, (numerator, numerator_se, denominator, denominator_se, covariance)))
    if not finite or denominator == 0.0 or not math.isfinite(ratio := numerator / denominator):
        return RatioInterval(ratio=None, low=None, high=None, bounded=False)
    relative = denominator_se / denominator
    t = _critical(degrees, level)
    spread = t * relative
    # In a unit in which all is about 1, so that no square overflows or vanishes.
    unit = max(abs(ratio), abs(numerator_se / denominator)) or 1.0
    scaled, error = ratio / unit, numerator_se / denominator / unit
    most = abs(error * relative)
    common = min(most, max(-most, covariance / denominator / denominator / unit))
    if not abs(spread) < 1.0 or not math.isfinite(error):
        return RatioInterval(ratio=ratio, low=None, high=None, bounded=False)
    leading = (1.0 - spread) * (1.0 + spread)
    middle = scaled - t * t * common
    # middle ** 2 - leading * (scaled ** 2 - (t * error) ** 2), by t ** 2: without its cancellation.
    inside = error**2 - 2.0 * scaled * common + (scaled * relative) ** 2 - t * t * ((error * relative) ** 2 - common**2)
    half_width = t * math.sqrt(max(0.0, inside))
    low, high = ((middle + side * half_width) / leading * unit for side in (-1.0, 1.0))
    return RatioInterval(ratio=ratio, low=low, high=high, bounded=True)


def _critical(degrees: float | None, level: float) -> float:
    """Two-sided critical value of Student's distribution, or the normal one; infinite below any freedom."""
    from scipy.special import ndtri, stdtrit

    if degrees is None or math.isinf(degrees):
        return float(ndtri(0.5 + level / 2.0))
    return float(stdtrit(degrees, 0.5 + level / 2.0)) if degrees > 0.0 else math.inf
