import numpy as np
import pytest

from auditor.accounting.apportion import apportion


def split(totals: list[int], group: list[int], weights: list[int], rank: list[int] | None = None) -> list[int]:
    members = [0] * len(group) if rank is None else rank
    arrays = [np.array(values, dtype=np.int64) for values in (totals, group, weights, members)]
    return apportion(*arrays).tolist()


def test_shares_follow_the_weights() -> None:
    assert split([100], [0, 0, 0], [1, 3, 6]) == [10, 30, 60]


def test_what_is_left_goes_to_the_largest_remainders() -> None:
    # Quotas 1.6, 2.8, 5.6 of 10: floors 1, 2, 5; the two units left go to .8 and to the first of the .6.
    assert split([10], [0, 0, 0], [4, 7, 14], [0, 1, 2]) == [2, 3, 5]


def test_a_tie_goes_to_the_lowest_rank() -> None:
    assert split([1], [0, 0, 0], [1, 1, 1], [2, 0, 1]) == [0, 1, 0]


def test_equal_rank_and_weight_fall_back_on_position() -> None:
    assert split([1], [0, 0], [5, 5], [3, 3]) == [1, 0]


def test_groups_are_split_apart() -> None:
    assert split([7, 0, 10], [2, 0, 2, 1, 0], [1, 2, 1, 5, 5], [0, 1, 2, 3, 4]) == [5, 2, 5, 0, 5]


def test_weightless_members_get_nothing() -> None:
    assert split([5], [0, 0, 0], [0, 1, 0]) == [0, 5, 0]


def test_nothing_to_split_needs_no_weight() -> None:
    assert split([0, 0], [0], [0]) == [0]
    assert split([], [], []) == []


@pytest.mark.parametrize("scale", [1, 2**20, 2**40])
def test_products_past_63_bits_give_the_same_shares(scale: int) -> None:
    total, weights = 999_999_999_989, [3, 5, 7, 3]
    plain = split([total], [0] * 4, weights, [0, 1, 2, 3])
    assert total * max(weights) * 2**40 > 2**63  # the last scale leaves int64
    assert split([total], [0] * 4, [w * scale for w in weights], [0, 1, 2, 3]) == plain
    assert sum(plain) == total


def test_large_remainders_are_compared_exactly() -> None:
    # Remainders differ by one in 10**24: float64 would call them a tie and rank the first ahead.
    weights = [10**18 - 1, 10**18, 10**18 + 1]
    total = 3 * 10**6 + 1
    quotas = [total * w for w in weights]
    expected = [q // sum(weights) for q in quotas]
    left = total - sum(expected)
    for best in sorted(range(3), key=lambda i: -(quotas[i] % sum(weights)))[:left]:
        expected[best] += 1
    assert split([total], [0] * 3, weights, [0, 1, 2]) == expected


def test_weights_may_sum_past_63_bits() -> None:
    assert split([9], [0, 0, 0], [2**62, 2**62, 2**62]) == [3, 3, 3]


@pytest.mark.parametrize(("totals", "weights"), [([-1], [1]), ([1], [-1])])
def test_negative_figures_are_refused(totals: list[int], weights: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        split(totals, [0], weights)


@pytest.mark.parametrize(("totals", "group", "weights"), [([1], [0], [0]), ([1], [], []), ([0, 3], [0], [1])])
def test_a_total_that_nobody_can_take_is_refused(totals: list[int], group: list[int], weights: list[int]) -> None:
    with pytest.raises(ValueError, match="no member with a weight"):
        split(totals, group, weights)
