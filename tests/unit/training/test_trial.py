from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from auditor.domain.study import InferenceBlock, TrialState
from auditor.metering.activity import Activity
from auditor.training.result import TrainingResult
from auditor.training.trial import run_training, warm_up
from unit.training.marks import ACCOUNT, activity_in, phases
from unit.training.nets import THIRD_PARTY, Net, space

pytestmark = THIRD_PARTY


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def activity(journal: Path) -> Iterator[Activity]:
    with activity_in(journal) as made:
        yield made


@pytest.fixture
def run(activity: Activity) -> Callable[..., TrainingResult]:
    def run(params: dict[str, Any], **options: Any) -> TrainingResult:
        chosen = {"space": space(), "seed": 0, "max_epochs": 2, **options}
        return run_training(params=params, activity=activity, account=ACCOUNT, **chosen)

    return run


Run = Callable[..., TrainingResult]


def test_a_complete_training(run: Run, activity: Activity, journal: Path) -> None:
    result = run({})
    assert result.state is TrialState.COMPLETE
    assert result.value == 0.75  # of the last epoch
    assert result.test_value is None
    assert result.error == ""
    assert result.flops == 2 * 8 * 3 * 2 * 4 * 3
    assert any("soft" in name for name in result.uncounted_ops)
    assert activity.depth == 0
    assert [phase for phase in phases(journal) if phase in {"train", "validate"}] == [
        *("train", "validate", "train", "validate", "train"),
    ]


def test_parameters_reach_module_and_data(run: Run) -> None:
    assert run({"value": 0.1, "batch_size": 2, "unknown": 1}).value == pytest.approx(0.35)


def test_the_test_set_is_used_only_when_asked_for(run: Run, journal: Path) -> None:
    assert run({}).test_value is None
    assert "test" not in phases(journal)
    assert run({}, test=True).test_value == 0.25
    assert "test" in phases(journal)


def test_a_space_without_a_test_metric_has_no_test_value(run: Run) -> None:
    result = run({}, space=space(test_metric=None), test=True)
    assert (result.state, result.test_value) == (TrialState.COMPLETE, None)


def test_a_failing_training_is_said_in_one_line(run: Run, activity: Activity, journal: Path) -> None:
    result = run({"trouble": "error"})
    assert result.state is TrialState.FAILED
    assert result.error == "ValueError: two lines"
    assert result.value is None
    assert activity.depth == 0
    assert phases(journal)[-1] == "base"


@pytest.mark.parametrize("part", ["module_class", "data_class"])
def test_a_module_or_data_that_cannot_be_made(run: Run, activity: Activity, part: str) -> None:
    def broken() -> Any:
        raise OSError("no such data: " + "x" * 1000)

    result = run({}, space=space(**{part: broken}))
    assert result.state is TrialState.FAILED
    assert result.error.startswith("OSError: no such data: xxx")
    assert len(result.error) == 500
    assert activity.depth == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_is_no_number_is_a_failure(run: Run, value: float) -> None:
    result = run({"value": value})
    assert result.state is TrialState.FAILED
    assert result.error == f"val_acc is {value}"
    assert result.value is None


def test_a_metric_that_is_not_logged_is_a_failure(run: Run) -> None:
    result = run({"metric": "val_accuracy"})
    assert result.state is TrialState.FAILED
    assert "the module logged no 'val_acc'; it logged: val_accuracy" in result.error


def test_pruned(run: Run, activity: Activity) -> None:
    reports: list[tuple[int, float]] = []

    def report(step: int, value: float) -> bool:
        reports.append((step, value))
        return True

    result = run({}, report=report, max_epochs=5)
    assert result.state is TrialState.PRUNED
    assert result.value is None
    assert reports == [(0, 0.5)]
    assert result.flops is not None
    assert result.flops > 0
    assert activity.depth == 0


def test_reports_come_after_every_epoch(run: Run) -> None:
    reports: list[tuple[int, float]] = []
    result = run({}, report=lambda step, value: bool(reports.append((step, value))), max_epochs=3)
    assert reports == [(0, 0.5), (1, 0.75), (2, 1.0)]
    assert result.state is TrialState.COMPLETE


def test_a_failing_report_fails_the_training(run: Run, activity: Activity) -> None:
    def report(step: int, value: float) -> bool:
        raise RuntimeError("the coordinator is gone")

    result = run({}, report=report)
    assert (result.state, result.error) == (TrialState.FAILED, "RuntimeError: the coordinator is gone")
    assert activity.depth == 0


class TestSeeds:
    def weights(self, run: Run, seed: int) -> torch.Tensor:
        kept: list[Net] = []

        def module() -> Net:
            kept.append(Net())
            return kept[-1]

        run({}, space=space(module_class=module), seed=seed)
        return kept[0].net.weight.detach()

    def test_a_seed_makes_the_same_model(self, run: Run) -> None:
        assert torch.equal(self.weights(run, 1), self.weights(run, 1))
        assert not torch.equal(self.weights(run, 1), self.weights(run, 2))


def test_nothing_is_written_beside_the_study(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)
    run({}, test=True)
    assert list(empty.iterdir()) == []


def test_terminating_is_not_taken_for_a_failure(run: Run, activity: Activity, journal: Path) -> None:
    with pytest.raises(SystemExit):
        run({"trouble": "exit"})
    assert activity.depth == 0
    assert phases(journal)[-1] == "base"


def test_warming_up_does_not_fail() -> None:
    def broken() -> Any:
        raise OSError("no such data")

    warm_up(space(module_class=broken))
    warm_up(space())


class Scoring(Net):
    """Gives scores of its test examples."""

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        super().test_step(batch, batch_idx)
        return {"score": torch.ones(len(batch[0]))}


def test_scores_of_test_examples_are_kept(run: Run) -> None:
    scoring = space(module_class=Scoring)
    result = run({}, space=scoring, test=True)
    assert result.state is TrialState.COMPLETE, result.error
    assert set(result.scores) == {1.0}
    assert run({}, space=scoring).scores == ()
    assert run({}, test=True).scores == ()


def test_inference_follows_the_training(run: Run) -> None:
    block = InferenceBlock(number=0, samples=10, batch_size=5)
    seen: list[Any] = []

    def infer(module: Any, loader: Any) -> tuple[InferenceBlock, ...]:
        seen.append((type(module), next(iter(loader)) is not None))
        return (block,)

    assert run({}, test=True, infer=infer).inference == (block,)
    assert seen == [(Net, True)]


def test_inference_that_fails_fails_nothing_else(run: Run) -> None:
    def infer(module: Any, loader: Any) -> tuple[InferenceBlock, ...]:
        raise TypeError("no\nforward")

    result = run({}, test=True, infer=infer)
    assert (result.state, result.test_value) == (TrialState.COMPLETE, 0.25)
    assert (result.inference, result.inference_error) == ((), "TypeError: no forward")
