import pytest

from auditor.reporting.lookup import at, figure, interval, numbers, records, text, texts, why
from auditor.reporting.names import cleaned, plain, shortened


def _finding(message: str) -> dict[str, object]:
    return {"findings": [{"code": "x", "severity": "info", "message": message}]}


def test_a_path_that_ends_early_is_nothing() -> None:
    statement = {"energy": None, "gain": {"best": {"trial": 3}}}
    assert at(statement, "energy.range.low_j") is None
    assert at(statement, "gain.best.trial.deeper") is None
    assert at(statement, "gain.best.trial") == 3


def test_values_of_another_kind_are_nothing() -> None:
    statement = {"n": "12", "t": 5, "l": {"a": 1}, "f": True, "i": [1.0], "m": [1, None, "x", float("nan")]}
    assert figure(statement, "n") is None
    assert figure(statement, "f") is None
    assert text(statement, "t") == ""
    assert texts(statement, "l") == []
    assert records(statement, "l") == []
    assert interval(statement, "i") is None
    assert numbers(statement, "m") == [1]


@pytest.mark.parametrize(
    ("message", "path", "reason"),
    [
        ("cost.energy is null: no price was given.", "cost.energy", "no price was given"),
        ("gain is null: no trial was completed.", "gain.delta_test", "no trial was completed"),
        ("carbon.factor and carbon.kwh are null: no country.", "carbon.kwh", "no country"),
        (
            "pareto and hypervolume are not computed by this version.",
            "hypervolume",
            "pareto and hypervolume are not computed by this version",
        ),
        ("device_s is empty: none was reserved.", "device_s", "none was reserved"),
        ("incumbents are not known, tail_share is null: no trial.", "incumbents", "no trial"),
        ("No gain was found at this cost.", "gain.delta", ""),
        ("cost.energy is null: no price was given.", "cost.device_hours", ""),
        ("cost.energy_total is null: unknown.", "cost.energy", ""),
    ],
)
def test_the_finding_that_names_a_figure_says_why_it_is_missing(message: str, path: str, reason: str) -> None:
    assert why(_finding(message), path) == reason


def test_the_finding_about_the_figure_itself_goes_first() -> None:
    messages = ["gain is null: in general.", "gain.ci95 is null: one seed."]
    statement = {"findings": [{"message": message} for message in messages]}
    assert why(statement, "gain.ci95") == "one seed"


def test_no_findings_no_reason() -> None:
    assert why({}, "gain") == ""
    assert why({"findings": None}, "gain") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", "two lines"),
        ("a\u202eb", "a\\u202eb"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\ud800", "\\ud800"),
        ("\u2028x", "x"),
        ("naïve 模型 👩\u200d🔬", "naïve 模型 👩\u200d🔬"),
    ],
)
def test_names_are_plain(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_cleaning_reaches_keys_and_lists_and_leaves_figures() -> None:
    statement = {"a\nb": [{"c\x00": "d\u202e", "n": 1.5, "t": True, "none": None}]}
    assert cleaned(statement) == {"a b": [{"c\\u0000": "d\\u202e", "n": 1.5, "t": True, "none": None}]}


def test_shortening() -> None:
    assert shortened("logistic", 20) == "logistic"
    assert shortened("a very long name", 7) == "a very…"
