import math

import pytest
from scipy.stats import t

from auditor.analysis.mean import mean_interval


def test_student_interval():
    values = (5.1, 4.9, 5.6, 4.7, 5.2, 4.8)
    found = mean_interval(values)
    assert found is not None
    low, high = t.interval(0.95, 5, loc=sum(values) / 6, scale=math.sqrt(sum((v - 5.05) ** 2 for v in values) / 5 / 6))
    assert (found.mean, found.low, found.high) == pytest.approx((5.05, low, high))
    assert found.relative_half_width == pytest.approx((high - low) / 2 / 5.05)


def test_one_value_has_no_interval():
    found = mean_interval([3.0, math.nan])
    assert found is not None
    assert (found.mean, found.low, found.high) == (3.0, None, None)
    assert found.relative_half_width == math.inf


def test_equal_values_have_no_width_and_none_no_mean():
    found = mean_interval([2.0, 2.0, 2.0])
    assert found is not None
    assert found.low == found.high == 2.0
    assert mean_interval([math.nan]) is None
    zero = mean_interval([0.0, 0.0])
    assert zero is not None
    assert zero.relative_half_width == math.inf
