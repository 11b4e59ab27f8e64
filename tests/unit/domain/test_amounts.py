from collections.abc import Callable

import pytest

from auditor.domain.amounts import parse_energy_j, parse_mass_g, parse_time_s


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_time_s, "90 s", 90.0),
        (parse_time_s, "30 min", 1800.0),
        (parse_time_s, "30m", 1800.0),
        (parse_time_s, "2h", 7200.0),
        (parse_time_s, " 1.5 d ", 129_600.0),
        (parse_time_s, ".5h", 1800.0),
        (parse_time_s, "1e3 s", 1000.0),
        (parse_energy_j, "500 J", 500.0),
        (parse_energy_j, "2 kJ", 2000.0),
        (parse_energy_j, "1.5 MJ", 1_500_000.0),
        (parse_energy_j, "20 Wh", 72_000.0),
        (parse_energy_j, "0.5 kWh", 1_800_000.0),
        (parse_energy_j, "1 MWh", 3.6e9),
        (parse_mass_g, "100 g", 100.0),
        (parse_mass_g, "2kg", 2000.0),
        (parse_mass_g, "0.1 t", 100_000.0),
    ],
)
def test_amounts_have_units(parse: Callable[[object], float], text: str, expected: float) -> None:
    assert parse(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["5", "h", "", "2 hours", "1h30", "2 H", "-2h", "1,5 h", "0x10 s", 5, 1.5, True, None])
def test_anything_else_is_refused_with_the_units(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a duration .* with a unit of s, min, m, h, d"):
        parse_time_s(text)


@pytest.mark.parametrize("text", ["0 s", "0.0h", "1e999 s"])
def test_nothing_and_infinity_are_no_amounts(text: str) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        parse_time_s(text)


def test_units_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="a unit of J, kJ, MJ, Wh, kWh, MWh"):
        parse_energy_j("2h")
    with pytest.raises(ValueError, match="a unit of g, kg, t"):
        parse_mass_g("1 kWh")
    with pytest.raises(ValueError, match="unit"):
        parse_energy_j("1 KWH")
