"""Amounts as people write them in a configuration: ``2h``, ``0.5 kWh``, ``100 g``."""

from __future__ import annotations

import math
import re

_TIME_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ENERGY_J = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6, "MWh": 3.6e9}
_MASS_G = {"g": 1.0, "kg": 1e3, "t": 1e6}

_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]+)\s*")


def parse_time_s(text: object) -> float:
    """A duration in seconds from ``90 s``, ``30 min``, ``2h`` or ``1.5 d``."""
    return _parse(text, _TIME_S, "a duration such as '30 min' or '2h'")


def parse_energy_j(text: object) -> float:
    """An energy in joules from ``500 J``, ``20 Wh`` or ``0.5 kWh``."""
    return _parse(text, _ENERGY_J, "an energy such as '500 J' or '0.5 kWh'")


def parse_mass_g(text: object) -> float:
    """A mass in grams from ``100 g`` or ``2 kg``."""
    return _parse(text, _MASS_G, "a mass of CO2 equivalent such as '100 g' or '2 kg'")


def _parse(text: object, units: dict[str, float], expected: str) -> float:
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match.group(2) not in units:
        raise ValueError(f"expected {expected} with a unit of {', '.join(units)}")
    amount = float(match.group(1)) * units[match.group(2)]
    if not (amount > 0 and math.isfinite(amount)):
        raise ValueError(f"must be above 0: expected {expected}")
    return amount
