import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from auditor.reporting import render_terminal
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, sparse_statement


def shown(statement: dict[str, Any], width: int = 100, *, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(render_terminal(statement))
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_the_verdict_comes_first() -> None:
    out = shown(full_statement())
    places = [
        out.index(text)
        for text in (
            "Verdict: not shown",
            "Not shown to be worth it",
            "Next: Ship svc",
            "How far to trust the figures: measured, with limits",
            "cpu is modelled",
            "Key figures",
            "What it cost",
            "Where the trials' energy went",
            "What it gained",
            "Findings",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "text",
    [
        "2.20 kJ",
        "24.5 ×",
        "39.0 mg",
        "1.23 TFLOP",
        "89.7 J",
        "+0.004",
        "-0.010 to +0.018",
        "2.21 kJ to 3.11 kJ",
    ],
)
def test_figures_are_the_statements(text: str) -> None:
    assert text in shown(full_statement())


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("make", [full_statement, sparse_statement])
def test_it_fits_the_terminal(make: Any, width: int) -> None:
    out = shown(make(), width)
    assert max(cell_len(line) for line in out.splitlines()) <= width
    assert "…" not in out


def test_warnings_come_before_remarks() -> None:
    out = shown(full_statement())
    assert out.index("box1 was not metered") < out.index("pareto is not computed")


@pytest.mark.parametrize("statement", [sparse_statement(), {}], ids=["sparse", "empty"])
def test_what_is_missing_is_said(statement: dict[str, Any]) -> None:
    out = shown(statement)
    assert "not available" in out
    assert "None" not in out
    assert "nan" not in out.replace("not available", "")


def test_the_reason_stands_beside_what_is_missing() -> None:
    assert "not available   no trial was completed" in shown(sparse_statement())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_not_obeyed(name: str) -> None:
    out = shown(hostile_statement(name))
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u202e" not in out
    out.encode("utf-8")


def test_markup_in_names_is_text() -> None:
    assert "[red]not markup[/red]" in shown(hostile_statement("[red]not markup[/red]"), colour=True)
