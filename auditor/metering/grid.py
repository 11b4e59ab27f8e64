"""Carbon intensity of a country's grid, from the table CodeCarbon ships; nothing is looked up on the network."""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from auditor.domain.errors import UnknownNameError
from auditor.domain.parameters import CarbonFactor


def country_factor(country: str) -> CarbonFactor:
    """Average carbon intensity of a country's electricity.

    Args:
        country: ISO 3166-1 alpha-3 code, for example ``FRA``.

    Raises:
        UnknownNameError: the table does not have it.
    """
    table: dict[str, Any] = json.loads(
        files("codecarbon").joinpath("data/private_infra/global_energy_mix.json").read_text()
    )
    entry = table.get(country.upper())
    if entry is None or entry.get("carbon_intensity") is None:
        raise UnknownNameError("country", country, table, where="carbon.country")
    return CarbonFactor(
        g_per_kwh=float(entry["carbon_intensity"]),
        source=f"CodeCarbon {version('codecarbon')}, global_energy_mix.json",
        year=int(entry["year"]) if entry.get("year") else None,
        kind="average",
        scope=country.upper(),
    )
