"""How much too good the search's own figure for its winner was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
