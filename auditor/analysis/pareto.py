"""Pareto front of several objectives, and the volume that it dominates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# How far beyond the worst value the reference lies, as a share of the range; without a range, of the value.
MARGIN = 0.1

Floats = NDArray[np.float64]


def pareto_front(points: ArrayLike, *, maximize: Sequence[bool]) -> tuple[int, ...]:
    """Points that no other equals or betters in all objectives at once.

    Hand in complete trials at full fidelity, and the energy of inference or of a full training: with a trial's
    own cost as objective, cheap pruned trials would enter.

    Args:
        points: ``(n, d)`` objectives; points that are not finite are skipped.
        maximize: ``(d,)`` whether higher is better.

    Returns:
        Indices, best in the first objective first; of equal points the first.
    """
    costs = _costs(points, maximize)
    usable = np.flatnonzero(np.isfinite(costs).all(axis=1))
    if not len(usable):
        return ()
    import moocore

    kept = usable[moocore.is_nondominated(costs[usable])]
    keys = (kept, *costs[kept].T[::-1])
    return tuple(int(i) for i in kept[np.lexsort(keys)])


def hypervolume(points: ArrayLike, *, reference: Sequence[float], maximize: Sequence[bool]) -> float | None:
    """Volume between a reference point and the front of some points, in the product of the objectives' units.

    Two volumes compare only with the same reference. It follows the scale of the objectives: their logarithm
    gives another order.

    Args:
        points: ``(n, d)`` objectives; points that are not finite are skipped. One that is not better than the
            reference in every objective adds nothing.
        reference: ``(d,)`` the reference, for instance of ``reference_point``.
        maximize: ``(d,)`` whether higher is better.

    Returns:
        The volume; ``None`` without a finite point or with a reference that is not finite.

    Source: Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN 1998.
    """
    costs = _costs(points, maximize)
    corner = _costs([reference], maximize)[0]
    costs = costs[np.isfinite(costs).all(axis=1)]
    if not len(costs) or not np.isfinite(corner).all():
        return None
    inside = costs[(costs < corner).all(axis=1)]
    if not len(inside):
        return 0.0
    import moocore

    return float(moocore.hypervolume(inside, ref=corner))


def reference_point(sets_of_points: Sequence[ArrayLike], *, maximize: Sequence[bool]) -> tuple[float, ...] | None:
    """One reference for all sets that are compared: a tenth of the range beyond the worst of each objective.

    Range and worst are those of all finite points together, dominated ones included. Where an objective has
    one value only, the reference lies a tenth of that value beyond it, or a tenth where it is 0.

    Args:
        sets_of_points: Sets of ``(n, d)`` objectives.
        maximize: ``(d,)`` whether higher is better.

    Returns:
        ``(d,)`` the reference; ``None`` without a finite point.
    """
    costs = [_costs(points, maximize) for points in sets_of_points]
    every = np.concatenate(costs) if costs else np.empty((0, len(maximize)))
    every = every[np.isfinite(every).all(axis=1)]
    if not len(every):
        return None
    worst, extent = every.max(axis=0), np.ptp(every, axis=0)
    size = np.where(worst == 0.0, 1.0, np.abs(worst))
    corner = worst + MARGIN * np.where(extent > 0.0, extent, size)
    return tuple(float(x) for x in np.where(maximize, -corner, corner))


def _costs(points: ArrayLike, maximize: Sequence[bool]) -> Floats:
    """``(n, d)`` points of which lower is better in each objective."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, len(maximize))
    return np.where(np.asarray(maximize, dtype=np.bool_), -array, array)
