"""What early values say about late ones."""

from dataclasses import replace

import pytest
from scipy.stats import spearmanr

from auditor.domain.parameters import Parameters
from auditor.statement.build import build_statement
from unit.statement import records


def build(record):
    return build_statement(record, Parameters(), version="1")


def test_rank_correlation_of_the_survivors():
    proxy = build(records.pruned())["proxy"]
    early, late = [0.4 + (n ^ 1) / 100 for n in range(12)], [0.5 + n / 100 for n in range(12)]
    assert proxy["spearman"] == pytest.approx(spearmanr(early, late).statistic)
    assert (proxy["step"], proxy["survivors"], proxy["pruned"]) == (1, 12, 10)
    assert proxy["ci95"][0] < proxy["spearman"] < proxy["ci95"][1]
    assert proxy["false_prune"] is None


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
