"""Best so far against energy: incumbents, what each step cost, and what came after the last gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """A result better than all before it.

    Attributes:
        index: Its place in the arrays that were given.
        energy: Cumulative energy at its completion, in the unit given.
        value: Its value.
    """

    index: int
    energy: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one incumbent to the next.

    Attributes:
        start: Index of the earlier incumbent.
        end: Index of the later one.
        energy: Energy between the two, in the unit given.
        gain: Improvement between the two; positive, also for minimisation.
    """

    start: int
    end: int
    energy: float
    gain: float


def incumbents(values: Sequence[float], energies: Sequence[float], *, maximize: bool = True) -> tuple[Incumbent, ...]:
    """Best so far in the order of energy; a tie with the best so far is no incumbent.

    Results with the same energy count as one moment, of which only the best can be an incumbent. Hand in
    completed trials only: the last intermediate value of a pruned trial is not a result.

    Args:
        values: ``(n,)`` results; those that are not finite are skipped.
        energies: ``(n,)`` cumulative energy at the completion of each; those that are not finite are skipped.
        maximize: Whether higher is better.
    """
    value = np.asarray(values, dtype=np.float64)
    energy = np.asarray(energies, dtype=np.float64)
    merit = value if maximize else -value
    usable = np.flatnonzero(np.isfinite(value) & np.isfinite(energy))
    order = usable[np.lexsort((-merit[usable], energy[usable]))]
    ranked = merit[order]
    best_before = np.concatenate(([-np.inf], np.maximum.accumulate(ranked)[:-1])) if len(ranked) else ranked
    return tuple(
        Incumbent(index=int(i), energy=float(energy[i]), value=float(value[i])) for i in order[ranked > best_before]
    )


def marginal(path: Sequence[Incumbent], *, maximize: bool = True) -> tuple[Step, ...]:
    """Energy and gain of each step of a path of ``(k,)`` incumbents: ``(k - 1,)`` steps."""
    sign = 1.0 if maximize else -1.0
    return tuple(
        Step(start=a.index, end=b.index, energy=b.energy - a.energy, gain=sign * (b.value - a.value))
        for a, b in pairwise(path)
    )


def tail_share(path: Sequence[Incumbent], *, end: float, delta: float = 0.0, maximize: bool = True) -> float | None:
    """Share of the search's energy that was used after the last gain of more than ``delta``.

    Known in hindsight only: nobody knew at that point that nothing would follow. Small steps add up: a gain
    counts once the best so far stands more than ``delta`` above the last gain that counted.

    Args:
        path: ``(k,)`` incumbents in the order of energy.
        end: Energy of the whole search, in the unit of the incumbents.
        delta: What a gain must exceed to count, in the unit of the values.
        maximize: Whether higher is better.

    Returns:
        A share between 0 and 1; ``None`` where nothing was gained over the first incumbent, or no energy was
        used.
    """
    sign = 1.0 if maximize else -1.0
    last: Incumbent | None = None
    level = path[0].value if path else 0.0
    for step in path[1:]:
        if sign * (step.value - level) > delta:
            last, level = step, step.value
    if last is None or not end > 0.0:
        return None
    return min(1.0, max(0.0, (end - last.energy) / end))
