"""Which trainings are independent draws."""

from dataclasses import replace

import pytest

from auditor.domain.study import TrialState
from auditor.statement.draws import draws_of
from auditor.statement.usage import usage_of
from unit.statement import records
from unit.statement.records import S


def drawn(record):
    return draws_of(record, usage_of(record))


def test_the_random_arm_comes_first():
    draws = drawn(replace(records.with_arm(), sampler="random"))
    assert draws.source == "the random arm"
    assert draws.values == (0.90, 0.94, None, 0.93)
    assert draws.energies_j == (30.0, 40.0, 10.0, 20.0)
    assert (draws.apart, draws.without_value) == (True, 1)


def test_a_draw_that_was_lost_and_tried_again_is_one_draw():
    record = records.with_arm(((0.9, 30),))
    lost = replace(record.runs[-1], state=TrialState.LOST, value=None)
    assert drawn(replace(record, runs=(*record.runs[:-1], lost, record.runs[-1]))).values == (0.9,)
    assert drawn(replace(record, runs=(*record.runs[:-1], lost))).values == (None,)


@pytest.mark.parametrize("name", ["random", "RandomSampler"])
def test_all_trials_of_a_random_sampler_are_draws(name):
    draws = drawn(records.record(sampler=name))
    assert draws.values == (0.91, 0.96, None, 0.985)  # the pruned one has none
    assert draws.energies_j == (100.0, 100.0, 40.0, 120.0)  # the lost attempt of the last one counts
    assert not draws.apart


def test_trials_that_a_source_calls_random_are_draws():
    trials = tuple(replace(t, random=t.number < 2) for t in records.TRIALS)
    assert drawn(records.record(sampler="cmaes", trials=trials)).values == (0.91, 0.96)


def test_trials_at_less_than_full_fidelity_give_nothing():
    trials = tuple(replace(t, fidelity=float(t.number + 1)) for t in records.TRIALS)
    assert drawn(records.record(sampler="random", trials=trials)).values == (None, None, None, 0.985)


def test_tpe_draws_at_random_until_ten_trials_have_finished():
    trials = [records.trial(n, 0.1 * n) for n in range(14)]
    assert len(drawn(records.record(trials=tuple(trials))).values) == 10
    failed = replace(trials[3], state=TrialState.FAILED, value=None)  # counts for nothing
    assert len(drawn(records.record(trials=(*trials[:3], failed, *trials[4:]))).values) == 11


def test_where_times_are_not_known_no_start_up_draw_is():
    first = records.TRIALS[0]
    timeless = replace(first, attempts=(replace(first.attempts[0], begin_ns=None, end_ns=None),))
    assert drawn(records.record(trials=(timeless, *records.TRIALS[1:]))) is None


def test_an_adaptive_sampler_has_none():
    assert drawn(records.record(sampler="cmaes")) is None
    assert drawn(records.record(sampler="")) is None
    assert drawn(records.empty()) is None


def test_draws_that_began_together_are_all_drawn():
    together = [records.trial(n, 0.1) for n in range(12)]
    begin = together[0].attempts[0].begin_ns
    moved = [replace(t, attempts=(replace(t.attempts[0], begin_ns=begin, end_ns=begin + S),)) for t in together]
    assert len(drawn(records.record(trials=tuple(moved))).values) == 12


def test_a_study_whose_times_begin_at_zero_has_start_up_draws():
    trials = [records.trial(n, 0.1 * n) for n in range(14)]
    begin = trials[0].begin_ns
    moved = tuple(
        replace(t, attempts=tuple(replace(a, begin_ns=a.begin_ns - begin, end_ns=a.end_ns - begin) for a in t.attempts))
        for t in trials
    )
    assert moved[0].begin_ns == 0
    assert len(drawn(records.record(trials=moved)).values) == 10
