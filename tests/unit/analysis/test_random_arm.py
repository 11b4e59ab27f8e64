import pytest

from auditor.analysis.groups import Course
from auditor.analysis.random_arm import random_arm_difference

SEARCH = Course(energy=[10.0, 60.0, 140.0], value=[0.80, 0.90, 0.95], end=300.0)
RANDOM = Course(energy=[20.0, 40.0, 90.0], value=[0.70, 0.85, 0.99], end=100.0)


def test_half_of_the_arms_energy_is_as_far_as_it_goes():
    result = random_arm_difference(SEARCH, RANDOM)
    assert result is not None
    assert (result.energy, result.best, result.random) == (50.0, 0.80, 0.85)
    assert result.delta == pytest.approx(-0.05)


def test_what_the_arm_found_later_does_not_count():
    later = Course(energy=[20.0, 40.0], value=[0.70, 0.85], end=100.0)
    assert random_arm_difference(SEARCH, later) == random_arm_difference(SEARCH, RANDOM)


def test_a_search_shorter_than_half_the_arm_ends_the_comparison():
    short = Course(energy=[10.0], value=[0.8], end=30.0)
    result = random_arm_difference(short, RANDOM)
    assert result is not None
    assert (result.energy, result.random) == (30.0, 0.70)


def test_lower_may_be_better():
    assert random_arm_difference(SEARCH, RANDOM, maximize=False).delta == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("search", "random"),
    [
        (Course(energy=[60.0], value=[0.9], end=300.0), RANDOM),
        (SEARCH, Course(energy=[60.0], value=[0.9], end=100.0)),
        (SEARCH, Course(energy=[20.0], value=[0.7])),  # the arm ended with its first trial: half of it holds none
        (SEARCH, Course(energy=[], value=[])),
        (Course(energy=[], value=[], end=300.0), RANDOM),
    ],
)
def test_nothing_completed_by_then_gives_none(search, random):
    assert random_arm_difference(search, random) is None
