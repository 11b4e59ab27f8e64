"""Every grade of the books has a study that gets it."""

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
