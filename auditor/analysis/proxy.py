"""What early values of trials say about late ones, and how often pruning by them was wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFidelity:
    """Rank correlation of early and late values of the trials that reached both: survivors only.

    Attributes:
        rho: Spearman's correlation, between -1 and 1.
        low: Lower end of its interval; ``None`` with fewer than 4 trials, or where the order is the same, or
            reversed, throughout: the formula then gives no width.
        high: Upper end, likewise.
        n: Trials that count.
    """

    rho: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePruneRate:
    """Share of pruned trials that would have beaten a threshold, with its interval.

    Attributes:
        rate: Share of those tried, between 0 and 1.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Pruned trials that were completed.
    """

    rate: float
    low: float
    high: float
    n: int


def proxy_fidelity(early: Sequence[float], late: Sequence[float], *, level: float = 0.95) -> ProxyFidelity | None:
    """Spearman's correlation of an early and a late value of the same trials.

    Only trials that were not pruned have both. They lie closer together than all trials do, so that their
    correlation is lower than it would be over all.

    Args:
        early: ``(n,)`` values at the early rung; pairs that are not finite are skipped.
        late: ``(n,)`` values of the same trials at the late rung, in the same direction.
        level: Confidence level, between 0 and 1.

    Returns:
        The correlation with an interval by Fisher's transformation; ``None`` with fewer than 3 trials, or where
        one side is constant.

    Source: Spearman, American Journal of Psychology 15 (1904); variance of the transformed: Bonett and Wright,
    "Sample size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65
    (2000).
    """
    first, second = np.asarray(early, dtype=np.float64), np.asarray(late, dtype=np.float64)
    usable = np.isfinite(first) & np.isfinite(second)
    n = int(np.count_nonzero(usable))
    if n < 3:
        return None
    a, b = _centred_ranks(first[usable]), _centred_ranks(second[usable])
    squares = float(a @ a) * float(b @ b)
    if squares == 0.0:
        return None
    rho = min(1.0, max(-1.0, float(a @ b) / math.sqrt(squares)))
    if n < 4 or 1.0 - abs(rho) < 1e-12:
        return ProxyFidelity(rho=rho, low=None, high=None, n=n)
    from scipy.special import ndtri

    half_width = float(ndtri(0.5 + level / 2.0)) * math.sqrt((1.0 + rho**2 / 2.0) / (n - 3))
    centre = math.atanh(rho)
    return ProxyFidelity(rho=rho, low=math.tanh(centre - half_width), high=math.tanh(centre + half_width), n=n)


def false_prune_rate(
    pruned_completed: Sequence[float], threshold: float, *, maximize: bool = True, level: float = 0.95
) -> FalsePruneRate | None:
    """How many of the pruned trials would have beaten a threshold, such as the winner or the baseline.

    Args:
        pruned_completed: ``(n,)`` full-fidelity values of pruned trials, drawn at random among all pruned and
            completed for this; those that are not finite are skipped.
        threshold: Value to beat; a tie does not.
        maximize: Whether higher is better.
        level: Confidence level, between 0 and 1.

    Returns:
        The share and an interval that covers at least at the level, for few trials more; ``None`` without a
        finite value or with a threshold that is no number.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934).
    """
    value = np.asarray(pruned_completed, dtype=np.float64)
    value = value[np.isfinite(value)]
    n = len(value)
    if not n or math.isnan(threshold):
        return None
    from scipy.special import betaincinv

    wrong = int(np.count_nonzero(value > threshold if maximize else value < threshold))
    tail = (1.0 - level) / 2.0
    return FalsePruneRate(
        rate=wrong / n,
        low=float(betaincinv(wrong, n - wrong + 1, tail)) if wrong else 0.0,
        high=float(betaincinv(wrong + 1, n - wrong, 1.0 - tail)) if wrong < n else 1.0,
        n=n,
    )


def _centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of ``(n,)`` values less their mean; ties share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2.0
    return np.asarray(rank[place] - (len(values) + 1) / 2.0, dtype=np.float64)
