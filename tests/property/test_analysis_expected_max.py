import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.analysis.expected_max import expected_maximum, expected_maximum_at_energy

figures = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
values = st.lists(figures, min_size=1, max_size=12)
odd_values = st.lists(st.one_of(figures, st.sampled_from([math.nan, math.inf, -math.inf])), max_size=12)
energies = st.floats(0.0, 100.0).map(lambda x: round(x, 2))
trials = st.lists(st.tuples(figures, energies), min_size=1, max_size=8)
unhurried = settings(deadline=None)  # the first call imports opda and simulates
few = settings(max_examples=50, deadline=None)
budgets = st.lists(st.floats(-10.0, 1000.0), min_size=1, max_size=6).map(sorted)


@unhurried
@given(values)
def test_rises_from_the_mean_to_the_best(results):
    curve = expected_maximum(results)
    assert curve is not None
    assert curve.n == tuple(range(1, len(results) + 1))
    assert curve.tang[0] == pytest.approx(np.mean(results), abs=1e-9)
    assert curve.dodge[0] == pytest.approx(np.mean(results), abs=1e-9)
    assert curve.tang[-1] == pytest.approx(max(results), abs=1e-9)
    for estimate in (curve.tang, curve.dodge):
        assert all(a <= b + 1e-9 for a, b in pairwise(estimate))
    assert all(d <= t + 1e-9 for d, t in zip(curve.dodge, curve.tang, strict=True))


@unhurried
@given(odd_values)
def test_the_band_never_crosses_and_rises_as_well(results):
    curve = expected_maximum(results)
    if curve is None:
        assert not any(map(math.isfinite, results))
        return
    lows = [-math.inf if x is None else x for x in curve.low or [None] * len(curve.n)]
    highs = [math.inf if x is None else x for x in curve.high or [None] * len(curve.n)]
    assert all(low <= high for low, high in zip(lows, highs, strict=True))
    assert lows == sorted(lows)
    assert highs == sorted(highs)


@unhurried
@given(odd_values)
def test_the_lowest_is_the_highest_of_the_negated(results):
    up = expected_maximum(results)
    down = expected_maximum([-x for x in results], maximize=False)
    if up is None:
        assert down is None
        return
    assert down.tang == tuple(-x for x in up.tang)
    assert down.dodge == tuple(-x for x in up.dodge)
    assert down.high == (None if up.low is None else tuple(None if x is None else -x for x in up.low))
    assert down.low == (None if up.high is None else tuple(None if x is None else -x for x in up.high))


@unhurried
@given(odd_values, st.randoms(use_true_random=False))
def test_labels_do_not_matter(results, random):
    mixed = list(results)
    random.shuffle(mixed)
    assert expected_maximum(mixed) == expected_maximum(results)


@unhurried
@given(values, figures, st.floats(0.001, 100.0))
def test_follows_shift_and_scale(results, shift, factor):
    plain = expected_maximum(results)
    moved = expected_maximum([factor * x + shift for x in results])
    for estimate, other in ((plain.tang, moved.tang), (plain.dodge, moved.dodge)):
        assert other == pytest.approx([factor * x + shift for x in estimate], abs=1e-6)


@few
@given(trials, budgets, figures)
def test_at_energy_stays_among_the_values_and_ends_at_the_best(pairs, limits, start):
    results, used = [v for v, _ in pairs], [e for _, e in pairs]
    found = expected_maximum_at_energy(results, used, [*limits, math.fsum(used)], start=start, permutations=20)
    assert all(min([*results, start]) - 1e-9 <= x <= max([*results, start]) + 1e-9 for x in found)
    assert found[-1] == pytest.approx(max(results), abs=1e-9)


@few
@given(trials, budgets)
def test_at_energy_rises_with_the_budget(pairs, limits):
    results, used = [v for v, _ in pairs], [e for _, e in pairs]
    found = expected_maximum_at_energy(results, used, limits, start=min(results), permutations=20)
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    # Without a start: nothing where an order gives nothing, and then the same.
    bare = expected_maximum_at_energy(results, used, limits, start=None, permutations=20)
    for budget, plain, with_start in zip(limits, bare, found, strict=True):
        assert (plain is None) == (max(used) > budget * (1 + 1e-9))
        assert plain is None or plain == pytest.approx(with_start, abs=1e-9)


@few
@given(trials, budgets, st.one_of(st.none(), figures))
def test_at_energy_the_lowest_is_the_highest_of_the_negated(pairs, limits, start):
    results, used = [v for v, _ in pairs], [e for _, e in pairs]
    up = expected_maximum_at_energy(results, used, limits, start=start, permutations=5)
    down = expected_maximum_at_energy(
        [-v for v in results], used, limits, start=None if start is None else -start, maximize=False, permutations=5
    )
    assert down == tuple(None if x is None else -x for x in up)


@unhurried
@given(values, st.floats(0.01, 100.0), st.integers(0, 14))
def test_equal_energies_are_numbers_of_trials(results, energy, n):
    (found,) = expected_maximum_at_energy(results, [energy] * len(results), [n * energy], start=-1e4)
    curve = expected_maximum(results)
    expected = curve.tang[min(n, len(results)) - 1] if n else -1e4
    assert found == pytest.approx(expected, abs=1e-9)
