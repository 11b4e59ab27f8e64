import math

import numpy as np
import pytest

from auditor.analysis.groups import (
    Course,
    best_at,
    common_end,
    compare_at,
    compare_courses,
    end_of,
    mean_course,
    relative_improvement,
)
from auditor.analysis.mean import mean_interval
from auditor.analysis.welch import mean_difference

COURSE = Course(energy=[10.0, 30.0], value=[0.8, 0.9], end=50.0)
FIRST = [
    Course(energy=[10.0, 30.0], value=[0.80, 0.90], end=50.0),
    Course(energy=[5.0, 20.0], value=[0.70, 0.92], end=60.0),
    Course(energy=[8.0], value=[0.91], end=40.0),
]
SECOND = [
    Course(energy=[12.0, 35.0], value=[0.75, 0.88], end=45.0),
    Course(energy=[6.0, 16.0], value=[0.70, 0.85], end=80.0),
]


@pytest.mark.parametrize(
    ("x", "value"), [(9.9, None), (10.0, 0.8), (29.9, 0.8), (30.0, 0.9), (50.0, 0.9), (math.inf, 0.9), (math.nan, None)]
)
def test_a_value_stands_from_its_energy_on(x, value):
    assert best_at(COURSE, x) == value


def test_a_run_without_results():
    empty = Course(energy=[], value=[])
    assert best_at(empty, 1.0) is None
    assert end_of(empty) is None
    assert common_end([COURSE, empty]) == 0.0
    assert compare_at([COURSE], [empty], 0.0) is None
    assert compare_at([COURSE], [empty], math.inf) is None
    assert compare_courses([COURSE], [empty]) is None


def test_a_run_ends_at_its_last_place_where_nothing_else_is_said():
    assert end_of(Course(energy=[10.0, 30.0], value=[0.8, 0.9])) == 30.0
    assert end_of(COURSE) == 50.0
    assert common_end([*FIRST, *SECOND]) == 40.0
    assert common_end([]) == 0.0


def test_groups_at_equal_energy():
    result = compare_at(FIRST, SECOND, 20.0)
    expected = mean_difference([0.80, 0.92, 0.91], [0.75, 0.85])
    assert result is not None
    assert result.x == 20.0
    assert (result.first_mean, result.second_mean) == pytest.approx((2.63 / 3, 0.8))
    assert (result.difference, result.low, result.high) == pytest.approx(
        (expected.difference, expected.low, expected.high)
    )
    assert result.runs == (3, 2)


def test_lower_may_be_better():
    up, down = compare_at(FIRST, SECOND, 20.0), compare_at(FIRST, SECOND, 20.0, maximize=False)
    assert down.difference == pytest.approx(-up.difference)
    assert (down.low, down.high) == pytest.approx((-up.high, -up.low))
    assert down.first_mean == up.first_mean


def test_no_comparison_where_a_run_has_nothing_yet_or_has_ended():
    assert compare_at(FIRST, SECOND, 11.0) is None
    assert compare_at(FIRST, SECOND, 40.1) is None
    assert compare_at(FIRST, SECOND, math.nan) is None
    assert compare_at([], SECOND, 20.0) is None
    assert compare_at(FIRST, [], 20.0) is None


def test_at_the_end_each_run_counts_with_its_last_value():
    result = compare_at(FIRST, SECOND, math.inf)
    assert result is not None
    assert (result.first_mean, result.second_mean) == pytest.approx((2.73 / 3, 1.73 / 2))


def test_one_run_a_side_has_a_difference_and_no_interval():
    result = compare_at(FIRST[:1], SECOND, 20.0)
    assert result is not None
    assert result.difference == pytest.approx(0.0)
    assert (result.low, result.high, result.runs) == (None, None, (1, 2))


def test_courses_are_compared_where_all_have_a_value():
    result = compare_courses(FIRST, SECOND, points=15)
    assert result is not None
    assert result.x == pytest.approx(np.linspace(12.0, 40.0, 15))
    for place, x in enumerate(result.x):
        at = compare_at(FIRST, SECOND, x)
        assert at is not None
        assert result.first_mean[place] == at.first_mean
        assert result.second_mean[place] == at.second_mean
        assert (result.difference[place], result.low[place], result.high[place]) == (at.difference, at.low, at.high)
    assert result.runs == (3, 2)


def test_courses_without_a_common_stretch():
    late = Course(energy=[70.0], value=[0.9])
    assert compare_courses([late], SECOND) is None
    assert compare_courses([], SECOND) is None
    single = compare_courses(FIRST[:1], SECOND[:1])
    assert single is not None
    assert (single.low, single.high, single.runs) == (None, None, (1, 1))


def test_improvement_on_value_and_on_error():
    # From 90 % to 92 %: 2.2 % more, and a fifth of the error.
    value, error = relative_improvement([0.93, 0.91], [0.89, 0.91])
    assert (value, error) == pytest.approx((100 * 0.02 / 0.90, 20.0))
    assert relative_improvement([93.0, 91.0], [89.0, 91.0]) == pytest.approx((value, error))


def test_what_a_faultless_result_is_can_be_said():
    assert relative_improvement([3.0], [2.0], top=4.0) == pytest.approx((50.0, 50.0))
    assert relative_improvement([5.0], [2.0], top=4.0) == (pytest.approx(150.0), None)
    assert relative_improvement([300.0], [200.0]) == (pytest.approx(50.0), None)
    assert relative_improvement([-1.0], [-2.0]) == (pytest.approx(50.0), None)


def test_lower_is_an_improvement_when_minimising():
    assert relative_improvement([1.5], [2.0], maximize=False) == (pytest.approx(25.0), None)


def test_no_improvement_over_nothing():
    assert relative_improvement([0.5], [0.0]) == (None, pytest.approx(50.0))
    assert relative_improvement([0.5], [1.0]) == (pytest.approx(-50.0), None)
    assert relative_improvement([], [0.5]) == (None, None)
    assert relative_improvement([0.5], [math.nan]) == (None, None)
    assert relative_improvement([0.5, math.nan], [0.25]) == pytest.approx((100.0, 100 / 3))


RUNS = [COURSE, Course(energy=[5.0], value=[0.7], end=40.0)]


class TestMeanCourse:
    def test_it_goes_from_where_all_have_a_value_to_where_the_first_ends(self):
        course = mean_course(RUNS, points=4)
        assert course.x == (10.0, 20.0, 30.0, 40.0)
        assert course.mean == pytest.approx((0.75, 0.75, 0.8, 0.8))

    def test_its_interval_is_students_at_each_place(self):
        course = mean_course(RUNS, points=4)
        expected = mean_interval([0.9, 0.7])
        assert (course.low[-1], course.high[-1]) == (expected.low, expected.high)

    def test_one_run_has_no_interval(self):
        course = mean_course([COURSE], points=3)
        assert course.mean == (0.8, 0.9, 0.9)
        assert course.low is course.high is None

    def test_without_a_common_place_there_is_none(self):
        assert mean_course([]) is None
        assert mean_course([COURSE, Course(energy=[], value=[])]) is None
        assert mean_course([COURSE, Course(energy=[60.0], value=[0.5])]) is None
