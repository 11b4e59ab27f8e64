from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.domain.study import TrialState
from auditor.metering.activity import Activity
from auditor.search.config import BASELINES
from auditor.search.space import load_space
from auditor.training.classical import CLASSICAL, run_classical
from auditor.training.result import TrainingResult
from unit.training.marks import activity_in, phases
from unit.training.nets import space

ACCOUNT = "study/s/trial/0/1"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def activity(journal: Path) -> Iterator[Activity]:
    with activity_in(journal) as made:
        yield made


def fit(activity: Activity, arrays: Any, name: str = "svc", **options: Any) -> TrainingResult:
    made = space(arrays_from=arrays, **options)
    return run_classical(name, made, seed=0, activity=activity, account=ACCOUNT)


def parts(*names: str) -> Mapping[str, tuple[Any, Any]]:
    features = np.arange(40.0).reshape(20, 2)
    labels = np.arange(20) % 2
    return dict.fromkeys(names, (features, labels))


def test_every_classical_baseline_can_be_configured() -> None:
    assert set(CLASSICAL) == set(BASELINES) - {"default", "random"}


@pytest.mark.parametrize("name", CLASSICAL)
def test_they_are_good_on_digits(activity: Activity, journal: Path, name: str) -> None:
    result = run_classical(name, load_space("digits_cnn"), seed=0, activity=activity, account=ACCOUNT)
    assert result.state is TrialState.COMPLETE
    assert result.value is not None
    assert result.test_value is not None
    assert 0.9 < result.value <= 1
    assert 0.9 < result.test_value <= 1
    assert phases(journal) == ["setup", "train", "setup", "validate", "setup", "test", "setup", "base"]


def test_without_a_test_set_there_is_no_test_value(activity: Activity) -> None:
    result = fit(activity, lambda: parts("train", "validation"))
    assert (result.state, result.test_value) == (TrialState.COMPLETE, None)


def test_the_scorer_of_the_space_is_used(activity: Activity) -> None:
    both = parts("train", "validation")
    accuracy = fit(activity, lambda: both)
    loss = fit(activity, lambda: both, name="logistic_regression", scorer="neg_log_loss")
    assert accuracy.value is not None
    assert loss.value is not None
    assert 0 <= accuracy.value <= 1
    assert loss.value < 0


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        (None, "AuditorError: the space gives no arrays for classical models"),
        (dict, "KeyError: 'train'"),
        (lambda: parts("train"), "KeyError: 'validation'"),
        (lambda: {"train": (np.zeros((3, 2)), np.zeros(4))}, "ValueError: "),
        (lambda: {"train": (np.full((4, 2), np.nan), np.arange(4) % 2)}, "ValueError: Input X contains NaN."),
        (lambda: {"train": (np.zeros((4, 2)), np.zeros(4))}, "ValueError: The number of classes"),
        ("nowhere:arrays", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_arrays_that_do_not_work(activity: Activity, journal: Path, arrays: Any, error: str) -> None:
    result = fit(activity, arrays)
    assert result.state is TrialState.FAILED
    assert result.error.startswith(error)
    assert "\n" not in result.error
    assert (result.value, result.test_value) == (None, None)
    assert activity.depth == 0
    assert phases(journal)[-1] == "base"


def test_an_unknown_model_is_a_failure(activity: Activity) -> None:
    result = fit(activity, lambda: parts("train", "validation"), name="oracle")
    assert result.state is TrialState.FAILED
    assert "oracle" in result.error


@pytest.mark.filterwarnings("error")
def test_notes_on_convergence_are_no_failure(activity: Activity) -> None:
    generator = np.random.default_rng(0)
    noise = {"train": (generator.normal(size=(50, 400)) * 1e6, np.arange(50) % 5)}
    noise["validation"] = noise["train"]
    assert fit(activity, lambda: noise, name="logistic_regression").state is TrialState.COMPLETE
