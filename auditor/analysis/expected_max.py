"""Expected best of n random trials, against their number and against energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ALL_UP_TO = 20
MOST_POINTS = 200

# opda simulates the tighter band; beyond this many trials that takes seconds.
MOST_SIMULATED = 100

# Sums of the same energies in another order differ by rounding.
ROUNDING = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMaximum:
    """Expected best of n trials, in the unit of the values; the expected lowest where lower is better.

    Attributes:
        n: ``(k,)`` numbers of trials, rising.
        tang: ``(k,)`` unbiased estimates: the mean best of n drawn without replacement.
        dodge: ``(k,)`` estimates of the best of n drawn with replacement; too pessimistic for n near the
            number of trials.
        low: ``(k,)`` lower ends of a band for the **median** best of n, which holds for all n at once; an end
            that the trials leave open is ``None``, and so is the whole where no end is known.
        high: ``(k,)`` upper ends of that band, likewise.
    """

    n: tuple[int, ...]
    tang: tuple[float, ...]
    dodge: tuple[float, ...]
    low: tuple[float | None, ...] | None
    high: tuple[float | None, ...] | None


def expected_maximum(
    values: Sequence[float], *, maximize: bool = True, level: float = 0.95, most: int | None = None
) -> ExpectedMaximum | None:
    """Expected best of n = 1..B trials whose configurations were drawn independently from one distribution.

    Hand in all *started* trials of a random sampler at full fidelity, those that gave nothing at the
    baseline's value: the complete ones alone would be too good. Trials of an adaptive search have no such
    curve.

    The band is that of the median best of n, not of its mean: without known limits of the values, no finite
    number of trials bounds the mean of their distribution. It comes from a band of the distribution function
    (Learned-Miller and DeStefano's, equal-tailed, up to 100 trials; Kolmogorov and Smirnov's, which is wider at
    the ends, beyond). Its better end is open already for n above about a tenth of the trials. Ties only make it
    wider than it need be. A percentile bootstrap would be narrower and covers far too rarely.

    Args:
        values: ``(B,)`` results; those that are not finite are skipped.
        maximize: Whether higher is better.
        level: Confidence level of the band, between 0 and 1.
        most: Largest n wanted, at most B; ``None``: B.

    Returns:
        Up to 200 values of n: each up to 20, then evenly spaced on a log scale with the largest among them.
        ``None`` without a finite value, or with ``most`` below 1.

    Source: Tang et al., "Showing your work doesn't always work", ACL 2020; Dodge et al., "Show your work",
    EMNLP 2019; the band: Lourie, Cho and He, "Show your work with confidence", NAACL 2024.
    """
    merit = _merit(values, maximize)
    merit = np.sort(merit[np.isfinite(merit)])
    largest = len(merit) if most is None else min(most, len(merit))
    if largest < 1:
        return None
    n = _numbers(largest)
    sign = 1.0 if maximize else -1.0
    worse, better = _median_band(merit, n, level)
    low, high = (worse, better) if maximize else (-better, -worse)
    return ExpectedMaximum(
        n=tuple(n.tolist()),
        tang=tuple(sign * _tang(merit, count) for count in n),
        dodge=tuple(sign * _dodge(merit, count) for count in n),
        low=_open_ends(low),
        high=_open_ends(high),
    )


def expected_maximum_at_energy(
    values: Sequence[float],
    energies: Sequence[float],
    budgets: Sequence[float],
    *,
    start: float | None,
    maximize: bool = True,
    permutations: int = 2000,
    seed: int = 0,
) -> tuple[float | None, ...]:
    """Expected best of the trials that fit a budget of energy, one after another in random order.

    The trial that crosses the budget gives nothing any more. Exact where all trials used the same energy, else
    a mean over random orders.

    Args:
        values: ``(B,)`` results of independently drawn configurations. One that is not finite used its energy
            and gave nothing: it counts at ``start``.
        energies: ``(B,)`` energy of each trial; a trial whose energy is not finite or negative is skipped.
        budgets: ``(k,)`` energies, in the unit of the trials'.
        start: Value that stands for no result at all, such as the baseline's; ``None``, or one that is not
            finite: there is none.
        maximize: Whether higher is better.
        permutations: Random orders to average over.
        seed: Seed of the orders; they don't depend on the order of the trials.

    Returns:
        ``(k,)`` expected values, never extrapolated: beyond the energy of all trials it is their best. ``None``
        for a budget that is no number, without any usable trial or order, and where ``start`` is ``None`` and
        some order of the trials gives no result within the budget.

    Source: Tang et al., "Showing your work doesn't always work", ACL 2020, with a budget of energy for n.
    """
    merit, energy = _merit(values, maximize), np.asarray(energies, dtype=np.float64)
    usable = np.isfinite(energy) & (energy >= 0.0)
    merit, energy = merit[usable], energy[usable]
    failed = ~np.isfinite(merit)
    sign = 1.0 if maximize else -1.0
    start = start if start is not None and np.isfinite(start) else None
    floor = -np.inf if start is None else sign * start
    merit = np.where(failed, floor, merit)
    order = np.lexsort((energy, merit))
    merit, energy = merit[order], energy[order]
    limits = np.asarray(budgets, dtype=np.float64) * (1.0 + ROUNDING)
    if not len(merit) or permutations < 1 or (start is None and failed.all()):
        return (None,) * len(limits)
    # In the worst order all that failed come first, and then the dearest of the others.
    surely = 0.0
    if start is None:
        surely = float(energy[np.isneginf(merit)].sum() + energy[~np.isneginf(merit)].max())
    known = limits >= surely if start is None else ~np.isnan(limits)
    means = np.full(len(limits), np.nan)
    if np.ptp(energy) == 0.0:
        means[known] = [floor if n == 0 else _tang(merit, n) for n in _fitting(energy, limits[known])]
    elif known.any():
        means[known] = _mean_over_orders(merit, energy, limits[known], floor, permutations, seed)
    return tuple(sign * float(mean) if told else None for mean, told in zip(means, known, strict=True))


def _merit(values: Sequence[float], maximize: bool) -> Floats:
    """Values as ``(B,)`` of which higher is better."""
    value = np.asarray(values, dtype=np.float64)
    return value if maximize else -value


def _numbers(largest: int) -> NDArray[np.int64]:
    """1..largest, or up to 200 of them."""
    if largest <= MOST_POINTS:
        return np.arange(1, largest + 1)
    sparse = np.geomspace(ALL_UP_TO, largest, MOST_POINTS - ALL_UP_TO + 1)
    return np.unique(np.concatenate((np.arange(1, ALL_UP_TO + 1), np.rint(sparse).astype(np.int64))))


def _tang(merit: Floats, n: int) -> float:
    """Mean best of n of ``(B,)`` ascending merits, over all choices of n <= B."""
    from scipy.special import gammaln

    last = np.arange(n, len(merit) + 1)
    log_ways = gammaln(last) - gammaln(last - n + 1)
    ways = np.exp(log_ways - log_ways[-1])
    return float(ways @ merit[n - 1 :] / ways.sum())


def _dodge(merit: Floats, n: int) -> float:
    """Mean best of n draws with replacement from ``(B,)`` ascending merits."""
    below = np.linspace(0.0, 1.0, len(merit) + 1) ** n
    return float(np.diff(below) @ merit)


def _median_band(merit: Floats, n: NDArray[np.int64], level: float) -> tuple[Floats, Floats]:
    """Ends of the median best of each n from ``(B,)`` ascending merits; infinite where open."""
    below, above = _distribution_band(len(merit), level)
    median = 0.5 ** (1.0 / n)
    ends = np.concatenate(([-np.inf], merit, [np.inf]))
    return ends[np.searchsorted(above, median)], ends[np.searchsorted(below, median)]


@lru_cache(maxsize=64)
def _distribution_band(count: int, level: float) -> tuple[Floats, Floats]:
    """Least and greatest value of the distribution function above the j-th of ``count`` values, j = 0..count."""
    # Imported here: it imports scipy.stats.
    from opda.nonparametric import EmpiricalDistribution

    least, _, greatest = EmpiricalDistribution.confidence_bands(
        np.arange(count),
        level,
        method="ld_equal_tailed" if count <= MOST_SIMULATED else "ks",
        generator=np.random.Generator(np.random.PCG64(0)),
        n_jobs=1,
    )
    places = np.arange(-1, count)
    return least.cdf(places), greatest.cdf(places)


def _open_ends(ends: Floats) -> tuple[float | None, ...] | None:
    """``(k,)`` ends with ``None`` for what is infinite."""
    if not np.isfinite(ends).any():
        return None
    return tuple(float(end) if np.isfinite(end) else None for end in ends)


def _fitting(energy: Floats, limits: Floats) -> NDArray[np.intp]:
    """How many of ``(B,)`` trials, in their order, fit each of ``(k,)`` limits."""
    return np.searchsorted(np.cumsum(energy), limits, side="right")


def _mean_over_orders(
    merit: Floats, energy: Floats, limits: Floats, floor: float, permutations: int, seed: int
) -> Floats:
    """Mean of the best that fits each of ``(k,)`` limits over random orders."""
    generator = np.random.Generator(np.random.PCG64(seed))
    total = np.zeros(len(limits))
    for _ in range(permutations):
        order = generator.permutation(len(merit))
        best = np.concatenate(([floor], np.maximum.accumulate(merit[order])))
        total += best[_fitting(energy[order], limits)]
    return total / permutations
