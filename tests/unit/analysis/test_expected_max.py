import math
from itertools import combinations, permutations, product

import numpy as np
import pytest

from auditor.analysis import expected_max
from auditor.analysis.expected_max import MOST_SIMULATED, expected_maximum, expected_maximum_at_energy

VALUES = [0.3, 0.9, 0.5, 0.5, 0.7]


def best_of_all(choices):
    return np.mean([max(choice) for choice in choices])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_estimators_are_means_over_all_choices(n):
    result = expected_maximum(VALUES)
    assert result is not None
    assert result.n[n - 1] == n
    assert result.tang[n - 1] == pytest.approx(best_of_all(combinations(VALUES, n)))
    assert result.dodge[n - 1] == pytest.approx(best_of_all(product(VALUES, repeat=n)))


def test_both_begin_at_the_mean_and_tangs_ends_at_the_best():
    result = expected_maximum(VALUES)
    assert result is not None
    assert result.tang[0] == pytest.approx(np.mean(VALUES))
    assert result.dodge[0] == pytest.approx(np.mean(VALUES))
    assert result.tang[-1] == pytest.approx(0.9)
    assert result.dodge[-1] < 0.9


def test_minimisation_expects_the_lowest_in_the_unit_of_the_values():
    result = expected_maximum(VALUES, maximize=False)
    assert result is not None
    assert result.tang[0] == pytest.approx(np.mean(VALUES))
    assert result.tang[-1] == pytest.approx(0.3)
    assert all(a >= b - 1e-12 for a, b in zip(result.tang, result.tang[1:], strict=False))


def test_tang_is_unbiased_for_a_known_distribution():
    # The best of n uniform values is n / (n + 1) on average.
    rng = np.random.default_rng(5)
    estimates = np.array([expected_maximum(x).tang for x in rng.random((2000, 12))])
    assert estimates.mean(axis=0) == pytest.approx(np.arange(1, 13) / np.arange(2, 14), abs=0.01)


def test_many_trials_are_thinned_out_and_stay_exact():
    values = np.random.default_rng(1).permutation(20_000) / 20_000
    result = expected_maximum(values)
    assert result is not None
    assert 150 < len(result.n) <= 200
    assert result.n[:20] == tuple(range(1, 21))
    assert result.n[-1] == 20_000
    assert list(result.n) == sorted(set(result.n))
    # The best of n drawn without replacement from 0..B-1 is (B + 1) n / (n + 1) - 1.
    exact = [(20_001 * n / (n + 1) - 1) / 20_000 for n in result.n]
    assert result.tang == pytest.approx(exact, rel=1e-8)


def test_the_largest_n_can_be_set():
    result = expected_maximum(VALUES, most=2)
    assert result is not None
    assert result.n == (1, 2)
    assert expected_maximum(VALUES, most=99).n == (1, 2, 3, 4, 5)
    assert expected_maximum(VALUES, most=0) is None


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_finite_gives_none(values):
    assert expected_maximum(values) is None


def test_what_is_not_finite_is_skipped():
    plain, odd = expected_maximum(VALUES), expected_maximum([math.nan, *VALUES, math.inf])
    assert odd == plain


@pytest.mark.parametrize("count", [6, 40, MOST_SIMULATED + 5])
def test_the_band_is_opdas_band_of_the_median(count):
    from opda.nonparametric import EmpiricalDistribution

    values = np.random.default_rng(2).normal(size=count)
    below, _, above = EmpiricalDistribution.confidence_bands(
        values,
        0.95,
        method="ld_equal_tailed" if count <= MOST_SIMULATED else "ks",
        generator=np.random.Generator(np.random.PCG64(0)),
        n_jobs=1,
    )
    result, negated = expected_maximum(values), expected_maximum(-values, maximize=False)
    assert result is not None
    assert negated is not None
    assert closed(result.low, -np.inf, result.n) == pytest.approx(above.quantile_tuning_curve(result.n))
    assert closed(result.high, np.inf, result.n) == pytest.approx(below.quantile_tuning_curve(result.n))
    assert closed(negated.high, np.inf, result.n) == pytest.approx(-above.quantile_tuning_curve(result.n))
    assert closed(negated.low, -np.inf, result.n) == pytest.approx(-below.quantile_tuning_curve(result.n))


def closed(ends, fill, n):
    return [fill] * len(n) if ends is None else [fill if end is None else end for end in ends]


def test_the_better_end_is_open_where_few_trials_can_not_tell():
    result = expected_maximum(np.random.default_rng(2).normal(size=50))
    assert result is not None
    assert None not in result.low
    assert result.high[0] is not None
    assert result.high[-1] is None
    lowest = expected_maximum(np.random.default_rng(2).normal(size=50), maximize=False)
    assert None not in lowest.high
    assert lowest.low[-1] is None


def test_a_single_trial_has_no_band():
    result = expected_maximum([0.5])
    assert result is not None
    assert (result.tang, result.dodge, result.low, result.high) == ((0.5,), (0.5,), None, None)


def test_the_simulation_behind_the_band_runs_once_for_each_number_of_trials():
    expected_max._distribution_band.cache_clear()
    for seed in range(3):
        expected_maximum(np.random.default_rng(seed).normal(size=8))
    assert expected_max._distribution_band.cache_info().misses == 1


def brute_force(values, energies, budget, start, maximize=True):
    best_of = max if maximize else min
    found = []
    for order in permutations(range(len(values))):
        used, best = 0.0, None
        for i in order:
            used += energies[i]
            if used > budget + 1e-9:
                break
            best = values[i] if best is None else best_of(best, values[i])
        found.append(start if best is None else best)
    return None if None in found else np.mean(found)


ENERGIES = [1.0, 4.0, 2.0, 3.0, 1.5]


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("start", [0.1, None])
def test_budgets_against_all_orders(start, maximize):
    budgets = [-1.0, 0.0, 0.9, 1.0, 2.5, 3.9, 4.0, 6.0, 9.0, 11.5, 50.0]
    found = expected_maximum_at_energy(VALUES, ENERGIES, budgets, start=start, maximize=maximize, permutations=20_000)
    for budget, value in zip(budgets, found, strict=True):
        exact = brute_force(VALUES, ENERGIES, budget, start, maximize)
        if exact is None:
            assert value is None
        else:
            assert value == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("maximize", [True, False])
def test_equal_energies_are_exact(maximize):
    budgets = [0.05, 0.1, 0.25, 0.3, 0.4, 0.5, 7.0]
    found = expected_maximum_at_energy(VALUES, [0.1] * 5, budgets, start=0.2, maximize=maximize)
    exact = [brute_force(VALUES, [0.1] * 5, budget, 0.2, maximize) for budget in budgets]
    assert found == pytest.approx(exact)
    curve = expected_maximum(VALUES, maximize=maximize)
    assert found[3] == pytest.approx(curve.tang[2])  # three times 0.1 is 0.3, whatever rounding says


def test_the_trial_that_crosses_is_not_counted():
    assert expected_maximum_at_energy([0.9], [10.0], [9.99, 10.0], start=0.5) == (0.5, 0.9)


def test_failed_trials_use_energy_and_stand_at_the_start():
    # Of two orders the failed trial comes first in one.
    found = expected_maximum_at_energy([0.9, math.nan], [1.0, 1.0], [1.0, 2.0], start=0.5)
    assert found == pytest.approx((0.7, 0.9))
    uneven = expected_maximum_at_energy([0.9, math.nan], [1.0, 1.5], [1.5, 2.5], start=0.5, permutations=20_000)
    assert uneven == pytest.approx((0.7, 0.9), abs=0.01)


@pytest.mark.parametrize("failed_energy", [1.0, 1.5])
def test_failed_trials_without_a_start_leave_open_what_they_may_eat_up(failed_energy):
    values, energies = [0.9, 0.7, math.nan], [1.0, 1.0, failed_energy]
    found = expected_maximum_at_energy(values, energies, [1.0, failed_energy + 0.9, failed_energy + 1.0], start=None)
    assert found[:2] == (None, None)
    assert found[2] == pytest.approx((0.9 + 0.9 + 0.7) / 3, abs=0.02)


def test_odd_figures_are_no_error():
    assert expected_maximum_at_energy([], [], [1.0, 2.0], start=0.5) == (None, None)
    assert expected_maximum_at_energy([math.nan], [1.0], [1.0], start=None) == (None,)
    assert expected_maximum_at_energy([0.9], [math.nan], [1.0], start=0.5) == (None,)
    assert expected_maximum_at_energy([0.9, 0.8], [1.0, -1.0], [1.0, math.nan], start=0.5) == (0.9, None)
    assert expected_maximum_at_energy([0.9, 0.8], [0.0, 0.0], [0.0, math.inf], start=math.nan) == (0.9, 0.9)
    assert expected_maximum_at_energy([0.9, 0.8], [1.0, 2.0], [], start=0.5) == ()
    assert expected_maximum_at_energy([0.9, 0.8], [1.0, 2.0], [3.0], start=0.5, permutations=0) == (None,)


def test_the_same_seed_gives_the_same_figures_in_any_order_of_trials():
    budgets = [2.0, 5.0]
    plain = expected_maximum_at_energy(VALUES, ENERGIES, budgets, start=0.1, permutations=50)
    assert plain == expected_maximum_at_energy(VALUES[::-1], ENERGIES[::-1], budgets, start=0.1, permutations=50)
    assert plain != expected_maximum_at_energy(VALUES, ENERGIES, budgets, start=0.1, permutations=50, seed=1)
