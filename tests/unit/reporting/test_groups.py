import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from auditor.reporting.groups import comparison_view
from auditor.reporting.groups_html import render_comparison_html
from auditor.reporting.groups_plots import comparison_plots
from auditor.reporting.groups_text import render_comparison_markdown, render_comparison_terminal
from auditor.statement.comparison import compare_statement
from unit.reporting.sample import HOSTILE
from unit.reporting.test_html import Page
from unit.statement.searches import STRONG, WEAK, group

TESTS = (0.50, 0.60, 0.65)


def made(**groups: Any) -> dict[str, Any]:
    given = groups or {"rs": group(*WEAK, tests=TESTS), "tpe": group(*STRONG, tests=TESTS[::-1], energy_j=120.0)}
    return compare_statement(given, version="1")


def with_regret(name: str = "tpe") -> dict[str, Any]:
    """A comparison of replayed searches."""
    cells = [
        {"budget_s": 3600.0, "trials": 2.5, "mean": 1.25, "ci95": [1.0, 1.5]},
        {"budget_s": 7200.0, "trials": 5.0, "mean": None, "ci95": None},
    ]
    replay = {"source": name, "configurations": 15_625, "optimum": 91.6066, "regret": [{"name": name, "at": cells}]}
    return {**made(), "replay": replay}


def hostile(name: str) -> dict[str, Any]:
    """A comparison in which every name is hostile."""
    groups = {}
    for place, runs in enumerate((WEAK, STRONG)):
        subjects = group(*runs, tests=TESTS, metric=name, sampler=name, name=name, test_metric=name)
        groups[f"{name}{place}"] = [replace(s, label=f"{name}{s.seed}") for s in subjects]
    return made(**groups)


def on_terminal(comparison: dict[str, Any], width: int = 100) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(render_comparison_terminal(comparison))
    return capture.get()


@pytest.fixture
def short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.reporting.page._plotly_js", lambda: "var Plotly;")


class TestView:
    def test_groups_have_means_with_their_errors(self) -> None:
        line = comparison_view(made()).groups[1]
        assert (line.name, line.runs, line.best, line.best_error) == ("tpe", "3", "0.900", "± 0.025")
        assert (line.energy, line.energy_error) == ("360 J", "")

    def test_pairs_say_who_is_better_or_why_nobody_is(self) -> None:
        pairs = {line.place: line for line in comparison_view(made()).pairs}
        assert (pairs["equal energy"].where, pairs["equal energy"].better) == ("300 J", "tpe")
        assert pairs["each run's end"].difference == "-0.200"
        assert comparison_view(made(a=group(WEAK[0]), b=group(WEAK[1]))).pairs[0].better == "one run"
        assert comparison_view(made(a=group(*WEAK), b=group(*WEAK))).pairs[0].better == "not shown"
        assert comparison_view(made(a=group(*WEAK), b=group(*WEAK))).pairs[3].better == "not available"
        other = comparison_view(made(a=group(*WEAK), b=group(*STRONG, metric="f1"))).pairs[0]
        assert (other.better, other.decided) == ("no verdict", False)

    def test_every_run_is_listed(self) -> None:
        runs = comparison_view(made()).runs
        assert [(run.group, run.seed, run.trials) for run in runs[2:4]] == [("rs", "2", "3"), ("tpe", "0", "3")]

    @pytest.mark.parametrize("comparison", [{}, {"groups": [{}], "comparisons": [{}], "courses": [{}]}])
    def test_gaps_are_no_faults(self, comparison: dict[str, Any]) -> None:
        comparison_view(comparison)
        comparison_plots(comparison)
        on_terminal(comparison)


class TestTerminal:
    def test_the_verdict_comes_first(self) -> None:
        shown = on_terminal(made())
        assert shown.index("tpe beats rs at equal energy") < shown.index("Groups") < shown.index("Comparisons")
        assert shown.index("Comparisons") < shown.index("Findings")
        assert "0.900 ± 0.025" in shown

    def test_it_fits_80_columns(self) -> None:
        shown = on_terminal(made(), width=80)
        assert max(map(len, shown.splitlines())) <= 80
        assert "-0.223 to -0.177" in shown

    def test_one_group_has_no_comparisons(self) -> None:
        shown = on_terminal(made(tpe=group(*STRONG)))
        assert "tpe: 3 runs" in shown
        assert "Comparisons" not in shown

    @pytest.mark.parametrize("name", HOSTILE)
    def test_names_are_no_markup(self, name: str) -> None:
        shown = on_terminal(hostile(name))
        assert not {"\u202e", "\x1b", "\x07"} & set(shown)
        if name == "[red]not markup[/red]":
            assert name in shown


class TestMarkdown:
    def test_tables(self) -> None:
        text = render_comparison_markdown(made())
        assert text.startswith("# rs against tpe: tpe beats rs at equal energy")
        assert "| tpe | 3 | 0.900 ± 0.025 |" in text
        assert "| each run's end | rs over tpe | -0.200 |" in text
        assert text.endswith("\n")

    @pytest.mark.parametrize("name", HOSTILE)
    def test_names_are_escaped(self, name: str) -> None:
        text = render_comparison_markdown(hostile(name))
        assert not any(tag in text for tag in ("<script", "<img", " [link]"))
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(row.replace("\\|", "").split("|")) for row in rows} == {7}


class TestRegret:
    def test_the_view(self) -> None:
        replay = comparison_view(with_regret()).replay
        assert replay is not None
        assert replay.about == "tpe: the best of 15,625 configurations has 91.61"
        assert (replay.budgets, replay.trials) == (["60.0 min", "2.00 h"], ["2.5", "5.0"])
        assert (replay.lines[0].cells, replay.lines[0].errors) == (["1.25", "not available"], ["± 0.25", ""])

    def test_searches_that_were_not_replayed_have_none(self) -> None:
        assert comparison_view(made()).replay is None
        assert "Regret" not in on_terminal(made()) + render_comparison_markdown(made())

    def test_the_terminal_and_markdown(self) -> None:
        assert "1.25 ± 0.25" in on_terminal(with_regret())
        assert "| tpe | 1.25 ± 0.25 | not available |" in render_comparison_markdown(with_regret())

    @pytest.mark.usefixtures("short_plotly")
    def test_the_page(self) -> None:
        page = Page(render_comparison_html(with_regret("<b>x</b>")))
        assert "the best of 15,625 configurations has 91.61" in page.words
        assert "± 0.25" in page.words
        assert page.count("b") == 0


class TestPlots:
    def test_one_line_and_one_band_a_group(self) -> None:
        plot = comparison_plots(made())["courses"]
        assert [trace.get("name") for trace in plot.data if trace.get("name")] == ["rs", "tpe"]
        assert sum("fill" in trace for trace in plot.data) == 2
        assert "tpe from 0.600 at 120 J to 0.900 at 360 J" in plot.text

    def test_one_point_a_run(self) -> None:
        plots = comparison_plots(made())
        assert [len(trace["x"]) for trace in plots["runs-best"].data] == [3, 1, 3, 1]
        assert "tpe 0.900, 0.910, 0.890" in plots["runs-best"].text
        assert "runs-test" in plots

    def test_what_is_not_known_is_not_drawn(self) -> None:
        plots = comparison_plots(made(rs=group(*WEAK, energy_j=None)))
        assert set(plots) == {"runs-best"}

    def test_one_run_has_no_band(self) -> None:
        assert not any("fill" in trace for trace in comparison_plots(made(rs=group(WEAK[0])))["courses"].data)


class TestPage:
    def test_it_loads_nothing_and_is_one_file(self) -> None:
        source = render_comparison_html(made())
        page = Page(source)
        assert len(source.encode()) < 6_000_000
        assert not any({"src", "href", "srcset", "action", "data"} & set(a) for _, a in page.elements)

    @pytest.mark.usefixtures("short_plotly")
    def test_what_it_says_and_in_which_order(self) -> None:
        words = Page(render_comparison_html(made())).words
        places = [
            words.index(text)
            for text in ("tpe beats rs", "Groups", "What the energy bought", "Who wins where", "Findings", "Every run")
        ]
        assert places == sorted(places)
        assert "-0.223 to -0.177" in words

    @pytest.mark.usefixtures("short_plotly")
    def test_readers_that_see_no_plots_are_told(self) -> None:
        page = Page(render_comparison_html(made()))
        drawn = {a["id"]: a["aria-label"] for _, a in page.elements if a.get("role") == "img"}
        assert set(drawn) == {"plot-courses", "plot-runs-best", "plot-runs-test"}
        assert all(drawn.values())
        assert all("scope" in a for tag, a in page.elements if tag == "th")
        regions = [a for _, a in page.elements if a.get("role") == "region"]
        assert all(a.get("tabindex") == "0" and (a.get("aria-label") or a.get("aria-labelledby")) for a in regions)
        levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
        assert levels.count(1) == 1

    @pytest.mark.usefixtures("short_plotly")
    @pytest.mark.parametrize("name", HOSTILE)
    def test_names_are_not_obeyed(self, name: str) -> None:
        harmless, page = Page(render_comparison_html(made())), Page(render_comparison_html(hostile(name)))
        assert page.count("script") == harmless.count("script") == 3
        assert page.count("img") == page.count("a") == 0
        assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
        assert not {"\u202e", "\x1b", "\u2028"} & set(page.words)
        assert "49" not in page.words.split()
        for figure in page.figures():
            json.dumps(figure)
            assert "<script" not in json.dumps(figure)

    @pytest.mark.usefixtures("short_plotly")
    def test_the_same_comparison_gives_the_same_page(self) -> None:
        assert render_comparison_html(made()) == render_comparison_html(made())
