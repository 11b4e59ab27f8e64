"""Every verdict has a study that gets it."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import TrialState
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import ACCOUNTS, DEFAULT_TESTS, WINNER_TESTS, J

CLOSE = (0.970, 0.990, 0.985, 0.960, 0.995)
CLOSE_DEFAULT = (0.975, 0.985, 0.972, 0.980, 0.968)


def build(parameters=None, **changes):
    return build_statement(records.record(**changes), parameters or Parameters(), version="1")


def verdict(parameters=None, **changes):
    return build(parameters, **changes)["verdict"]


def rival(test_value, name="svc"):
    return (records.baseline(name, 0.9, test_value),)


def test_paid():
    result = verdict()
    assert result["grade"] == "paid"
    assert result["worth"] == {"gain": 0.0, "cost": None, "currency": "EUR"}
    assert result["sentence"] == (
        "Paid: on test the winner is +0.0340 over the default (95 % interval +0.0317 to +0.0363; 5 seeds "
        "each), and gains under 0.0032 can easily be missed with 5 seeds. "
        "The search used 400 J (399 J to 401 J), 8 times training the default once. "
        "0 % of the search's energy came after the last gain (hindsight)."
    )
    assert result["next"] == "Keep the winner (trial 3)."
    assert result["reasons"][0] == (
        "The gain on test lies between +0.0317 and +0.0363 (95 %, 5 seeds each), wholly above zero."
    )


def test_paid_within_a_cost_limit():
    parameters = replace(records.PRICED, worth_cost=1.0, worth_gain=0.01)
    result = verdict(parameters)
    assert result["grade"] == "paid"
    assert "The search used 0.05 EUR = 400 J" in result["sentence"]
    assert "within the limit of 1 EUR" in " ".join(result["reasons"])
    assert "the 0.01 that a gain must exceed" in result["reasons"][0]


def test_not_paid_where_the_gain_is_below_what_it_must_be():
    result = verdict(Parameters(worth_gain=0.05))
    assert result["grade"] == "not paid"
    assert "wholly below the 0.05" in result["reasons"][0]
    assert result["next"].startswith("Keep the default")


def test_not_paid_where_the_winner_is_worse():
    result = verdict(runs=records.runs(winner=DEFAULT_TESTS, default=WINNER_TESTS))
    assert result["grade"] == "not paid"
    assert "-0.0340" in result["sentence"]


def test_not_paid_where_it_cost_too_much():
    result = verdict(replace(records.PRICED, worth_cost=0.01))
    assert result["grade"] == "not paid"
    assert result["sentence"].startswith("Not worth it: the search cost 0.05 EUR, above the limit of 0.01 EUR.")
    assert "budget" in result["next"]


def test_not_paid_where_something_cheaper_is_as_good_and_that_leads():
    result = verdict(runs=records.runs(alternatives=rival(0.981)))
    assert result["grade"] == "not paid"
    assert result["sentence"].startswith(
        "Not worth it: the baseline svc, for 5 J, reaches 0.981 on test, the winner of the search 0.981."
    )
    assert result["next"] == "Ship svc."
    assert "for 5 J instead of 400 J" in " ".join(result["reasons"])


def test_a_cheaper_equal_is_found_behind_a_better_one_that_cost_more():
    alternatives = (*rival(0.985, "forest"), *rival(0.983))
    accounts = {**ACCOUNTS, "study/demo/baseline/forest/train": 500 * J}
    result = verdict(runs=records.runs(alternatives=alternatives), books=records.books(accounts))
    assert result["grade"] == "not paid"
    assert result["next"] == "Ship svc."


def test_an_equal_that_cost_more_does_not_count():
    accounts = {**ACCOUNTS, "study/demo/baseline/svc/train": 500 * J}
    result = verdict(runs=records.runs(alternatives=rival(0.985)), books=records.books(accounts))
    assert result["grade"] == "paid"


def test_an_equal_of_unknown_energy_leaves_it_not_shown():
    result = verdict(runs=records.runs(alternatives=rival(0.985, "forest")))
    assert result["grade"] == "not shown"
    assert "not known" in " ".join(result["reasons"])
    assert result["next"] == "Meter forest: it does as well, and may be cheaper than the search."


def test_not_shown_in_between_says_how_many_seeds_would_settle_it():
    result = verdict(runs=records.runs(winner=CLOSE, default=CLOSE_DEFAULT))
    assert result["grade"] == "not shown"
    assert "not clear of zero" in result["reasons"][0]
    # A gain of 0.004 at a pooled SD of 0.0113: Lehr's rule of thumb, 16 / d**2, gives 129.
    assert result["next"] == (
        "Run about 128 seeds each for winner and default: that would settle it if the gain is what it seems."
    )


def test_not_shown_with_a_cheaper_equal_stays_so_and_ships_it():
    result = verdict(runs=records.runs(winner=CLOSE, default=CLOSE_DEFAULT, alternatives=rival(0.985)))
    assert result["grade"] == "not shown"
    assert result["sentence"].startswith("Not shown to be worth it: the baseline svc, for 5 J, reaches 0.985 on test")
    assert result["next"] == "Ship svc; about 128 seeds each would settle whether the winner beats the default."


def test_a_cheaper_equal_is_not_shipped_where_the_default_beats_both():
    runs = records.runs(winner=DEFAULT_TESTS, default=WINNER_TESTS, alternatives=rival(0.95))
    result = verdict(runs=runs)
    assert result["grade"] == "not paid"
    assert result["next"] == "Keep the default."


def test_no_difference_at_all_is_not_worth_more_seeds():
    result = verdict(runs=records.runs(winner=CLOSE, default=CLOSE))
    assert result["grade"] == "not shown"
    assert result["next"] == "Keep the default: over 1,000 seeds each would be needed to tell the two apart."


def test_one_seed_shows_nothing():
    result = verdict(runs=records.runs(winner=[0.98], default=[0.95]))
    assert result["grade"] == "not shown"
    assert "1 seed on a side can't tell that from chance" in result["sentence"]
    assert result["next"] == "Run at least 5 seeds each for winner and default (evaluation.seeds)."


def test_a_cost_limit_without_price_can_not_be_paid():
    statement = build(Parameters(worth_cost=5.0))
    assert statement["verdict"]["grade"] == "not shown"
    assert "can't be checked" in " ".join(statement["verdict"]["reasons"])
    assert "cost.price_per_kwh" in statement["verdict"]["next"]
    assert any(f["code"] == "cost-limit-unchecked" for f in statement["findings"])


def test_a_cost_limit_with_a_price_that_gives_no_figure_can_not_be_paid():
    parameters = replace(records.PRICED, worth_cost=5.0)
    assert verdict(parameters, books=records.books(device_s={}, search_device_s={}))["grade"] == "not shown"
    assert (
        verdict(replace(parameters, price_per_device_hour=None), books=records.books(device_s={}, search_device_s={}))[
            "grade"
        ]
        == "paid"
    )


@pytest.mark.parametrize(
    ("changes", "reason", "advice"),
    [
        ({"trials": records.TRIALS[3:]}, "1 trial completed", "Let at least 2 trials complete"),
        ({"trials": ()}, "0 trials completed", "Let at least 2 trials complete"),
        ({"runs": ()}, "There is no baseline", "Add `default` to `baselines`"),
        ({"runs": (records.baseline("default", 0.95),)}, "There is no test figure", "evaluation.seeds: 5"),
        (
            {"runs": (records.baseline("default", 0.95),), "test_metric": None},
            "There is no test figure for the winner and the default",
            "Give the search space a test metric",
        ),
        (
            {"runs": records.runs(default=())},
            "There is no test figure for the default",
            "evaluation.seeds: 5",
        ),
    ],
)
def test_cannot_say(changes, reason, advice):
    result = verdict(**changes)
    assert result["grade"] == "cannot say"
    assert reason in result["reasons"][0]
    assert advice in result["next"]
    assert result["sentence"].startswith(f"Cannot say whether it was worth it: {reason[0].lower()}{reason[1:]}")


def test_a_default_known_only_from_its_evaluation_is_a_baseline():
    runs = tuple(run for run in records.runs() if run.kind == "evaluation")
    assert verdict(runs=runs)["grade"] == "paid"


def test_a_long_tail_advises_to_stop_earlier():
    late = tuple(records.trial(i, 0.5) for i in (4, 5, 6, 7, 8))
    books = records.books(cumulative_uj=tuple(i * 10 * J for i in range(101)))
    result = verdict(trials=(*records.TRIALS, *late), books=books)
    assert "55.6 % of the search's energy came after the last gain (hindsight)" in result["sentence"]
    assert result["next"] == (
        "Keep the winner (trial 3), and stop earlier next time: 55.6 % of the energy came after the last gain."
    )


def test_contradicted_books_are_a_reason_for_caution():
    result = verdict(books=records.books(metered_uj=1, components=()))
    assert "graded 'contradicted'" in result["reasons"][-1]


def test_an_unmetered_search_says_so():
    result = verdict(books=records.empty().books)
    assert "What the search used was not metered." in result["sentence"]


def test_minimisation_says_what_plus_means():
    result = build_statement(records.minimised(), Parameters(), version="1")["verdict"]
    assert result["grade"] == "paid"
    assert "where lower is better, the winner betters the default by +0.0340" in result["sentence"]


def test_minimised_the_reasons_say_so_too():
    record = records.minimised()
    one = tuple(run for run in record.runs if run.seed in (None, 100))
    result = build_statement(replace(record, runs=one), Parameters(), version="1")["verdict"]
    assert result["reasons"] == [
        "On test, where lower is better, the winner betters the default by +0.035; 1 seed on a side gives no interval."
    ]


def test_the_random_arm_is_no_model_to_ship_but_its_best_draw_is():
    record = records.with_arm(((0.9, 30), (0.995, 40)))
    result = build_statement(record, Parameters(), version="1")["verdict"]
    assert result["grade"] == "not paid"
    assert result["sentence"].startswith(
        "Not worth it: the best draw of the random arm, for 70 J, reaches 0.985 on test"
    )
    assert result["next"] == "Ship the best draw of the random arm."
    assert result["reasons"][2].startswith("The best draw of the random arm reaches 0.985 on test")


def test_all_that_is_missing_stands_in_the_sentence():
    sentence = build_statement(records.empty(), Parameters(), version="1")["verdict"]["sentence"]
    assert sentence == (
        "Cannot say whether it was worth it: 0 trials completed with a value; a search needs at least 2; "
        "there is no baseline: the default was not trained; there is no test figure for the winner and the "
        "default. What the search used was not metered."
    )


def test_a_failed_search_is_no_judgement():
    trials = tuple(records.trial(i, state=TrialState.FAILED) for i in range(3))
    assert verdict(trials=trials)["grade"] == "cannot say"


def test_no_test_figure_of_the_winner_alone():
    result = verdict(runs=records.runs(winner=()))
    assert result["grade"] == "cannot say"
    assert result["reasons"][0] == "There is no test figure for the winner."


def test_all_that_is_missing_is_a_reason():
    assert build_statement(records.empty(), Parameters(), version="1")["verdict"]["reasons"][:3] == [
        "0 trials completed with a value; a search needs at least 2.",
        "There is no baseline: the default was not trained.",
        "There is no test figure for the winner and the default.",
    ]


def test_a_bound_that_touches_what_a_gain_must_be_shows_nothing():
    low, high = build()["gain"]["ci95"]
    assert [verdict(Parameters(worth_gain=gain))["grade"] for gain in (low, high)] == ["not shown", "not shown"]
    less, more = low - 1e-9, high + 1e-9
    assert [verdict(Parameters(worth_gain=gain))["grade"] for gain in (less, more)] == ["paid", "not paid"]


def test_a_cost_at_its_limit_is_within_it():
    cost = build(records.PRICED)["cost"]["total"]
    assert verdict(replace(records.PRICED, worth_cost=cost))["grade"] == "paid"
    assert verdict(replace(records.PRICED, worth_cost=cost * 0.999))["grade"] == "not paid"


def test_a_cost_above_its_limit_needs_no_other_price():
    result = verdict(replace(records.PRICED, worth_cost=1e-9), books=records.books(device_s={}, search_device_s={}))
    assert result["grade"] == "not paid"
    assert "above the limit of 1.00e-09 EUR" in " ".join(result["reasons"])


def test_cost_and_alternatives_do_not_rescue_what_is_missing():
    parameters = replace(records.PRICED, worth_cost=0.01)
    result = verdict(parameters, runs=(*rival(0.985), records.baseline("default", 0.95)))
    assert result["grade"] == "cannot say"
    assert "above the limit of 0.01 EUR" in " ".join(result["reasons"])


def test_seeds_that_all_agree_are_said_to_hide_chance():
    result = verdict(runs=records.runs(winner=[0.98] * 3, default=[0.95] * 3))
    assert result["grade"] == "paid"
    assert result["reasons"][1] == (
        "All seeds of a side gave the same figure, so the interval has no width and hides chance."
    )


@pytest.mark.parametrize(
    ("changes", "grade"),
    [
        ({"coverage": 0.49}, "none"),
        ({"coverage": None}, "none"),
        ({"metered_uj": 701 * J, "components": ()}, "contradicted"),
    ],
)
def test_books_nobody_should_rely_on_are_a_reason_for_caution(changes, grade):
    result = verdict(books=records.books(**changes))
    assert result["grade"] == "paid"  # the accuracy is what it is
    assert result["reasons"][-1] == (
        f"The energy books are graded '{grade}': don't rely on the energy in this verdict."
    )


@pytest.mark.parametrize("coverage", [0.5, 1.0])
def test_limited_books_are_no_such_reason(coverage):
    reasons = verdict(books=records.books(coverage=coverage))["reasons"]
    assert not any("graded" in reason for reason in reasons)


def test_a_baseline_without_test_figure_is_no_rival():
    assert verdict(runs=records.runs(alternatives=rival(None)))["grade"] == "paid"


def test_a_rival_in_an_unmetered_search_leaves_it_not_shown():
    result = verdict(runs=records.runs(alternatives=rival(0.985)), books=records.empty().books)
    assert result["grade"] == "not shown"
    assert "which of the two used less energy is not known" in " ".join(result["reasons"])


def test_what_was_paid_comes_before_energy():
    gpus = records.books(device_s={"gpu": 9000.0}, search_device_s={"gpu": 7200.0})
    parameters = Parameters(price_per_device_hour=2.5)
    text = build_statement(records.record(books=gpus), parameters, version="1")["verdict"]["sentence"]
    assert "The search used 2 GPU-hours = 5 EUR = 400 J (399 J to 401 J), 8 times training the default once." in text


def test_less_than_a_cent_is_said_so():
    text = build_statement(records.record(), Parameters(price_per_kwh=0.25), version="1")["verdict"]["sentence"]
    assert "The search used under 0.01 EUR = 400 J" in text


def test_a_range_that_reads_as_one_figure_is_left_out():
    whole = records.books()
    narrow = records.component("cpu", whole.metered_uj, low_uj=whole.metered_uj - 9, high_uj=whole.metered_uj + 9)
    assert "The search used 400 J, 8 times" in verdict(books=replace(whole, components=(narrow,)))["sentence"]


def test_what_was_modelled_is_called_so():
    total = sum(records.ACCOUNTS.values())
    for provenance, share, said in (
        (Provenance.MODELLED, total, "400 J (modelled"),
        (Provenance.CONSTANT, total // 4, "400 J (partly modelled"),
        (Provenance.REPORTED, total, "400 J (as reported"),
    ):
        parts = (records.component("ram", share, provenance), records.component("cpu", total - share))
        record = records.record(books=records.books(components=parts))
        assert said in build_statement(record, Parameters(), version="1")["verdict"]["sentence"]


def test_random_search_is_named_where_it_was_run():
    arm = records.with_arm(((0.90, 200), (0.97, 100), (0.93, 400), (0.99, 100)))
    text = build_statement(arm, Parameters(), version="1")["verdict"]["sentence"]
    assert "Random search for the same energy (370 J each) had 0.97 on validation, the search 0.985." in text


def test_seconds_of_a_gpu_are_no_hours():
    gpus = records.books(device_s={"gpu": 9.0}, search_device_s={"gpu": 7.0})
    text = build_statement(records.record(books=gpus), Parameters(), version="1")["verdict"]["sentence"]
    assert "The search used 7 s of GPU = 400 J" in text
