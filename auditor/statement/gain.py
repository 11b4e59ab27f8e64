"""The gain section: what the search bought over the default, and over classical baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.analysis.bootstrap import paired_example_difference
from auditor.analysis.detectable import detectable_in_sd, pooled_sd
from auditor.analysis.optimism import approximate_optimism, selection_optimism, validation_test_shift
from auditor.analysis.superiority import probability_of_superiority
from auditor.analysis.welch import MeanDifference, mean_difference
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Run, StudyRecord, Trial, TrialState
from auditor.statement.course import ranked_trials
from auditor.statement.draws import full_fidelity, value_at_full_fidelity
from auditor.statement.usage import Usage
from auditor.statement.values import finite, json_value, mean

SAME = 1e-9
"""Relative difference that is rounding of a mean, not a better figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A baseline other than the default.

    Attributes:
        name: Its name.
        value: Metric on the validation set.
        test_value: Metric on the test set.
        energy_j: Energy of its account in joules; ``None`` where nothing is booked.
        arm: Whether it is the random arm, of which one draw is chosen.
    """

    name: str
    value: float | None
    test_value: float | None
    energy_j: float | None
    arm: bool = False

    @property
    def said(self) -> str:
        """Its name in a sentence."""
        return "the best draw of the random arm" if self.arm else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The winner against the default; an improvement is positive where the winner is better, also minimised.

    Attributes:
        maximize: Whether higher values are better.
        best: The best complete trial.
        default_value: The default on the validation set.
        default_tests: The default's test values on fresh seeds, ``(n,)``; of an imported study as the user gives it.
        winner_tests: The winner's test values on fresh seeds, ``(m,)``; of an imported study those of its one training.
        sampling: Improvement on test with the noise of which examples are in it; ``None`` without scores of examples.
        examples: How many examples that is of.
        fresh: The winner's validation values on fresh seeds, ``(k,)``.
        alternatives: Every other baseline, in the order of running.
        interval: Improvement on test with its 95 % interval.
        p_better: Probability that a winner's training beats a default's, on test.
        sd: Pooled standard deviation over seeds; ``None`` with fewer than 2 a side.
        detectable: Smallest improvement that this many seeds show; ``None`` if not known.
        optimism: How much too good the winner's validation figure was.
        optimism_basis: How that is known: ``fresh seeds``, or ``approximate`` (by the other trials' gaps between
            validation and test); ``None`` where it is not.
        shift: How much better validation looks than test for the other trials near the top.
    """

    maximize: bool
    best: Trial | None
    default_value: float | None
    default_tests: tuple[float, ...]
    winner_tests: tuple[float, ...]
    fresh: tuple[float, ...]
    alternatives: tuple[Alternative, ...]
    interval: MeanDifference | None
    p_better: float | None
    sd: float | None
    detectable: float | None
    optimism: float | None
    optimism_basis: str | None
    shift: float | None
    sampling: MeanDifference | None
    examples: int

    @property
    def seeds(self) -> int:
        """Seeds on each side: the fewer of the two."""
        return min(len(self.winner_tests), len(self.default_tests))

    @property
    def winner_test(self) -> float | None:
        """Mean of the winner on test."""
        return mean(self.winner_tests)

    @property
    def default_test(self) -> float | None:
        """Mean of the default on test."""
        return mean(self.default_tests)

    @property
    def delta(self) -> float | None:
        """Improvement on the validation set, one training each."""
        return self._improvement(None if self.best is None else self.best.value, self.default_value)

    @property
    def delta_test(self) -> float | None:
        """Improvement on the test set, means over seeds."""
        return self._improvement(self.winner_test, self.default_test)

    @property
    def best_alternative(self) -> Alternative | None:
        """The alternative that is best on test; the earlier one of equals."""
        tested = [a for a in self.alternatives if a.test_value is not None]
        return max(tested, key=lambda a: self._merit(a.test_value), default=None)

    def as_good_as_winner(self, alternative: Alternative) -> bool:
        """Whether an alternative does at least as well on test as the winner's mean; not known: no."""
        return self._as_good(alternative, self.winner_test)

    def as_good_as_default(self, alternative: Alternative) -> bool:
        """Whether an alternative does at least as well on test as the default's mean; not known: no."""
        return self._as_good(alternative, self.default_test)

    def _as_good(self, alternative: Alternative, test_value: float | None) -> bool:
        if alternative.test_value is None or test_value is None:
            return False
        better = self._merit(alternative.test_value) > self._merit(test_value)
        return better or math.isclose(alternative.test_value, test_value, rel_tol=SAME)

    def _merit(self, value: float | None) -> float:
        return (value or 0.0) if self.maximize else -(value or 0.0)

    def _improvement(self, winner: float | None, default: float | None) -> float | None:
        return None if winner is None or default is None else self._merit(winner) - self._merit(default)


def gain_of(record: StudyRecord, usage: Usage) -> Gain:
    """Compare the winner with the default; only completed runs with finite values count."""
    maximize = record.direction != "minimize"
    sign = 1.0 if maximize else -1.0
    ranked = ranked_trials(record)
    best = max(ranked, key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)
    winner_runs = evaluations_of_best(record, best)
    winner_tests = _finite(run.test_value for run in winner_runs)
    default_tests = _finite(run.test_value for run in _evaluations(record, "default"))
    if record.imported:  # one training each, where nobody trained them again
        winner_tests = winner_tests or _finite([None if best is None else best.test_value])
        default_tests = default_tests or _finite(run.test_value for run in completed_baselines(record, "default"))
    sd = pooled_sd(winner_tests, default_tests)
    smallest = detectable_in_sd(min(len(winner_tests), len(default_tests)))
    fresh = _finite(run.value for run in winner_runs)
    enough = min(len(winner_tests), len(default_tests)) >= 2
    sampling, examples = _sampling(winner_runs, _evaluations(record, "default"), sign)
    optimism, basis = _optimism(best, fresh, ranked, maximize)
    return Gain(
        maximize=maximize,
        best=best,
        default_value=mean(run.value for run in completed_baselines(record, "default")),
        default_tests=default_tests,
        winner_tests=winner_tests,
        fresh=fresh,
        alternatives=_alternatives(record, usage),
        interval=mean_difference([sign * v for v in winner_tests], [sign * v for v in default_tests]),
        p_better=probability_of_superiority(winner_tests, default_tests, maximize=maximize) if enough else None,
        sd=sd,
        detectable=smallest * sd if smallest is not None and sd else None,
        optimism=optimism,
        optimism_basis=basis,
        shift=validation_test_shift(_tested(ranked, best), maximize=maximize),
        sampling=sampling,
        examples=examples,
    )


def _sampling(winner: Sequence[Run], default: Sequence[Run], sign: float) -> tuple[MeanDifference | None, int]:
    """Mean over seeds of each example's score, winner against default on the same examples."""
    sides = [[run.scores for run in runs if run.scores] for runs in (winner, default)]
    sizes = {len(scores) for side in sides for scores in side}
    if not all(sides) or len(sizes) != 1:
        return None, 0
    first, second = (sign * np.mean(np.array(side), axis=0) for side in sides)
    return paired_example_difference(first.tolist(), second.tolist()), sizes.pop()


def _optimism(
    best: Trial | None, fresh: Sequence[float], ranked: Sequence[Trial], maximize: bool
) -> tuple[float | None, str | None]:
    """How much too good the winner's validation figure was, and how that is known."""
    if best is None or best.value is None:
        return None, None
    if len(fresh) >= 2:
        return selection_optimism(best.value, fresh, maximize=maximize), "fresh seeds"
    test_value = finite(best.test_value)
    if test_value is None:
        return None, None
    found = approximate_optimism(best.value, test_value, _tested(ranked, best), maximize=maximize)
    return found, None if found is None else "approximate"


def _tested(ranked: Sequence[Trial], best: Trial | None) -> list[tuple[float, float]]:
    """Validation and test value of the other trials that completed at full fidelity."""
    full = full_fidelity(ranked)
    return [
        (value, test_value)
        for trial in ranked
        if (test_value := finite(trial.test_value)) is not None
        and (best is None or trial.number != best.number)
        and (value := value_at_full_fidelity(trial, full)) is not None
    ]


def gain_section(record: StudyRecord, gain: Gain) -> dict[str, Any]:
    """The ``gain`` section."""
    best, alternative = gain.best, gain.best_alternative
    return {
        "metric": record.metric or None,
        "test_metric": record.test_metric,
        "baseline": {"name": "default", "value": gain.default_value, "test_value": gain.default_test},
        "best": {
            "trial": None if best is None else best.number,
            "value": None if best is None else best.value,
            "test_value": gain.winner_test,
            "params": None if best is None else json_value(best.params),
        },
        "best_alternative": None
        if alternative is None
        else {
            "name": alternative.name,
            "test_value": alternative.test_value,
            "energy_j": alternative.energy_j,
        },
        "alternatives_tried": [
            {"name": a.name, "value": a.value, "test_value": a.test_value, "energy_j": a.energy_j}
            for a in gain.alternatives
        ],
        "delta": gain.delta,
        "delta_test": gain.delta_test,
        "ci95": None if gain.interval is None else [gain.interval.low, gain.interval.high],
        "test_sampling": None
        if gain.sampling is None
        else {
            "difference": gain.sampling.difference,
            "ci95": [gain.sampling.low, gain.sampling.high],
            "examples": gain.examples,
        },
        "seeds": gain.seeds,
        "p_better": gain.p_better,
        "detectable": gain.detectable,
        "optimism": gain.optimism,
        "optimism_basis": gain.optimism_basis,
        "validation_test_shift": gain.shift,
        "winner_values": list(gain.fresh),
        "winner_test_values": list(gain.winner_tests),
        "baseline_test_values": list(gain.default_tests),
    }


def completed_baselines(record: StudyRecord, name: str) -> list[Run]:
    """Completed runs of a baseline."""
    return [
        run for run in record.runs if run.kind == "baseline" and run.name == name and run.state is TrialState.COMPLETE
    ]


def evaluations_of_best(record: StudyRecord, best: Trial | None) -> list[Run]:
    """Completed evaluations of the trial that is the best now; those of an earlier winner are left out."""
    if best is None:
        return []
    return [run for run in _evaluations(record, "winner") if run.trial in (None, best.number)]


def _evaluations(record: StudyRecord, subject: str) -> list[Run]:
    """Completed evaluations; of a seed that ran twice only the later one, since it is no second sample."""
    runs: dict[object, Run] = {}
    for place, run in enumerate(record.runs):
        if run.kind == "evaluation" and run.name == subject and run.state is TrialState.COMPLETE:
            runs[(run.trial, run.seed) if run.seed is not None else ("no seed", place)] = run
    return list(runs.values())


def _alternatives(record: StudyRecord, usage: Usage) -> tuple[Alternative, ...]:
    names = dict.fromkeys(run.name for run in record.runs if run.kind == "baseline" and run.name != "default")
    found = []
    for name in names:
        runs = completed_baselines(record, name)
        energy_uj = usage.by_baseline.get(name)
        arm = any(run.draw is not None for run in record.runs if run.name == name)
        if arm:
            runs = _best_draw(record, runs)
            energy_uj = usage.random_arm_uj
        found.append(
            Alternative(
                name=name,
                value=mean(run.value for run in runs),
                test_value=mean(run.test_value for run in runs),
                energy_j=None if energy_uj is None else uj_to_j(energy_uj),
                arm=arm,
            )
        )
    return tuple(found)


def _best_draw(record: StudyRecord, draws: Sequence[Run]) -> list[Run]:
    """The draw of the random arm that its validation figure chooses, as a search would; none where no draw has one."""
    sign = -1.0 if record.direction == "minimize" else 1.0
    valued = [(sign * value, -(run.draw or 0), run) for run in draws if (value := finite(run.value)) is not None]
    return [max(valued, key=lambda entry: entry[:2])[2]] if valued else []


def _finite(values: Sequence[float | None] | Any) -> tuple[float, ...]:
    return tuple(value for value in map(finite, values) if value is not None)
