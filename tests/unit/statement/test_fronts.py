"""Pareto front and hypervolume."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.statement.build import build_statement
from unit.statement import records


def build(record):
    return build_statement(record, Parameters(), version="1")


def test_value_against_the_energy_of_the_attempt_that_completed():
    rows = build(records.record())["pareto"]
    # trial 3: its lost attempt (20 J) is none of its training; trial 2 was pruned and is cheap, but no model
    assert rows == [{"trial": 3, "value": 0.985, "values": None, "energy_j": 100.0}]
    accounts = {**records.ACCOUNTS, "study/demo/trial/0/1/train": 50 * records.J}
    rows = build(records.record(books=records.books(accounts)))["pareto"]
    assert [row["trial"] for row in rows] == [3, 0]


def test_lower_values_are_better_where_they_are():
    rows = build(replace(records.record(), direction="minimize"))["pareto"]
    assert [row["trial"] for row in rows] == [0]


def test_trials_at_less_fidelity_do_not_enter():
    trials = tuple(replace(t, fidelity=10.0 if t.number < 2 else 1.0) for t in records.TRIALS)
    assert {row["trial"] for row in build(records.record(trials=trials))["pareto"]} == {1}


def test_nothing_to_enter_is_null():
    statement = build(records.empty())
    assert statement["pareto"] is statement["hypervolume"] is None


def test_several_objectives_have_a_front_and_a_volume():
    statement = build(records.several_objectives())
    assert [(row["trial"], row["values"]) for row in statement["pareto"]] == [(1, [0.96, 9.0]), (0, [0.9, 5.0])]
    reference = statement["hypervolume"]["reference"]
    assert reference == pytest.approx([0.9 - 0.006, 9.5 + 0.45])
    area = (0.96 - 0.9) * (reference[1] - 9.0) + (0.9 - reference[0]) * (reference[1] - 5.0)
    assert statement["hypervolume"]["value"] == pytest.approx(area)
    assert statement["gain"]["best"]["trial"] is None
    assert statement["verdict"]["grade"] == "cannot say"


def test_of_several_objectives_too_only_full_fidelity_counts():
    record = records.several_objectives()
    trials = tuple(replace(t, fidelity=1.0 if t.number == 1 else 10.0) for t in record.trials)
    assert [row["trial"] for row in build(replace(record, trials=trials))["pareto"]] == [3, 0]


def test_one_objective_has_no_volume():
    statement = build(records.record())
    assert statement["hypervolume"] is None
    assert any(f["code"] == "one-objective" for f in statement["findings"])
