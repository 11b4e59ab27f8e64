import math

import pytest

from auditor.analysis.regret import anytime_regret, mean_regret, regret_of_chosen

VALUES, ENERGY = [0.8, 0.7, 0.9, 0.95], [10.0, 20.0, 30.0, 50.0]


def test_regret_falls_with_each_improvement():
    steps = anytime_regret(VALUES, ENERGY, optimum=0.97)
    assert [(step.index, step.axis) for step in steps] == [(0, 10.0), (2, 30.0), (3, 50.0)]
    assert [step.regret for step in steps] == pytest.approx([0.17, 0.07, 0.02])


def test_lower_may_be_better():
    steps = anytime_regret([0.2, 0.1], [1.0, 2.0], optimum=0.05, maximize=False)
    assert [step.regret for step in steps] == pytest.approx([0.15, 0.05])


def test_noise_can_beat_the_optimum():
    assert anytime_regret([0.98], [1.0], optimum=0.97)[0].regret == pytest.approx(-0.01)


def test_the_mean_is_the_area_by_the_width():
    steps = anytime_regret(VALUES, ENERGY, optimum=0.97)
    assert mean_regret(steps, end=70.0) == pytest.approx((0.17 * 20 + 0.07 * 20 + 0.02 * 20) / 60)
    assert mean_regret(steps, end=40.0) == pytest.approx((0.17 * 20 + 0.07 * 10) / 30)


def test_nothing_gives_none():
    assert anytime_regret([math.nan], [1.0], optimum=1.0) == ()
    assert mean_regret((), end=1.0) is None
    assert mean_regret(anytime_regret(VALUES, ENERGY, optimum=0.97), end=10.0) is None
    assert mean_regret(anytime_regret(VALUES, ENERGY, optimum=0.97), end=math.nan) is None


class TestOfTheChosen:
    VALUES, TRUTHS, AXIS = (0.7, 0.9, 0.8), (0.75, 0.8, 0.85), (10.0, 20.0, 30.0)

    @pytest.mark.parametrize(("at", "regret"), [(9.9, None), (10.0, 0.15), (20.0, 0.1), (99.0, 0.1)])
    def test_it_is_the_truth_about_the_best_seen(self, at, regret):
        found = regret_of_chosen(self.VALUES, self.TRUTHS, self.AXIS, at=at, optimum=0.9)
        assert found == (None if regret is None else pytest.approx(regret))

    def test_minimised(self):
        values, truths = [-v for v in self.VALUES], [-t for t in self.TRUTHS]
        found = regret_of_chosen(values, truths, self.AXIS, at=20.0, optimum=-0.9, maximize=False)
        assert found == pytest.approx(0.1)
