"""A plain training, shown: what it cost comes first, and nothing of a search is there."""

import io
import re
from typing import Any

import jsonschema
import pytest
from rich.cells import cell_len
from rich.console import Console

from auditor.reporting import render_html, render_markdown, render_terminal
from auditor.reporting.costs import costs
from auditor.reporting.plots import plots
from auditor.reporting.trainings import TrainingLine, training_lines
from auditor.reporting.view import build_view
from auditor.statement.schema import load_schema
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, training_statement
from unit.reporting.test_html import Page

SEARCH_ONLY = (
    "Verdict:",
    "cannot say",
    "Times the default",
    "Trials",
    "Where the trials",
    "What it gained",
    "What the energy bought",
    "The winner",
    "of the search",
)


def terminal(statement: dict[str, Any], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_terminal(statement))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def page(statement: dict[str, Any]) -> str:
    return Page(render_html(statement)).words


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.reporting.page._plotly_js", lambda: "var Plotly;")


def test_the_sample_is_a_proper_statement() -> None:
    jsonschema.validate(training_statement(), load_schema())


def test_runs_have_their_phases_and_shares_of_all_that_was_used() -> None:
    assert training_lines(training_statement()) == [
        TrainingLine(
            label="Run 0",
            note="failed after 3.33 min; RuntimeError: out of memory; earlier sessions used 15.0 kJ more",
            energy="9.90 kJ",
            share="99.0 %",
        ),
        TrainingLine(label="setting up", note="", energy="100 J", share="1.0 %", part=True),
        TrainingLine(label="training", note="", energy="8.00 kJ", share="80.0 %", part=True),
        TrainingLine(label="validation", note="", energy="1.20 kJ", share="12.0 %", part=True),
        TrainingLine(label="augment", note="", energy="500 J", share="5.0 %", part=True),
        TrainingLine(label="in no phase", note="", energy="100 J", share="1.0 %", part=True),
        TrainingLine(label="Run 1", note="lost", energy="50.0 J", share="0.5 %"),
        TrainingLine(label="training", note="", energy="50.0 J", share="0.5 %", part=True),
    ]


def test_what_has_no_phase_at_all_is_one_line() -> None:
    statement = training_statement()
    statement["trainings"][1]["phases"] = {"other": 50_000_000}
    assert [line.label for line in training_lines(statement)][-1] == "Run 1"


def test_very_many_runs_are_summed_up() -> None:
    statement = training_statement()
    statement["trainings"] *= 20
    lines = training_lines(statement)
    assert (lines[-1].label, lines[-1].energy) == ("20 more runs", "99.5 kJ")
    assert len([line for line in lines if not line.part]) == 21


def test_a_run_without_energy_says_why() -> None:
    statement = training_statement()
    statement["trainings"][1] |= {"energy_uj": None, "phases": {}}
    statement["findings"] += [
        {"code": "x", "severity": "warning", "message": "trainings[].energy_uj is null for run 1: marks are missing."}
    ]
    line = training_lines(statement)[-1]
    assert (line.energy, line.share) == ("not available", "not available")
    assert "marks are missing" in line.note


def test_key_facts() -> None:
    facts = {fact.label: (fact.value, fact.note) for fact in build_view(training_statement()).key_facts}
    assert facts["Energy of the training"] == ("10.0 kJ", "2.78 Wh; 10.1 kJ metered in all")
    assert facts["With earlier sessions"] == ("25.0 kJ", "2 of them: 15.0 kJ elsewhere, as the checkpoint says")
    assert facts["Runs"] == ("2", "1 failed, 1 lost")
    assert len(facts) == 8  # a whole row of tiles


def test_nothing_carried() -> None:
    statement = training_statement()
    statement["trainings"][0] |= {"carried_uj": 0, "carried_from": []}
    facts = {fact.label: (fact.value, fact.note) for fact in build_view(statement).key_facts}
    assert facts["With earlier sessions"] == ("10.0 kJ", "no earlier session is carried over")


@pytest.mark.parametrize("show", [terminal, render_markdown, page])
def test_its_cost_comes_first_and_nothing_of_a_search(show: Any) -> None:
    out = show(training_statement())
    places = [
        out.index(text)
        for text in (
            "What the training cost",
            "2 trainings, not a search",
            "Next: To judge" if "Next: To" in out else "**Next:** To judge",
            "Energy of the training",
            "What it cost",
            "Where the energy went",
            "Findings",
        )
    ]
    assert places == sorted(places)
    assert [text for text in SEARCH_ONLY if text in out] == []
    assert "None" not in out


def test_the_headline_is_the_energy() -> None:
    verdict = build_view(training_statement()).verdict
    assert (verdict.title, verdict.headline) == ("What the training cost", "10.0 kJ of energy")
    unmetered = training_statement()
    unmetered["energy"]["search_uj"] = None
    assert build_view(unmetered).verdict.headline == "Not metered"


def test_only_the_accounts_are_drawn() -> None:
    assert set(plots(training_statement())) == {"accounts"}
    assert [(line.key, line.energy_j) for line in costs(training_statement())] == [
        ("training", pytest.approx(9950)),
        ("audit", pytest.approx(50)),
        ("idle", pytest.approx(70)),
    ]


def test_policies_are_about_the_training() -> None:
    facts = {fact.label: fact.note for fact in build_view(training_statement()).measurement.facts}
    assert facts["Training, idle power reserved"] == ""


@pytest.mark.parametrize("width", [80, 100, 160])
def test_it_fits_the_terminal(width: int) -> None:
    statement = training_statement()
    statement["trainings"][0]["phases"]["a-phase-" * 20] = 5
    statement["trainings"][0]["error"] = "x" * 500
    out = terminal(statement, width)
    assert max(cell_len(line) for line in out.splitlines()) <= width


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_not_obeyed(name: str) -> None:
    statement = hostile_statement(name, training_statement())
    source = render_html(statement)
    made = Page(source)
    assert made.count("script") == 3
    assert made.count("img") == made.count("a") == 0
    assert not any(key.startswith("on") for _, attributes in made.elements for key in attributes)
    marked = render_markdown(statement)
    assert "<" not in marked
    assert not re.search(r"(?<!\\)[`\[\]]", marked)
    for out in (made.words, marked, terminal(statement)):
        assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(out)
        out.encode("utf-8")


@pytest.mark.parametrize("section", list(training_statement()))
def test_any_section_may_be_null(section: str) -> None:
    statement = training_statement() | {section: None}
    for out in (page(statement), render_markdown(statement), terminal(statement)):
        assert "None" not in out


def test_trainings_within_a_search_are_shown_beside_it() -> None:
    statement = full_statement() | {"trainings": training_statement()["trainings"]}
    for out in (page(statement), render_markdown(statement), terminal(statement)):
        assert "Where the energy went" in out
        assert "What it gained" in out


def test_a_study_that_names_no_space_leaves_it_out() -> None:
    statement = full_statement()
    statement["study"] |= {"space": None}
    assert build_view(statement).subtitle == "sampler tpe · metric val_acc (higher is better)"
    statement["study"] |= {"sampler": None, "metric": None, "direction": None}
    assert build_view(statement).subtitle == ""
    assert "<p></p>" not in render_html(statement)
    assert "None" not in page(statement)
