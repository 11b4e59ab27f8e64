import math

import numpy as np
import pytest

from auditor.analysis.pareto import hypervolume, pareto_front, reference_point

# Accuracy to be high, joules to be low.
POINTS = [(0.9, 10.0), (0.8, 2.0), (0.85, 12.0), (0.95, 30.0), (0.8, 3.0), (0.9, 10.0)]
UP_DOWN = (True, False)


def test_the_front_runs_from_the_best_of_the_first_objective_and_keeps_the_first_of_equals():
    assert pareto_front(POINTS, maximize=UP_DOWN) == (3, 0, 1)
    assert pareto_front(POINTS[::-1], maximize=UP_DOWN) == (2, 0, 4)


def test_one_objective_has_one_winner():
    assert pareto_front([[1.0], [3.0], [3.0], [2.0]], maximize=[True]) == (1,)
    assert pareto_front([[1.0], [3.0], [1.0]], maximize=[False]) == (0,)


def test_a_front_against_comparing_all_pairs():
    points = np.random.default_rng(4).integers(0, 6, size=(80, 3)).astype(float)
    costs = points * [-1.0, 1.0, -1.0]
    expected = {
        i
        for i, p in enumerate(costs)
        if not any((q <= p).all() and ((q < p).any() or j < i) for j, q in enumerate(costs) if j != i)
    }
    front = pareto_front(points, maximize=(True, False, True))
    assert set(front) == expected
    assert list(points[list(front), 0]) == sorted(points[list(front), 0], reverse=True)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_on_the_front(bad):
    assert pareto_front([(bad, 1.0), (0.5, 5.0), (0.6, bad)], maximize=UP_DOWN) == (1,)


def test_nothing_gives_nothing():
    assert pareto_front([], maximize=UP_DOWN) == ()
    assert pareto_front([(math.nan, 1.0)], maximize=UP_DOWN) == ()
    assert hypervolume([], reference=(0.0, 0.0), maximize=UP_DOWN) is None
    assert hypervolume([(math.nan, 1.0)], reference=(0.0, 9.0), maximize=UP_DOWN) is None
    assert hypervolume([(0.5, 1.0)], reference=(0.0, math.nan), maximize=UP_DOWN) is None
    assert reference_point([], maximize=UP_DOWN) is None
    assert reference_point([[], [(math.nan, 1.0)]], maximize=UP_DOWN) is None


def test_the_volume_of_steps():
    # From (0, 4): (3, 2) has 3 * 2, and (1, 1) adds 1 * 1; the dominated (1, 3) adds nothing.
    assert hypervolume([(3.0, 2.0), (1.0, 1.0), (1.0, 3.0)], reference=(0.0, 4.0), maximize=UP_DOWN) == pytest.approx(
        7.0
    )
    assert hypervolume([(2.0, 2.0, 2.0)], reference=(0.0, 0.0, 0.0), maximize=(True,) * 3) == pytest.approx(8.0)


def test_what_is_beyond_the_reference_adds_nothing():
    assert hypervolume([(3.0, 5.0)], reference=(0.0, 4.0), maximize=UP_DOWN) == 0.0
    assert hypervolume([(3.0, 4.0), (0.0, 1.0)], reference=(0.0, 4.0), maximize=UP_DOWN) == 0.0
    assert hypervolume([(3.0, 2.0), (9.0, 5.0)], reference=(0.0, 4.0), maximize=UP_DOWN) == pytest.approx(6.0)


def test_one_reference_beyond_the_worst_of_all():
    first, second = [(0.9, 10.0), (0.8, 2.0)], [(0.7, 22.0), (math.nan, 99.0)]
    assert reference_point([first, second], maximize=UP_DOWN) == pytest.approx((0.7 - 0.02, 22.0 + 2.0))
    # So that the worst point counts too.
    assert hypervolume(second, reference=(0.68, 24.0), maximize=UP_DOWN) == pytest.approx(0.02 * 2.0)


def test_a_reference_where_all_are_equal():
    assert reference_point([[(0.5, 0.0), (0.5, 0.0)]], maximize=UP_DOWN) == pytest.approx((0.45, 0.1))
    assert reference_point([[(-0.5, 1.0)]], maximize=(True, True)) == pytest.approx((-0.55, 0.9))
