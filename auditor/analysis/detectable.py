"""How small a gain some seeds can show, and how many seeds a gain needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from auditor.analysis.welch import sample_variance

POWER = 0.8
SIGNIFICANCE = 0.05
MOST_SEEDS = 1000

# Beyond these shifts the noncentral t distribution is 0 or 1 to the last digit that matters, and SciPy's
# nctdtr begins to answer nan.
CERTAIN_SHIFT = 30.0
NO_WRONG_SIDE = 5.0


def pooled_sd(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pooled standard deviation of ``(m,)`` and ``(n,)`` values, in their unit; ``None`` below 2 a side."""
    m, n = len(first), len(second)
    if min(m, n) < 2:
        return None
    squares = (m - 1) * sample_variance(first) + (n - 1) * sample_variance(second)
    return math.sqrt(squares / (m + n - 2))


def power(effect_in_sd: float, seeds: int) -> float:
    """Probability that a two-sided t test at 5 % with ``seeds`` values a side sees an effect.

    Args:
        effect_in_sd: True difference of the means in standard deviations of one value.
        seeds: Values on each side, at least 2.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. (1988), section 2; the
    statistic follows the noncentral t distribution with ``2 * seeds - 2`` degrees of freedom.
    """
    from scipy.special import nctdtr, stdtrit

    degrees = 2 * seeds - 2
    shift = abs(effect_in_sd) * math.sqrt(seeds / 2.0)
    if shift > CERTAIN_SHIFT:
        return 1.0
    critical = float(stdtrit(degrees, 1.0 - SIGNIFICANCE / 2.0))
    wrong_side = float(nctdtr(degrees, shift, -critical)) if shift < NO_WRONG_SIDE else 0.0
    return 1.0 - float(nctdtr(degrees, shift, critical)) + wrong_side


def detectable_in_sd(seeds: int) -> float | None:
    """Smallest difference seen in 80 % of comparisons with ``seeds`` values a side, two-sided at 5 %.

    Returns:
        The difference in standard deviations of one value (3.1 for 3 seeds, 2.0 for 5, 1.3 for 10); ``None``
        for fewer than 2 seeds.
    """
    if seeds < 2:
        return None
    low, high = 0.0, 1.0
    while power(high, seeds) < POWER:
        low, high = high, 2.0 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if power(middle, seeds) < POWER else (low, middle)
    return high


def seeds_to_detect(effect_in_sd: float) -> int | None:
    """Fewest seeds on each side with which an effect of this size is seen in 80 % of comparisons.

    Args:
        effect_in_sd: Difference of the means in standard deviations of one value; the sign does not matter.

    Returns:
        Seeds on each side, at least 2; ``None`` where more than ``MOST_SEEDS`` would be needed, as for an
        effect of 0.
    """
    if not power(effect_in_sd, MOST_SEEDS) >= POWER:
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect_in_sd, middle) >= POWER else (middle, high)
    return high
