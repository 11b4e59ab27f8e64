import json
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from auditor.reporting import render_html
from auditor.reporting.page import script_json
from auditor.reporting.plots import plots
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, sparse_statement

PLOTS = {
    "accounts",
    "outcomes",
    "incumbents",
    "runs",
    "gain",
    "random-arm",
    "expected-max",
    "pareto",
    "optimism",
    "break-even",
}


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def figures(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = json.loads(self.scripts[0])
        return made


@pytest.fixture(scope="module")
def source() -> str:
    return render_html(full_statement())


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


@pytest.fixture
def short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave plotly.js out, so that pages parse fast."""
    monkeypatch.setattr("auditor.reporting.page._plotly_js", lambda: "var Plotly;")


def test_it_is_one_small_file(source: str) -> None:
    assert source.startswith("<!doctype html>")
    assert len(source.encode("utf-8")) <= 6_000_000


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "data"} & set(attributes)
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_verdict_comes_first(page: Page) -> None:
    places = [
        page.words.index(text)
        for text in (
            "Verdict: not shown",
            "Not shown to be worth it",
            "Next: Ship svc",
            "the interval includes no gain at all",
            "How far to trust the figures",
            "Energy of the search",
            "What it cost",
            "What the energy bought",
            "What it gained",
            "How it was measured",
            "Findings",
            "How the figures are computed",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "text",
    ["2.20 kJ", "24.5 ×", "39.0 mg", "no price per kWh was given", "100 s", "3.25 min",
     "18 complete, 5 pruned", "89.7 J", "2.21 kJ to 3.11 kJ", "-0.010 to +0.018",
     "modelled from load and rated power", "1.10 kJ", "+0.029",
     "network and storage elsewhere", "study/digits-cnn/search/orchestration"],
)  # fmt: skip
def test_figures_are_the_statements(page: Page, text: str) -> None:
    assert text in page.words


def test_every_plot_has_a_text_that_stands_for_it(page: Page) -> None:
    drawn = {a["id"]: a for _, a in page.elements if a.get("role") == "img"}
    assert set(drawn) == {f"plot-{key}" for key in PLOTS}
    assert "Trials 1.77 kJ (70.3 %)" in (drawn["plot-accounts"]["aria-label"] or "")
    assert "trial 17: 0.989 after 1.50 kJ; the default has 0.971." in (drawn["plot-incumbents"]["aria-label"] or "")
    assert {figure["key"] for figure in page.figures()} == {name.removeprefix("plot-") for name in drawn}


def test_headings_descend_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_name_their_columns(page: Page) -> None:
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")


@pytest.mark.usefixtures("short_plotly")
@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_not_obeyed(name: str) -> None:
    harmless, page = Page(render_html(full_statement())), Page(render_html(hostile_statement(name)))
    assert page.count("script") == harmless.count("script") == 3
    assert page.count("img") == 0
    assert page.count("a") == 0
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert not {"\u202e", "\x1b", "\u2028"} & set(page.words)
    page.words.encode("utf-8")
    for figure in page.figures():
        assert "<" not in json.dumps(figure)  # plotly reads its texts as HTML


@pytest.mark.usefixtures("short_plotly")
def test_names_are_shown_as_they_are() -> None:
    page = Page(render_html(hostile_statement("<script>alert(1)</script>")))
    assert "<script>alert(1)</script>" in page.words
    assert "49" not in Page(render_html(hostile_statement("{{ 7 * 7 }}"))).words.split()


def test_json_cannot_end_its_script() -> None:
    text = script_json({"a": "</script><!--&\u2028\u2029"})
    assert not {"<", ">", "&", "\u2028", "\u2029"} & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028\u2029"}


def test_a_page_without_plots_does_without_plotly() -> None:
    source = render_html(sparse_statement())
    page = Page(source)
    assert page.scripts == []
    assert len(source) < 100_000
    assert "Not available: no trial was completed." in page.words
    assert "no country was given" in page.words
    assert "None" not in page.words


def test_an_empty_statement_is_a_page_too() -> None:
    assert "not available" in Page(render_html({})).words


@pytest.mark.usefixtures("short_plotly")
@pytest.mark.parametrize("section", list(full_statement()))
def test_any_section_may_be_null(section: str) -> None:
    assert "None" not in Page(render_html(full_statement() | {section: None})).words


@pytest.mark.usefixtures("short_plotly")
@pytest.mark.parametrize("key", list(full_statement()["gain"]))
def test_any_figure_of_the_gain_may_be_null(key: str) -> None:
    statement = full_statement()
    statement["gain"][key] = None
    assert "None" not in Page(render_html(statement)).words


@pytest.mark.usefixtures("short_plotly")
def test_many_accounts_are_summed_up() -> None:
    statement = full_statement()
    statement["energy"]["accounts"] = {f"study/digits-cnn/trial/{n}/1/train": 1_000_000 for n in range(1000)}
    statement["energy"]["metered_uj"] = 1_000_000_000
    assert "600 smaller accounts" in Page(render_html(statement)).words


@pytest.mark.usefixtures("short_plotly")
def test_the_grade_of_the_verdict_chooses_no_class_of_its_own() -> None:
    statement = full_statement()
    statement["verdict"]["grade"] = 'x" onclick="alert(1)'
    page = Page(render_html(statement))
    assert not any("onclick" in attributes for _, attributes in page.elements)


def test_the_best_so_far_is_held_to_the_end_of_the_search() -> None:
    line = plots(full_statement())["incumbents"].data[0]
    assert line["x"][-1] == pytest.approx(2.198257422)
    assert line["y"] == [0.91, 0.96, 0.989, 0.989]


def test_plots_without_figures_are_left_out() -> None:
    statement = full_statement()
    statement["gain"]["ci95"] = None
    statement["gain"]["winner_test_values"] = None
    assert set(plots(statement)) == PLOTS - {"gain"}
    assert plots(sparse_statement()) == {}


def test_a_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.reporting.page.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"plotly\.min\.js"):
        render_html(full_statement())
