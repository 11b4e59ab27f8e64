import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from auditor.analysis.welch import mean_difference
from auditor.domain.study import Trial
from auditor.statement.comparison import compare_statement
from auditor.statement.schema import load_comparison_schema
from unit.statement.records import record as full_record
from unit.statement.searches import STRONG, WEAK, group, subject


def compared(groups, **options):
    made = compare_statement(groups, version="1", **options)
    json.dumps(made, allow_nan=False)
    Draft202012Validator(load_comparison_schema()).validate(made)
    return made


def at(made, place):
    return next(each for each in made["comparisons"] if each["at"] == place)


def codes(made):
    return [finding["code"] for finding in made["findings"]]


@pytest.fixture
def both():
    return compared({"rs": group(*WEAK), "tpe": group(*STRONG)})


def test_the_schema_is_one_and_describes_every_key():
    schema = load_comparison_schema()
    Draft202012Validator.check_schema(schema)
    assert all(part["description"] for part in schema["properties"].values())
    assert set(schema["required"]) == set(schema["properties"])


class TestFigures:
    def test_the_end(self, both):
        end, expected = at(both, "the end"), mean_difference([0.70, 0.69, 0.71], [0.90, 0.91, 0.89])
        assert end["difference"] == pytest.approx(expected.difference)
        assert end["ci95"] == pytest.approx([expected.low, expected.high])
        assert (end["x"], end["runs"], end["better"]) == (None, [3, 3], "tpe")

    def test_equal_energy_is_what_all_have_used(self):
        made = compared({"rs": group(*WEAK, energy_j=50.0), "tpe": group(*STRONG)})
        fair = at(made, "equal energy")
        assert fair["x"] == pytest.approx(150.0)  # rs ends there; tpe has finished one trial
        assert (fair["first_mean"], fair["second_mean"]) == pytest.approx((0.70, 0.60))
        assert fair["better"] == "rs"
        assert at(made, "the end")["better"] == "tpe"
        assert made["verdict"]["headline"] == "Each is better somewhere"

    def test_equal_trials_count_failed_ones(self):
        made = compared({"rs": group([None, 0.6], [None, 0.7]), "tpe": group([0.8, 0.9, 0.9], [0.85, 0.9, 0.9])})
        assert (at(made, "equal trials")["x"], at(made, "equal trials")["second_mean"]) == (2.0, 0.9)

    def test_on_test_stands_the_trial_that_the_search_chose(self):
        runs = {"a": group([0.5, 0.9], [0.5, 0.9], tests=[0.95, 0.8]), "b": group([0.9], [0.9], tests=[0.85])}
        test = at(compared(runs), "test")
        assert (test["first_mean"], test["second_mean"]) == pytest.approx((0.8, 0.85))

    def test_of_a_search_that_ran_here_it_is_the_mean_over_fresh_seeds(self):
        here = subject(0, [0.5])
        made = compared({"here": [replace(here, record=full_record())]})
        assert made["groups"][0]["test"]["mean"] == pytest.approx(0.981)
        assert made["groups"][0]["runs"][0]["energy_j"] == pytest.approx(400.0)

    def test_lower_is_better_where_minimised(self):
        made = compared({"rs": group(*WEAK, direction="minimize"), "tpe": group(*STRONG, direction="minimize")})
        assert at(made, "the end")["difference"] > 0.0
        assert at(made, "the end")["better"] == "rs"

    def test_every_pair_is_compared(self):
        made = compared({name: group(*STRONG) for name in "abc"})
        pairs = [(each["first"], each["second"]) for each in made["comparisons"] if each["at"] == "the end"]
        assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
        assert "many-comparisons" in codes(made)

    def test_the_course_is_the_mean_along_energy(self, both):
        course = both["courses"][1]
        assert course["name"] == "tpe"
        assert (course["energy_j"][0], course["energy_j"][-1]) == pytest.approx((100.0, 300.0))
        assert (course["mean"][0], course["mean"][-1]) == pytest.approx((0.60, 0.90))
        assert course["low"][-1] < 0.90 < course["high"][-1]

    def test_partial_fidelity_is_no_result(self):
        run = subject(0, [0.5, 0.9])
        low, full = run.record.trials
        trials = (replace(full, number=0, fidelity=1.0), replace(low, number=1, fidelity=9.0))
        made = compared({"a": [replace(run, record=replace(run.record, trials=trials))]})
        assert made["groups"][0]["best"]["mean"] == 0.5


class TestVerdict:
    def test_shown(self, both):
        verdict = both["verdict"]
        assert verdict["grade"] == "shown"
        assert verdict["headline"] == "tpe beats rs at equal energy, at equal trials and at the end"
        assert verdict["sentence"].startswith("At equal energy (300 J): tpe beats rs, +0.200 (95 % +0.1")
        assert both["comparable"]

    def test_not_shown(self):
        verdict = compared({"rs": group(*WEAK), "again": group(*WEAK[::-1])})["verdict"]
        assert (verdict["grade"], verdict["headline"]) == ("not shown", "No difference shown")
        assert "rs and again are not told apart" in verdict["sentence"]

    def test_the_leader_of_many(self):
        made = compared({"rs": group(*WEAK), "tpe": group(*STRONG), "again": group(*WEAK)})
        assert made["verdict"]["headline"] == "tpe beats all others at equal energy"

    def test_one_run_is_no_evidence(self):
        made = compared({"rs": group(WEAK[0]), "tpe": group(STRONG[0])})
        assert made["verdict"]["grade"] == "not shown"
        assert "tpe is +0.2 ahead of rs, but one run on a side can't be told from chance" in made["verdict"]["sentence"]
        assert "one-run" in codes(made)

    def test_runs_without_any_variation_are_none_either(self):
        made = compared({"a": group([0.5], [0.5]), "b": group([0.6], [0.6])})
        assert at(made, "the end")["ci95"] == pytest.approx([-0.1, -0.1])
        assert at(made, "the end")["better"] is None
        assert "no-variation" in codes(made)
        assert "b and a are not judged" in made["verdict"]["sentence"]

    def test_one_group(self):
        made = compared({"tpe": group(*STRONG)})
        assert made["comparisons"] == []
        assert made["verdict"]["grade"] == "one group"
        assert made["verdict"]["headline"] == "tpe: 3 runs"
        assert "0.900 in the mean (95 % 0.875 to 0.925 over search seeds)" in made["verdict"]["sentence"]
        assert made["groups"][0]["best"]["ci95"] == pytest.approx([0.8752, 0.9248], abs=1e-4)

    def test_nothing_in_common(self):
        made = compared({"a": group([None], [None]), "b": group([0.5], [0.6])})
        assert made["verdict"]["grade"] == "cannot say"
        assert {"no-course", "no-value", "no-test"} <= set(codes(made))


class TestRefusal:
    @pytest.mark.parametrize(
        ("other", "what"),
        [
            ({"metric": "val_loss"}, "the metrics differ ('val_acc' and 'val_loss')"),
            ({"direction": "minimize"}, "the directions differ ('maximize' and 'minimize')"),
            ({"params": {"depth": 2}}, "the parameters searched differ ('lr' is in run-0, not in run-10)"),
            ({"protocol": {"pruner": "median"}}, "the settings of pruner differ (not given and 'median')"),
            ({"test_metric": "test_acc"}, "the test metrics differ (not given and 'test_acc')"),
        ],
    )
    def test_what_differs_is_said_and_figures_stay(self, other, what):
        made = compared({"rs": group(*WEAK), "tpe": group(*STRONG, first_seed=10, **other)})
        assert made["verdict"]["grade"] == "refused"
        assert what in made["verdict"]["sentence"]
        assert not made["comparable"]
        assert {each["better"] for each in made["comparisons"]} == {None}
        assert at(made, "the end")["difference"] is not None

    def test_a_space_of_another_name(self):
        a, b = (
            replace(subject(seed, [0.5]), record=replace(full_record(), space=name)) for seed, name in enumerate("xy")
        )
        assert "the search spaces differ ('x' and 'y')" in compared({"a": [a], "b": [b]})["verdict"]["sentence"]

    def test_also_within_a_group(self):
        made = compared({"rs": [subject(0, [0.5]), subject(1, [0.6], metric="f1")], "tpe": group(*STRONG)})
        assert made["verdict"]["grade"] == "refused"

    def test_conditional_parameters_come_and_go(self):
        run = subject(0, [0.5, 0.6])
        with_, without = Trial(number=0, params={"lr": 1, "m": 2}, state="complete"), run.record.trials[1]
        other = replace(run, record=replace(run.record, trials=(with_, without)))
        assert compared({"a": [run], "b": [other]})["comparable"]

    def test_energy_known_in_another_way_forbids_a_verdict_at_equal_energy_only(self):
        here = [replace(s, record=replace(s.record, imported=False)) for s in group(*STRONG)]
        rs = [
            replace(
                s, record=replace(s.record, books=replace(s.record.books, components=full_record().books.components))
            )
            for s in group(*WEAK)
        ]
        made = compared({"rs": rs, "tpe": here})
        assert "measured-differently" in codes(made)
        assert at(made, "equal energy")["better"] is None
        assert at(made, "the end")["better"] == "tpe"
        assert "At equal energy (300 J): tpe and rs are not judged" in made["verdict"]["sentence"]


class TestFindings:
    def test_few_runs(self, both):
        assert "few-runs" in codes(both)

    def test_the_same_seed_twice(self):
        assert "same-seed" in codes(compared({"a": [subject(0, [0.5], label=name) for name in "xy"]}))

    def test_energy_that_is_not_known(self):
        made = compared({"rs": group(*WEAK, energy_j=None), "tpe": group(*STRONG)})
        assert at(made, "equal energy")["difference"] is None
        assert made["courses"][0] == {"name": "rs", "energy_j": [], "mean": [], "low": None, "high": None}
        assert made["groups"][0]["energy_j"] is None
        assert at(made, "the end")["better"] == "tpe"
        assert "no-course" in codes(made)

    def test_a_search_that_goes_on(self):
        run = subject(0, [0.5])
        assert "not-ended" in codes(compared({"a": [replace(run, record=replace(run.record, imported=False))]}))
