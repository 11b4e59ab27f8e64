from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.domain import errors
from auditor.domain.errors import AuditorError, InputError, IntegrityError, UnknownNameError
from auditor.domain.provenance import Provenance, worst
from auditor.domain.quantities import kwh_to_uj, ns_to_s, uj_to_j, uj_to_kwh
from auditor.domain.redaction import redact_url
from auditor.domain.study import Attempt, Books, Trial, TrialState


def test_exit_codes() -> None:
    assert (AuditorError.exit_code, InputError.exit_code, IntegrityError.exit_code) == (1, 2, 3)
    assert UnknownNameError("meter", "x", []).exit_code == 2


def test_every_error_is_in_the_tree_its_module_draws() -> None:
    made = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert all(issubclass(error, AuditorError) for error in made)
    assert all(error.__name__ in (errors.__doc__ or "") for error in made)


def test_an_unknown_name_suggests_and_lists() -> None:
    error = UnknownNameError("sampler", "tpee", {"tpe", "random", "grid"}, where="search.sampler")
    expected = "search.sampler: unknown sampler 'tpee'. Did you mean 'tpe'? Available: grid, random, tpe."
    assert str(error) == expected


def test_an_unknown_name_far_from_all_suggests_nothing() -> None:
    assert str(UnknownNameError("meter", "zz", ["replay"])) == "unknown meter 'zz'. Available: replay."


def test_an_unknown_name_where_nothing_is_installed() -> None:
    assert str(UnknownNameError("meter", "zz", [])) == "unknown meter 'zz'. Available: none installed."


def test_units() -> None:
    assert uj_to_j(2_500_000) == 2.5
    assert uj_to_kwh(3_600_000_000_000) == 1.0
    assert kwh_to_uj(1e-12) == 4
    assert ns_to_s(1_500_000_000) == 1.5


@given(st.integers(0, 2**50))
def test_kilowatt_hours_keep_microjoules(energy_uj: int) -> None:
    assert abs(kwh_to_uj(uj_to_kwh(energy_uj)) - energy_uj) <= 1


def test_a_sum_carries_the_worst_grade() -> None:
    assert worst([Provenance.COUNTER, Provenance.CONSTANT, Provenance.SAMPLED]) is Provenance.CONSTANT
    assert worst([Provenance.COUNTER]) is Provenance.COUNTER
    assert worst([]) is Provenance.MISSING


def test_grades_stand_best_first() -> None:
    names = ["counter", "sampled", "modelled", "constant", "reported", "missing"]
    assert [grade.value for grade in Provenance] == names


@pytest.mark.parametrize("grade", Provenance)
def test_every_grade_has_a_meaning(grade: Provenance) -> None:
    assert len(grade.meaning) > 5


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("postgresql://me:secret@db:5432/optuna?x=1", "postgresql://me:***@db:5432/optuna?x=1"),
        ("https://user:p%40ss@host/path", "https://user:***@host/path"),
        ("https://:token@host", "https://:***@host"),
        ("mysql+pymysql://a:b@c@host/db", "mysql+pymysql://a:***@host/db"),
        ("https://host/path", "https://host/path"),
        ("https://user@host", "https://user@host"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("not a url", "not a url"),
        ("http://[::1", "http://[::1"),
        ("", ""),
    ],
)
def test_passwords_are_redacted(url: str, redacted: str) -> None:
    assert redact_url(url) == redacted


safe = st.text(st.characters(categories=["L", "N"]), min_size=4, max_size=10)


@given(safe, safe)
def test_no_password_survives(user: str, password: str) -> None:
    assert f":{password}@" not in redact_url(f"https://{user}:{password}@host.example/db")


def test_books_say_what_is_left_over() -> None:
    books = Books(policy="reserved", accounts={"study/s/audit": 3, "node/n/idle": 4}, metered_uj=9)
    assert books.charged_uj == 7
    assert books.residual_uj == 2


def test_a_trial_ends_with_its_last_attempt() -> None:
    first = Attempt(number=1, state=TrialState.LOST, begin_ns=1, end_ns=5)
    second = Attempt(number=2, state=TrialState.COMPLETE, begin_ns=6, end_ns=9)
    assert Trial(number=0, params={}, state=TrialState.COMPLETE, attempts=(first, second)).end_ns == 9
    assert Trial(number=0, params={}, state=TrialState.RUNNING).end_ns is None


def test_values_are_frozen() -> None:
    books = Books(policy="reserved", accounts={}, metered_uj=0)
    with pytest.raises(FrozenInstanceError):
        books.metered_uj = 1
