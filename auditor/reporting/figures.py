"""Figures for people: a unit and three significant digits.

Every function takes ``None`` (or a figure that is not finite) for what could not be had, and then says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from auditor.domain.quantities import JOULES_PER_KWH

NOT_AVAILABLE = "not available"
MOST_DECIMALS = 6
_NOISE = 1e-15

_Steps = Sequence[tuple[float, str]]
_ENERGY: _Steps = ((1e12, "TJ"), (1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1, "J"), (1e-3, "mJ"), (1e-6, "µJ"))
_WATT_HOURS: _Steps = ((1e9, "GWh"), (1e6, "MWh"), (1e3, "kWh"), (1, "Wh"))
_MASS: _Steps = ((1e6, "t"), (1e3, "kg"), (1, "g"), (1e-3, "mg"), (1e-6, "µg"))
_FLOP: _Steps = (
    (1e21, "ZFLOP"),
    (1e18, "EFLOP"),
    (1e15, "PFLOP"),
    (1e12, "TFLOP"),
    (1e9, "GFLOP"),
    (1e6, "MFLOP"),
    (1e3, "kFLOP"),
    (1, "FLOP"),
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_figure(value: object) -> bool:
    """Whether a value is a finite number (``True`` and ``False`` are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float | None) -> str:
    """A bare number with three significant digits: ``1,230``, ``12.3``, ``0.0123``, ``1.23 × 10⁻⁷``."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{value:.2e}".split("e")
    exponent = int(exponent_text)
    if not -5 <= exponent <= 8:
        return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPT)}"
    return f"{_rounded(value):,.{max(0, 2 - exponent)}f}"


def count(value: int | None) -> str:
    """A count, exact: ``12,345``."""
    return NOT_AVAILABLE if value is None else f"{value:,}"


def energy(energy_j: float | None) -> str:
    """Joules: ``3.10 J``, ``2.51 kJ``, ``1.20 MJ``."""
    return _scaled(energy_j, _ENERGY, "J")


def watt_hours(energy_j: float | None) -> str:
    """The same energy, in joules given, as on an electricity bill: ``0.698 Wh``, ``1.20 kWh``."""
    return _scaled(None if energy_j is None else energy_j / JOULES_PER_KWH * 1e3, _WATT_HOURS, "Wh")


def duration(time_s: float | None) -> str:
    """Seconds: ``100 s``, ``3.50 min``, ``2.40 h``."""
    if time_s is None or not math.isfinite(time_s):
        return NOT_AVAILABLE
    if abs(_rounded(time_s)) < 120:
        return f"{number(time_s)} s"
    if abs(_rounded(time_s / 60)) < 120:
        return f"{number(time_s / 60)} min"
    return f"{number(time_s / 3600)} h"


def mass(mass_g: float | None) -> str:
    """Grams: ``39.0 mg``, ``12.3 g``, ``4.56 kg``."""
    return _scaled(mass_g, _MASS, "g")


def flop(operations: float | None) -> str:
    """A number of floating-point operations: ``1.23 TFLOP``."""
    return _scaled(operations, _FLOP, "FLOP")


def money(amount: float | None, currency: str) -> str:
    """An amount of money: to the cent from 1 up, three significant digits below."""
    if amount is None or not math.isfinite(amount):
        return NOT_AVAILABLE
    figure = f"{amount:,.2f}" if abs(amount) >= 1 else number(amount)
    return f"{figure} {currency}".rstrip()


def percent(share: float | None) -> str:
    """A share of 1 with one decimal; neither 0 nor 100 % is claimed where it is not so."""
    if share is None or not math.isfinite(share):
        return NOT_AVAILABLE
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:,.1f} %"


def times(factor: float | None) -> str:
    """A multiple: ``23.4 ×``."""
    text = number(factor)
    return text if text == NOT_AVAILABLE else f"{text} ×"


def decimals(values: Iterable[float | None]) -> int:
    """Decimals that suit figures shown beside each other.

    Three significant digits for the smallest of them, and more where two that differ would look the same.
    """
    known = {float(value) for value in values if value is not None and math.isfinite(value)}
    exponents = [int(f"{value:.2e}".split("e")[1]) for value in known if value]
    places = min(MOST_DECIMALS - 1, max(0, 2 - min(exponents, default=-1)))
    while places < MOST_DECIMALS and len({f"{value:.{places}f}" for value in known}) < len(known):
        places += 1
    return places


def fixed(value: float | None, places: int) -> str:
    """A figure with so many decimals, for columns of them."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    return number(value) if _hidden(value, places) else _without_sign_of_zero(f"{value:,.{places}f}")


def signed(difference: float | None, places: int) -> str:
    """A difference with its sign: ``+0.004``, ``-0.010``."""
    if difference is None or not math.isfinite(difference):
        return NOT_AVAILABLE
    if _hidden(difference, places):
        return f"{'+' if difference > 0 else ''}{number(difference)}"
    return _without_sign_of_zero(f"{difference:+,.{places}f}")


def _hidden(value: float, places: int) -> bool:
    """Whether no more decimals are to be had, and these would leave nothing of it; below that it is rounding."""
    return places >= MOST_DECIMALS - 1 and _NOISE < abs(value) < 10.0 ** (1 - places)


def _without_sign_of_zero(text: str) -> str:
    return text.replace("-", "", 1) if not text.strip("-0.,") else text


def _rounded(value: float) -> float:
    return float(f"{value:.2e}")


def _scaled(value: float | None, steps: _Steps, base: str) -> str:
    """A figure in the unit that suits its rounded size, so that 999.9 J is 1.00 kJ."""
    if value is None or not math.isfinite(value):
        return NOT_AVAILABLE
    if value == 0:
        return f"0 {base}"
    size = abs(_rounded(value))
    least, unit = next((step for step in steps if size >= step[0]), steps[-1])
    return f"{number(value / least)} {unit}"
