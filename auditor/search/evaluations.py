"""What is trained after the search: winner and default on fresh seeds, and some of the pruned trials to their end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from auditor.domain.accounts import evaluated, evaluation_account
from auditor.ports import SearchSpace
from auditor.search.jobs import Job

FRESH_SEED = 1_000_000
"""Evaluation seeds begin here, apart from those of trials."""

PRUNED = "pruned"
"""Subject of a pruned trial that is trained to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """What a study is to evaluate.

    Attributes:
        study: Name of the study.
        seed: Seed of the search.
        seeds: Fresh seeds for winner and default; 0: neither is trained again.
        inference_s: Seconds to measure inference of each for, after its first retraining; 0: not at all.
        pruned: Pruned trials to train to their end, drawn at random.
    """

    study: str
    seed: int
    seeds: int
    inference_s: float = 0.0
    pruned: int = 0

    def total(self, space: SearchSpace, *, winner: bool, pruned: int) -> int:
        """How many trainings there will be.

        Args:
            space: The space.
            winner: Whether there is a winner, or may be one.
            pruned: Pruned trials so far.
        """
        fresh = self.seeds * (2 if winner else 1) if space.test_metric is not None else 0
        return fresh + min(self.pruned, pruned)

    def jobs(
        self, space: SearchSpace, winner: tuple[int, Mapping[str, Any]] | None, pruned: Mapping[int, Mapping[str, Any]]
    ) -> list[Job]:
        """The trainings, in order.

        Args:
            space: The space; without a test metric nothing is trained on fresh seeds.
            winner: Number and parameters of the best trial; ``None``: there is none.
            pruned: Parameters of the pruned trials, by number.
        """
        subjects: list[tuple[str, Mapping[str, Any], int | None]] = [("default", space.default, None)]
        if winner is not None:
            subjects.append(("winner", winner[1], winner[0]))
        seeds = range(FRESH_SEED, FRESH_SEED + self.seeds) if space.test_metric is not None else range(0)
        jobs = [
            Job(
                kind="evaluation",
                name=subject,
                account=evaluation_account(self.study, evaluated(subject, seed)),
                params=params,
                seed=seed,
                trial=trial,
                test=True,
                inference_s=self.inference_s if seed == FRESH_SEED else 0.0,
            )
            for seed in seeds
            for subject, params, trial in subjects
        ]
        for number in chosen(sorted(pruned), self.pruned, self.seed):
            jobs.append(
                Job(
                    kind="evaluation",
                    name=PRUNED,
                    account=evaluation_account(self.study, evaluated(PRUNED, number)),
                    params=pruned[number],
                    seed=self.seed + number,  # as the trial: it is that training, to its end
                    trial=number,
                )
            )
        return jobs


def chosen(pruned: Sequence[int], most: int, seed: int) -> list[int]:
    """Some of the pruned trials, each as likely as another; the same whenever the same are asked for."""
    if not pruned or not most:
        return []
    order = np.random.default_rng([seed, len(pruned)]).permutation(len(pruned))
    return sorted(pruned[place] for place in order[:most])


def unused(account: str, used: Collection[str]) -> str:
    """An account that nothing was booked on yet: this one, or with the first free number behind it.

    A retry, and the winner of a search that goes on, train on seeds that were trained on before: on one account nobody
    could tell what the training that completed has used.
    """
    names = (account if number == 1 else f"{account}-{number}" for number in count(1))
    return next(name for name in names if name not in used)


def outstanding(jobs: Sequence[Job], done: Collection[tuple[str, str, int | None, int | None]]) -> list[Job]:
    """Those that have not been run, by kind, name, seed and trial."""
    return [job for job in jobs if (job.kind, job.name, job.seed, job.trial) not in done]
