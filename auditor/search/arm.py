"""The random arm: a random search beside the search, on a share of its budget, metered like the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import optuna

from auditor.domain.accounts import baseline_account, draw_subject
from auditor.ports import SearchSpace
from auditor.search.config import RANDOM
from auditor.search.jobs import Job


class RandomArm:
    """Draws parameters independently of the search and of each other, trained in full and tested.

    A draw is known by its number alone, so a search that goes on draws what it would have drawn.

    Args:
        study: Name of the study.
        seed: Seed of the search.
        share: Share of all trainings of search and arm; 0: no arm.
        draws: Most draws; ``None``: as long as the search goes on.
        done: Draws that are finished already.
    """

    def __init__(self, study: str, seed: int, share: float, draws: int | None, done: Iterable[int] = ()) -> None:
        self._study = study
        self._seed = seed
        self._share = share
        self._draws = draws
        done = set(done)
        self.done = len(done)
        self._next = max(done, default=-1) + 1
        self._again = deque((number, 1) for number in range(self._next) if number not in done)

    @property
    def total(self) -> int:
        """Draws there will be, as far as that is known."""
        started = self._next
        return started if self._draws is None or self._share == 0 else max(started, self._draws)

    def job(self, space: SearchSpace, trials: int | None, *, stopped: bool) -> Job | None:
        """The next draw; ``None`` while it is the search's turn, or when there is none left.

        Args:
            space: The space.
            trials: Trials that the search itself has started; ``None``: it has none left to start.
            stopped: Whether the budget is spent: what was begun is finished, nothing new is drawn.
        """
        if self._again:
            return self._job(space, *self._again.popleft())
        enough = trials is None if self._draws is None else self._next >= self._draws
        if stopped or self._share == 0 or enough:
            return None
        if trials is not None and self._next >= self._share * (self._next + trials + 1):
            return None
        self._next += 1
        return self._job(space, self._next - 1, 1)

    def lost(self, job: Job, retries: int) -> None:
        """A worker died over a draw: it is tried again where retries are left."""
        if job.draw is not None and job.attempt <= retries:
            self._again.appendleft((job.draw, job.attempt + 1))
        else:
            self.done += 1

    def _job(self, space: SearchSpace, number: int, attempt: int) -> Job:
        return Job(
            kind="baseline",
            name=RANDOM,
            account=baseline_account(self._study, draw_subject(number)),
            params=draw(space, self._seed, number),
            seed=self._seed + number,
            attempt=attempt,
            test=True,
            draw=number,
        )


def draw(space: SearchSpace, seed: int, number: int) -> Mapping[str, Any]:
    """Parameters of a draw, by seed and number alone."""
    (state,) = np.random.SeedSequence([seed, number, 0x72616E64]).generate_state(1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=int(state)), direction=space.direction)
    return dict(space.suggest(study.ask()))
