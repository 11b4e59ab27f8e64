"""Energy, effort and course of the search."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import Attempt, TrialState
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import ACCOUNTS, COMPLETE, J


def build(parameters=None, **changes):
    return build_statement(records.record(**changes), parameters or Parameters(), version="1")


def codes(statement):
    return {finding["code"] for finding in statement["findings"]}


def message(statement, code):
    return next(f["message"] for f in statement["findings"] if f["code"] == code)


def test_energy_by_purpose():
    energy = build()["energy"]
    assert energy["metered_uj"] == energy["charged_uj"] == 700 * J
    assert energy["search_uj"] == 400 * J
    assert energy["baselines_uj"] == 55 * J
    assert energy["evaluation_uj"] == 200 * J
    assert energy["outside_uj"] == 45 * J
    assert energy["times_default"] == pytest.approx(8.0)


def test_energy_by_the_outcome_of_each_attempt():
    accounts = {**ACCOUNTS, "study/demo/trial/4/1/train": 7 * J}
    trials = (*records.TRIALS, records.trial(4, state=TrialState.RUNNING))
    energy = build(books=records.books(accounts), trials=trials)["energy"]
    assert energy["by_state"] == {
        "complete": 300 * J,
        "pruned": 40 * J,
        "failed": 0,
        "lost": 20 * J,
        "running": 7 * J,
    }


def test_an_attempt_without_outcome_counts_as_lost_and_is_a_finding():
    statement = build(books=records.books({**ACCOUNTS, "study/demo/trial/9/1/train": 3 * J}))
    assert statement["energy"]["by_state"]["lost"] == 23 * J
    assert "trial 9 attempt 1" in message(statement, "unknown-attempt")


def test_other_studies_and_strange_accounts_are_outside():
    accounts = {**ACCOUNTS, "study/other/trial/0/1/train": 2 * J, "study/demo/what/is/this": J}
    statement = build(books=records.books(accounts))
    assert statement["energy"]["outside_uj"] == 48 * J
    assert "study/demo/what/is/this" in message(statement, "unknown-account")


def test_plain_trainings_are_part_of_the_search():
    statement = build(books=records.books({**ACCOUNTS, "study/demo/training/run/train": 9 * J}))
    assert statement["energy"]["search_uj"] == 409 * J


def test_books_that_do_not_balance_are_an_error():
    statement = build(books=replace(records.books(), metered_uj=701 * J, components=()))
    assert statement["energy"]["residual_uj"] == J
    assert "701000000 uJ != charged 700000000 uJ" in message(statement, "books-do-not-balance")
    assert statement["findings"][0]["severity"] == "error"


def test_components_that_do_not_sum_are_an_error():
    statement = build(books=records.books(components=(records.component("cpu", 600 * J),)))
    assert "difference 100000000 uJ" in message(statement, "components-do-not-sum")


def test_range_takes_the_meter_where_no_bound_is_known_and_says_so():
    parts = (
        records.component("cpu", 100 * J, Provenance.MODELLED, low_uj=50 * J, high_uj=300 * J),
        records.component("ram", 600 * J, Provenance.CONSTANT),
        records.component("gpu", 0, Provenance.MISSING),
    )
    range_ = build(books=records.books(components=parts))["energy"]["range"]
    assert range_["low_j"] == pytest.approx(650.0)
    assert range_["high_j"] == pytest.approx(900.0)
    assert range_["basis"] == (
        "cpu: idle to rated power; ram: no bound known, taken as metered; "
        "gpu: not measured, so the true figure is higher by an unknown amount"
    )


def test_of_several_nodes_a_component_carries_the_worst_grade():
    parts = (
        records.component("cpu", 300 * J),
        replace(records.component("cpu", 400 * J, Provenance.MODELLED), node="other"),
    )
    energy = build(books=records.books(components=parts))["energy"]
    assert energy["provenance"] == {"cpu": "modelled"}
    assert [c["share"] for c in energy["components"]] == pytest.approx([3 / 7, 4 / 7])
    assert energy["components"][1]["meaning"] == "modelled from load and rated power"


def test_without_a_completed_default_there_is_no_multiple():
    statement = build(runs=(records.baseline("default", None, state=TrialState.FAILED),))
    assert statement["energy"]["times_default"] is None
    assert "no completed baseline named default" in message(statement, "no-default-energy")


def test_a_default_trained_twice_counts_once():
    statement = build(runs=(records.baseline("default", 0.95), records.baseline("default", 0.96)))
    assert statement["energy"]["times_default"] == pytest.approx(16.0)
    assert statement["gain"]["baseline"]["value"] == pytest.approx(0.955)


@pytest.mark.parametrize("state", [TrialState.LOST, TrialState.FAILED])
def test_a_default_that_was_tried_again_has_no_multiple(state):
    """Its account holds both trainings: by that the search would look cheaper than it was."""
    statement = build(runs=(records.baseline("default", None, state=state), records.baseline("default", 0.95)))
    assert statement["energy"]["times_default"] is None
    assert "holds 2 trainings of the default, of which 1 completed" in message(statement, "no-default-energy")


def test_unsealed_books_are_a_finding():
    statement = build(books=records.books(sealed=False, after_seal_s=None))
    assert "books-not-sealed" in codes(statement)
    assert statement["energy"]["after_seal_s"] is None


def test_flops_are_summed_with_what_they_cover():
    odd = replace(
        records.trial(4, 0.5),
        attempts=(Attempt(number=1, state=COMPLETE, begin_ns=0, uncounted_ops=("aten.lstm", "aten.x")),),
    )
    compute = build(trials=(*records.TRIALS, odd), runs=())["compute"]
    assert compute["flops"] == 5000
    assert compute["flops_coverage"] == {"counted": 5, "of": 6, "uncounted_ops": ["aten.lstm", "aten.x"]}


def test_flops_of_runs_count_too_and_none_at_all_is_null():
    run = replace(records.baseline("default", 0.9), flops=7)
    assert build(trials=(), runs=(run,))["compute"]["flops"] == 7
    statement = build(trials=(), runs=(records.baseline("default", 0.9),))
    assert statement["compute"]["flops"] is None
    assert "none of 1 training" in message(statement, "flops-not-counted")


def test_repeated_configurations_are_counted_and_named():
    trials = tuple(records.trial(i, 0.9, params={"lr": lr}) for i, lr in enumerate((0.1, 0.2, 0.1, 0.1)))
    statement = build(trials=trials)
    assert statement["trials"]["duplicates"] == 2
    assert "2 (as 0), 3 (as 0)" in message(statement, "duplicate-trials")


def test_trials_without_parameters_repeat_nothing():
    trials = tuple(records.trial(i, 0.9, params={}) for i in range(3))
    assert build(trials=trials)["trials"]["duplicates"] == 0


def test_incumbents_stand_against_the_energy_of_the_books():
    statement = build()
    assert statement["incumbents"] == [
        {"trial": 0, "cumulative_j": 100.0, "value": 0.91},
        {"trial": 1, "cumulative_j": 200.0, "value": 0.96},
        {"trial": 3, "cumulative_j": 400.0, "value": 0.985},
    ]
    assert [(m["from_trial"], m["to_trial"], m["joules"]) for m in statement["marginal"]] == [
        (0, 1, 100.0),
        (1, 3, 200.0),
    ]
    assert statement["tail_share"] == 0.0


def test_energy_between_readings_goes_with_time():
    books = records.books(cumulative_ns=(records.T0, records.T0 + 40 * records.S), cumulative_uj=(0, 400 * J))
    assert build(books=books)["incumbents"][0]["cumulative_j"] == pytest.approx(100.0)


def test_tail_share_counts_only_gains_above_what_a_gain_must_be():
    assert build(Parameters(worth_gain=0.03))["tail_share"] == pytest.approx(0.5)
    statement = build(Parameters(worth_gain=0.5))
    assert statement["tail_share"] is None
    assert "no-tail-share" in codes(statement)


def test_a_pruned_trials_last_step_is_never_ranked():
    pruned = replace(records.trial(4, 0.999, state=TrialState.PRUNED), intermediate={0: 0.999})
    statement = build(trials=(*records.TRIALS, pruned))
    assert statement["gain"]["best"]["trial"] == 3
    assert [step["trial"] for step in statement["incumbents"]] == [0, 1, 3]
    assert statement["tail_share"] == 0.0


def test_without_readings_trials_add_up_in_their_order():
    statement = build_statement(records.imported(), Parameters(), version="1")
    assert [(s["trial"], s["cumulative_j"]) for s in statement["incumbents"]] == [
        (0, 100.0),
        (1, 200.0),
        (3, 360.0),
    ]
    assert "order-only" in codes(statement)


def test_minimisation_keeps_values_and_gives_positive_gains():
    statement = build_statement(records.minimised(), Parameters(), version="1")
    assert [s["value"] for s in statement["incumbents"]] == pytest.approx([0.09, 0.04, 0.015])
    assert [m["gain"] for m in statement["marginal"]] == pytest.approx([0.05, 0.025])


def test_carbon_and_money():
    statement = build(records.PRICED)
    carbon, cost = statement["carbon"], statement["cost"]
    kwh = 400.0 / 3.6e6
    assert carbon["kwh"] == pytest.approx(kwh)
    assert carbon["location_based_g"] == pytest.approx(kwh * 1.5 * 100.0)
    assert cost["energy"] == pytest.approx(kwh * 1.5 * 0.3)
    assert statement["compute"]["device_s"] == {"cpu": 250.0}
    assert cost["device_hours"] == pytest.approx(200.0 / 3600.0 * 0.9)  # without baselines and evaluation, as energy
    assert cost["total"] == pytest.approx(cost["energy"] + cost["device_hours"])


def test_the_gpu_is_what_a_device_hour_costs_where_one_was_held():
    for gpu_s, priced_s in ((100.0, 60.0), (0.0, 500.0)):
        held, by_search = {"cpu": 800.0, "gpu": gpu_s}, {"cpu": 500.0, "gpu": 0.6 * gpu_s}
        books = records.books(device_s=held, search_device_s=by_search)
        assert build(records.PRICED, books=books)["cost"]["device_hours"] == pytest.approx(priced_s / 3600.0 * 0.9)


def test_without_factor_and_prices_every_figure_says_what_would_give_it():
    statement = build()
    assert statement["carbon"]["location_based_g"] is None
    assert statement["cost"]["total"] is None
    assert {"no-carbon-factor", "no-price", "no-device-price"} <= codes(statement)
    assert "cost.price_per_kwh" in message(statement, "no-price")
