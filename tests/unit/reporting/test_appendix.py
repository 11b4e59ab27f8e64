"""The checklist of a paper's appendix, and the block of a model card."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from auditor.reporting import render_appendix, render_model_card
from auditor.reporting.appendix import AUTHOR, NO, PARTLY, YES, checklist
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, sparse_statement, training_statement


def evidence(statement: dict[str, Any], word: str) -> str:
    return next(answer.evidence for answer in checklist(statement) if word in answer.question)


class TestChecklist:
    def test_answers_with_the_figures(self) -> None:
        statement = full_statement()
        assert evidence(statement, "default on the same data").startswith("On test: default ")
        assert "180 J each: +0.016" in evidence(statement, "random search")
        assert "svc" in evidence(statement, "simple alternatives")
        assert "16 survivors only" in evidence(statement, "early stopping")
        cost = evidence(statement, "whole procedure")
        assert cost.startswith("search 2.20 kJ")
        assert "evaluation 150 J" in cost

    def test_what_was_not_done_is_no(self) -> None:
        found = {answer.question: answer.verdict for answer in checklist(sparse_statement())}
        assert [question for question, verdict in found.items() if verdict == YES] == [
            "Was early stopping of trials checked against full trainings?"  # none was stopped
        ]
        assert list(found.values()).count(NO) == 8

    def test_what_the_books_cannot_know_is_left_to_the_author(self) -> None:
        left = [answer.question for answer in checklist(full_statement()) if answer.verdict == AUTHOR]
        assert len(left) == 3
        assert all(answer.evidence.endswith(".") for answer in checklist(full_statement()))

    def test_one_run_is_never_a_repeated_search(self) -> None:
        assert evidence(full_statement(), "repeated").startswith("This is one run")

    def test_without_an_arm_start_up_draws_are_half_an_answer(self) -> None:
        statement = full_statement()
        statement["random_arm"] = None
        verdicts = {a.question: a.verdict for a in checklist(statement) if "random search" in a.question}
        assert list(verdicts.values()) == [PARTLY]
        statement["expected_max"] = None
        assert [a.verdict for a in checklist(statement) if "random search" in a.question] == [NO]

    def test_of_an_import_no_more_is_claimed_than_its_source_says(self) -> None:
        statement = full_statement()
        statement["study"]["imported"] = True
        found = {answer.question: answer for answer in checklist(statement)}
        seeds, default, cost = (
            next(answer for question, answer in found.items() if word in question)
            for word in ("seeds of the search", "default on the same data", "whole procedure")
        )
        assert seeds.verdict == AUTHOR
        assert (default.verdict, cost.verdict) == (PARTLY, PARTLY)
        assert not any("study.yaml and the journals" in answer.evidence for answer in found.values())

    def test_a_default_without_a_test_figure_is_half_a_comparison(self) -> None:
        statement = full_statement()
        statement["gain"]["baseline"]["test_value"] = None
        [answer] = [a for a in checklist(statement) if "default on the same data" in a.question]
        assert answer.verdict == PARTLY
        assert "not available" not in answer.evidence

    def test_the_random_arm_is_no_simple_alternative(self) -> None:
        statement = full_statement()
        statement["gain"]["alternatives_tried"] = [{"name": "random", "value": 0.9, "test_value": 0.9, "energy_j": 1.0}]
        assert [a.verdict for a in checklist(statement) if "simple alternatives" in a.question] == [NO]

    def test_one_pruned_trial_is_one(self) -> None:
        statement = full_statement()
        statement["trials"]["pruned"], statement["proxy"] = 1, None
        assert evidence(statement, "early stopping") == "1 trial was pruned, and nothing says how well."

    def test_one_seed_is_one(self) -> None:
        statement = full_statement()
        statement["gain"]["seeds"] = 1
        assert "; 1 fresh seed for winner" in evidence(statement, "seeds of the search")

    @pytest.mark.parametrize("name", HOSTILE)
    def test_names_stay_names(self, name: str) -> None:
        page = render_appendix(hostile_statement(name))
        assert "<script>" not in page
        assert "<img" not in page
        table = [line for line in page.splitlines() if line.startswith("|")]
        assert all(line.replace("\\|", "").count("|") == 4 for line in table)

    def test_says_what_is_counted(self) -> None:
        page = render_appendix(full_statement())
        assert "## What the figures count" in page
        assert "Lindauer and Hutter (2020)" in page


def front(page: str) -> dict[str, Any]:
    assert page.startswith("---\n")
    found: dict[str, Any] = yaml.safe_load(page.split("---\n")[1])
    return found


class TestModelCard:
    def test_emissions_are_grams_and_say_what_is_in_them(self) -> None:
        statement = full_statement()
        statement["carbon"]["location_based_g"] = 39.04321
        about = front(render_model_card(statement))["co2_eq_emissions"]
        assert about["emissions"] == 39.04
        assert about["source"].endswith("search included")
        assert about["hardware_used"] in {"CPU", "GPU"}

    def test_without_a_factor_there_is_no_figure_but_a_reason(self) -> None:
        statement = sparse_statement()
        statement["energy"]["search_uj"] = 5_000_000
        page = render_model_card(statement)
        assert not page.startswith("---")
        assert "Emissions are not given: no country was given." in page

    def test_a_range_that_reads_as_one_figure_is_left_out(self) -> None:
        statement = full_statement()
        metered_uj = statement["energy"]["metered_uj"]
        statement["energy"]["range"] |= {"low_j": metered_uj / 1e6 - 1e-6, "high_j": metered_uj / 1e6 + 1e-6}
        assert "given how it was measured" not in render_model_card(statement)

    def test_a_search_that_used_nothing_has_no_share(self) -> None:
        statement = full_statement()
        statement["energy"]["search_uj"] = 0
        assert "Training this model once more" not in render_model_card(statement)

    def test_a_training_is_no_search(self) -> None:
        statement = training_statement()
        statement["carbon"]["location_based_g"] = 1.0
        page = render_model_card(statement)
        assert front(page)["co2_eq_emissions"]["source"].endswith("this training alone")
        assert "whole search" not in page

    def test_nothing_metered_is_said(self) -> None:
        assert "No energy was metered." in render_model_card(sparse_statement())

    @pytest.mark.parametrize("name", HOSTILE)
    def test_names_stay_names(self, name: str) -> None:
        statement = hostile_statement(name)
        statement["carbon"]["location_based_g"] = 1.0
        page = render_model_card(statement)
        front(page)
        assert "<script>" not in page.split("---\n", 2)[2]
