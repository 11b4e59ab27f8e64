"""The budget of a search against its running books."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.accounting.books import is_arm_account, is_search_account
from auditor.domain.amounts import parse_energy_j, parse_mass_g, parse_time_s
from auditor.domain.parameters import Parameters
from auditor.domain.quantities import JOULES_PER_KWH, uj_to_j
from auditor.domain.study import Books
from auditor.search.config import BudgetSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits in base units; ``None``: no such limit. The number of trials is the coordinator's to watch.

    Attributes:
        time_s: Wall time in seconds.
        energy_j: Energy of the search in joules.
        carbon_g: Grams of CO2 equivalent.
        money: In the currency of the prices.
    """

    time_s: float | None
    energy_j: float | None
    carbon_g: float | None
    money: float | None

    @property
    def needs_books(self) -> bool:
        """Whether the running books must be closed to judge them."""
        return any(limit is not None for limit in (self.energy_j, self.carbon_g, self.money))

    def reached(self, elapsed_s: float, books: Books | None, parameters: Parameters) -> str:
        """The first limit that is reached, in words; empty where none is.

        Args:
            elapsed_s: Wall time of the search.
            books: Running books; needed where :attr:`needs_books` says so.
            parameters: Factors and prices.
        """
        if self.time_s is not None and elapsed_s >= self.time_s:
            return f"time ({self.time_s:.3g} s)"
        if books is None:
            return ""
        energy_j = uj_to_j(sum(uj for account, uj in books.accounts.items() if _is_budgeted(account)))
        if self.energy_j is not None and energy_j >= self.energy_j:
            return f"energy ({self.energy_j:.3g} J)"
        kwh = energy_j / JOULES_PER_KWH * parameters.pue
        emitted_g = kwh * parameters.factor.g_per_kwh if parameters.factor is not None else 0.0
        if self.carbon_g is not None and emitted_g >= self.carbon_g:
            return f"carbon ({self.carbon_g:.3g} g)"
        if self.money is not None:
            hours = ((books.priced_device_s or 0.0) + books.priced_arm_s) / 3600
            spent = kwh * (parameters.price_per_kwh or 0.0) + hours * (parameters.price_per_device_hour or 0.0)
            if spent >= self.money:
                return f"money ({self.money:.3g} {parameters.currency})"
        return ""


def _is_budgeted(account: str) -> bool:
    """Whether an account is on the budget: what the search costs, and the random arm beside it."""
    return is_search_account(account) or is_arm_account(account)


def limits(budget: BudgetSection) -> Limits:
    """The limits a configuration gives."""
    return Limits(
        time_s=None if budget.time is None else parse_time_s(budget.time),
        energy_j=None if budget.energy is None else parse_energy_j(budget.energy),
        carbon_g=None if budget.carbon is None else parse_mass_g(budget.carbon),
        money=budget.money,
    )
