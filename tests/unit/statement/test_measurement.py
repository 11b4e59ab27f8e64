"""Every grade of the books has a study that gets it."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import Finding, Severity
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import ACCOUNTS, J


def measurement(record):
    return build_statement(record, Parameters(), version="1")["measurement"]


def with_books(**changes):
    return measurement(records.record(books=records.books(**changes)))


def component(provenance):
    return (records.component("cpu", 175 * J, provenance), records.component("ram", 525 * J))


def test_good_books():
    assert with_books() == {
        "grade": "good",
        "reasons": ["100 % of the time was metered", "cpu by hardware energy counter"],
    }


def test_an_integrated_sensor_is_good():
    assert with_books(components=component(Provenance.SAMPLED))["grade"] == "good"


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        (Provenance.MODELLED, "cpu is modelled from load and rated power (25 % of the energy)"),
        (Provenance.CONSTANT, "cpu is a constant assumed for this hardware (25 % of the energy)"),
        (Provenance.REPORTED, "cpu is reported by somebody else (25 % of the energy)"),
        (Provenance.MISSING, "cpu is not measured (25 % of the energy)"),
    ],
)
def test_a_component_that_no_counter_measures_limits_the_books(provenance, reason):
    assert with_books(components=component(provenance)) == {"grade": "limited", "reasons": [reason]}


def test_time_without_meter_limits_the_books():
    result = with_books(coverage=0.9, components=component(Provenance.MODELLED))
    assert result["grade"] == "limited"
    assert result["reasons"][0] == "90 % of the time was metered, less than 99 %"
    assert len(result["reasons"]) == 2


def test_foreign_and_unexplained_energy_limit_the_books():
    accounts = {**ACCOUNTS, "node/box/foreign": 150 * J, "node/box/unexplained": 150 * J}
    result = measurement(records.record(books=records.books(accounts)))
    assert result["grade"] == "limited"
    assert "30 % of the energy went to other people's processes (15 %) or is unexplained (15 %)" in result["reasons"][0]


def test_a_little_foreign_energy_does_not():
    assert measurement(records.record(books=records.books({**ACCOUNTS, "node/box/foreign": J})))["grade"] == "good"


def test_books_that_do_not_say_how_are_limited():
    assert with_books(components=())["grade"] == "limited"


def test_less_than_half_of_the_time_is_no_measurement():
    result = with_books(coverage=0.4, components=component(Provenance.MODELLED))
    assert result["grade"] == "none"
    assert result["reasons"][0] == "only 40 % of the time was metered, less than half"
    assert len(result["reasons"]) == 2


def test_no_coverage_is_no_measurement():
    assert with_books(coverage=None)["grade"] == "none"
    assert with_books(coverage=float("nan"))["grade"] == "none"
    assert measurement(records.empty())["grade"] == "none"


def test_what_ran_elsewhere_is_reported():
    result = measurement(records.imported())
    assert result["grade"] == "reported"
    assert "compiled" in result["reasons"][0]


def test_what_ran_elsewhere_without_energy_is_no_measurement():
    imported = records.record(imported=True, books=records.empty().books)
    assert measurement(imported)["grade"] == "none"


def test_books_that_do_not_balance_are_contradicted_whatever_else():
    result = with_books(metered_uj=1, components=(), coverage=0.3)
    assert result["grade"] == "contradicted"
    assert "do not balance" in result["reasons"][0]


@pytest.mark.parametrize("code", ["meters-disagree", "hash-differs", "recomputation-differs"])
def test_a_contradiction_found_elsewhere_counts(code):
    finding = Finding(code=code, severity=Severity.ERROR, message="120 J against 300 J.")
    result = measurement(records.record(findings=(finding,)))
    assert result["grade"] == "contradicted"
    assert result["reasons"][0] == "120 J against 300 J."


@pytest.mark.parametrize(
    ("coverage", "grade", "reason"),
    [
        (0.0, "none", "only 0 % of the time was metered, less than half"),
        (0.49, "none", "only 49 % of the time was metered, less than half"),
        (0.5, "limited", "50 % of the time was metered, less than 99 %"),
        (0.98, "limited", "98 % of the time was metered, less than 99 %"),
        (0.989, "limited", "98.9 % of the time was metered, less than 99 %"),
        (0.99, "good", "99 % of the time was metered"),
        (1.0, "good", "100 % of the time was metered"),
    ],
)
def test_where_the_grades_begin(coverage, grade, reason):
    result = with_books(coverage=coverage)
    assert (result["grade"], result["reasons"][0]) == (grade, reason)
    assert len(result["reasons"]) == (2 if grade == "good" else 1)


@pytest.mark.parametrize(
    ("foreign_uj", "unexplained_uj", "grade"),
    [
        (0, 0, "good"),
        (100 * J, 0, "good"),
        (0, 100 * J, "good"),
        (50 * J, 50 * J, "good"),
        (100 * J + 1, 0, "limited"),
        (0, 100 * J + 1, "limited"),
        (50 * J, 50 * J + 1, "limited"),
    ],
)
def test_a_tenth_of_the_energy_may_be_other_peoples_or_unexplained(foreign_uj, unexplained_uj, grade):
    rest = 1000 * J - foreign_uj - unexplained_uj
    accounts = {
        "study/demo/search/sampler": rest,
        "node/box/foreign": foreign_uj,
        "node/box/unexplained": unexplained_uj,
    }
    result = measurement(records.record(books=records.books(accounts)))
    assert result["grade"] == grade
    assert ("more than 10 %" in result["reasons"][0]) == (grade == "limited")


def test_idle_energy_and_other_studies_disturb_nothing():
    accounts = {**ACCOUNTS, "node/box/idle": 5000 * J, "study/other/trial/0/1/train": 5000 * J}
    assert measurement(records.record(books=records.books(accounts)))["grade"] == "good"


@pytest.mark.parametrize("residual_uj", [1, -1])
def test_one_microjoule_too_much_or_too_little_contradicts_the_books(residual_uj):
    total_uj = sum(ACCOUNTS.values()) + residual_uj
    result = with_books(metered_uj=total_uj, components=(records.component("cpu", total_uj),))
    assert result["grade"] == "contradicted"
    (reason,) = result["reasons"]
    assert reason == (
        f"The books do not balance: metered {total_uj} uJ != charged {total_uj - residual_uj} uJ "
        f"(residual {residual_uj} uJ)."
    )


def test_components_that_do_not_sum_to_the_meter_contradict_the_books():
    result = with_books(components=(records.component("cpu", 699 * J),))
    assert result["grade"] == "contradicted"
    assert result["reasons"] == [
        "The components do not sum to the meter: 699000000 uJ != metered 700000000 uJ (difference 1000000 uJ)."
    ]


@pytest.mark.parametrize("place", ["record", "books"])
def test_a_contradiction_counts_wherever_it_was_found(place):
    finding = Finding(code="meters-disagree", severity=Severity.ERROR, message="120 J against 300 J.")
    changes = {"findings": (finding,)} if place == "record" else {"books": records.books(findings=(finding,))}
    assert measurement(records.record(**changes)) == {"grade": "contradicted", "reasons": ["120 J against 300 J."]}


def test_another_finding_does_not_count():
    finding = Finding(code="meter-gap", severity=Severity.ERROR, message="No reading for 3 s.")
    assert measurement(records.record(findings=(finding,)))["grade"] == "good"


def test_the_worst_grade_is_given_and_every_reason_listed():
    finding = Finding(code="hash-differs", severity=Severity.ERROR, message="A file changed.")
    foreign = {**ACCOUNTS, "node/box/foreign": 300 * J}
    parts = (
        records.component("cpu", 250 * J, Provenance.CONSTANT),
        records.component("ram", 750 * J, Provenance.MISSING),
    )
    reasons = [
        "A file changed.",
        "only 49 % of the time was metered, less than half",
        "the study ran elsewhere: its energy is compiled from what others wrote down, not metered here",
        "cpu is a constant assumed for this hardware (25 % of the energy)",
        "ram is not measured (75 % of the energy)",
        "30 % of the energy went to other people's processes (30 %) or is unexplained (0 %), more than 10 %",
    ]
    whole = records.record(
        findings=(finding,), imported=True, books=records.books(foreign, coverage=0.49, components=parts)
    )
    assert measurement(whole) == {"grade": "contradicted", "reasons": reasons}
    for changes, grade in (
        ({"findings": ()}, "none"),
        ({"findings": (), "books": records.books(foreign, components=parts)}, "reported"),
        ({"findings": (), "books": records.books(foreign, components=parts), "imported": False}, "limited"),
        ({"findings": (), "books": records.books(), "imported": False}, "good"),
    ):
        result = measurement(replace(whole, **changes))
        assert result["grade"] == grade
        assert grade == "good" or set(result["reasons"]) < set(reasons)


def test_a_component_of_several_nodes_is_one_reason_by_grade():
    parts = (
        records.component("cpu", 175 * J),
        replace(records.component("cpu", 175 * J, Provenance.MODELLED), node="b"),
        replace(records.component("cpu", 350 * J, Provenance.MODELLED), node="c"),
    )
    assert with_books(components=parts) == {
        "grade": "limited",
        "reasons": ["cpu is modelled from load and rated power (75 % of the energy)"],
    }


def test_energy_without_readings_is_no_measurement():
    result = with_books(coverage=None)
    assert result["reasons"] == ["no readings, so nothing says how much of the time was metered"]
    result = measurement(records.empty())
    assert result["reasons"] == [
        "no energy is on the books",
        "no readings, so nothing says how much of the time was metered",
    ]


def test_good_books_say_how_each_component_was_measured():
    parts = (records.component("cpu", 400 * J), records.component("gpu:0", 300 * J, Provenance.SAMPLED))
    assert with_books(components=parts)["reasons"] == [
        "100 % of the time was metered",
        "cpu by hardware energy counter",
        "gpu:0 by power sensor, integrated over time",
    ]
