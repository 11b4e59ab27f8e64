"""The parameters of a statement, as a configuration gives them."""

from __future__ import annotations

from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.metering.grid import country_factor
from auditor.search.config import Config


def parameters_from(config: Config) -> Parameters:
    """Factors, prices and worth of a configuration.

    Raises:
        UnknownNameError: no carbon intensity is known for the country.
    """
    factor = None
    if config.carbon.g_per_kwh is not None:
        factor = CarbonFactor(g_per_kwh=config.carbon.g_per_kwh, source="user")
    elif config.carbon.country is not None:
        factor = country_factor(config.carbon.country)
    return Parameters(
        pue=config.carbon.pue,
        factor=factor,
        price_per_kwh=config.cost.price_per_kwh,
        price_per_device_hour=config.cost.price_per_device_hour,
        currency=config.cost.currency,
        worth_gain=config.worth.gain,
        worth_cost=config.worth.cost,
    )
