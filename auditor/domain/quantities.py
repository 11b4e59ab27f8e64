"""Units at the edge: integer microjoules inside, joules and kilowatt-hours outside."""

from __future__ import annotations

MICROJOULES_PER_JOULE = 1_000_000
JOULES_PER_KWH = 3_600_000
NS_PER_S = 1_000_000_000


def uj_to_j(energy_uj: int) -> float:
    """Microjoules to joules."""
    return energy_uj / MICROJOULES_PER_JOULE


def uj_to_kwh(energy_uj: int) -> float:
    """Microjoules to kilowatt-hours."""
    return energy_uj / (MICROJOULES_PER_JOULE * JOULES_PER_KWH)


def kwh_to_uj(energy_kwh: float) -> int:
    """Kilowatt-hours to microjoules, rounded to the nearest."""
    return round(energy_kwh * JOULES_PER_KWH * MICROJOULES_PER_JOULE)


def ns_to_s(duration_ns: int) -> float:
    """Nanoseconds to seconds."""
    return duration_ns / NS_PER_S
