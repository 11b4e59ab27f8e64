"""How far the best so far stayed behind the best there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.analysis.incumbents import incumbents


@dataclass(frozen=True, slots=True, kw_only=True)
class RegretStep:
    """A regret that holds from a place of the axis to the next step.

    Attributes:
        index: Place of the result in the arrays that were given.
        axis: Place on the axis, such as cumulative energy at its completion.
        regret: How much better the optimum is, in the unit of the values; negative where noise made a result
            better than the optimum.
    """

    index: int
    axis: float
    regret: float


def anytime_regret(
    values: Sequence[float], axis: Sequence[float], *, optimum: float, maximize: bool = True
) -> tuple[RegretStep, ...]:
    """Regret of the best so far at each improvement: a falling step function.

    Hand in completed trials only.

    Args:
        values: ``(n,)`` results; those that are not finite are skipped.
        axis: ``(n,)`` cumulative energy, time or trials at the completion of each; likewise.
        optimum: Best value of the whole space, known for tabular benchmarks only.
        maximize: Whether higher is better.
    """
    sign = 1.0 if maximize else -1.0
    return tuple(
        RegretStep(index=step.index, axis=step.energy, regret=sign * (optimum - step.value))
        for step in incumbents(values, axis, maximize=maximize)
    )


def mean_regret(steps: Sequence[RegretStep], *, end: float) -> float | None:
    """Mean regret from the first completion to an end: the area under the steps by its width.

    Args:
        steps: ``(k,)`` steps of ``anytime_regret``.
        end: Place where the area ends; two searches compare at the same one.

    Returns:
        The mean in the unit of the values; ``None`` without a step before the end.
    """
    held = [step for step in steps if step.axis < end]
    if not held:
        return None
    ends = [step.axis for step in held[1:]] + [end]
    area = sum(step.regret * (until - step.axis) for step, until in zip(held, ends, strict=True))
    return area / (end - held[0].axis)


def regret_of_chosen(
    values: Sequence[float],
    truths: Sequence[float],
    axis: Sequence[float],
    *,
    at: float,
    optimum: float,
    maximize: bool = True,
) -> float | None:
    """How much better the best configuration is than the one a search had chosen by some place of the axis.

    A search chooses by what it sees, which is noisy; the regret is that of the truth about its choice.

    Args:
        values: ``(n,)`` results as the search saw them; those that are not finite are skipped.
        truths: ``(n,)`` how good each configuration really is.
        axis: ``(n,)`` cumulative energy, time or trials at the completion of each.
        at: The place.
        optimum: Truth about the best configuration of the whole space.
        maximize: Whether higher is better.

    Returns:
        The regret in the unit of the truths; ``None`` before the first completion.
    """
    chosen = [step for step in incumbents(values, axis, maximize=maximize) if step.energy <= at]
    if not chosen:
        return None
    return (1.0 if maximize else -1.0) * (optimum - truths[chosen[-1].index])
