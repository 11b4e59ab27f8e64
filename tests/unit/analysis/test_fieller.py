import math

import numpy as np
import pytest

from auditor.analysis.fieller import ratio_interval

Z = 1.959964


def test_ends_are_the_ratios_that_just_fit():
    # A ratio r fits where numerator - r * denominator is within t standard errors of 0.
    result = ratio_interval(6.0, 0.5, 3.0, 0.4, covariance=0.05, degrees=8.0)
    assert result.bounded
    assert result.ratio == pytest.approx(2.0)
    for end in (result.low, result.high):
        variance = 0.25 - 2.0 * end * 0.05 + end**2 * 0.16
        assert abs(6.0 - end * 3.0) / math.sqrt(variance) == pytest.approx(2.306004, rel=1e-5)


def test_the_interval_around_nothing_is_symmetric():
    # With a numerator of 0: t * se / sqrt(denominator ** 2 - (t * its se) ** 2).
    result = ratio_interval(0.0, 1.0, 10.0, 2.0)
    half_width = Z / math.sqrt(100.0 - (Z * 2.0) ** 2)
    assert (result.ratio, result.low, result.high) == pytest.approx((0.0, -half_width, half_width), rel=1e-5)


def test_a_known_numerator_inverts_the_denominators_interval():
    result = ratio_interval(12.0, 0.0, 4.0, 1.0)
    assert (result.low, result.high) == pytest.approx((12.0 / (4.0 + Z), 12.0 / (4.0 - Z)), rel=1e-5)
    negative = ratio_interval(12.0, 0.0, -4.0, 1.0)
    assert (negative.low, negative.high) == pytest.approx((-result.high, -result.low))


def test_a_known_denominator_scales_the_numerators_interval():
    result = ratio_interval(12.0, 2.0, 4.0, 0.0)
    assert (result.low, result.high) == pytest.approx((3.0 - Z * 0.5, 3.0 + Z * 0.5), rel=1e-5)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_units_do_not_matter_however_odd(factor):
    plain = ratio_interval(6.0, 0.5, 3.0, 0.4, covariance=0.05)
    scaled = ratio_interval(6.0 * factor, 0.5 * factor, 3.0, 0.4, covariance=0.05 * factor)
    assert (scaled.low / factor, scaled.high / factor) == pytest.approx((plain.low, plain.high))


def test_without_errors_the_interval_has_no_width():
    assert ratio_interval(1.0, 0.0, 4.0, 0.0).low == ratio_interval(1.0, 0.0, 4.0, 0.0).high == 0.25


def test_fewer_degrees_of_freedom_make_it_wider():
    widths = []
    for degrees in (3.0, 10.0, 1e9, math.inf, None):
        result = ratio_interval(6.0, 0.5, 3.0, 0.4, degrees=degrees)
        widths.append(result.high - result.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[2:] == pytest.approx([widths[-1]] * 3)


@pytest.mark.parametrize(("numerator", "numerator_se"), [(6.0, 0.1), (0.1, 5.0)])  # all but a gap, and all
def test_a_denominator_that_could_be_nothing_bounds_nothing(numerator, numerator_se):
    result = ratio_interval(numerator, numerator_se, 1.0, 0.6)
    assert result.ratio == pytest.approx(numerator)
    assert (result.low, result.high, result.bounded) == (None, None, False)
    assert ratio_interval(numerator, numerator_se, 1.2, 0.6).bounded


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_no_ratio_without_a_denominator(bad):
    result = ratio_interval(1.0, 0.1, bad, 0.1)
    assert (result.ratio, result.low, result.high, result.bounded) == (None, None, None, False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_odd_figures_are_no_error(bad):
    assert ratio_interval(bad, 0.1, 1.0, 0.1).ratio is None
    assert not ratio_interval(1.0, bad, 1.0, 0.1).bounded
    assert not ratio_interval(1.0, 0.1, 1.0, bad).bounded
    assert not ratio_interval(1.0, 0.1, 1.0, 0.1, degrees=0.0).bounded
    assert not ratio_interval(1e308, 0.1, 1e-308, 0.0).bounded
    assert ratio_interval(1.0, 1e200, 1.0, 0.1).high == pytest.approx(Z * 1e200, rel=0.1)
    assert not ratio_interval(1.0, 1e300, 1e-300, 0.0).bounded
    assert not ratio_interval(1.0, 0.1, 1.0, 0.1, degrees=math.nan).bounded
    # Errors that go together entirely leave a ratio of 1 as it is.
    for covariance in (0.01, 1e300):
        result = ratio_interval(1.0, 0.1, 1.0, 0.1, covariance=covariance)
        assert (result.low, result.high) == pytest.approx((1.0, 1.0))


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    tops, bottoms = rng.normal(6.0, 0.5, 4000), rng.normal(3.0, 0.6, 4000)
    results = [ratio_interval(a, 0.5, b, 0.6) for a, b in zip(tops, bottoms, strict=True)]
    bounded = [r for r in results if r.bounded]
    assert len(bounded) > 3900
    assert 0.94 <= np.mean([r.low <= 2.0 <= r.high for r in bounded]) <= 0.96
