"""The carbon and cost sections: the search's energy and device time times what the reader assumes."""

from __future__ import annotations

from typing import Any

from auditor.domain.parameters import Parameters
from auditor.domain.quantities import uj_to_kwh
from auditor.domain.study import Finding, StudyRecord
from auditor.statement.advice import advice_on
from auditor.statement.objections import info
from auditor.statement.values import finite

SECONDS_PER_HOUR = 3600.0


def carbon_section(
    record: StudyRecord, search_uj: int | None, parameters: Parameters
) -> tuple[dict[str, Any], list[Finding]]:
    """The ``carbon`` section: kWh of the search, grams of CO2 equivalent = kWh x PUE x factor.

    Source: GHG Protocol Scope 2 Guidance (2015) for location and market based figures.
    """
    kwh = None if search_uj is None else uj_to_kwh(search_uj)
    factor = parameters.factor
    grams = None if kwh is None or factor is None else kwh * parameters.pue * factor.g_per_kwh
    section = {
        "kwh": kwh,
        "pue": parameters.pue,
        "factor": None
        if factor is None
        else {
            "g_per_kwh": factor.g_per_kwh,
            "source": factor.source,
            "year": factor.year,
            "kind": factor.kind,
            "scope": factor.scope,
        },
        "location_based_g": grams,
        "market_based_g": None,
        "embodied_g": None,
    }
    found = [
        info("no-market-factor", "carbon.market_based_g is null: no supplier's factor can be given yet."),
        info("no-embodied", "carbon.embodied_g is null: the making of the hardware is not known."),
    ]
    if factor is None:
        found.append(
            info(
                "no-carbon-factor",
                "carbon.location_based_g and carbon.factor are null: no carbon factor was given "
                f"({advice_on(record).carbon}).",
            )
        )
    elif grams is None:
        found.append(info("no-carbon", "carbon.location_based_g is null: no energy is on the books."))
    if factor is not None and factor.year is None:
        found.append(info("no-factor-year", f"carbon.factor.year is null: {factor.source} does not say it."))
    return section, found


def cost_section(
    record: StudyRecord, search_uj: int | None, parameters: Parameters
) -> tuple[dict[str, Any], list[Finding]]:
    """The ``cost`` section: what the search cost, in the currency of the parameters."""
    kwh = None if search_uj is None else uj_to_kwh(search_uj)
    per_kwh, per_hour = parameters.price_per_kwh, parameters.price_per_device_hour
    device_s = finite(record.books.priced_device_s)
    energy = None if kwh is None or per_kwh is None else kwh * parameters.pue * per_kwh
    devices = None if device_s is None or per_hour is None else device_s / SECONDS_PER_HOUR * per_hour
    known = [amount for amount in (energy, devices) if amount is not None]
    section = {
        "energy": energy,
        "device_hours": devices,
        "total": sum(known) if known else None,
        "currency": parameters.currency,
        "price_per_kwh": per_kwh,
        "price_per_device_hour": per_hour,
    }
    found = []
    if per_kwh is None:
        found.append(
            info(
                "no-price",
                f"{_null(record, 'energy', 'price_per_kwh')}: no price was given ({advice_on(record).price}).",
            )
        )
    elif energy is None:
        found.append(info("no-cost", "cost.energy is null: no energy is on the books."))
    if per_hour is None:
        found.append(
            info(
                "no-device-price",
                f"{_null(record, 'device_hours', 'price_per_device_hour')}: no price was given "
                f"({advice_on(record).device_price}).",
            )
        )
    elif devices is None:
        found.append(
            info(
                "no-cost",
                f"cost.device_hours is null: {_no_devices(record)}.",
            )
        )
    if not known:
        found.append(info("no-total", "cost.total is null: neither energy nor devices could be priced."))
    return section, found


def _null(record: StudyRecord, figure: str, price: str) -> str:
    """What is null; a setting's own name stands in the advice already, an option's does not."""
    return f"cost.{figure} and cost.{price} are null" if record.imported else f"cost.{figure} is null"


def _no_devices(record: StudyRecord) -> str:
    return advice_on(record).devices if record.imported else "no reserved device time is on the books"


def is_fully_priced(cost: dict[str, Any]) -> bool:
    """Whether every price that was given led to a figure, and at least one did."""
    parts = (("price_per_kwh", "energy"), ("price_per_device_hour", "device_hours"))
    return cost["total"] is not None and all(cost[price] is None or cost[figure] is not None for price, figure in parts)
