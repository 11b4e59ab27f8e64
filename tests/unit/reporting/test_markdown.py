import re
from typing import Any

import pytest

from auditor.reporting import render_markdown
from auditor.reporting.markdown import escaped
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, sparse_statement

_CELLS = re.compile(r"(?<!\\)\|")


def test_it_begins_with_the_verdict() -> None:
    lines = render_markdown(full_statement()).splitlines()
    assert lines[0] == "# digits-cnn: not shown to be worth it"
    assert lines[2].startswith("**Verdict: not shown.** On test the winner is")


@pytest.mark.parametrize(
    "line",
    [
        "| Energy of the search | 2.20 kJ | 0.611 Wh; 2.51 kJ metered in all |",
        "| Money | not available | no price per kWh was given (cost.price\\_per\\_kwh) |",
        "| trial 17 (winner) | 0.989 | 0.981 | 2.20 kJ |",
        "| pruned | 5 | 247 J | 14.0 % |",
        "| box1 ram | 2.06 kJ | 82.0 % | a constant assumed for this hardware |",
        "- warning: box1 was not metered for 1.2 s.",
    ],
)
def test_figures_are_the_statements(line: str) -> None:
    assert line in render_markdown(full_statement()).splitlines()


@pytest.mark.parametrize("statement", [full_statement(), sparse_statement(), *map(hostile_statement, HOSTILE)])
def test_every_row_of_a_table_has_the_cells_of_its_head(statement: dict[str, Any]) -> None:
    for block in render_markdown(statement).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(_CELLS.findall(row)) for row in rows}) <= 1


@pytest.mark.parametrize("statement", [sparse_statement(), {}], ids=["sparse", "empty"])
def test_what_is_missing_is_said(statement: dict[str, Any]) -> None:
    out = render_markdown(statement)
    assert "not available" in out
    assert "None |" not in out


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_not_obeyed(name: str) -> None:
    out = render_markdown(hostile_statement(name))
    assert "<" not in out
    assert not re.search(r"(?<!\\)[`\[\]]", out)
    assert "https://" not in out
    assert not {"\u202e", "\x1b", "\u2028", "\r"} & set(out)
    headings = [line for line in out.splitlines() if line.startswith("#")]
    assert len(headings) == len(
        [line for line in render_markdown(full_statement()).splitlines() if line.startswith("#")]
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<b>", "&lt;b&gt;"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("-0.010 to +0.018", "-0.010 to +0.018"),
        ("2.51 kJ", "2.51 kJ"),
        ("\\", "\\\\"),
        ("https://x", "https\\://x"),
    ],
)
def test_escaping(text: str, shown: str) -> None:
    assert escaped(text) == shown
