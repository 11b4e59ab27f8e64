"""Values as JSON can hold them, and figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from auditor.domain.quantities import NS_PER_S

NS_PER_US = 1_000
_MOST_DECIMALS, _SMALL = 9, 1e-6


LARGEST = 1e150
"""Size from which on squares overflow: nothing measures so much; it stands for a failure (``sys.float_info.max``)."""


def finite(value: float | None) -> float | None:
    """The value, or ``None`` where it is no figure to reckon with (``nan``, infinite, beyond :data:`LARGEST`)."""
    return None if value is None or not abs(value) <= LARGEST else float(value)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are finite; ``None`` where there are none."""
    usable = [value for value in map(finite, values) if value is not None]
    return math.fsum(usable) / len(usable) if usable else None


def json_value(value: Any) -> Any:
    """A parameter's value as JSON holds it; what is no JSON type becomes a string."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return str(value)


def utc(time_ns: int) -> str:
    """Nanoseconds since the epoch as ISO 8601 with microseconds and ``Z``; what is finer is cut off."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest_ns // NS_PER_US:06d}Z"


def number(value: float) -> str:
    """A figure with 3 significant digits, without an exponent where it reads well."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def signed(value: float, *, uncertainty: float) -> str:
    """A difference with its sign and no more decimals than its uncertainty allows (2 digits of that)."""
    if not uncertainty > 0.0:
        return f"{'+' if value >= 0 else '-'}{number(abs(value))}"
    decimals = max(0, 1 - math.floor(math.log10(uncertainty)))
    if decimals > _MOST_DECIMALS and 0.0 < abs(value) < _SMALL:
        return f"{value:+.2e}"
    return f"{value + 0.0:+,.{min(_MOST_DECIMALS, decimals)}f}"


def energy(energy_j: float) -> str:
    """Joules as people read them: J, kJ, or kWh from 0.1 kWh on."""
    if abs(energy_j) >= 360_000.0:
        return f"{number(energy_j / 3_600_000.0)} kWh"
    return f"{number(energy_j / 1000.0)} kJ" if abs(energy_j) >= 1000.0 else f"{number(energy_j)} J"


def percent(share: float) -> str:
    """A share as a percentage with 3 significant digits."""
    return f"{number(100.0 * share)} %"


def duration(time_s: float) -> str:
    """Seconds as people read them: ``45.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if time_s < 59.95:
        return f"{number(time_s)} s"
    minutes, seconds = divmod(round(time_s), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {seconds} s" if seconds else "")
    hours, minutes = divmod(round(time_s / 60), 60)
    return f"{hours:,} h" + (f" {minutes} min" if minutes else "")


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 seed``, ``5 seeds``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
