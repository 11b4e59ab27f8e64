import math
from itertools import pairwise

import numpy as np
import pytest

from auditor.analysis.detectable import MOST_SEEDS, detectable_in_sd, pooled_sd, power, seeds_to_detect


@pytest.mark.parametrize(("seeds", "expected"), [(3, 3.1), (5, 2.0), (10, 1.3)])
def test_known_answers(seeds, expected):
    assert detectable_in_sd(seeds) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("seeds", [0, 1])
def test_fewer_than_two_seeds_show_nothing(seeds):
    assert detectable_in_sd(seeds) is None


def test_cohens_table():
    # Cohen 1988, table 2.4.1: power .80 at two-sided .05.
    assert [seeds_to_detect(effect) for effect in (0.2, 0.5, 0.8)] == [394, 64, 26]


@pytest.mark.parametrize("seeds", [2, 3, 5, 18, 200])
def test_seeds_and_detectable_effect_are_inverse(seeds):
    effect = detectable_in_sd(seeds)
    assert effect is not None
    assert seeds_to_detect(effect * 1.0001) == seeds
    assert seeds_to_detect(-effect * 1.0001) == seeds


@pytest.mark.parametrize("effect", [0.0, 1e-6, math.nan])
def test_an_effect_too_small_for_any_sensible_number_of_seeds(effect):
    assert seeds_to_detect(effect) is None


@pytest.mark.parametrize("seeds", [2, 3, 30, MOST_SEEDS])
def test_power_grows_from_significance_to_certainty(seeds):
    powers = [power(effect, seeds) for effect in (0.0, *np.geomspace(1e-3, 1e6, 60))]
    assert powers[0] == pytest.approx(0.05)
    assert powers[-1] == 1.0
    assert all(a <= b + 1e-12 for a, b in pairwise(powers))


def test_power_agrees_with_simulated_t_tests():
    rng = np.random.default_rng(3)
    a, b = rng.normal(2.0, 1.0, (20000, 5)), rng.normal(0.0, 1.0, (20000, 5))
    error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / 5)
    seen = np.mean(np.abs(a.mean(axis=1) - b.mean(axis=1)) > 2.306004 * error)
    assert power(2.0, 5) == pytest.approx(seen, abs=0.01)


def test_pooled_sd_weighs_the_sides_by_their_degrees_of_freedom():
    assert pooled_sd([1.0, 2.0, 3.0], [0.0, 4.0]) == pytest.approx(math.sqrt((2 * 1.0 + 1 * 8.0) / 3))
    assert pooled_sd([0.1] * 3, [0.2] * 3) == 0.0
    assert pooled_sd([1.0], [1.0, 2.0]) is None
