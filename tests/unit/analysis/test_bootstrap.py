import math

import numpy as np
import pytest

from auditor.analysis.bootstrap import LEAST_UNITS, paired_example_difference


@pytest.mark.parametrize("n", [20, 60])
def test_agrees_with_scipys_bca(n):
    from scipy.stats import bootstrap

    differences = np.random.default_rng(n).exponential(size=n)
    result = paired_example_difference(differences, np.zeros(n))
    other = bootstrap((differences,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(1))
    assert result is not None
    assert result.difference == pytest.approx(differences.mean())
    width = other.confidence_interval.high - other.confidence_interval.low
    assert result.low == pytest.approx(other.confidence_interval.low, abs=0.04 * width)
    assert result.high == pytest.approx(other.confidence_interval.high, abs=0.04 * width)


def test_many_examples_have_the_normal_interval():
    # 1000 differences of -1, 0 and 1: error sqrt((0.1 - 0.02 ** 2) / 1000).
    first, second = np.repeat([1.0, 0.0, 1.0], [60, 40, 900]), np.repeat([0.0, 1.0, 1.0], [60, 40, 900])
    result = paired_example_difference(first, second)
    assert result is not None
    assert result.difference == pytest.approx(0.02)
    half_width = 1.959964 * math.sqrt((0.1 - 0.02**2) / 1000)
    assert (result.low, result.high) == pytest.approx((0.02 - half_width, 0.02 + half_width), abs=0.001)


def test_pairing_takes_out_what_examples_have_in_common():
    rng = np.random.default_rng(3)
    hard = rng.normal(0.0, 10.0, 50)
    result = paired_example_difference(hard + 1.0 + rng.normal(0.0, 0.1, 50), hard)
    assert result is not None
    assert 0.9 < result.low < 1.0 < result.high < 1.1


def test_too_few_examples_give_none():
    values = np.arange(float(LEAST_UNITS))
    assert paired_example_difference(values, values[::-1]) is not None
    assert paired_example_difference(values[1:], values[:-1]) is None
    assert paired_example_difference([math.nan, *values[1:]], values) is None
    assert paired_example_difference([], []) is None


def test_equal_differences_have_no_width():
    result = paired_example_difference([0.3] * 30, [0.1] * 30)
    assert result is not None
    assert result.low == result.difference == result.high == pytest.approx(0.2)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=30), rng.normal(size=30)
    assert paired_example_difference(first, second) == paired_example_difference(first, second)
    assert paired_example_difference(first, second) != paired_example_difference(first, second, seed=1)
