import math

import pytest

from auditor.analysis.optimism import approximate_optimism, selection_optimism, validation_test_shift


def test_positive_where_the_search_was_too_hopeful():
    assert selection_optimism(0.99, [0.97, 0.98]) == pytest.approx(0.015)
    assert selection_optimism(0.01, [0.03, 0.02], maximize=False) == pytest.approx(0.015)


def test_negative_where_the_winner_did_better_again():
    assert selection_optimism(0.9, [0.95]) == pytest.approx(-0.05)


def test_nothing_fresh_gives_none():
    assert selection_optimism(0.9, []) is None


def test_approximate_optimism_takes_off_the_shift_that_all_share():
    # The others lose 0.02 from validation to test, the winner 0.05.
    others = [(0.90, 0.88), (0.92, 0.90), (0.91, 0.89)]
    assert validation_test_shift(others) == pytest.approx(0.02)
    assert approximate_optimism(0.95, 0.90, others) == pytest.approx(0.03)
    lower = [(-v, -t) for v, t in others]
    assert approximate_optimism(-0.95, -0.90, lower, maximize=False) == pytest.approx(0.03)


@pytest.mark.parametrize(("count", "near_top"), [(3, 3), (11, 3), (13, 4), (40, 10), (80, 20), (400, 20)])
def test_near_the_top_is_the_best_quarter_within_limits(count, near_top):
    # The i-th best trial has a gap of i.
    others = [(-float(i), -2.0 * i) for i in range(count)]
    assert validation_test_shift(others[::-1]) == pytest.approx((near_top - 1) / 2)


def test_of_equal_validation_values_the_order_of_trials_picks_none():
    others = [(0.9, 0.8), (0.9, 0.7), (0.9, 0.6), (0.9, 0.5)]
    assert validation_test_shift(others) == validation_test_shift(others[::-1]) == pytest.approx(0.2)


def test_too_few_others_give_none():
    two = [(0.9, 0.88), (0.92, 0.9)]
    assert validation_test_shift([]) is None
    assert validation_test_shift([*two, (math.nan, 0.9), (0.9, math.inf)]) is None
    assert approximate_optimism(0.95, 0.90, two) is None
    assert approximate_optimism(math.nan, 0.90, [*two, (0.9, 0.9)]) is None
