"""Break-even, and what a point of the metric cost."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.study import TrialState
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import J


def build(record, parameters=None):
    return build_statement(record, parameters or Parameters(), version="1")


def test_trainings_that_repay_the_search():
    trainings = build(records.record())["break_even"]["trainings"]
    # the winner's trainings use 14..18 J without their test, the default's 18..22 J; the search used 400 J
    assert (trainings["base_j"], trainings["new_j"]) == (20.0, 16.0)
    assert trainings["n"] == pytest.approx(400.0 / 4.0)
    assert trainings["status"] == "established"
    assert trainings["low"] < trainings["n"] < trainings["high"]
    assert trainings["equal_accuracy"] is False


def test_a_retraining_that_was_lost_or_of_an_earlier_winner_is_none_of_the_winner():
    record = records.record()
    accounts = {**records.ACCOUNTS, "study/demo/evaluation/winner-100-2/train": 24 * J}
    runs = tuple(
        replace(run, account="winner-100-2") if (run.name, run.seed) == ("winner", 100) else run for run in record.runs
    )
    earlier = next(run for run in record.runs if (run.name, run.seed) == ("winner", 100))
    lost = replace(earlier, state=TrialState.LOST, value=None, test_value=None)
    for first in (lost, replace(earlier, trial=1)):
        changed = replace(record, runs=(first, *runs), books=records.books(accounts))
        trainings = build(changed)["break_even"]["trainings"]
        assert trainings["new_j"] == pytest.approx((24 + 15 + 16 + 17 + 18) / 5)


def test_a_winner_that_uses_more_never_repays():
    accounts = {**records.ACCOUNTS}
    for seed in range(100, 105):
        accounts[f"study/demo/evaluation/winner-{seed}/train"] = (60 + seed % 100) * J
    statement = build(records.record(books=records.books(accounts)))
    assert statement["break_even"]["trainings"]["status"] == "never"
    assert statement["break_even"]["trainings"]["n"] is None
    assert any(f["code"] == "break-even-open" for f in statement["findings"])


def test_a_difference_that_may_be_nothing_establishes_nothing():
    accounts = {**records.ACCOUNTS}
    for seed in range(100, 105):
        accounts[f"study/demo/evaluation/winner-{seed}/train"] = (10 + 6 * (seed % 100)) * J
    assert build(records.record(books=records.books(accounts)))["break_even"]["trainings"]["status"] == (
        "not-established"
    )


def test_a_gain_that_is_not_known_is_not_called_none():
    def why(record):
        return [f["message"] for f in build(record)["findings"] if f["code"] == "no-energy-per-gain"]

    assert why(records.record(runs=())) == ["break_even.energy_per_gain_j is null: the gain on test is not known."]
    worse = records.record(runs=records.runs(winner=records.DEFAULT_TESTS, default=records.WINNER_TESTS))
    assert why(worse) == ["break_even.energy_per_gain_j is null: nothing was gained on test."]


def test_reuse_is_in_trainings_of_the_winner():
    assert build(records.record())["break_even"]["reuse"] == pytest.approx(400.0 / 16.0)


def test_without_retrainings_the_one_training_counts():
    statement = build(records.record(runs=records.runs()[:1]))
    even = statement["break_even"]
    # trial 3 completed for 100 J, the baseline default used 50 J
    assert (even["trainings"]["base_j"], even["trainings"]["new_j"]) == (50.0, 100.0)
    assert (even["trainings"]["status"], even["trainings"]["low"]) == ("not-established", None)
    assert even["reuse"] == pytest.approx(400.0 / 100.0)
    [finding] = [f for f in statement["findings"] if f["code"] == "break-even-open"]
    assert "one training of either says nothing of its spread" in finding["message"]


def test_a_trial_that_is_the_default_has_its_own_energy():
    runs = (records.baseline("default", 0.91, trial=0),)
    accounts = {name: uj for name, uj in records.ACCOUNTS.items() if "/baseline/" not in name}
    even = build(records.record(runs=runs, books=records.books(accounts)))["break_even"]
    assert even["trainings"]["base_j"] == 100.0


def test_without_energy_of_a_training_there_is_no_break_even():
    statement = build(records.record(runs=()))
    assert statement["break_even"]["trainings"] is None
    assert build(records.empty())["break_even"]["reuse"] is None


def test_a_point_of_the_metric_has_a_price():
    statement = build(records.record(), records.PRICED)
    gained = statement["gain"]["delta_test"]
    assert statement["break_even"]["energy_per_gain_j"] == pytest.approx(400.0 / gained)
    assert statement["break_even"]["cost_per_gain"] == pytest.approx(statement["cost"]["total"] / gained)
    worse = replace(records.record(), runs=records.runs(winner=(0.9, 0.9), default=records.DEFAULT_TESTS))
    assert build(worse)["break_even"]["energy_per_gain_j"] is None
