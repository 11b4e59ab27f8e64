import subprocess
import sys

import pytest

from auditor.domain.accounts import trial_account
from auditor.reporting.costs import costs, outcomes
from auditor.reporting.view import build_view
from unit.reporting.sample import full_statement, sparse_statement


def test_costs_sum_to_the_meter() -> None:
    statement = full_statement()
    lines = [line for line in costs(statement) if not line.part]
    assert sum(line.energy_j for line in lines) == pytest.approx(statement["energy"]["metered_uj"] / 1e6)
    assert sum(line.share or 0.0 for line in lines) == pytest.approx(1.0)
    assert "uncharged" not in {line.key for line in lines}


def test_phases_are_parts_of_the_trials() -> None:
    lines = costs(full_statement())
    phases = [line for line in lines if line.part]
    assert [line.label for line in phases] == ["setting up", "training", "validation"]
    assert sum(line.energy_j for line in phases) == pytest.approx(lines[0].energy_j)


def test_energy_in_no_account_is_shown() -> None:
    statement = full_statement()
    statement["energy"]["metered_uj"] += 5_000_000
    assert [(line.key, line.energy_j) for line in costs(statement)][-1] == ("uncharged", pytest.approx(5.0))


def test_unknown_accounts_are_kept_apart() -> None:
    statement = full_statement()
    statement["energy"]["accounts"]["somewhere/else"] = 1_000_000
    assert ("other", 1.0) in [(line.key, line.energy_j) for line in costs(statement)]


def test_a_study_name_with_slashes_keeps_its_accounts() -> None:
    statement = full_statement()
    statement["study"]["name"] = "a/b/c"
    statement["energy"]["accounts"] = {f"{trial_account('a/b/c', 0, 1)}/train": 7_000_000}
    statement["energy"]["metered_uj"] = 7_000_000
    assert [line.key for line in costs(statement)] == ["trial"]


def test_outcomes_have_energy_by_attempt_and_trials_by_final_state() -> None:
    lost = outcomes(full_statement())[-1]
    assert (lost.state, lost.trials, lost.energy_j) == ("lost", 0, 20.0)
    assert sum(line.share or 0.0 for line in outcomes(full_statement())) == pytest.approx(1.0)


def test_trials_still_running_are_listed_where_there_are_any() -> None:
    statement = full_statement()
    assert "running" not in {line.state for line in outcomes(statement)}
    statement["energy"]["by_state"]["running"] = 30_000_000
    statement["trials"]["running"] = 2
    running = outcomes(statement)[-1]
    assert (running.state, running.trials, running.energy_j) == ("running", 2, 30.0)


def test_the_verdict_is_split_into_headline_and_sentence() -> None:
    verdict = build_view(full_statement()).verdict
    assert verdict.headline == "Not shown to be worth it"
    assert verdict.sentence == "On test the winner is +0.004 over the default."


def test_a_sentence_without_a_lead_is_kept_whole() -> None:
    statement = full_statement()
    statement["verdict"]["sentence"] = "The winner gains 0.1 for 3 kJ."
    statement["verdict"]["grade"] = "paid"
    verdict = build_view(statement).verdict
    assert (verdict.headline, verdict.sentence) == ("The search paid", "The winner gains 0.1 for 3 kJ.")


def test_a_headline_says_more_than_the_grade() -> None:
    statement = full_statement()
    statement["verdict"] |= {"grade": "paid", "sentence": "Paid: on test the winner is better."}
    verdict = build_view(statement).verdict
    assert (verdict.headline, verdict.sentence) == ("The search paid", "On test the winner is better.")


def test_one_reason_for_several_figures_is_one_finding() -> None:
    statement = full_statement()
    statement["findings"] = [
        {"code": "not-computed", "severity": "info", "message": f"{key} is null: not in this version."}
        for key in ("pareto", "hypervolume", "break_even")
    ] + [{"code": "meter-gap", "severity": "info", "message": "box1 was not metered for 1.2 s."}]
    assert [note.message for note in build_view(statement).notes] == [
        "pareto, hypervolume and break_even are null: not in this version.",
        "box1 was not metered for 1.2 s.",
    ]


def test_differences_show_two_digits_of_their_uncertainty() -> None:
    statement = full_statement()
    statement["gain"] |= {"ci95": [0.0317, 0.0363], "delta_test": 0.034, "detectable": 0.0032}
    facts = {fact.path: fact.value for fact in build_view(statement).gain_facts}
    assert facts["gain.delta_test"] == "+0.0340"
    assert facts["gain.ci95"] == "+0.0317 to +0.0363"
    assert facts["gain.detectable"] == "0.0032"


@pytest.mark.parametrize(
    ("direction", "order"), [("maximize", "winner less default"), ("minimize", "default less winner: lower is better")]
)
def test_a_gain_says_what_is_taken_from_what(direction: str, order: str) -> None:
    statement = full_statement()
    statement["study"]["direction"] = direction
    [fact] = [fact for fact in build_view(statement).gain_facts if fact.path == "gain.delta_test"]
    assert fact.note.startswith(f"{order}; ")


def test_findings_come_gravest_first() -> None:
    statement = full_statement()
    statement["findings"].append({"code": "books", "severity": "error", "message": "m"})
    assert [note.severity for note in build_view(statement).notes] == ["error", "warning", "info", "info"]


def test_key_facts_are_the_statements() -> None:
    facts = {fact.label: fact for fact in build_view(full_statement()).key_facts}
    assert facts["Energy of the search"].value == "2.20 kJ"
    assert facts["Times the default"].value == "24.5 ×"
    assert facts["Carbon (CO2e)"].value == "39.0 mg"
    assert facts["Carbon (CO2e)"].note == "at 56.0 g/kWh, FRA 2023"
    assert facts["Money"].missing
    assert facts["Money"].note == "no price per kWh was given (cost.price_per_kwh)"
    assert facts["Wall time"].value == "100 s"
    assert facts["Device time"].value == "3.25 min"
    assert facts["Operations"].note == "26 of 27 trainings counted; 1 operator not counted"
    assert facts["Trials"].note == "18 complete, 5 pruned, 1 failed; 25 attempts, 1 repeated"


def test_accelerators_lead_device_time() -> None:
    statement = full_statement()
    statement["compute"]["device_s"] = {"cpu": 7200.0, "gpu": 60.0}
    fact = next(fact for fact in build_view(statement).key_facts if fact.label == "Device time")
    assert (fact.value, fact.note) == ("60.0 s", "GPU held by the study; and 2.00 h of CPU")


@pytest.mark.parametrize(
    ("cost", "value", "note"),
    [
        ({"total": 3.5, "energy": 1.0, "device_hours": 2.5}, "3.50 EUR", "electricity and device time"),
        ({"total": 1.0, "energy": 1.0}, "1.00 EUR", "electricity alone"),
        ({"energy": 0.0123}, "0.0123 EUR", "electricity alone"),
        ({"device_hours": 12.0}, "12.00 EUR", "device time alone"),
    ],
)
def test_money_is_the_total_or_what_is_known(cost: dict[str, float], value: str, note: str) -> None:
    statement = full_statement()
    statement["cost"] |= cost
    fact = next(fact for fact in build_view(statement).key_facts if fact.label == "Money")
    assert (fact.value, fact.note) == (value, note)


def test_contenders_are_comparable() -> None:
    lines = build_view(full_statement()).contenders
    assert [(line.name, line.value, line.test_value, line.energy) for line in lines] == [
        ("default (no search)", "0.971", "0.977", "89.7 J"),
        ("trial 17 (winner)", "0.989", "0.981", "2.20 kJ"),
        ("svc", "0.988", "0.986", "3.10 J"),
        ("logistic_regression", "0.960", "0.955", "4.00 J"),
    ]
    assert [line.name for line in lines if line.best] == ["svc"]


def test_the_best_alternative_is_shown_without_a_list_of_them() -> None:
    statement = full_statement()
    statement["gain"]["alternatives_tried"] = None
    assert [line.name for line in build_view(statement).contenders if line.best] == ["svc"]


@pytest.mark.parametrize(
    ("ends", "reading"),
    [
        ([0.001, 0.02], "above zero: a gain"),
        ([-0.02, -0.001], "below zero: a loss"),
        ([-0.01, 0.01], "includes zero: no gain is shown"),
    ],
)
def test_the_interval_is_read_aloud(ends: list[float], reading: str) -> None:
    statement = full_statement()
    statement["gain"]["ci95"] = ends
    fact = next(fact for fact in build_view(statement).gain_facts if fact.path == "gain.ci95")
    assert fact.note == reading


def test_how_measured_is_in_plain_words_where_the_statement_has_none() -> None:
    statement = full_statement()
    statement["energy"]["components"][1] |= {"meaning": None, "detail": None}
    ram = build_view(statement).components[1]
    assert ram.how == "a constant assumed for this hardware"


def test_nothing_metered_is_not_zero_joules() -> None:
    statement = full_statement()
    statement["energy"] |= {"metered_uj": 0, "components": [], "accounts": {}}
    fact = next(fact for fact in build_view(statement).measurement.facts if fact.path == "energy.metered_uj")
    assert fact.missing


def test_components_fall_back_to_the_grades() -> None:
    statement = full_statement()
    statement["energy"]["components"] = None
    parts = build_view(statement).components
    assert (parts[0].component, parts[0].how) == ("cpu", "modelled from load and rated power")


def test_a_sparse_statement_says_why() -> None:
    view = build_view(sparse_statement())
    assert view.verdict.headline == "Cannot say whether it paid"
    assert [(fact.value, fact.note) for fact in view.gain_facts] == [("not available", "no trial was completed")]
    assert (
        next(fact for fact in view.key_facts if fact.path == "carbon.location_based_g").note == "no country was given"
    )
    assert view.contenders == ()


@pytest.mark.parametrize("section", list(full_statement()))
def test_any_section_may_be_null(section: str) -> None:
    build_view(full_statement() | {section: None})


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, auditor.reporting as r; light = set(sys.modules);"
        "assert not light & {'rich', 'jinja2', 'plotly'}, light;"
        "from unit.reporting.sample import full_statement as s;"
        "r.render_markdown(s()); r.render_terminal(s()); r.render_html(s());"
        "heavy = {'ray', 'torch', 'mlflow', 'plotly.graph_objects', 'plotly.io', 'numpy', 'pandas'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"], check=True)
