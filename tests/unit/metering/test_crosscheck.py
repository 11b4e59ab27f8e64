"""Whether the journals of a study fit each other."""

from __future__ import annotations

import pytest

from auditor.accounting.coverage import Session
from auditor.domain.study import Attempt, Trial, TrialState
from auditor.metering.crosscheck import gone_on_with


def session(begin_ns: int, end_ns: int) -> Session:
    return Session(start_ns=begin_ns, begin_ns=begin_ns, end_ns=end_ns)


def trial(number: int, *begins_ns: int) -> Trial:
    attempts = tuple(Attempt(number=n, state=TrialState.LOST, begin_ns=at) for n, at in enumerate(begins_ns, start=1))
    return Trial(number=number, params={}, state=TrialState.COMPLETE, attempts=attempts)


SESSIONS = [session(0, 10), session(20, 30), session(40, 50)]


@pytest.mark.parametrize(
    ("trials", "rounds"),
    [
        ([], 0),
        ([trial(0, 1), trial(1, 9)], 0),
        ([trial(0, 1), trial(1, 2, 21)], 0),  # only run again in the second
        ([trial(0, 1), trial(1, 21)], 2),
        ([trial(0, 1), trial(1, 21), trial(2, 45)], 3),
    ],
)
def test_trials_that_were_added_later_are_said(trials: list[Trial], rounds: int) -> None:
    found = gone_on_with(trials, SESSIONS)
    assert [finding.code for finding in found] == ["gone-on-with"] * bool(rounds)
    if rounds:
        assert f"Trials were begun in {rounds} sessions" in found[0].message


def test_one_session_is_no_going_on() -> None:
    assert gone_on_with([trial(0, 1), trial(1, 21)], SESSIONS[:1]) == []
    assert gone_on_with([trial(0, 1)], []) == []
