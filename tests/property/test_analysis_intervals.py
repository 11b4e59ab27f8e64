import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from auditor.analysis.bootstrap import paired_example_difference
from auditor.analysis.break_even import break_even_curve, break_even_inference, break_even_trainings
from auditor.analysis.fieller import ratio_interval
from auditor.analysis.proxy import false_prune_rate, proxy_fidelity

unhurried = settings(deadline=None)  # the first call imports scipy
few = settings(deadline=None, max_examples=20)
figures = st.floats(-100.0, 100.0).map(lambda x: round(x, 3))
errors = st.floats(0.0, 20.0).map(lambda x: round(x, 3))
any_float = st.one_of(figures, st.sampled_from([math.nan, math.inf, -math.inf]))
pairs = st.lists(st.tuples(any_float, any_float), max_size=20)
uses = st.lists(st.floats(0.1, 10.0).map(lambda x: round(x, 2)), min_size=2, max_size=6)


@unhurried
@given(figures, errors, figures, errors, st.floats(-1.0, 1.0), st.one_of(st.none(), st.floats(1.0, 50.0)))
def test_a_ratio_lies_in_its_interval_and_the_ends_just_fit(top, top_error, bottom, bottom_error, correlation, degrees):
    covariance = correlation * top_error * bottom_error
    result = ratio_interval(top, top_error, bottom, bottom_error, covariance=covariance, degrees=degrees)
    if not result.bounded:
        assert (result.low, result.high) == (None, None)
        return
    size = max(1.0, abs(result.low), abs(result.high))
    assert result.low <= result.ratio + 1e-9 * size
    assert result.ratio - 1e-9 * size <= result.high
    flipped = ratio_interval(-top, top_error, -bottom, bottom_error, covariance=covariance, degrees=degrees)
    assert (flipped.low, flipped.high) == pytest.approx((result.low, result.high), abs=1e-6, rel=1e-6)


@unhurried
@given(figures, errors, figures, errors, st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_a_ratio_scales_with_both_units(top, top_error, bottom, bottom_error, first, second):
    plain = ratio_interval(top, top_error, bottom, bottom_error)
    scaled = ratio_interval(first * top, first * top_error, second * bottom, second * bottom_error)
    assume(plain.bounded == scaled.bounded)  # rounding at the edge
    if plain.bounded:
        factor = first / second
        assert scaled.ratio == pytest.approx(plain.ratio * factor, rel=1e-6, abs=1e-9)
        width = plain.high - plain.low
        assert scaled.high - scaled.low == pytest.approx(width * factor, rel=1e-4, abs=1e-6 * factor)


@unhurried
@given(figures, errors, figures, errors)
def test_a_wider_level_holds_the_narrower(top, top_error, bottom, bottom_error):
    narrow = ratio_interval(top, top_error, bottom, bottom_error, level=0.8)
    wide = ratio_interval(top, top_error, bottom, bottom_error, level=0.99)
    assert narrow.bounded or not wide.bounded
    if wide.bounded:
        slack = 1e-9 * max(1.0, abs(wide.low), abs(wide.high))
        assert wide.low - slack <= narrow.low
        assert narrow.high <= wide.high + slack


@unhurried
@given(st.floats(-1e6, 1e6), uses, uses)
def test_break_even_says_one_of_three_things(cost, base, new):
    result = break_even_inference(
        search_j=cost, train_new_j=0.0, train_base_j=0.0, base_inference_j=base, new_inference_j=new
    )
    if result.status == "established":
        assert 0.0 <= result.low <= result.n * (1 + 1e-9)
        assert result.n <= result.high * (1 + 1e-9)
        assert np.mean(base) >= np.mean(new)
    else:
        assert (result.low, result.high) == (None, None)
    if result.status == "never":
        assert result.n is None
        assert np.mean(base) < np.mean(new)
    assert result == break_even_trainings(cost, base, new)


@unhurried
@given(st.floats(1.0, 1e6), uses, uses, st.floats(1.1, 10.0))
def test_a_dearer_search_takes_longer_and_joules_or_kilojoules_do_not_matter(cost, base, new, factor):
    plain, dearer = break_even_trainings(cost, base, new), break_even_trainings(factor * cost, base, new)
    assert dearer.status == plain.status
    if plain.n is not None:
        assert dearer.n == pytest.approx(factor * plain.n)
    scaled = break_even_trainings(1e3 * cost, [1e3 * x for x in base], [1e3 * x for x in new])
    assume(scaled.status == plain.status)  # rounding at the edge
    if plain.n is not None:
        assert scaled.n == pytest.approx(plain.n, rel=1e-6)


@unhurried
@given(st.floats(0.0, 1e6), uses, uses)
def test_lines_rise_within_their_band(cost, base, new):
    curve = break_even_curve(
        search_j=cost, train_new_j=1.0, train_base_j=2.0, base_inference_j=base, new_inference_j=new, points=9
    )
    assert curve is not None
    assert len(curve.n) == 9
    for low, line, high in (
        (curve.base_low, curve.base, curve.base_high),
        (curve.new_low, curve.new, curve.new_high),
    ):
        assert np.all(np.diff(line) >= 0.0)
        slack = 1e-9 * np.abs(line)
        assert np.all(np.asarray(low) <= line + slack)
        assert np.all(line - slack <= np.asarray(high))


@unhurried
@given(pairs)
def test_correlation_is_symmetric_and_turns_its_sign(values):
    early, late = [a for a, _ in values], [b for _, b in values]
    there, back = proxy_fidelity(early, late), proxy_fidelity(late, early)
    turned = proxy_fidelity([-x for x in early], late)
    if there is None:
        assert back is None
        assert turned is None
        return
    assert -1.0 <= there.rho <= 1.0
    assert back.rho == pytest.approx(there.rho)
    assert turned.rho == pytest.approx(-there.rho)
    if there.low is not None:
        assert -1.0 <= there.low <= there.rho <= there.high <= 1.0
        assert (turned.low, turned.high) == pytest.approx((-there.high, -there.low))


@unhurried
@given(st.lists(any_float, max_size=30), figures)
def test_the_rate_lies_in_its_interval_and_mirrors(values, threshold):
    result = false_prune_rate(values, threshold)
    mirrored = false_prune_rate([-x for x in values], -threshold, maximize=False)
    assert result == mirrored
    if result is None:
        assert not any(map(math.isfinite, values))
        return
    assert 0.0 <= result.low <= result.rate <= result.high <= 1.0
    assert result.n == sum(map(math.isfinite, values))


@few
@given(st.lists(st.tuples(figures, figures), min_size=20, max_size=40), figures)
def test_the_paired_difference_does_not_see_a_common_shift(values, shift):
    first, second = [a for a, _ in values], [b for _, b in values]
    plain = paired_example_difference(first, second)
    moved = paired_example_difference([x + shift for x in first], [x + shift for x in second])
    assert plain is not None
    assert plain.low <= plain.difference <= plain.high
    assert moved.difference == pytest.approx(plain.difference, abs=1e-9)
    back = paired_example_difference(second, first)
    assert back.difference == pytest.approx(-plain.difference)
    width = plain.high - plain.low
    assert back.low == pytest.approx(-plain.high, abs=0.1 * width + 1e-9)
