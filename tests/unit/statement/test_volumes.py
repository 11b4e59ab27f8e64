"""Studies with several objectives side by side."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from auditor.domain.study import TrialState
from auditor.statement.compared import Subject
from auditor.statement.comparison import compare_statement
from auditor.statement.schema import load_comparison_schema
from auditor.statement.volumes import common_reference, growing_volumes, valued_trials
from unit.statement import records

DIRECTIONS = ("maximize", "minimize")


def study(*points, name="demo"):
    trials = tuple(
        replace(records.trial(number), values=values) if values else records.trial(number, state=TrialState.FAILED)
        for number, values in enumerate(points)
    )
    accounts = {f"study/{name}/trial/{number}/1/train": 10 * records.J for number in range(len(points))}
    return replace(
        records.record(trials=trials, runs=(), books=records.books(accounts)),
        name=name,
        direction="",
        directions=DIRECTIONS,
        test_metric=None,
    )


def compared(**groups):
    made = compare_statement(
        {
            name: [Subject(label=f"{name}-{n}", record=s, seed=n) for n, s in enumerate(group)]
            for name, group in groups.items()
        },
        version="1",
    )
    json.dumps(made, allow_nan=False)
    Draft202012Validator(load_comparison_schema()).validate(made)
    return made


def test_volumes_grow_with_the_front():
    trials = valued_trials(study((1.0, 2.0), (2.0, 3.0), (1.0, 3.0), (2.0, 1.0)))
    # above 0 in the first, below 4 in the second objective
    assert growing_volumes(trials, DIRECTIONS, (0.0, 4.0)) == pytest.approx((2.0, 3.0, 3.0, 6.0))


def test_one_reference_for_all():
    first, second = study((1.0, 2.0), (2.0, 3.0)), study((0.0, 2.0), (1.0, 5.0))
    assert common_reference([first, second]) == pytest.approx((-0.2, 5.3))
    assert common_reference([records.record()]) is None
    assert common_reference([first, records.record()]) is None


def test_failed_trials_and_low_fidelity_have_no_volume():
    record = study((1.0, 2.0), (), (2.0, 1.0))
    assert [trial.number for trial in valued_trials(record)] == [0, 2]
    cheap = replace(record, trials=tuple(replace(t, fidelity=1.0 + (t.number == 0)) for t in record.trials))
    assert [trial.number for trial in valued_trials(cheap)] == [0]


class TestCompared:
    def test_by_hypervolume_up_to_one_reference(self):
        weak = [study((1.0, 3.0), (1.0, 2.9)), study((1.1, 3.0), (1.0, 2.8))]
        strong = [study((2.0, 1.0), (1.0, 2.0)), study((2.1, 1.0), (1.0, 2.0))]
        made = compared(weak=weak, strong=strong)
        assert made["metric"] == "hypervolume"
        assert made["direction"] == "maximize"
        assert made["reference"] == pytest.approx([1.0 - 0.11, 3.0 + 0.2])
        [said] = [finding["message"] for finding in made["findings"] if finding["code"] == "reference"]
        assert "up to the reference (0.89, 3.2), the same for all" in said
        end = next(each for each in made["comparisons"] if each["at"] == "the end")
        assert end["better"] == "strong"
        fair = next(each for each in made["comparisons"] if each["at"] == "equal energy")
        assert fair["first_mean"] < fair["second_mean"]

    def test_other_objectives_are_refused(self):
        other = replace(study((1.0, 2.0)), directions=("maximize", "maximize"))
        assert compared(a=[study((1.0, 2.0))], b=[other])["verdict"]["grade"] == "refused"

    def test_one_objective_has_no_reference(self):
        assert compared(a=[records.record()])["reference"] is None
