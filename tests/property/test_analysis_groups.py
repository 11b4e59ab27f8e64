import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.analysis.groups import Course, best_at, common_end, compare_at, compare_courses, end_of
from auditor.analysis.optimism import approximate_optimism, validation_test_shift
from auditor.analysis.pareto import hypervolume, pareto_front, reference_point
from auditor.analysis.random_arm import random_arm_difference
from auditor.analysis.regret import anytime_regret, mean_regret

unhurried = settings(deadline=None)  # the first call imports scipy or moocore
figures = st.floats(-100.0, 100.0).map(lambda x: round(x, 2))
any_float = st.one_of(figures, st.sampled_from([math.nan, math.inf, -math.inf]))
points = st.lists(st.tuples(any_float, any_float, figures), max_size=12)
directions = st.tuples(st.booleans(), st.booleans(), st.booleans())


@st.composite
def courses(draw):
    steps = draw(st.lists(st.tuples(st.floats(0.0, 50.0), figures), min_size=1, max_size=6))
    energy = sorted({round(e, 1) for e, _ in steps})
    value = sorted(v for _, v in steps)[: len(energy)]
    return Course(energy=energy, value=value, end=energy[-1] + draw(st.floats(0.0, 50.0)))


groups = st.lists(courses(), min_size=1, max_size=4)


def negated(course):
    return Course(energy=course.energy, value=[-v for v in course.value], end=course.end)


@unhurried
@given(points, directions)
def test_nothing_on_the_front_is_dominated_and_the_rest_is(sets, maximize):
    front = pareto_front(sets, maximize=maximize)
    costs = [[-x if up else x for x, up in zip(p, maximize, strict=True)] for p in sets]
    finite = [i for i, p in enumerate(costs) if all(map(math.isfinite, p))]
    for i in finite:
        covered = any(
            all(a <= b for a, b in zip(costs[j], costs[i], strict=True)) and (costs[j] != costs[i] or j < i)
            for j in finite
            if j != i
        )
        assert (i in front) != covered
    assert set(front) <= set(finite)
    assert all(costs[a][0] <= costs[b][0] for a, b in pairwise(front))


@unhurried
@given(points, directions)
def test_the_volume_is_that_of_the_front_and_grows_with_points(sets, maximize):
    corner = reference_point([sets], maximize=maximize)
    if corner is None:
        assert hypervolume(sets, reference=(0.0,) * 3, maximize=maximize) is None
        return
    whole = hypervolume(sets, reference=corner, maximize=maximize)
    front = [sets[i] for i in pareto_front(sets, maximize=maximize)]
    assert whole == pytest.approx(hypervolume(front, reference=corner, maximize=maximize))
    assert whole > 0.0
    assert (hypervolume(sets[1:], reference=corner, maximize=maximize) or 0.0) <= whole * (1 + 1e-9)


@unhurried
@given(points, directions)
def test_minimising_is_maximising_the_negated(sets, maximize):
    flipped, other = [tuple(-x for x in p) for p in sets], [not up for up in maximize]
    assert pareto_front(sets, maximize=maximize) == pareto_front(flipped, maximize=other)
    corner = reference_point([sets], maximize=maximize)
    mirrored = reference_point([flipped], maximize=other)
    if corner is None:
        assert mirrored is None
        return
    assert mirrored == tuple(-x for x in corner)
    assert hypervolume(sets, reference=corner, maximize=maximize) == hypervolume(
        flipped, reference=mirrored, maximize=other
    )


@given(courses(), st.floats(-10.0, 200.0))
def test_best_so_far_only_rises(course, x):
    now, later = best_at(course, x), best_at(course, x + 10.0)
    assert (now is None) == (x < course.energy[0])
    if now is not None:
        assert now in course.value
        assert later is not None
        assert later >= now
    assert best_at(course, end_of(course)) == course.value[len(course.energy) - 1]


@unhurried
@given(groups, groups, st.floats(0.0, 100.0), st.booleans())
def test_groups_are_antisymmetric_and_mirror(first, second, x, maximize):
    there = compare_at(first, second, x, maximize=maximize)
    back = compare_at(second, first, x, maximize=maximize)
    mirrored = compare_at(list(map(negated, first)), list(map(negated, second)), x, maximize=not maximize)
    if there is None:
        assert back is None
        assert mirrored is None
        return
    assert there.difference == pytest.approx(-back.difference)
    assert there.difference == pytest.approx(mirrored.difference)
    assert (there.low is None) == (min(len(first), len(second)) < 2)
    if there.low is not None:
        assert there.low == pytest.approx(-back.high, abs=1e-9)
        assert there.low <= there.difference + 1e-9
        assert there.difference <= there.high + 1e-9


@unhurried
@given(groups, groups)
def test_the_whole_course_is_its_places(first, second):
    course = compare_courses(first, second, points=5)
    if course is None:
        assert max(c.energy[0] for c in [*first, *second]) > common_end([*first, *second])
        return
    for place, x in enumerate(course.x):
        at = compare_at(first, second, x)
        assert at is not None
        assert at.difference == pytest.approx(course.difference[place], abs=1e-9)
        assert at.low == (None if course.low is None else pytest.approx(course.low[place], abs=1e-9))


@given(courses(), courses())
def test_the_random_arm_is_never_used_past_half(search, arm):
    result = random_arm_difference(search, arm)
    if result is None:
        return
    assert result.energy <= end_of(arm) / 2
    assert result.energy <= end_of(search)
    mirrored = random_arm_difference(negated(search), negated(arm), maximize=False)
    assert mirrored is not None
    assert mirrored.delta == result.delta == result.best - result.random


@given(st.lists(st.tuples(any_float, any_float), max_size=30), figures, figures, st.randoms(use_true_random=False))
def test_optimism_does_not_see_order_sign_or_a_common_shift(others, value, test, random):
    plain = approximate_optimism(value, test, others)
    mixed = list(others)
    random.shuffle(mixed)
    assert approximate_optimism(value, test, mixed) == pytest.approx(plain)
    flipped = [(-v, -t) for v, t in others]
    assert approximate_optimism(-value, -test, flipped, maximize=False) == pytest.approx(plain)
    assert validation_test_shift(flipped, maximize=False) == validation_test_shift(others)
    harder = [(v, t - 7.0) for v, t in others]
    if plain is not None and len({v for v, _ in others}) == len(others):
        assert approximate_optimism(value, test - 7.0, harder) == pytest.approx(plain, abs=1e-9)


@given(st.lists(st.tuples(any_float, st.floats(0.0, 100.0)), max_size=15), figures)
def test_regret_falls_and_its_mean_lies_between(pairs, optimum):
    values, axis = [v for v, _ in pairs], [x for _, x in pairs]
    steps = anytime_regret(values, axis, optimum=optimum)
    assert all(a.regret > b.regret or np.isclose(a.regret, b.regret) for a, b in pairwise(steps))
    down = anytime_regret([-v for v in values], axis, optimum=-optimum, maximize=False)
    assert down == steps
    mean = mean_regret(steps, end=101.0)
    assert (mean is None) == (not steps)
    if mean is not None:
        assert steps[-1].regret - 1e-9 <= mean <= steps[0].regret + 1e-9
