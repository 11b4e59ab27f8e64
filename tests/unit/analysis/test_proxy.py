import math

import numpy as np
import pytest

from auditor.analysis.proxy import false_prune_rate, proxy_fidelity


def test_a_worked_example_without_ties():
    # Squared differences of ranks: 1, 1, 1, 1, 0; rho = 1 - 6 * 4 / (5 * 24).
    result = proxy_fidelity([1.0, 2.0, 3.0, 4.0, 5.0], [20.0, 10.0, 40.0, 30.0, 50.0])
    assert result is not None
    assert result.rho == pytest.approx(0.8)
    assert result.n == 5
    # atanh(0.8) = 1.0986; error sqrt((1 + 0.32) / 2) = 0.8124.
    assert result.low == pytest.approx(math.tanh(1.098612 - 1.959964 * 0.812404), abs=1e-6)
    assert result.high == pytest.approx(math.tanh(1.098612 + 1.959964 * 0.812404), abs=1e-6)


def test_ties_share_ranks_as_scipy_has_it():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    early, late = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
    assert proxy_fidelity(early, late).rho == pytest.approx(spearmanr(early, late).statistic)


def test_only_the_order_counts():
    early, late = [0.1, 0.4, 0.2, 0.9], [0.2, 0.3, 0.5, 0.6]
    assert proxy_fidelity(early, late) == proxy_fidelity(np.exp(early), np.power(late, 3))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_perfect_order_has_no_interval(sign):
    result = proxy_fidelity([1.0, 2.0, 3.0, 4.0, 5.0], [sign * x for x in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert result is not None
    assert result.rho == pytest.approx(sign)
    assert (result.low, result.high) == (None, None)


def test_three_trials_have_a_correlation_and_no_interval():
    result = proxy_fidelity([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert result is not None
    assert result.rho == pytest.approx(0.5)
    assert (result.low, result.high, result.n) == (None, None, 3)


@pytest.mark.parametrize(
    ("early", "late"),
    [([], []), ([1.0, 2.0], [1.0, 2.0]), ([1.0] * 4, [1.0, 2.0, 3.0, 4.0]), ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0])],
)
def test_too_little_gives_none(early, late):
    assert proxy_fidelity(early, late) is None


def test_pairs_that_are_not_finite_are_skipped():
    result = proxy_fidelity([1.0, 2.0, 3.0, 4.0, math.inf], [1.0, 2.0, 4.0, 3.0, 0.0])
    assert result is not None
    assert (result.n, result.rho) == (4, pytest.approx(0.8))


def test_a_textbook_interval():
    # Of 10 tried 3 would have won: Clopper and Pearson's 95 % interval is 6.67 % to 65.25 %.
    result = false_prune_rate([0.95, 0.96, 0.97] + [0.5] * 7, 0.9)
    assert result is not None
    assert (result.rate, result.n) == (0.3, 10)
    assert (result.low, result.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)


def test_none_or_all_of_five():
    # 1 - 0.025 ** (1 / 5)
    none, every = false_prune_rate([0.1] * 5, 0.9), false_prune_rate([0.95] * 5, 0.9)
    assert (none.rate, none.low, none.high) == (0.0, 0.0, pytest.approx(0.52182, abs=1e-5))
    assert (every.rate, every.low, every.high) == (1.0, pytest.approx(0.47818, abs=1e-5), 1.0)


def test_a_tie_does_not_beat_and_lower_may_be_better():
    assert false_prune_rate([0.9, 0.8], 0.9).rate == 0.0
    assert false_prune_rate([0.9, 0.8], 0.9, maximize=False).rate == 0.5


def test_no_figures_give_none():
    assert false_prune_rate([], 0.9) is None
    assert false_prune_rate([math.nan], 0.9) is None
    assert false_prune_rate([0.5], math.nan) is None
    assert false_prune_rate([0.5, math.nan], -math.inf).n == 1
