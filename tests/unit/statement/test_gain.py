"""What the search bought, and what is said where that can't be told."""

import json
import sys
from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.study import TrialState
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import DEFAULT_TESTS, WINNER_TESTS


def build(**changes):
    return build_statement(records.record(**changes), Parameters(), version="1")


def message(statement, code):
    return next(f["message"] for f in statement["findings"] if f["code"] == code)


def test_the_full_comparison():
    gain = build()["gain"]
    assert gain["baseline"] == {"name": "default", "value": 0.95, "test_value": pytest.approx(0.947)}
    assert gain["best"]["trial"] == 3
    assert gain["best"]["test_value"] == pytest.approx(0.981)
    assert gain["delta"] == pytest.approx(0.035)
    assert gain["delta_test"] == pytest.approx(0.034)
    # Both sides have variance 2.5e-6: error 0.001, 8 degrees of freedom, t = 2.306.
    assert gain["ci95"] == pytest.approx([0.034 - 0.002306, 0.034 + 0.002306], abs=1e-6)
    assert gain["seeds"] == 5
    assert gain["p_better"] == 1.0
    assert gain["detectable"] == pytest.approx(2.0244 * 2.5e-6**0.5, rel=1e-3)
    assert gain["optimism"] == pytest.approx(0.001)
    assert gain["winner_test_values"] == list(WINNER_TESTS)
    assert gain["baseline_test_values"] == list(DEFAULT_TESTS)


def test_minimisation_gives_the_same_improvements():
    gain = build()["gain"]
    flipped = build_statement(records.minimised(), Parameters(), version="1")["gain"]
    assert flipped["best"]["trial"] == 3
    for key in ("delta", "delta_test", "ci95", "p_better", "detectable", "optimism"):
        assert flipped[key] == pytest.approx(gain[key])


def test_the_winner_of_equals_is_the_earlier():
    assert build(trials=(records.trial(0, 0.9), records.trial(1, 0.9)))["gain"]["best"]["trial"] == 0


def test_a_trial_at_less_than_full_fidelity_is_never_the_winner():
    trials = tuple(replace(t, fidelity=1.0 if t.number == 3 else 10.0) for t in records.TRIALS)
    statement = build(trials=trials)
    assert statement["gain"]["best"]["trial"] == 1
    assert {step["trial"] for step in statement["incumbents"]} == {0, 1}
    assert message(statement, "low-fidelity").startswith("1 complete trial can't be the best")
    diverged = (*records.TRIALS, replace(records.trial(4, float("nan")), fidelity=100.0))
    assert build(trials=diverged)["gain"]["best"]["trial"] == 3


def test_alternatives_with_their_energy():
    alternatives = (
        records.baseline("svc", 0.96, 0.955),
        records.baseline("forest", 0.94, 0.97),
        records.baseline("broken", None, state=TrialState.FAILED, error="no memory"),
    )
    statement = build(runs=records.runs(alternatives=alternatives))
    assert statement["gain"]["best_alternative"] == {"name": "forest", "test_value": 0.97, "energy_j": None}
    assert [a["name"] for a in statement["gain"]["alternatives_tried"]] == ["svc", "forest", "broken"]
    assert statement["gain"]["alternatives_tried"][0]["energy_j"] == pytest.approx(5.0)
    assert statement["gain"]["alternatives_tried"][2]["test_value"] is None
    assert "1 of 4 baselines failed" in message(statement, "baseline-failed")
    assert "no memory" in message(statement, "baseline-failed")
    assert "energy_j of baseline forest is null in gain.best_alternative" in message(
        statement, "alternative-incomplete"
    )


def test_the_best_alternative_when_minimising_is_the_lowest():
    alternatives = (records.baseline("a", 0.1, 0.2), records.baseline("b", 0.1, 0.1))
    record = replace(records.minimised(), runs=records.runs(alternatives=alternatives))
    assert build_statement(record, Parameters(), version="1")["gain"]["best_alternative"]["name"] == "b"


def test_fewer_than_two_seeds_give_nulls_and_say_so():
    statement = build(runs=records.runs(winner=[0.98], default=DEFAULT_TESTS))
    gain = statement["gain"]
    assert gain["delta_test"] == pytest.approx(0.033)
    assert gain["seeds"] == 1
    assert [gain[key] for key in ("ci95", "p_better", "detectable", "optimism")] == [None] * 4
    assert "1 seed on a side" in message(statement, "too-few-seeds")


def test_unequal_numbers_of_seeds():
    gain = build(runs=records.runs(winner=WINNER_TESTS[:3]))["gain"]
    assert gain["seeds"] == 3
    assert gain["ci95"] is not None
    assert len(gain["winner_test_values"]) == 3


def test_failed_evaluations_do_not_count_and_are_a_finding():
    runs = list(records.runs())
    runs[1] = replace(runs[1], state=TrialState.FAILED, test_value=None, error="out of memory\n  in line 3")
    runs[2] = replace(runs[2], test_value=float("nan"))
    statement = build(runs=tuple(runs))
    assert statement["gain"]["winner_test_values"] == list(WINNER_TESTS[2:])
    text = message(statement, "evaluation-failed")
    assert text == "2 of 10 evaluations failed or gave no finite figure (winner): out of memory."


def test_a_run_that_still_runs_has_not_failed():
    running = replace(records.evaluations("winner", [None])[0], state=TrialState.RUNNING)
    statement = build(runs=(*records.runs(), running))
    assert not any(f["code"] == "evaluation-failed" for f in statement["findings"])
    assert statement["gain"]["seeds"] == 5


def test_a_seed_that_ran_twice_is_one_sample():
    again = replace(records.evaluations("winner", [0.99])[0], seed=100)
    gain = build(runs=(*records.runs(), again))["gain"]
    assert sorted(gain["winner_test_values"]) == [0.979, 0.981, 0.982, 0.983, 0.99]


def test_evaluations_of_an_earlier_winner_are_left_out():
    runs = tuple(replace(run, trial=1) if run.name == "winner" else run for run in records.runs())
    statement = build(runs=runs)
    assert statement["gain"]["winner_test_values"] == []
    assert statement["verdict"]["grade"] == "cannot say"
    assert "trial 1" in message(statement, "winner-outdated")


def test_seeds_that_change_nothing_are_a_finding():
    statement = build(runs=records.runs(winner=[0.98] * 3, default=[0.95] * 3))
    assert statement["gain"]["ci95"] == pytest.approx([0.03, 0.03])
    assert statement["gain"]["detectable"] is None
    assert "hides chance" in message(statement, "no-seed-variance")


def test_without_default_and_tests_the_reasons_differ():
    statement = build(runs=())
    assert "add it to `baselines`" in message(statement, "no-baseline")
    assert "evaluation.seeds" in message(statement, "no-test-figure")
    statement = build(runs=(), test_metric=None)
    assert "no test metric" in message(statement, "no-test-figure")


def test_values_that_are_not_finite_are_never_ranked():
    trials = (*records.TRIALS, records.trial(4, float("nan")), records.trial(5, float("inf")))
    statement = build(trials=trials)
    assert statement["gain"]["best"]["trial"] == 3
    assert "2 complete trials can't be ranked" in message(statement, "non-finite-value")


def statement_of(record):
    return build_statement(record, Parameters(), version="1")


def test_a_penalty_that_stands_for_a_failure_is_no_value():
    """Sums of ``sys.float_info.max`` overflow; no statement could be written."""
    record = records.minimised()
    penalty = sys.float_info.max
    trials = (*record.trials, *(records.trial(n, penalty) for n in (4, 5, 6)))
    runs = (*record.runs, records.baseline("svc", penalty, penalty), records.baseline("svc", penalty, penalty))
    trials = tuple(replace(trial, test_value=penalty) for trial in trials)
    changed = replace(record, trials=trials, runs=runs, sampler="random")
    statement = build_statement(changed, Parameters(), version="1")
    json.dumps(statement, allow_nan=False)
    assert statement["gain"]["best"]["trial"] == 3
    assert "3 complete trials can't be ranked" in message(statement, "non-finite-value")


class TestSampling:
    """The noise of which examples are in the test set."""

    def scored(self, winner, default, record=None):
        def with_scores(run):
            side = {"winner": winner, "default": default}.get(run.name) if run.kind == "evaluation" else None
            return replace(run, scores=() if side is None else side[run.seed % 100])

        record = record or records.record()
        return replace(record, runs=tuple(map(with_scores, record.runs)))

    def test_pairs_the_same_examples_over_the_mean_of_seeds(self):
        winner = [tuple(float((n + seed) % 10 != 0) for n in range(100)) for seed in range(5)]
        default = [tuple(float((n + seed) % 5 != 0) for n in range(100)) for seed in range(5)]
        found = statement_of(self.scored(winner, default))["gain"]["test_sampling"]
        assert found["difference"] == pytest.approx(0.9 - 0.8)
        assert found["examples"] == 100
        assert found["ci95"][0] < 0.1 < found["ci95"][1]

    def test_lower_is_better_where_it_is(self):
        high = [tuple(0.5 + n / 1000 for n in range(30))] * 5
        low = [tuple(0.4 + n / 900 for n in range(30))] * 5
        record = self.scored(low, high, records.minimised())
        assert statement_of(record)["gain"]["test_sampling"]["difference"] > 0

    def test_fewer_than_20_examples_say_nothing(self):
        few = [(1.0,) * 19] * 5
        assert statement_of(self.scored(few, few))["gain"]["test_sampling"] is None

    def test_examples_that_do_not_match_are_not_compared(self):
        assert statement_of(self.scored([(1.0,) * 30] * 5, [(1.0,) * 31] * 5))["gain"]["test_sampling"] is None

    def test_without_scores_it_is_null(self):
        statement = statement_of(records.record())
        assert statement["gain"]["test_sampling"] is None
        assert any(f["code"] == "no-example-scores" for f in statement["findings"])
