"""Intervals hold the truth as often as they say; benchmarks/coverage.py has more cases and repetitions."""

import math

import numpy as np
import pytest

from auditor.analysis.bootstrap import paired_example_difference
from auditor.analysis.break_even import break_even_trainings
from auditor.analysis.expected_max import expected_maximum
from auditor.analysis.groups import Course, compare_at
from auditor.analysis.proxy import false_prune_rate, proxy_fidelity

REPETITIONS = 250


def held(interval, truth):
    return interval.low <= truth <= interval.high


def groups(rng):
    first, second = (
        [Course(energy=[1.0], value=[v]) for v in rng.normal(m, s, 5)] for m, s in ((1.0, 0.5), (0.0, 2.0))
    )
    return held(compare_at(first, second, 1.0), 1.0)


def break_even(rng):
    result = break_even_trainings(1000.0, rng.normal(10.0, 0.3, 5), rng.normal(8.0, 0.3, 5))
    return held(result, 500.0)


def examples(rng):
    return held(paired_example_difference(rng.normal(size=50), np.zeros(50)), 0.0)


def false_prunes(rng):
    return held(false_prune_rate(rng.random(20), 0.8), 0.2)


def fidelity(rng):
    pearson = 2.0 * math.sin(math.pi * 0.6 / 6.0)
    early, noise = rng.normal(size=(2, 30))
    return held(proxy_fidelity(early, pearson * early + math.sqrt(1.0 - pearson**2) * noise), 0.6)


@pytest.mark.parametrize(
    ("holds", "least", "most"),
    [
        (groups, 0.92, 0.98),
        (break_even, 0.92, 0.98),
        (examples, 0.91, 0.98),
        (false_prunes, 0.94, 1.0),
        (fidelity, 0.92, 0.98),
    ],
)
def test_covers_as_often_as_it_says(holds, least, most):
    rng = np.random.default_rng(20)
    assert least <= np.mean([holds(rng) for _ in range(REPETITIONS)]) <= most


@pytest.mark.parametrize("maximize", [True, False])
def test_the_band_of_the_best_holds_for_all_n_at_once(maximize):
    # The median best of n uniform values is 0.5 ** (1 / n).
    count, rng = 25, np.random.default_rng(21)
    median = 0.5 ** (1.0 / np.arange(1, count + 1))
    truth = median if maximize else 1.0 - median
    found = [expected_maximum(rng.random(count), maximize=maximize) for _ in range(REPETITIONS)]
    share = np.mean(
        [
            all(
                (low is None or low <= t) and (high is None or t <= high)
                for low, high, t in zip(curve.low, curve.high, truth, strict=True)
            )
            for curve in found
        ]
    )
    assert 0.95 <= share < 1.0


def test_the_percentile_bootstrap_would_hold_it_far_too_rarely():
    # Why the band is not one: the expected best of 20 uniform values is 20 / 21.
    rng, weights = np.random.default_rng(22), np.diff(np.linspace(0.0, 1.0, 21) ** 20)
    covered = []
    for values in rng.random((REPETITIONS, 20)):
        resamples = np.sort(values[rng.integers(0, 20, (200, 20))], axis=1) @ weights
        low, high = np.quantile(resamples, (0.025, 0.975))
        covered.append(low <= 20 / 21 <= high)
    assert np.mean(covered) < 0.75
