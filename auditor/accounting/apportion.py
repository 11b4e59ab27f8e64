"""Splitting whole microjoules by weights, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_INT64_MAX = 2**63 - 1

Int64 = NDArray[np.int64]


def apportion(totals: Int64, group: Int64, weights: Int64, rank: Int64) -> Int64:
    """Split each group's total over its members in proportion to integer weights (largest remainder).

    Hamilton's method: every member gets the floor of its quota, what is left goes one unit each to the members with
    the largest remainders, ties to the lowest rank. The result is the same on every machine.

    Args:
        totals: What to split, ``(g,)``, at least 0.
        group: To which group each member belongs, ``(n,)``, values in ``[0, g)``.
        weights: Weight of each member, ``(n,)``, at least 0. A group with a total needs a positive weight sum.
        rank: Order of the members for ties, ``(n,)``; equal (weight, rank) pairs fall back on position.

    Returns:
        Shares, ``(n,)``; those of a group sum to its total exactly.

    Raises:
        ValueError: a negative total or weight, or a positive total whose group has no weight.
    """
    if (totals < 0).any() or (weights < 0).any():
        raise ValueError("totals and weights must be at least 0")
    largest_total, largest_weight = int(totals.max(initial=0)), int(weights.max(initial=0))
    fits = max(largest_total, len(weights)) * largest_weight <= _INT64_MAX
    weight_sums = _group_sums(weights if fits else weights.astype(object), group, len(totals))
    if ((totals > 0) & (weight_sums == 0)).any():
        raise ValueError("a positive total has no member with a weight to go to")
    if not len(group):
        return np.zeros(0, dtype=np.int64)
    if fits:
        products = totals[group] * weights
        divisors = np.maximum(weight_sums, 1)[group]
        floors, remainders = products // divisors, products % divisors
    else:  # Python integers where a product or a sum could pass 2**63
        exact = totals.astype(object)[group] * weights.astype(object)
        wide = np.maximum(weight_sums, 1)[group]
        floors, remainders = (exact // wide).astype(np.int64), exact % wide
    left: Int64 = totals - _group_sums(floors, group, len(totals))
    order = np.lexsort((np.arange(len(group)), rank, _descending(remainders), group))
    ordered_group = group[order]
    starts = np.searchsorted(ordered_group, np.arange(len(totals)))
    place = np.arange(len(group)) - starts[ordered_group]
    shares: Int64 = floors.copy()
    shares[order] += (place < left[ordered_group]).astype(np.int64)
    return shares


def _group_sums(values: NDArray[Any], group: Int64, groups: int) -> NDArray[Any]:
    sums = np.zeros(groups, dtype=values.dtype)
    np.add.at(sums, group, values)
    return sums


def _descending(remainders: NDArray[np.int64] | NDArray[np.object_]) -> Int64:
    """Sort keys that put larger remainders first (Python integers may not fit into a negated int64)."""
    if remainders.dtype != object:
        return -remainders.astype(np.int64)
    _, inverse = np.unique(remainders, return_inverse=True)
    return -inverse.astype(np.int64)
