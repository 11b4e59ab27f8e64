import math

import pytest

from auditor.analysis.incumbents import incumbents, marginal, tail_share

VALUES = [0.9, 0.8, 0.95, 0.95, 0.97]
ENERGIES = [10.0, 20.0, 30.0, 40.0, 50.0]


def test_only_what_is_better_than_all_before_counts():
    path = incumbents(VALUES, ENERGIES)
    assert [(step.index, step.energy, step.value) for step in path] == [
        (0, 10.0, 0.9),
        (2, 30.0, 0.95),
        (4, 50.0, 0.97),
    ]


def test_the_order_is_that_of_completion_not_of_the_arrays():
    path = incumbents([0.97, 0.9], [50.0, 10.0])
    assert [step.index for step in path] == [1, 0]


def test_of_results_at_the_same_energy_only_the_best_can_count():
    assert [step.index for step in incumbents([0.8, 0.9, 0.7], [5.0, 5.0, 5.0])] == [1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_an_incumbent(bad):
    assert [step.index for step in incumbents([bad, 0.5, bad], [1.0, 2.0, 3.0])] == [1]
    assert [step.index for step in incumbents([0.9, 0.5], [bad, 2.0])] == [1]


def test_nothing_gives_an_empty_path():
    assert incumbents([], []) == ()
    assert marginal(()) == ()
    assert tail_share((), end=1.0) is None


def test_minimisation_looks_for_the_lowest():
    path = incumbents([0.5, 0.6, 0.4], [1.0, 2.0, 3.0], maximize=False)
    assert [step.index for step in path] == [0, 2]
    (step,) = marginal(path, maximize=False)
    assert step.gain == pytest.approx(0.1)


def test_each_step_has_its_price():
    steps = marginal(incumbents(VALUES, ENERGIES))
    assert [(s.start, s.end, s.energy) for s in steps] == [(0, 2, 20.0), (2, 4, 20.0)]
    assert [s.gain for s in steps] == pytest.approx([0.05, 0.02])


def test_tail_share_begins_at_the_last_gain_that_counts():
    path = incumbents(VALUES, ENERGIES)
    assert tail_share(path, end=100.0) == pytest.approx(0.5)
    assert tail_share(path, end=100.0, delta=0.03) == pytest.approx(0.7)
    assert tail_share(path, end=100.0, delta=0.1) is None


def test_small_gains_add_up():
    path = incumbents([0.1, 0.2, 0.3, 0.4], [10.0, 20.0, 30.0, 40.0])
    assert tail_share(path, end=80.0, delta=0.15) == pytest.approx(50.0 / 80.0)


def test_a_first_trial_alone_gained_nothing():
    assert tail_share(incumbents([0.9], [10.0]), end=100.0) is None


def test_without_energy_there_is_no_share():
    assert tail_share(incumbents([0.1, 0.2], [0.0, 0.0]), end=0.0) is None
