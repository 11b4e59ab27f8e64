import math

import numpy as np
import pytest

from auditor.analysis.break_even import break_even_curve, break_even_inference, break_even_trainings
from auditor.analysis.welch import mean_difference

BASE, NEW = [2.0, 2.1, 1.9, 2.0], [1.5, 1.6, 1.4, 1.5]


def inference(base=BASE, new=NEW, search_j=900.0, train_new_j=300.0, train_base_j=200.0):
    return break_even_inference(
        search_j=search_j,
        train_new_j=train_new_j,
        train_base_j=train_base_j,
        base_inference_j=base,
        new_inference_j=new,
    )


def test_what_the_search_cost_by_what_an_inference_saves():
    result = inference()
    saved = mean_difference(BASE, NEW)
    assert result.status == "established"
    assert result.n == pytest.approx(1000.0 / 0.5)
    # The fixed cost is known, so that the ends are those of the saving, inverted.
    assert result.low == pytest.approx(1000.0 / saved.high)
    assert result.high == pytest.approx(1000.0 / saved.low)


def test_a_saving_within_its_error_establishes_nothing():
    result = inference(new=[1.0, 2.9, 1.9, 2.0])
    assert result.status == "not-established"
    assert result.n == pytest.approx(1000.0 / 0.05)
    assert (result.low, result.high) == (None, None)
    worse = inference(new=[1.0, 2.9, 2.3, 2.0])
    assert (worse.status, worse.n) == ("not-established", None)


def test_an_inference_that_costs_more_never_pays():
    result = inference(base=NEW, new=BASE)
    assert (result.status, result.n, result.low, result.high) == ("never", None, None, None)


def test_a_search_that_is_repaid_at_once():
    result = inference(search_j=100.0, train_new_j=50.0)
    assert (result.status, result.n, result.low, result.high) == ("established", 0.0, 0.0, 0.0)
    same = inference(base=[2.0, 2.0], new=[2.0, 2.0], search_j=0.0, train_new_j=0.0)
    assert (same.status, same.n) == ("established", 0.0)


def test_a_lead_that_inference_may_eat_up():
    ahead = {"search_j": 100.0, "train_new_j": 50.0}
    assert inference(base=NEW, new=BASE, **ahead).status == "never"
    assert inference(new=[1.0, 2.9, 1.9, 2.0], **ahead).status == "not-established"
    assert inference(new=[1.0, 2.9, 1.9, 2.0], **ahead).n == 0.0
    assert inference(new=[1.0, 2.9, 2.3, 2.0], **ahead).n is None


@pytest.mark.parametrize(("base", "new"), [([2.0], [1.5]), (BASE, [1.5]), ([2.0, math.nan], NEW)])
def test_a_single_measurement_establishes_nothing(base, new):
    result = inference(base=base, new=new)
    assert (result.status, result.n) == ("not-established", pytest.approx(2000.0))
    assert (result.low, result.high) == (None, None)


@pytest.mark.parametrize(("base", "new", "search_j"), [([], NEW, 1.0), (BASE, [math.nan], 1.0), (BASE, NEW, math.nan)])
def test_no_figures_establish_nothing(base, new, search_j):
    result = inference(base=base, new=new, search_j=search_j)
    assert (result.status, result.n) == ("not-established", None)


def test_measurements_that_do_not_vary():
    result = inference(base=[2.0, 2.0], new=[1.5, 1.5])
    assert (result.status, result.low, result.high) == ("established", result.n, result.n)
    assert inference(base=[2.0, 2.0], new=[2.0, 2.0]).status == "not-established"
    assert inference(base=[1.5, 1.5], new=[2.0, 2.0]).status == "never"


def test_trainings():
    result = break_even_trainings(5000.0, [200.0, 210.0, 190.0], [100.0, 105.0, 95.0])
    assert (result.status, result.n) == ("established", pytest.approx(50.0))
    assert result.low < 50.0 < result.high
    assert break_even_trainings(0.0, [200.0, 210.0], [100.0, 105.0]).n == 0.0
    assert break_even_trainings(5000.0, [100.0, 101.0], [200.0, 201.0]).status == "never"


def curve(base=BASE, new=NEW, **more):
    return break_even_curve(
        search_j=900.0, train_new_j=300.0, train_base_j=200.0, base_inference_j=base, new_inference_j=new, **more
    )


def test_the_lines_cross_at_the_break_even():
    found = curve(points=1001)
    assert found is not None
    assert found.n[0] == pytest.approx(1.0)
    assert found.n[-1] == pytest.approx(20_000.0)
    assert found.base[0] == pytest.approx(202.0)
    assert found.new[0] == pytest.approx(1201.5)
    crossing = next(n for n, base, new in zip(found.n, found.base, found.new, strict=True) if new < base)
    assert crossing == pytest.approx(2000.0, rel=0.02)
    half_width = 3.182446 * np.std(BASE, ddof=1) / 2.0
    assert found.base_high[-1] == pytest.approx(200.0 + 20_000.0 * (2.0 + half_width), rel=1e-6)
    assert found.new_low[-1] < found.new[-1] < found.new_high[-1]


def test_how_far_the_lines_go():
    assert curve(most=50.0, points=5).n[-1] == pytest.approx(50.0)
    assert curve(base=NEW, new=BASE).n[-1] == pytest.approx(1e9)
    assert curve(most=0.0).n[-1] == pytest.approx(10.0)


def test_lines_of_single_measurements_have_no_band():
    found = curve(base=[2.0], new=[1.5])
    assert (found.base_low, found.base_high, found.new_low, found.new_high) == (None, None, None, None)
    assert curve(base=[]) is None
