import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.reporting import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (3.1, "3.10"),
        (0.0123456, "0.0123"),
        (9.999, "10.0"),
        (1234.5, "1,230"),
        (274_120, "274,000"),
        (-0.5, "-0.500"),
        (1.234e-7, "1.23 × 10⁻⁷"),
        (1.234e12, "1.23 × 10¹²"),
    ],
)
def test_a_number_has_three_significant_digits(value: float, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize(
    ("energy_j", "shown"),
    [
        (0, "0 J"),
        (0.00042, "420 µJ"),
        (0.0042, "4.20 mJ"),
        (3.1, "3.10 J"),
        (999.4, "999 J"),
        (999.7, "1.00 kJ"),
        (2512.3, "2.51 kJ"),
        (1.2e6, "1.20 MJ"),
        (5e9, "5.00 GJ"),
        (4.2e13, "42.0 TJ"),
        (-70, "-70.0 J"),
    ],
)
def test_energy_takes_the_unit_of_its_rounded_size(energy_j: float, shown: str) -> None:
    assert figures.energy(energy_j) == shown


@pytest.mark.parametrize(
    ("energy_j", "shown"), [(2512.3, "0.698 Wh"), (3.6e6, "1.00 kWh"), (3.6e9, "1.00 MWh"), (0, "0 Wh")]
)
def test_watt_hours_of_joules(energy_j: float, shown: str) -> None:
    assert figures.watt_hours(energy_j) == shown


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [
        (0.12, "0.120 s"),
        (100, "100 s"),
        (119.9, "2.00 min"),
        (195.2, "3.25 min"),
        (8640, "2.40 h"),
        (7199, "2.00 h"),
    ],
)
def test_durations(time_s: float, shown: str) -> None:
    assert figures.duration(time_s) == shown


@pytest.mark.parametrize(
    ("mass_g", "shown"),
    [(0.039, "39.0 mg"), (12.34, "12.3 g"), (4560, "4.56 kg"), (3.2e6, "3.20 t"), (4e-5, "40.0 µg")],
)
def test_masses(mass_g: float, shown: str) -> None:
    assert figures.mass(mass_g) == shown


@pytest.mark.parametrize(
    ("operations", "shown"), [(1_234_567_890_123, "1.23 TFLOP"), (5e20, "500 EFLOP"), (12, "12.0 FLOP")]
)
def test_operations(operations: float, shown: str) -> None:
    assert figures.flop(operations) == shown


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(1234.5, "EUR", "1,234.50 EUR"), (0.01234, "USD", "0.0123 USD"), (0, "EUR", "0 EUR"), (2, "", "2.00")],
)
def test_money(amount: float, currency: str, shown: str) -> None:
    assert figures.money(amount, currency) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0.0 %"),
        (1, "100.0 %"),
        (0.184, "18.4 %"),
        (0.0004, "< 0.1 %"),
        (0.99987, "> 99.9 %"),
        (0.9987, "99.9 %"),
    ],
)
def test_percent_claims_neither_nothing_nor_all(share: float, shown: str) -> None:
    assert figures.percent(share) == shown


def test_multiples_counts_and_differences() -> None:
    assert figures.times(23.4) == "23.4 ×"
    assert figures.count(12_345) == "12,345"
    assert figures.signed(0.004, 3) == "+0.004"
    assert figures.signed(-0.01, 3) == "-0.010"
    assert figures.fixed(0.98, 3) == "0.980"


def test_a_figure_too_small_for_decimals_is_not_shown_as_nothing() -> None:
    places = figures.decimals([4.38e-13, 5.12e-13])
    assert figures.fixed(4.38e-13, places) == "4.38 × 10⁻¹³"
    assert figures.signed(-7.4e-14, places) == "-7.40 × 10⁻¹⁴"
    assert figures.signed(1.2e-6, 6) == "+1.20 × 10⁻⁶"
    assert (figures.fixed(0.00003, 6), figures.signed(0.0004, 3)) == ("0.000030", "+0.000")
    assert (figures.fixed(-0.0, 2), figures.signed(-5e-17, 6)) == ("0.00", "0.000000")


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([0.971, 0.989], 3),
        ([1.0, 0.989], 3),
        ([0.97111, 0.97112], 5),
        ([1234.0, 1200.0], 0),
        ([0.00001], 5),
        ([None, math.nan], 3),
        ([], 3),
    ],
)
def test_decimals_tell_the_figures_of_a_column_apart(values: list[float | None], places: int) -> None:
    assert figures.decimals(values) == places


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_what_is_not_known_is_said_to_be(missing: float | None) -> None:
    shown = [
        figures.number(missing),
        figures.energy(missing),
        figures.watt_hours(missing),
        figures.duration(missing),
        figures.mass(missing),
        figures.flop(missing),
        figures.money(missing, "EUR"),
        figures.percent(missing),
        figures.times(missing),
        figures.fixed(missing, 3),
        figures.signed(missing, 3),
    ]
    assert set(shown) == {"not available"}
    assert figures.count(None) == "not available"


def test_true_is_no_figure() -> None:
    assert not figures.is_figure(True)
    assert figures.is_figure(1)
    assert not figures.is_figure("1")


@given(st.floats(min_value=1e-5, max_value=1e14))
def test_energy_reads_back_to_three_digits(energy_j: float) -> None:
    amount, unit = figures.energy(energy_j).split()
    factor = {"TJ": 1e12, "GJ": 1e9, "MJ": 1e6, "kJ": 1e3, "J": 1.0, "mJ": 1e-3, "µJ": 1e-6}[unit]
    assert float(amount.replace(",", "")) * factor == pytest.approx(energy_j, rel=0.0051)
