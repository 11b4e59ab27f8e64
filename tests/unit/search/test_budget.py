from collections.abc import Mapping
from dataclasses import replace

import pytest

from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import Books
from auditor.search.budget import Limits, limits
from auditor.search.config import BudgetSection

J = 1_000_000
FACTOR = CarbonFactor(g_per_kwh=100.0, source="user")


def books(accounts: Mapping[str, int], **search_s: float) -> Books:
    """Running books; baselines and evaluation have held devices for as long as the search."""
    held = {kind: 2 * seconds for kind, seconds in search_s.items()}
    uj = sum(accounts.values())
    return Books(policy="reserved", accounts=accounts, metered_uj=uj, device_s=held, search_device_s=search_s)


def limit(**given: float) -> Limits:
    return Limits(**{"time_s": None, "energy_j": None, "carbon_g": None, "money": None, **given})


SEARCH = {
    "study/s/trial/0/1/train": 50 * J,
    "study/s/search/sampler": 20 * J,
    "study/s/search/orchestration": 20 * J,
    "study/s/audit": 10 * J,
}
OTHERS = {
    "study/s/baseline/default/train": 500 * J,
    "study/s/evaluation/winner/train": 500 * J,
    "node/box/idle": 500 * J,
    "node/box/foreign": 500 * J,
}


def test_limits_come_in_base_units() -> None:
    section = BudgetSection(trials=3, time="2h", energy="0.5 kWh", carbon="2 kg", money=2.5)
    assert limits(section) == Limits(time_s=7200.0, energy_j=1_800_000.0, carbon_g=2000.0, money=2.5)
    assert limits(BudgetSection(trials=3)) == limit()


@pytest.mark.parametrize(
    ("given", "needed"),
    [({}, False), ({"time_s": 1.0}, False), ({"energy_j": 1.0}, True), ({"carbon_g": 1.0}, True), ({"money": 1}, True)],
)
def test_books_are_closed_only_where_needed(given: dict[str, float], needed: bool) -> None:
    assert limit(**given).needs_books is needed


def test_no_limit_is_never_reached() -> None:
    assert limit().reached(1e9, books(SEARCH), Parameters()) == ""


def test_time() -> None:
    assert limit(time_s=60).reached(59.9, None, Parameters()) == ""
    assert limit(time_s=60).reached(60.0, None, Parameters()) == "time (60 s)"


def test_energy_counts_the_search_alone() -> None:
    spent = books({**SEARCH, **OTHERS})
    assert limit(energy_j=100).reached(0, spent, Parameters()) == "energy (100 J)"
    assert limit(energy_j=100.1).reached(0, spent, Parameters()) == ""


def test_the_random_arm_is_on_the_budget() -> None:
    arm = {"study/s/baseline/random-0/train": 7 * J, "study/s/baseline/random-12/test": 3 * J}
    spent = books({**SEARCH, **OTHERS, **arm})
    assert limit(energy_j=110.0).reached(0.0, spent, Parameters()) == "energy (110 J)"
    assert limit(energy_j=110.1).reached(0.0, spent, Parameters()) == ""


def test_carbon_takes_the_factor_and_pue() -> None:
    kwh = books({"study/s/trial/0/1/train": 3_600_000 * J})
    assert limit(carbon_g=100).reached(0, kwh, Parameters(factor=FACTOR)) == "carbon (100 g)"
    assert limit(carbon_g=101).reached(0, kwh, Parameters(factor=FACTOR)) == ""
    assert limit(carbon_g=120).reached(0, kwh, Parameters(factor=FACTOR, pue=1.2)) == "carbon (120 g)"


def test_money_is_energy_and_device_time() -> None:
    spent = books({"study/s/trial/0/1/train": 3_600_000 * J}, cpu=7200.0)
    priced = Parameters(price_per_kwh=0.3, price_per_device_hour=0.1, pue=2.0)
    assert limit(money=0.8).reached(0, spent, priced) == "money (0.8 EUR)"
    assert limit(money=0.81).reached(0, spent, priced) == ""
    assert limit(money=0.2).reached(0, spent, Parameters(price_per_device_hour=0.1)) == "money (0.2 EUR)"
    assert limit(money=0.31).reached(0, spent, Parameters(price_per_kwh=0.3)) == ""


def test_money_counts_the_devices_of_the_random_arm() -> None:
    spent = replace(books(SEARCH, cpu=5400.0), arm_device_s={"cpu": 1800.0})
    assert limit(money=2).reached(0, spent, Parameters(price_per_device_hour=1)) == "money (2 EUR)"
    assert limit(money=2.01).reached(0, spent, Parameters(price_per_device_hour=1)) == ""


def test_a_gpu_is_priced_where_one_was_held() -> None:
    spent = books(SEARCH, cpu=36_000.0, gpu=3600.0)
    assert limit(money=1).reached(0, spent, Parameters(price_per_device_hour=1, currency="CHF")) == "money (1 CHF)"
    assert limit(money=1.1).reached(0, spent, Parameters(price_per_device_hour=1)) == ""


def test_the_first_one_reached_is_named() -> None:
    both = limit(time_s=10, energy_j=50)
    assert both.reached(5, books(SEARCH), Parameters()) == "energy (50 J)"
    assert both.reached(15, books({}), Parameters()) == "time (10 s)"


def test_without_books_there_is_only_time() -> None:
    assert limit(energy_j=1).reached(1e9, None, Parameters()) == ""
