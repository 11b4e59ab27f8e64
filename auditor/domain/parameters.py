"""What a statement assumes beyond the books: factors, prices, and what a gain must be worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonFactor:
    """Carbon intensity of electricity, with where it comes from.

    Attributes:
        g_per_kwh: Grams of CO2 equivalent per kilowatt-hour.
        source: Who published it, or ``user``.
        year: Of which year it is; ``None`` where the source does not say.
        kind: ``average`` or ``marginal``.
        scope: Which grid, for example ``FRA``.
    """

    g_per_kwh: float
    source: str
    year: int | None = None
    kind: str = "average"
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters of a statement; never baked into a reading.

    Attributes:
        pue: Power usage effectiveness of the data centre, at least 1.
        factor: Carbon factor; ``None``: no carbon figure can be given.
        price_per_kwh: Price of electricity in ``currency``.
        price_per_device_hour: Price of an hour of a device that the search reserved (a GPU where the study held one,
            else a CPU).
        currency: ISO 4217 code.
        worth_gain: What the gain on the study's metric must exceed to count as paid.
        worth_cost: What the search may cost at most, in ``currency``; ``None``: no limit.
    """

    pue: float = 1.0
    factor: CarbonFactor | None = None
    price_per_kwh: float | None = None
    price_per_device_hour: float | None = None
    currency: str = "EUR"
    worth_gain: float | None = None
    worth_cost: float | None = None
