import pytest

from auditor.analysis.optimism import selection_optimism


def test_positive_where_the_search_was_too_hopeful():
    assert selection_optimism(0.99, [0.97, 0.98]) == pytest.approx(0.015)
    assert selection_optimism(0.01, [0.03, 0.02], maximize=False) == pytest.approx(0.015)


def test_negative_where_the_winner_did_better_again():
    assert selection_optimism(0.9, [0.95]) == pytest.approx(-0.05)


def test_nothing_fresh_gives_none():
    assert selection_optimism(0.9, []) is None
