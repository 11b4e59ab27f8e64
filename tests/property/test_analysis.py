import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.analysis.detectable import detectable_in_sd, power, seeds_to_detect
from auditor.analysis.incumbents import incumbents, marginal, tail_share
from auditor.analysis.optimism import selection_optimism
from auditor.analysis.superiority import probability_of_superiority
from auditor.analysis.welch import mean_difference

figures = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
samples = st.lists(figures, min_size=2, max_size=8)
any_float = st.one_of(figures, st.sampled_from([math.nan, math.inf, -math.inf]))
results = st.lists(st.tuples(any_float, st.floats(0.0, 1e6)), max_size=30)


@given(samples, samples)
def test_welch_is_antisymmetric(a, b):
    there, back = mean_difference(a, b), mean_difference(b, a)
    assert there is not None
    assert back is not None
    assert there.difference == pytest.approx(-back.difference)
    assert there.low == pytest.approx(-back.high, abs=1e-9)
    assert there.low <= there.difference <= there.high


@given(samples, samples, figures)
def test_welch_does_not_see_a_common_shift(a, b, shift):
    plain = mean_difference(a, b)
    moved = mean_difference([x + shift for x in a], [x + shift for x in b])
    assert plain is not None
    assert moved is not None
    assert moved.difference == pytest.approx(plain.difference, abs=1e-9)
    # Where all of a sample but rounding is equal, the shift may leave a trace of variance.
    assert moved.low == pytest.approx(plain.low, abs=1e-6)
    assert moved.high == pytest.approx(plain.high, abs=1e-6)


@given(samples, samples, st.floats(0.001, 1000.0))
def test_welch_scales_with_the_unit(a, b, factor):
    plain = mean_difference(a, b)
    scaled = mean_difference([x * factor for x in a], [x * factor for x in b])
    assert plain is not None
    assert scaled is not None
    assert scaled.low == pytest.approx(plain.low * factor, rel=1e-6, abs=1e-6)
    assert scaled.high == pytest.approx(plain.high * factor, rel=1e-6, abs=1e-6)


@given(samples, samples)
def test_a_wider_level_holds_the_narrower(a, b):
    narrow, wide = mean_difference(a, b, level=0.8), mean_difference(a, b, level=0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low <= narrow.high <= wide.high


@given(samples, samples)
def test_superiority_has_a_complement(a, b):
    there, back = probability_of_superiority(a, b), probability_of_superiority(b, a)
    assert there is not None
    assert back is not None
    assert there + back == pytest.approx(1.0)
    assert there == probability_of_superiority([-x for x in a], [-x for x in b], maximize=False)


@given(figures, samples)
def test_optimism_of_minimisation_is_that_of_the_negated(best, fresh):
    assert selection_optimism(best, fresh) == selection_optimism(-best, [-x for x in fresh], maximize=False)


@given(results)
def test_incumbents_rise_in_energy_and_value(pairs):
    path = incumbents([v for v, _ in pairs], [e for _, e in pairs])
    for before, after in pairwise(path):
        assert before.energy < after.energy
        assert before.value < after.value
    finite = [v for v, _ in pairs if math.isfinite(v)]
    assert (path[-1].value == max(finite)) if finite else not path


@given(results, st.randoms(use_true_random=False))
def test_incumbents_do_not_depend_on_labels(pairs, random):
    mixed = list(pairs)
    random.shuffle(mixed)
    plain, relabelled = (
        [(step.energy, step.value) for step in incumbents([v for v, _ in p], [e for _, e in p])] for p in (pairs, mixed)
    )
    assert plain == relabelled


@given(results)
def test_minimising_is_maximising_the_negated(pairs):
    energies = [e for _, e in pairs]
    up = incumbents([v for v, _ in pairs], energies)
    down = incumbents([-v for v, _ in pairs], energies, maximize=False)
    assert [s.index for s in up] == [s.index for s in down]
    assert marginal(up) == marginal(down, maximize=False)
    end = max(energies, default=0.0)
    assert tail_share(up, end=end) == tail_share(down, end=end, maximize=False)


@given(results)
def test_steps_sum_to_the_whole_path(pairs):
    path = incumbents([v for v, _ in pairs], [e for _, e in pairs])
    steps = marginal(path)
    assert len(steps) == max(0, len(path) - 1)
    if steps:
        assert math.fsum(s.energy for s in steps) == pytest.approx(path[-1].energy - path[0].energy, abs=1e-6)
        assert math.fsum(s.gain for s in steps) == pytest.approx(path[-1].value - path[0].value, abs=1e-6)


@given(results, st.floats(0.0, 100.0))
def test_a_greater_delta_never_shortens_the_tail(pairs, delta):
    path = incumbents([v for v, _ in pairs], [e for _, e in pairs])
    end = max((e for _, e in pairs), default=0.0)
    tail, strict = tail_share(path, end=end), tail_share(path, end=end, delta=delta)
    for share in (tail, strict):
        assert share is None or 0.0 <= share <= 1.0
    if strict is not None:
        assert tail is not None
        assert strict >= tail


@given(st.floats(0.1, 6.0))
def test_the_seeds_named_suffice_and_one_fewer_does_not(effect):
    seeds = seeds_to_detect(effect)
    if seeds is None:
        assert power(effect, 1000) < 0.8
        return
    assert power(effect, seeds) >= 0.8
    assert seeds == 2 or power(effect, seeds - 1) < 0.8


@given(st.integers(2, 300))
def test_more_seeds_show_smaller_gains(seeds):
    fewer, more = detectable_in_sd(seeds), detectable_in_sd(seeds + 1)
    assert fewer is not None
    assert more is not None
    assert more < fewer
    assert power(fewer, seeds) == pytest.approx(0.8, abs=1e-6)
