"""Figures as people read them."""

import math

import pytest

from auditor.statement.values import counted, energy, finite, mean, number, percent, signed, utc


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.9812, "0.981"),
        (3.1, "3.1"),
        (23.44, "23.4"),
        (1234.5, "1,234"),
        (-0.5, "-0.5"),
        (0.00012345, "0.000123"),
        (1e-9, "1.00e-09"),
        (2.5e12, "2.50e+12"),
        (999.96, "1,000"),
    ],
)
def test_three_significant_digits(value, text):
    assert number(value) == text


def test_energy_in_the_unit_that_reads_well():
    assert [energy(j) for j in (0.0031, 3.1, 2100.0, 359_000.0, 7.2e6)] == [
        "0.0031 J",
        "3.1 J",
        "2.1 kJ",
        "359 kJ",
        "2 kWh",
    ]


def test_a_difference_has_the_digits_that_its_uncertainty_allows():
    assert [signed(v, uncertainty=0.014) for v in (0.004, -0.01, 0.018)] == ["+0.004", "-0.010", "+0.018"]
    assert signed(12.3, uncertainty=40.0) == "+12"
    assert signed(-0.03, uncertainty=0.0) == "-0.03"
    assert signed(-7.4e-14, uncertainty=1e-13) == "-7.40e-14"  # nine decimals would show nothing of it
    assert signed(0.5, uncertainty=1e-13) == "+0.500000000"


def test_small_words():
    assert percent(0.18) == "18 %"
    assert counted(1, "seed") == "1 seed"
    assert counted(1200, "seed") == "1,200 seeds"
    assert finite(math.nan) is None
    assert mean([None, 1.0, math.inf, 3.0]) == 2.0
    assert mean([]) is None


def test_times_are_utc_to_the_microsecond():
    assert utc(1_767_225_600_999_999_999) == "2026-01-01T00:00:00.999999Z"
    assert utc(1_767_225_600_000_000_001) == "2026-01-01T00:00:00.000000Z"
