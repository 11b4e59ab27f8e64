"""What the coordinator hands to a worker, and what it says of its progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training to run.

    Attributes:
        kind: ``trial``, ``baseline`` or ``evaluation``.
        name: Baseline's name or evaluated subject; the trial's number as text.
        account: Account of the training, without a phase.
        params: Parameters of the space.
        seed: Seed of the training.
        trial: Number of the trial; for an evaluation of the winner, whose parameters these are.
        attempt: Attempt of a trial, from 1.
        test: Whether to evaluate on the test set.
        inference_s: Seconds to measure inference for afterwards; 0: not at all.
        draw: Number of a draw of the random arm.
    """

    kind: str
    name: str
    account: str
    params: Mapping[str, Any]
    seed: int
    trial: int | None = None
    attempt: int = 0
    test: bool = False
    inference_s: float = 0.0
    draw: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now; ask again after some seconds."""

    seconds: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the search is.

    Attributes:
        stage: ``search``, ``baselines``, ``evaluation`` or ``done``.
        started: Trials handed out so far.
        finished: Trials with a final state.
        states: Number of trials by final state.
        trials_limit: Trials the budget allows; ``None``: no such limit.
        best: Best value so far.
        best_trial: Its trial.
        runs_done: Baselines and evaluations that ended.
        runs_total: Baselines and evaluations there are.
        stopped_by: Which limit or signal ended the search; empty while it goes on.
        last_error: Newest failure of a training.
    """

    stage: str
    started: int
    finished: int
    states: Mapping[str, int] = field(default_factory=dict)
    trials_limit: int | None = None
    best: float | None = None
    best_trial: int | None = None
    runs_done: int = 0
    runs_total: int = 0
    stopped_by: str = ""
    last_error: str = ""
