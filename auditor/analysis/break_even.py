"""After how many inferences, or trainings, a search has paid back its energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.fieller import ratio_interval
from auditor.analysis.welch import error_of_difference, sample_variance

Floats = NDArray[np.float64]

# Where nothing says how far to draw the curves.
MOST_INFERENCES = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """How often something has to be used until it has paid back what it cost.

    Attributes:
        n: Number of uses, not rounded; ``None`` where the estimates have no break-even.
        low: Lower end of its interval; ``None`` unless established.
        high: Upper end, likewise.
        status: ``established``; ``not-established`` where what a use saves could be nothing, within its
            error, or was measured less than twice on a side; ``never`` where a use saves nothing, beyond error.
    """

    n: float | None
    low: float | None
    high: float | None
    status: Literal["established", "not-established", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEvenCurve:
    """Energy in total, in joules, against the number of inferences.

    Attributes:
        n: ``(k,)`` numbers of inferences, evenly spaced on a log scale.
        base: ``(k,)`` training and inference of the baseline.
        base_low: ``(k,)`` lower ends of its interval; ``None`` with fewer than 2 measurements.
        base_high: ``(k,)`` upper ends, likewise.
        new: ``(k,)`` search, training and inference of what the search found.
        new_low: ``(k,)`` lower ends of its interval; ``None`` with fewer than 2 measurements.
        new_high: ``(k,)`` upper ends, likewise.
    """

    n: tuple[float, ...]
    base: tuple[float, ...]
    base_low: tuple[float, ...] | None
    base_high: tuple[float, ...] | None
    new: tuple[float, ...]
    new_low: tuple[float, ...] | None
    new_high: tuple[float, ...] | None


def break_even_inference(
    *,
    search_j: float,
    train_new_j: float,
    train_base_j: float,
    base_inference_j: Sequence[float],
    new_inference_j: Sequence[float],
    level: float = 0.95,
) -> BreakEven:
    """Inferences after which search, new training and new inference have used less than the baseline.

    ``(search + train_new - train_base) / (base_inference - new_inference)``, at equal accuracy: where it is
    not, give the cost per point instead. A search that is repaid before the first inference has n = 0, as long
    as an inference doesn't cost more than before.

    Args:
        search_j: Energy of the search in joules.
        train_new_j: Energy of training what was found, in joules; 0 where the search's own training is used.
        train_base_j: Energy of training the baseline, in joules; 0 where it is trained already.
        base_inference_j: ``(m,)`` repeated measurements of the baseline, joules per sample; what is not finite
            is skipped.
        new_inference_j: ``(n,)`` repeated measurements of what was found, joules per sample, likewise.
        level: Confidence level, between 0 and 1.

    Returns:
        The number of samples with Fieller's interval, which holds the error of the measurements of inference
        only.

    Source: Patterson et al., "Carbon emissions and large neural network training", arXiv:2104.10350 (2021);
    interval: Fieller (1954) with Welch's degrees of freedom.
    """
    return _break_even(search_j + train_new_j - train_base_j, base_inference_j, new_inference_j, level)


def break_even_trainings(
    search_j: float, base_train_j: Sequence[float], new_train_j: Sequence[float], *, level: float = 0.95
) -> BreakEven:
    """Trainings, at equal accuracy, after which the search has used less than trainings of the baseline.

    ``search / (base_train - new_train)``. With the energy of meta-training as ``search_j``, and of training
    from scratch and of adapting as the others, these are tasks.

    Args:
        search_j: Energy of the search in joules.
        base_train_j: ``(m,)`` energies of single trainings of the baseline, in joules; what is not finite is
            skipped.
        new_train_j: ``(n,)`` energies of single trainings of what was found, likewise.
        level: Confidence level, between 0 and 1.

    Source: as of ``break_even_inference``.
    """
    return _break_even(search_j, base_train_j, new_train_j, level)


def break_even_curve(
    *,
    search_j: float,
    train_new_j: float,
    train_base_j: float,
    base_inference_j: Sequence[float],
    new_inference_j: Sequence[float],
    most: float | None = None,
    points: int = 100,
    level: float = 0.95,
) -> BreakEvenCurve | None:
    """Energy with and without the search as a function of the number of inferences, for a plot.

    Args:
        search_j: Energy of the search in joules.
        train_new_j: Energy of training what was found, in joules.
        train_base_j: Energy of training the baseline, in joules.
        base_inference_j: ``(m,)`` repeated measurements of the baseline, joules per sample; what is not finite
            is skipped.
        new_inference_j: ``(n,)`` repeated measurements of what was found, likewise.
        most: Largest number of inferences; ``None``: ten times the break-even, or 1e9 without one.
        points: Numbers of inferences, at least 2.
        level: Confidence level of the intervals, which hold the error of the measurements of inference only.

    Returns:
        Both lines; ``None`` without measurements on a side.
    """
    base, new = _finite(base_inference_j), _finite(new_inference_j)
    if not len(base) or not len(new):
        return None
    if most is None:
        even = _break_even(search_j + train_new_j - train_base_j, base, new, level).n
        most = 10.0 * even if even else MOST_INFERENCES
    n = np.geomspace(1.0, max(most, 10.0), points)
    base_line, new_line = _line(train_base_j, base, n, level), _line(search_j + train_new_j, new, n, level)
    return BreakEvenCurve(
        n=tuple(n.tolist()),
        base=base_line[0],
        base_low=base_line[1],
        base_high=base_line[2],
        new=new_line[0],
        new_low=new_line[1],
        new_high=new_line[2],
    )


def _break_even(cost: float, base_use: Sequence[float], new_use: Sequence[float], level: float) -> BreakEven:
    """Uses after which a fixed cost is saved by uses that cost less."""
    base, new = _finite(base_use), _finite(new_use)
    if not len(base) or not len(new) or not math.isfinite(cost):
        return BreakEven(n=None, low=None, high=None, status="not-established")
    saved = float(np.mean(base) - np.mean(new))
    spread = error_of_difference(base, new)
    ahead = cost <= 0.0
    estimate = 0.0 if ahead and saved >= 0.0 else cost / saved if not ahead and saved > 0.0 else None
    if spread is None:
        return BreakEven(n=estimate, low=None, high=None, status="not-established")
    error, degrees = spread
    interval = ratio_interval(cost, 0.0, saved, error, degrees=degrees, level=level)
    if ahead and saved >= 0.0 and (interval.bounded or error == 0.0):
        return BreakEven(n=0.0, low=0.0, high=0.0, status="established")
    if not interval.bounded:
        return BreakEven(n=estimate, low=None, high=None, status="not-established")
    if saved < 0.0:
        return BreakEven(n=None, low=None, high=None, status="never")
    return BreakEven(n=interval.ratio, low=interval.low, high=interval.high, status="established")


def _line(
    fixed: float, use: Sequence[float], n: Floats, level: float
) -> tuple[tuple[float, ...], tuple[float, ...] | None, tuple[float, ...] | None]:
    """``(k,)`` fixed energy and that of n uses, with both ends of Student's interval of their mean."""
    from scipy.special import stdtrit

    mean = float(np.mean(use))
    middle = tuple((fixed + n * mean).tolist())
    if len(use) < 2:
        return middle, None, None
    t = float(stdtrit(len(use) - 1, 0.5 + level / 2.0))
    half_width = t * math.sqrt(sample_variance(use) / len(use))
    low, high = fixed + n * (mean - half_width), fixed + n * (mean + half_width)
    return middle, tuple(low.tolist()), tuple(high.tolist())


def _finite(values: Sequence[float]) -> tuple[float, ...]:
    """The finite ones of ``(n,)`` values."""
    return tuple(float(value) for value in values if math.isfinite(value))
