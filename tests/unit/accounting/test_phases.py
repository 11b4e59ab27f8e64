"""The power of phases, from mixtures that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.accounting.phases import power_weights

TRAIN, VALIDATE, OTHER = "study/s/trial/0/1/train", "study/s/trial/0/1/validate", "study/s/trial/1/1/train"
ACCOUNTS = (TRAIN, VALIDATE, OTHER)
S = 1_000_000


def weights(
    mixtures: list[dict[str, float]], joules: list[float], activity: list[int] | None = None
) -> list[list[int]]:
    """Weights by interval and account; a mixture is seconds by account."""
    rows = [(i, ACCOUNTS.index(a), round(s * S)) for i, mixture in enumerate(mixtures) for a, s in mixture.items()]
    cell, account, duration = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    who = np.array(activity or [0] * len(mixtures), dtype=np.int64)[cell]
    totals = np.array([round(j * S) for j in joules], dtype=np.int64)
    found = power_weights(cell, who, account, duration, totals, ACCOUNTS).tolist()
    return [[w for w, (i, _, _) in zip(found, rows, strict=True) if i == cell] for cell in range(len(mixtures))]


def mixed(validate: list[float]) -> list[dict[str, float]]:
    return [{TRAIN: 1 - v, VALIDATE: v} for v in validate]


def at(train_w: float, validate_w: float, validate: list[float]) -> list[float]:
    return [train_w * (1 - v) + validate_w * v for v in validate]


MIXTURE = [0.1, 0.5, 0.3, 0.7, 0.2, 0.6]


@pytest.mark.parametrize(("train_w", "validate_w"), [(200, 50), (50, 200), (100, 100), (80, 0)])
def test_powers_that_explain_every_interval_are_found(train_w: float, validate_w: float) -> None:
    found = weights(mixed(MIXTURE), at(train_w, validate_w, MIXTURE))
    most = max(train_w, validate_w)
    assert found[-1] == [round(1000 * train_w / most), round(1000 * validate_w / most)]


def test_the_first_intervals_tell_nothing_and_go_by_time() -> None:
    assert weights(mixed(MIXTURE), at(200, 50, MIXTURE))[:3] == [[1000, 1000]] * 3


def test_mixtures_that_are_all_the_same_go_by_time() -> None:
    assert weights(mixed([0.3] * 20), [100.0] * 20) == [[1000, 1000]] * 20


def test_energy_that_has_nothing_to_do_with_the_mixture_goes_by_time_nearly() -> None:
    rng = np.random.default_rng(0)
    mixture, joules = rng.uniform(0.1, 0.9, 200).tolist(), rng.uniform(50, 150, 200).tolist()
    assert min(weights(mixed(mixture), joules)[-1]) > 800


def test_a_phase_that_would_draw_less_than_nothing_draws_nothing() -> None:
    assert weights(mixed(MIXTURE), at(100, -20, MIXTURE))[-1] == [1000, 0]


def test_a_phase_seen_once_takes_nothing_from_the_others() -> None:
    mixtures = [{TRAIN: 0.9, VALIDATE: 0.1}, *[{TRAIN: 1.0}] * 9]
    assert weights(mixtures, [91.0, *[100.0] * 9])[0] == [1000, 1000]
    mixtures = [*[{TRAIN: 1.0}] * 9, {TRAIN: 0.5, VALIDATE: 0.5}]
    assert weights(mixtures, [*[100.0] * 9, 55.0])[-1] == [1000, 100]


def test_another_trial_of_the_process_is_fitted_apart() -> None:
    mixtures = [*mixed(MIXTURE), {TRAIN: 0.5, OTHER: 0.5}]
    found = weights(mixtures, [*at(200, 50, MIXTURE), 100.0])
    assert found[-1] == [1000, 500]  # 200 W as found; nothing is known of the other, so that it is the mean: 100 W


def test_another_process_is_fitted_apart() -> None:
    mine, other = at(200, 50, MIXTURE), at(50, 200, MIXTURE)
    both = weights(mixed(MIXTURE) * 2, mine + other, [0] * 6 + [1] * 6)
    assert both == weights(mixed(MIXTURE), mine) + weights(mixed(MIXTURE), other)


def test_intervals_without_energy_or_time_do_no_harm() -> None:
    assert weights(mixed([0.0, 1.0, *MIXTURE]), [0.0, 0.0, *at(200, 50, MIXTURE)])[:2] == [[1000, 1000]] * 2
    assert weights([{TRAIN: 0.0, VALIDATE: 0.0}] * 8, [0.0] * 8) == [[1000, 1000]] * 8
