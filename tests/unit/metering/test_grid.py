import pytest

from auditor.domain.errors import UnknownNameError
from auditor.metering.grid import country_factor


def test_a_country_gives_its_factor_with_source() -> None:
    factor = country_factor("FRA")
    assert 10 < factor.g_per_kwh < 150  # mostly nuclear power
    assert factor.scope == "FRA"
    assert factor.kind == "average"
    assert "CodeCarbon" in factor.source
    assert factor.year is not None
    assert 2015 <= factor.year <= 2100


def test_countries_differ() -> None:
    assert country_factor("POL").g_per_kwh > 3 * country_factor("FRA").g_per_kwh


def test_case_does_not_matter() -> None:
    assert country_factor("fra") == country_factor("FRA")


def test_an_unknown_country_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"carbon\.country: unknown country 'FRX'\. Did you mean 'FR") as caught:
        country_factor("FRX")
    assert "DEU" in str(caught.value)
    assert caught.value.exit_code == 2
