"""Statements as the program itself makes them, shown in all three ways."""

import io
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from auditor.domain.parameters import Parameters
from auditor.reporting import render_html, render_markdown, render_terminal
from auditor.reporting.view import build_view
from auditor.statement.build import build_statement
from auditor.statement.schema import load_schema
from unit.reporting.sample import full_statement
from unit.statement import records

RECORDS = {
    "full": records.record(),
    "empty": records.empty(),
    "minimised": records.minimised(),
    "imported": records.imported(),
    "training": records.training(),
    "killed training": records.training({**records.TRAINING_ACCOUNTS, "study/demo/training/1": 1_000_000}),
    "unmetered training": records.training({}),
    "booked from outside": records.record(space="", sampler="", metric="", direction="", test_metric=None, runs=()),
    "nothing complete": records.record(trials=records.TRIALS[2:3]),
}


@pytest.fixture(params=list(RECORDS))
def built(request: pytest.FixtureRequest) -> dict[str, Any]:
    return build_statement(RECORDS[request.param], Parameters(), version="0.1.0")


def test_the_sample_is_a_proper_statement() -> None:
    jsonschema.validate(full_statement(), load_schema())


def test_it_shows_without_a_none(built: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.reporting.page._plotly_js", lambda: "")
    console = Console(file=io.StringIO(), width=80)
    console.print(render_terminal(built))
    assert isinstance(console.file, io.StringIO)
    for out in (render_html(built), render_markdown(built), console.file.getvalue()):
        assert "None" not in out


def test_every_missing_figure_has_its_reason(built: dict[str, Any]) -> None:
    view = build_view(built)
    facts = [*view.key_facts, *view.more_facts, *view.gain_facts, *view.measurement.facts]
    assert [fact.path for fact in facts if fact.missing and not fact.note] == []
