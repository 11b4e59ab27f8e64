import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from auditor.metering.activity import Activity
from auditor.training.phases import TrialCallback, metric_value
from unit.training.marks import ACCOUNT, AUDIT, accounts, activity_in, marks, phases
from unit.training.nets import THIRD_PARTY, Data, Net

pytestmark = THIRD_PARTY


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def activity(journal: Path) -> Iterator[Activity]:
    with activity_in(journal) as made:
        yield made


@pytest.fixture(autouse=True)
def keep_signals() -> Iterator[None]:
    """Lightning ignores SIGINT for good after a KeyboardInterrupt."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def trainer(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "max_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "callbacks": list(callbacks),
            **options,
        }
    )


class TestPhases:
    def test_validation_nests_in_training(self, activity: Activity, journal: Path) -> None:
        trainer(TrialCallback(activity, ACCOUNT, "val_acc"), max_epochs=2).fit(Net(), Data())
        inner = ["train", "validate", "train", "validate", "train"]
        assert phases(journal) == ["setup", *inner, "base", "teardown", "base"]
        assert activity.depth == 0

    def test_what_the_auditor_takes_is_marked_as_its_own(self, activity: Activity, journal: Path) -> None:
        trainer(TrialCallback(activity, ACCOUNT, "val_acc"), max_epochs=2).fit(Net(), Data())
        written = marks(journal)
        counting = [i for i, mark in enumerate(written) if mark.a == AUDIT]
        assert len(counting) == 1  # operations are counted once
        assert written[counting[0] + 1].c > written[counting[0]].c
        assert all(mark.o > 0 for mark in written[2:])  # at least the writing of the mark before

    def test_sanity_validation_is_validation(self, activity: Activity, journal: Path) -> None:
        trainer(TrialCallback(activity, ACCOUNT, "val_acc"), num_sanity_val_steps=1).fit(Net(), Data())
        assert phases(journal)[:4] == ["setup", "validate", "setup", "train"]

    def test_a_test_is_a_phase_of_its_own(self, activity: Activity, journal: Path) -> None:
        audit = TrialCallback(activity, ACCOUNT, "val_acc")
        trainer(audit).test(Net(), Data(), verbose=False)
        assert phases(journal) == ["setup", "test", "setup", "base"]
        assert activity.depth == 0

    def test_a_validation_alone_too(self, activity: Activity, journal: Path) -> None:
        trainer(TrialCallback(activity, ACCOUNT, "val_acc")).validate(Net(), Data(), verbose=False)
        assert phases(journal) == ["setup", "validate", "setup", "base"]

    def test_fit_and_test_one_after_the_other(self, activity: Activity, journal: Path) -> None:
        made, module, data = trainer(TrialCallback(activity, ACCOUNT, "val_acc")), Net(), Data()
        made.fit(module, data)
        made.test(module, data, verbose=False)
        found = phases(journal)
        assert found.index("teardown") < found.index("test")
        assert found[-1] == "base"

    def test_what_was_open_before_stays_open(self, activity: Activity, journal: Path) -> None:
        activity.begin("study/s/training/outer/setup")
        trainer(TrialCallback(activity, ACCOUNT, "val_acc")).fit(Net(), Data())
        assert activity.depth == 1
        assert accounts(journal)[-1] == "study/s/training/outer/setup"

    def test_accounts_are_those_of_the_training(self, activity: Activity, journal: Path) -> None:
        trainer(TrialCallback(activity, "study/s/evaluation/winner", "val_acc")).fit(Net(), Data())
        assert "study/s/evaluation/winner/train" in accounts(journal)


class TestEnds:
    """Whatever ends a training, nothing stays open."""

    @pytest.mark.parametrize(
        ("trouble", "raised"),
        [("error", ValueError), ("exit", SystemExit), ("interrupt", SystemExit), ("terminate", SystemExit)],
    )
    def test_in_a_training_step(
        self, activity: Activity, journal: Path, trouble: str, raised: type[BaseException]
    ) -> None:
        with pytest.raises(raised):
            trainer(TrialCallback(activity, ACCOUNT, "val_acc")).fit(Net(trouble), Data(batch_size=2))
        assert activity.depth == 0
        assert phases(journal) == ["setup", "train", "base"]

    def test_in_validation(self, activity: Activity, journal: Path) -> None:
        with pytest.raises(ValueError, match="bad validation"):
            trainer(TrialCallback(activity, ACCOUNT, "val_acc")).fit(Net("validation"), Data())
        assert activity.depth == 0
        assert phases(journal) == ["setup", "train", "validate", "base"]

    def test_it_can_be_used_again_afterwards(self, activity: Activity, journal: Path) -> None:
        audit = TrialCallback(activity, ACCOUNT, "val_acc")
        with pytest.raises(ValueError, match="two"):
            trainer(audit).fit(Net("error"), Data())
        trainer(audit).fit(Net(), Data())
        assert activity.depth == 0
        assert phases(journal)[-1] == "base"

    def test_an_outer_account_survives_a_failure(self, activity: Activity, journal: Path) -> None:
        activity.begin("study/s/training/outer/setup")
        with pytest.raises(ValueError, match="two"):
            trainer(TrialCallback(activity, ACCOUNT, "val_acc")).fit(Net("error"), Data())
        assert activity.depth == 1


class TestCounting:
    def test_training_and_validation_are_counted_by_sample(self, activity: Activity) -> None:
        audit = TrialCallback(activity, ACCOUNT, "val_acc")
        trainer(audit, max_epochs=2).fit(Net(), Data())
        forward = 2 * 4 * 3  # of a sample: 2 per multiply-add
        backward = forward  # of the weight; the input needs no gradient
        assert audit.flops == 2 * 8 * (forward + backward) + 2 * 8 * forward

    def test_a_short_last_batch_counts_less(self, activity: Activity) -> None:
        audit = TrialCallback(activity, ACCOUNT, "val_acc")
        trainer(audit).fit(Net(), Data(batch_size=5))
        assert audit.flops == 8 * (2 + 1) * 2 * 4 * 3

    def test_a_model_that_cannot_be_counted_trains_all_the_same(self, activity: Activity) -> None:
        class Reads(Net):
            def training_step(self, batch: Any, batch_idx: int) -> Any:
                loss = super().training_step(batch, batch_idx)
                self.last = float(loss)
                return loss

        audit = TrialCallback(activity, ACCOUNT, "val_acc")
        made = trainer(audit)
        made.fit(Reads(), Data())
        assert made.global_step == 2
        assert audit.flops is None
        assert len(audit.uncounted_ops) == 1
        assert audit.uncounted_ops[0].startswith("all: ")
        assert audit.uncounted_ops[0].endswith("Error on the meta device")


class TestReports:
    def reporter(
        self, activity: Activity, prune: Callable[[int], bool]
    ) -> tuple[TrialCallback, list[tuple[int, float]]]:
        reports: list[tuple[int, float]] = []

        def report(step: int, value: float) -> bool:
            reports.append((step, value))
            return prune(step)

        return TrialCallback(activity, ACCOUNT, "val_acc", report), reports

    def test_every_epoch_is_reported(self, activity: Activity) -> None:
        reporter, reports = self.reporter(activity, lambda _: False)
        trainer(reporter, max_epochs=3).fit(Net(), Data())
        assert reports == [(0, 0.5), (1, 0.75), (2, 1.0)]
        assert not reporter.pruned

    def test_pruning_stops_the_training(self, activity: Activity) -> None:
        reporter, reports = self.reporter(activity, lambda step: step == 1)
        made = trainer(reporter, max_epochs=5)
        made.fit(Net(), Data())
        assert [step for step, _ in reports] == [0, 1]
        assert made.global_step == 4
        assert reporter.pruned

    def test_sanity_validation_is_not_reported(self, activity: Activity) -> None:
        reporter, reports = self.reporter(activity, lambda _: False)
        trainer(reporter, num_sanity_val_steps=1).fit(Net(), Data())
        assert [step for step, _ in reports] == [0]

    def test_a_metric_that_is_not_logged_is_not_reported(self, activity: Activity) -> None:
        reporter, reports = self.reporter(activity, lambda _: True)
        trainer(reporter, max_epochs=2).fit(Net(metric="other"), Data())
        assert reports == []
        assert not reporter.pruned


def test_a_missing_metric_lists_those_logged() -> None:
    assert metric_value({"a": 1}, "a") == 1.0
    with pytest.raises(KeyError, match="the module logged no 'c'; it logged: a, b"):
        metric_value({"b": 1, "a": 2}, "c")
    with pytest.raises(KeyError, match="it logged: nothing"):
        metric_value({}, "c")
