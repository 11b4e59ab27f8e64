"""How much too good the search's own figure for its winner was."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST_NEAR_TOP = 3
MOST_NEAR_TOP = 20


def selection_optimism(best_value: float, fresh_values: Sequence[float], *, maximize: bool = True) -> float | None:
    """Best validation value of the search less the mean over fresh seeds of the same configuration.

    The best of many noisy figures is too good on average, since it was chosen for being the best.

    Args:
        best_value: The winner's validation value in the search.
        fresh_values: ``(k,)`` validation values of the winner trained again on fresh seeds.
        maximize: Whether higher is better.

    Returns:
        The difference in the metric's unit, positive where the search's figure was too good in either
        direction; ``None`` without fresh values.

    Source: Cawley and Talbot, "On over-fitting in model selection", JMLR 11 (2010).
    """
    if not len(fresh_values):
        return None
    difference = best_value - float(np.mean(fresh_values))
    return difference if maximize else -difference


def approximate_optimism(
    best_value: float, best_test: float, others: Sequence[tuple[float, float]], *, maximize: bool = True
) -> float | None:
    """The winner's gap between validation and test, less the gap of the other trials near the top.

    For a search whose winner was not trained again on fresh seeds, and to be marked as approximate: it takes
    that test noise is small, and it is too low since the trials near the top were picked by validation too.

    Args:
        best_value: The winner's validation value in the search.
        best_test: Its test value.
        others: ``(n,)`` validation and test value of the other full-fidelity trials, as of
            ``validation_test_shift``.
        maximize: Whether higher is better.

    Returns:
        The difference in the metric's unit, positive where the search's figure was too good in either
        direction; ``None`` with fewer than 3 others, or where the winner's values are not finite.

    Source: Cawley and Talbot, "On over-fitting in model selection", JMLR 11 (2010), for what it approximates.
    """
    shift = validation_test_shift(others, maximize=maximize)
    gap = best_value - best_test if maximize else best_test - best_value
    return gap - shift if shift is not None and math.isfinite(gap) else None


def validation_test_shift(others: Sequence[tuple[float, float]], *, maximize: bool = True) -> float | None:
    """How much better validation looked than test, on average over the trials near the top.

    Near the top is the best quarter by validation, but at least 3 trials and at most 20.

    Args:
        others: ``(n,)`` validation and test value of full-fidelity trials other than the winner; pairs that are
            not finite are skipped.
        maximize: Whether higher is better.

    Returns:
        The mean difference in the metric's unit, positive where validation looked better; ``None`` with fewer
        than 3 pairs.
    """
    pairs = np.asarray(others, dtype=np.float64).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < LEAST_NEAR_TOP:
        return None
    near_top = min(MOST_NEAR_TOP, max(LEAST_NEAR_TOP, math.ceil(len(pairs) / 4)))
    sign = 1.0 if maximize else -1.0
    # Of equal validation values the one that is better on test first, whatever the order of the trials.
    order = np.lexsort((-sign * pairs[:, 1], -sign * pairs[:, 0]))[:near_top]
    return sign * float(np.mean(pairs[order, 0] - pairs[order, 1]))
