"""What early values say about late ones."""

from dataclasses import replace

import pytest
from scipy.stats import spearmanr

from auditor.domain.parameters import Parameters
from auditor.domain.study import Run
from auditor.statement.build import build_statement
from unit.statement import records
from unit.statement.records import COMPLETE


def build(record):
    return build_statement(record, Parameters(), version="1")


def test_rank_correlation_of_the_survivors():
    proxy = build(records.pruned())["proxy"]
    early, late = [0.4 + (n ^ 1) / 100 for n in range(12)], [0.5 + n / 100 for n in range(12)]
    assert proxy["spearman"] == pytest.approx(spearmanr(early, late).statistic)
    assert (proxy["step"], proxy["survivors"], proxy["pruned"]) == (1, 12, 10)
    assert proxy["ci95"][0] < proxy["spearman"] < proxy["ci95"][1]
    assert proxy["false_prune"] is None


def test_pruned_trials_trained_to_their_end_show_what_was_missed():
    record = records.pruned()
    ends = [
        Run(kind="evaluation", name="pruned", state=COMPLETE, seed=n, trial=n, value=value)
        for n, value in enumerate((0.3, 0.9, 0.4, None, 0.2))  # the best survivor has 0.61
    ]
    found = build(replace(record, runs=(*record.runs, *ends)))["proxy"]["false_prune"]
    assert (found["rate"], found["completed"]) == (0.25, 4)
    assert found["low"] == pytest.approx(0.0063, abs=1e-4)  # Clopper and Pearson, 1 of 4
    assert found["high"] == pytest.approx(0.8059, abs=1e-4)


def test_a_winner_that_reported_no_step_is_to_be_beaten_too():
    record = records.pruned()
    silent = replace(records.trial(30, 0.95), intermediate={})
    end = Run(kind="evaluation", name="pruned", state=COMPLETE, seed=0, trial=0, value=0.9)
    found = build(replace(record, trials=(*record.trials, silent), runs=(*record.runs, end)))["proxy"]
    assert (found["survivors"], found["false_prune"]["rate"]) == (12, 0.0)


def test_the_step_is_where_most_were_pruned():
    record = records.pruned()
    later = replace(record.trials[0], intermediate={0: 0.1, 1: 0.2, 2: 0.3})
    assert build(replace(record, trials=(later, *record.trials[1:])))["proxy"]["step"] == 1


def test_without_pruning_there_is_nothing_to_judge():
    statement = build(records.record(trials=records.TRIALS[:2]))
    assert statement["proxy"] is None
    assert any(f["code"] == "no-proxy" for f in statement["findings"])


def test_two_survivors_are_too_few():
    record = records.pruned()
    assert build(replace(record, trials=record.trials[:12]))["proxy"] is None
