import pytest

from auditor.analysis.superiority import probability_of_superiority


def test_counts_pairs_and_halves_ties():
    # 2 beats 1 and ties twice, 3 beats all three.
    assert probability_of_superiority([2.0, 3.0], [1.0, 2.0, 2.0]) == pytest.approx((1 + 2 * 0.5 + 3) / 6)


def test_lower_is_better_when_minimising():
    assert probability_of_superiority([1.0, 2.0], [3.0], maximize=False) == 1.0
    assert probability_of_superiority([1.0, 2.0], [3.0]) == 0.0


def test_an_empty_side_gives_none():
    assert probability_of_superiority([], [1.0]) is None
    assert probability_of_superiority([1.0], []) is None
