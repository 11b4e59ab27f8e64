"""The Lightning callback that marks phases, counts operations and reports the metric."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

from auditor.domain.accounts import Phase
from auditor.metering.activity import Activity
from auditor.training.flops import FlopCount, batch_size_of, flops_of


class AuditCallback(pl.Callback):
    """Marks the phases of a training on an account: setup, train, validate, test, teardown.

    Phases are a stack: a validation within training is charged to ``validate`` and falls back to ``train``. Whatever is
    open is closed when the training ends, fails or is terminated. What the callback itself takes is the audit's.

    Args:
        activity: The marks of this process.
        account: The account of the training, without a phase.

    Attributes:
        flops: Operations counted so far; ``None`` where the model can't be counted.
        uncounted_ops: Operators that have no known count, or why nothing was counted.
    """

    def __init__(self, activity: Activity, account: str) -> None:
        self._activity = activity
        self._account = account
        self._depth = activity.depth
        self._count: FlopCount | None = None
        self._counted = False
        self.flops: int | None = None
        self.uncounted_ops: tuple[str, ...] = ()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin."""
        self._depth = self._activity.depth
        self._begin(Phase.SETUP)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training begins."""
        self._begin(Phase.TRAIN)

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the operations of the first batch; others are scaled by their size."""
        if self._counted:
            return
        self._counted = True
        with self._activity.working_for(self._activity.audit_account):
            try:
                self._count = flops_of(pl_module, batch)
            except Exception as error:  # a model the meta device can't run must not stop its training
                self.uncounted_ops = (f"all: {type(error).__name__} on the meta device",)
            else:
                self.flops = 0
                self.uncounted_ops = self._count.uncounted_ops

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the operations of a training batch."""
        if self._count is not None:
            self._add(self._count.forward + self._count.backward, batch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training ends."""
        self._activity.end(self._depth)
        self._begin(Phase.TEARDOWN)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation begins, also within training."""
        self._begin(Phase.VALIDATE)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation ends."""
        self._activity.end()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *_: Any,
    ) -> None:
        """Add the operations of a validation batch."""
        if self._count is not None:
            self._add(self._count.forward, batch)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Testing begins."""
        self._begin(Phase.TEST)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Testing ends."""
        self._activity.end()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *_: Any,
    ) -> None:
        """Add the operations of a test batch."""
        if self._count is not None:
            self._add(self._count.forward, batch)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close whatever is open: after an exception or SIGTERM no end hook comes."""
        self._activity.end(self._depth)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close whatever is open."""
        self._activity.end(self._depth)

    def _begin(self, phase: Phase) -> None:
        self._activity.begin(f"{self._account}/{phase.value}")

    def _add(self, operations: int, batch: Any) -> None:
        if self._count is not None and self.flops is not None:
            began_ns = time.thread_time_ns()
            self.flops += operations * batch_size_of(batch) // self._count.batch_size
            self._activity.audited(time.thread_time_ns() - began_ns)


class TrialCallback(AuditCallback):
    """Also reports the validation metric after every epoch, and stops the training when the answer is to prune.

    Args:
        activity: The marks of this process.
        account: The account of the training, without a phase.
        metric: Name of the logged metric.
        report: Called with (epoch, value); answers whether to prune.

    Attributes:
        pruned: Whether the training was stopped.
    """

    def __init__(self, activity: Activity, account: str, metric: str, report: Callable[[int, float], bool]) -> None:
        super().__init__(activity, account)
        self._metric = metric
        self._report = report
        self.pruned = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the metric of this epoch."""
        if (
            not trainer.sanity_checking
            and self._metric in trainer.callback_metrics
            and self._report(trainer.current_epoch, metric_value(trainer.callback_metrics, self._metric))
        ):
            self.pruned = True
            trainer.should_stop = True
        super().on_validation_end(trainer, pl_module)


def metric_value(metrics: Mapping[str, Any], name: str) -> float:
    """A logged metric as a number.

    Raises:
        KeyError: the module did not log it; the message lists what it logged.
    """
    if name not in metrics:
        raise KeyError(f"the module logged no '{name}'; it logged: {', '.join(sorted(metrics)) or 'nothing'}")
    return float(metrics[name])
