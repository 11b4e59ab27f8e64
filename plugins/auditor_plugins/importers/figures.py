"""Figures as sources write them: energy and its units, durations, what is no number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from auditor.domain.errors import InputError

_JOULES = {"j": 1.0, "kj": 1e3, "mj": 1e6, "wh": 3.6e3, "kwh": 3.6e6, "mwh": 3.6e9}
_NAMES = ("J", "kJ", "MJ", "Wh", "kWh", "MWh")
_TIMEDELTA = re.compile(r"(?:(?P<days>\d+) days?,? )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyFigure:
    """A figure that says how much energy a trial used.

    Attributes:
        name: What the source calls it.
        joules: Joules of one of its units.
        source: Who reports it, for people.
    """

    name: str
    joules: float
    source: str


_CONVENTIONS = (
    ("auditor:energy_j", 1.0, "nas-auditor"),
    ("energy_j", 1.0, ""),
    ("energy_consumed", 3.6e6, "CodeCarbon"),
)
"""Names that say their unit, best first: ours, and CodeCarbon's in kWh."""


def energy_figure(asked: str | None, unit: str | None, there: Iterable[str], kind: str) -> EnergyFigure | None:
    """The figure that says how much energy a trial used; ``None`` where there is none.

    Args:
        asked: What the user named.
        unit: Its unit, as the user gives it.
        there: Names of all figures.
        kind: What such a figure is: ``metric``, ``attribute``, ``column``.

    Raises:
        InputError: the one asked for is not there, or its unit is not known.
    """
    names = list(there)
    if asked is not None:
        if asked not in names:
            raise InputError(f"--energy {asked}: no such {kind}; there is: {', '.join(names[:20]) or 'none'}")
        told = next((joules for name, joules, _ in _CONVENTIONS if _is(asked, name)), None)
        known = told if unit is None else joules_of(unit)
        if known is None:
            raise InputError(f"--energy-unit: '{asked}' does not say its unit; expected {', '.join(_NAMES)}")
        return EnergyFigure(name=asked, joules=known, source=f"{kind} {asked}")
    if unit is not None:
        raise InputError(f"--energy-unit: no {kind} of energy was named; expected it with --energy")
    for convention, joules, source in _CONVENTIONS:
        found = next((name for name in names if _is(name, convention)), None)
        if found is not None:
            return EnergyFigure(name=found, joules=joules, source=f"{source}, {kind} {found}".removeprefix(", "))
    return None


def joules_of(unit: str) -> float:
    """Joules of a unit of energy.

    Raises:
        InputError: it is none.
    """
    if unit in ("mJ", "mWh") or unit.lower() not in _JOULES:  # an m for a thousandth is not meant for a million
        raise InputError(f"--energy-unit: '{unit}' is no unit known here; expected {', '.join(_NAMES)}")
    return _JOULES[unit.lower()]


def amount(value: float | None, factor: float = 1.0) -> float | None:
    """An amount of energy or time; ``None`` where it is no finite number of 0 or more."""
    return value * factor if value is not None and math.isfinite(value) and value >= 0 else None


def seconds(text: str) -> float | None:
    """A duration in seconds: a number, or as pandas and Python write it (``0 days 00:01:02.5``)."""
    found = _TIMEDELTA.fullmatch(text.strip())
    if found is None:
        return number(text)
    days, hours, minutes, rest = (float(found[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def number(text: str) -> float | None:
    """A number that a text holds; ``None`` where it holds none."""
    try:
        return float(text)
    except ValueError:
        return None


def _is(name: str, convention: str) -> bool:
    """Whether a name is a conventional one, also behind a prefix: ``codecarbon/energy_consumed``."""
    return name == convention or name.endswith(tuple(f"{mark}{convention}" for mark in "/._:"))
