import numpy as np
import pytest

from auditor.analysis.welch import mean_difference, sample_variance


def test_a_worked_example():
    # Means 4 and 2, variances 4 and 1, n = 3 each: error 1.29, 2.94 degrees of freedom, t = 3.217.
    result = mean_difference([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert result is not None
    assert result.difference == pytest.approx(2.0)
    assert result.high - result.difference == pytest.approx(3.2171 * np.sqrt(5.0 / 3.0), rel=1e-3)
    assert result.difference - result.low == pytest.approx(result.high - result.difference)


def test_equal_variances_give_students_interval():
    # 8 degrees of freedom: t = 2.306.
    result = mean_difference([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert result is not None
    assert result.high == pytest.approx(1.0 + 2.306004 * 1.0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_one_value_a_side_gives_no_interval(first, second):
    assert mean_difference(first, second) is None


def test_without_variance_the_interval_has_no_width():
    result = mean_difference([0.1] * 3, [0.3] * 3)
    assert result is not None
    assert result.low == result.high == pytest.approx(-0.2)


def test_variance_on_one_side_only_has_that_sides_degrees_of_freedom():
    # One side of 3: 2 degrees of freedom, t = 4.303, error of the mean 1 / sqrt(3).
    result = mean_difference([1.0, 2.0, 3.0], [0.0] * 7)
    assert result is not None
    assert result.high - 2.0 == pytest.approx(4.302653 / np.sqrt(3.0))


def test_equal_values_have_no_variance_whatever_their_mean_rounds_to():
    assert sample_variance([0.1, 0.1, 0.1]) == 0.0


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(7)
    first = rng.normal(0.3, 1.0, size=(5000, 5))
    second = rng.normal(0.0, 3.0, size=(5000, 5))
    results = [mean_difference(a, b) for a, b in zip(first, second, strict=True)]
    covered = np.mean([r is not None and r.low <= 0.3 <= r.high for r in results])
    assert 0.93 <= covered <= 0.97
