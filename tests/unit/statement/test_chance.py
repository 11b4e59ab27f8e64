"""What random search would have given."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.statement.build import build_statement
from unit.statement import records


def build(record):
    return build_statement(record, Parameters(), version="1")


def codes(statement):
    return {finding["code"] for finding in statement["findings"]}


class TestExpectedMaximum:
    def test_failed_draws_enter_at_the_default(self):
        statement = build(records.with_arm())
        rows = statement["expected_max"]
        values = (0.90, 0.94, 0.95, 0.93)  # the default has 0.95
        assert [row["n"] for row in rows] == [1, 2, 3, 4]
        assert rows[0]["tang"] == rows[0]["dodge"] == pytest.approx(sum(values) / 4)
        assert rows[-1]["tang"] == 0.95
        assert rows[1]["energy_j"] == pytest.approx(2 * (30 + 40 + 10 + 20) / 4)
        assert statement["expected_max_basis"] == {
            "source": "the random arm",
            "draws": 4,
            "without_value": 1,
            "start": 0.95,
        }

    def test_against_energy_the_draw_that_crosses_it_does_not_count(self):
        rows = build(records.with_arm(((0.90, 20), (0.94, 20), (0.98, 20))))["expected_max"]
        assert [row["at_energy"] for row in rows] == pytest.approx([row["tang"] for row in rows])  # each costs the same
        first, last = build(records.with_arm(((0.96, 10), (0.98, 30))))["expected_max"]
        # 20 J are enough for the first alone, and in the other order for none: that is the default, 0.95
        assert first["at_energy"] == pytest.approx((0.96 + 0.95) / 2, abs=0.001)
        assert last["at_energy"] == pytest.approx(0.98)

    def test_is_in_the_direction_of_the_metric(self):
        record = replace(records.with_arm(), direction="minimize")
        rows = build(record)["expected_max"]
        assert rows[-1]["tang"] == 0.90
        assert rows[0]["tang"] > rows[1]["tang"]

    def test_needs_a_default_where_a_draw_failed(self):
        record = records.with_arm()
        statement = build(replace(record, runs=record.runs[1:]))
        assert statement["expected_max"] is None
        assert "no-expected-max" in codes(statement)
        whole = records.with_arm(((0.9, 1), (0.8, 1)))
        assert build(replace(whole, runs=whole.runs[1:]))["expected_max"] is not None

    def test_is_null_for_an_adaptive_sampler(self):
        statement = build(records.record(sampler="cmaes"))
        assert statement["expected_max"] is statement["expected_max_basis"] is None
        assert "not-iid" in codes(statement)

    def test_is_null_where_every_draw_failed(self):
        assert build(records.with_arm(((None, 10), (None, 10))))["expected_max"] is None


class TestRandomArm:
    def test_at_half_of_its_energy(self):
        arm = build(records.with_arm(((0.90, 200), (0.97, 100), (0.93, 400), (0.99, 100))))["random_arm"]
        # 800 J in all; the search's trainings and sampler used 370 J, less than half of that
        assert arm["energy_j"] == pytest.approx(370.0)
        assert (arm["best"], arm["random"]) == (0.985, 0.97)
        assert arm["delta"] == pytest.approx(0.015)
        assert arm["ci95"] is None
        assert (arm["draws"], arm["total_j"]) == (4, 800.0)
        assert arm["relative_percent"] == pytest.approx(100 * (0.985 - 0.9475) / 0.9475)
        assert arm["relative_error_percent"] == pytest.approx(100 * (0.985 - 0.9475) / (1 - 0.9475))

    def test_one_run_says_only_who_was_ahead(self):
        assert "order-only" in codes(build(records.with_arm(((0.90, 300), (0.97, 100), (0.93, 300)))))

    def test_is_null_without_an_arm(self):
        for record in (records.record(), records.record(sampler="random")):
            statement = build(record)
            assert statement["random_arm"] is None
            assert "no-random-arm" in codes(statement)

    def test_is_null_where_half_of_its_energy_gave_nothing(self):
        statement = build(records.with_arm(((0.9, 300),)))
        assert statement["random_arm"] is None
        assert "no-fair-energy" in codes(statement)

    def test_is_null_where_a_draw_has_no_energy(self):
        record = records.with_arm()
        accounts = {k: v for k, v in record.books.accounts.items() if "random-1" not in k}
        statement = build(replace(record, books=records.books(accounts)))
        assert statement["random_arm"] is None
        assert "no-arm-energy" in codes(statement)


class TestAlternative:
    def test_the_arm_is_an_alternative_by_the_draw_it_would_choose(self):
        statement = build(records.with_arm())
        [arm] = [a for a in statement["gain"]["alternatives_tried"] if a["name"] == "random"]
        assert arm == {"name": "random", "value": 0.94, "test_value": pytest.approx(0.93), "energy_j": 100.0}

    def test_of_equals_the_earlier_draw(self):
        record = records.with_arm(((0.9, 1), (0.9, 2)))
        first = replace(record.runs[-2], test_value=0.5)
        [arm] = [
            a
            for a in build(replace(record, runs=(*record.runs[:-2], first, record.runs[-1])))["gain"][
                "alternatives_tried"
            ]
            if a["name"] == "random"
        ]
        assert arm["test_value"] == 0.5

    def test_its_energy_is_none_of_the_searchs(self):
        plain, with_arm = build(records.record())["energy"], build(records.with_arm())["energy"]
        assert with_arm["search_uj"] == plain["search_uj"]
        assert with_arm["baselines_uj"] > plain["baselines_uj"]
