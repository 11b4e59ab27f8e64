"""Power of the phases of a process, from intervals in which it worked for one and for several.

Marks carry CPU time, so CPU energy is split over phases as it was used. Of a device nobody tells how much of it each
phase used; yet over many intervals the mixture of phases varies, and so does the energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

_MOSTLY = 0.9
_SMALL = 1e-9
_STEPS = 1_000


def power_weights(
    cell: Int64, activity: Int64, account: Int64, duration_us: Int64, totals_uj: Int64, accounts: Sequence[str]
) -> Int64:
    """Relative power of each segment's account while its cell lasted, 0 to 1000, ``(n,)``.

    Over the intervals of one attempt up to and including the one at hand, energy is ``sum(power_p * time_p)`` over its
    phases ``p``. The powers are those of least squares, drawn towards the mean power (which splits by time) as far as
    the intervals so far leave them open: ridge regression, whose penalty is the variance of an interval over the square
    of the mean power, since a phase may well draw nothing or twice the mean. Intervals that follow change nothing, so
    that what was charged stays. Only sums in a fixed order and elementwise arithmetic: the same on every machine.

    Args:
        cell: Interval and activity of each segment as one index, in order of time for an activity, ``(n,)``.
        activity: Index of the activity of each segment, ``(n,)``.
        account: Index into ``accounts`` of each segment, ``(n,)``; an attempt's have one name before
            the phase.
        duration_us: Length of each segment in microseconds, ``(n,)``.
        totals_uj: Energy of each cell in microjoules, ``(c,)``.
        accounts: Account names.

    Source: METHODS, accounting; Hoerl and Kennard 1970, "Ridge Regression".
    """
    time_us = np.zeros(len(totals_uj), dtype=np.int64)
    np.add.at(time_us, cell, duration_us)
    watts = np.divide(totals_uj, time_us, out=np.zeros(len(totals_uj)), where=time_us > 0)[cell]
    attempts = {name: number for number, name in enumerate(dict.fromkeys(a.rpartition("/")[0] for a in accounts))}
    attempt = np.array([attempts[a.rpartition("/")[0]] for a in accounts], dtype=np.int64)[account]
    keys = activity * max(1, len(attempts)) + attempt
    order = np.argsort(keys, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        phases, column = np.unique(account[rows], return_inverse=True)
        if len(phases) < 2:
            continue
        cells, row = np.unique(cell[rows], return_inverse=True)
        spent_s = np.zeros((len(cells), len(phases)))
        np.add.at(spent_s, (row, column), duration_us[rows] / 1e6)
        own_s, whole_s = _sum(spent_s), time_us[cells] / 1e6
        share = np.divide(own_s, whole_s, out=np.zeros(len(cells)), where=whole_s > 0)
        power, known = _fit(spent_s * (share >= _MOSTLY)[:, None], totals_uj[cells] / 1e6 * share * (share >= _MOSTLY))
        watts[rows] = np.where(known[row], power[row, column], watts[rows])
    most = np.zeros(len(totals_uj))
    np.maximum.at(most, cell, watts)
    relative = np.divide(watts, most[cell], out=np.ones(len(watts)), where=most[cell] > 0)
    weight: Int64 = np.rint(relative * _STEPS).astype(np.int64)
    return weight


def _fit(spent_s: Float64, energy_j: Float64) -> tuple[Float64, NDArray[np.bool_]]:
    """Power by phase as of each interval, ``(m, p)``, and whether there were enough intervals to tell, ``(m,)``.

    Args:
        spent_s: Seconds by interval and phase, ``(m, p)``; an interval of zeros counts for nothing.
        energy_j: Joules by interval, ``(m,)``.
    """
    phases = spent_s.shape[1]
    count = np.cumsum(_sum(spent_s) > 0)
    seen = (np.cumsum(spent_s, axis=0) > 0).sum(axis=1)
    moments = np.cumsum(spent_s[:, :, None] * spent_s[:, None, :], axis=0)
    products = np.cumsum(spent_s * energy_j[:, None], axis=0)
    square = np.cumsum(energy_j * energy_j)
    time_s, total_j = np.cumsum(_sum(spent_s)), np.cumsum(energy_j)
    mean_w = np.divide(total_j, time_s, out=np.zeros(len(count)), where=time_s > 0)
    enough = (seen > 1) & (count > seen + 1) & (mean_w > 0)
    scale = _sum(np.diagonal(moments, axis1=1, axis2=2))
    power = _ridge(moments, products, np.where(enough, scale * _SMALL, 1.0), mean_w)
    explained = sum(
        power[:, p] * (2 * products[:, p] - sum(moments[:, p, q] * power[:, q] for q in range(phases)))
        for p in range(phases)
    )
    variance = np.maximum(square - explained, 0.0) / np.maximum(count - seen, 1)
    penalty = np.divide(variance, mean_w * mean_w, out=np.ones(len(count)), where=enough) + scale * _SMALL
    return np.maximum(_ridge(moments, products, np.where(enough, penalty, 1.0), mean_w), 0.0), enough


def _ridge(moments: Float64, products: Float64, penalty: Float64, mean_w: Float64) -> Float64:
    """Solve ``(moments + penalty) power = products + penalty * mean`` for each interval by elimination, ``(m, p)``."""
    phases = moments.shape[1]
    left = moments.copy()
    right = products + (penalty * mean_w)[:, None]
    for p in range(phases):
        left[:, p, p] += penalty
    for p in range(phases):  # positive definite: every pivot is above 0
        for q in range(p + 1, phases):
            factor = left[:, q, p] / left[:, p, p]
            left[:, q] -= factor[:, None] * left[:, p]
            right[:, q] -= factor * right[:, p]
    power = np.zeros_like(right)
    for p in reversed(range(phases)):
        known = sum((left[:, p, q] * power[:, q] for q in range(p + 1, phases)), start=np.zeros(len(right)))
        power[:, p] = (right[:, p] - known) / left[:, p, p]
    return power


def _sum(by_phase: Float64) -> Float64:
    """Over phases, one after the other."""
    return np.cumsum(by_phase, axis=1)[:, -1]
