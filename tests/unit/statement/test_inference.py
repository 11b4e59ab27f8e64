"""What an inference uses, and when it has repaid the search."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.study import InferenceBlock
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import J

WINNER_J = (2.0, 2.1, 1.9)
DEFAULT_J = (4.0, 4.05, 3.95)


def inferred(winner=WINNER_J, default=DEFAULT_J, samples=100):
    """The study with blocks of inference after the first retraining of each."""

    def measured(run):
        blocks = {"winner": winner, "default": default}.get(run.name, ()) if run.seed == 100 else ()
        return replace(
            run,
            inference=tuple(InferenceBlock(number=n, samples=samples, batch_size=20) for n in range(len(blocks))),
        )

    accounts = {
        f"study/demo/evaluation/{name}-100-inference-{n}/predict": round(energy_j * J)
        for name, blocks in (("winner", winner), ("default", default))
        for n, energy_j in enumerate(blocks)
    }
    whole = records.record(books=records.books({**records.ACCOUNTS, **accounts}))
    return replace(whole, runs=tuple(measured(run) for run in whole.runs))


def build(record):
    return build_statement(record, Parameters(), version="1")


def test_energy_of_a_sample_with_its_interval():
    default, winner = build(inferred())["inference"]
    assert (default["subject"], winner["subject"]) == ("default", "winner")
    assert winner["energy_j"] == pytest.approx(0.02)
    half_width = 4.302653 * 0.001 / 3**0.5
    assert winner["ci95"] == pytest.approx([0.02 - half_width, 0.02 + half_width])
    assert (winner["blocks"], winner["samples"], winner["batch_size"]) == (3, 300, 20)


def test_inferences_that_repay_search_and_training():
    even = build(inferred())["break_even"]["inference"]
    assert even["n"] == pytest.approx((400 + 16 - 20) / (0.04 - 0.02))
    assert even["status"] == "established"
    assert even["low"] < even["n"] < even["high"]


def test_a_wide_interval_is_said():
    statement = build(inferred(winner=(1.0, 2.0, 3.0)))
    messages = [f["message"] for f in statement["findings"] if f["code"] == "inference-wide"]
    assert "inference of the winner is known to 124 % only, after 3 blocks" in messages[0]
    assert statement["break_even"]["inference"]["status"] == "not-established"


def test_one_block_has_no_interval():
    statement = build(inferred(winner=(2.0,)))
    assert statement["inference"][1]["ci95"] is None
    assert any(f["code"] == "no-inference-interval" for f in statement["findings"])


def test_blocks_of_an_earlier_winner_are_left_out():
    record = inferred()
    runs = tuple(replace(run, trial=1) if run.name == "winner" else run for run in record.runs)
    assert [row["subject"] for row in build(replace(record, runs=runs))["inference"]] == ["default"]


def test_blocks_of_an_attempt_that_was_lost_are_left_out():
    record = inferred()
    accounts = dict(record.books.accounts)
    again = {name.replace("-100-", "-100-2-"): 3 * uj for name, uj in accounts.items() if "-100-inference-" in name}
    runs = tuple(replace(run, account=f"{run.name}-100-2") if run.inference else run for run in record.runs)
    rows = build(replace(record, runs=runs, books=records.books({**accounts, **again})))["inference"]
    assert [row["energy_j"] for row in rows] == pytest.approx([0.12, 0.06])


def test_samples_are_those_of_blocks_with_energy():
    record = inferred()
    accounts = {k: v for k, v in record.books.accounts.items() if not k.endswith("winner-100-inference-2/predict")}
    winner = build(replace(record, books=records.books(accounts)))["inference"][1]
    assert (winner["blocks"], winner["samples"]) == (2, 200)


def test_a_failure_is_said():
    record = records.record()
    runs = tuple(
        replace(run, inference_error="TypeError: no forward") if run.seed == 100 else run for run in record.runs
    )
    statement = build(replace(record, runs=runs))
    assert statement["inference"] is None
    [finding] = [f for f in statement["findings"] if f["code"] == "inference-failed"]
    assert finding["message"] == "Measuring inference failed: TypeError: no forward."


def test_its_energy_is_evaluation_and_no_training():
    plain, measured = build(records.record()), build(inferred())
    spent_j = sum(WINNER_J) + sum(DEFAULT_J)
    assert measured["energy"]["evaluation_uj"] - plain["energy"]["evaluation_uj"] == round(spent_j * J)
    assert measured["break_even"]["trainings"] == plain["break_even"]["trainings"]
