"""The Lightning hooks that mark phases and count operations."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from auditor.domain.accounts import Phase, audit_account, parse_account
from auditor.metering.activity import Activity
from auditor.training.batches import RegularBatches, regular_batches
from auditor.training.booked import Marks
from auditor.training.flops import FlopCount, batch_size_of, flops_of
from auditor.training.lightning import Callback

if TYPE_CHECKING:
    import pytorch_lightning as pl

_TIMED = 16
"""Of so many batches one is timed, for what counting takes."""

_IDLE_HOOKS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
"""Hooks of every batch that nothing here needs."""

_OURS = frozenset({"auditor", "pytorch_lightning", "lightning"})


def hook(method: Callable[..., None]) -> Callable[..., None]:
    """A hook of a :class:`PhaseCallback`: what fails in it is the callback's to judge."""
    return part(method.__name__)(method)


def part(where: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A part of a hook, judged by itself; ``where`` is what people read of it."""

    def decorate(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def guarded(self: PhaseCallback, *args: Any, **kwargs: Any) -> None:
            try:
                method(self, *args, **kwargs)
            except Exception as error:
                self.failed(where, error)

        return guarded

    return decorate


class PhaseCallback(Callback):
    """Marks the phases of a training on an account, and counts its operations.

    Phases are a stack: a validation within training is charged to ``validate`` and falls back to ``train``. Whatever is
    open is closed when the training ends, fails or is terminated. What the callback itself takes is the audit's.

    Attributes:
        marks: Where it marks; ``None``: nowhere.
        account: The account of the training, without a phase.
        flops: Operations counted so far; ``None`` where the model can't be counted.
        uncounted_ops: Operators that have no known count, or why nothing was counted.
    """

    def __init__(self) -> None:
        self.marks: Marks | None = None
        self.account = ""
        self.flops: int | None = None
        self.uncounted_ops: tuple[str, ...] = ()
        self._depth = 0
        self._saving = False
        self._count: FlopCount | None = None
        self._counted = False
        self._seen = 0
        self._regular: RegularBatches | None = None
        self._done = 0
        self._sheds = False
        self._minds_batches = False

    def failed(self, where: str, error: Exception) -> None:
        """Something failed in a hook: in a search the training fails with it."""
        raise error

    @hook
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin."""
        self._saving = False
        self._take_up_hooks()
        self._sheds = _skips_hooks_that_are_none(trainer)
        self._shed(*_IDLE_HOOKS)
        if self.marks is not None:
            self._depth = self.marks.depth
            self._begin(Phase.SETUP)

    @hook
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training begins."""
        self._regular = None
        self._done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        self._begin(Phase.TRAIN)

    @hook
    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the operations of the first batch; others are scaled by their size."""
        if self._saving:
            self._saved()
        if not self._counted:
            self._count_operations(pl_module, batch)
            self._regular = regular_batches(trainer.train_dataloader, batch_size_of(batch)) if self._sheds else None
            if (self._regular is not None or self._count is None) and not self._minds_batches:
                self._shed("on_train_batch_end")
        self._shed("on_train_batch_start")

    @hook
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the operations of a training batch."""
        if self._count is not None and self._regular is None:
            self._add(self._count.forward + self._count.backward, batch, batch_idx)

    @hook
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A checkpoint that was written after the epoch before is written."""
        if self._saving:
            self._saved()

    @hook
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the operations of the epoch's batches."""
        self._add_regular(trainer)

    @hook
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training ends."""
        self._add_regular(trainer)
        self._end(self._depth)
        self._begin(Phase.TEARDOWN)

    @hook
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation begins, also within training."""
        self._begin(Phase.VALIDATE)

    @hook
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation ends."""
        self._end()

    @hook
    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Add the operations of a validation batch."""
        self._evaluated(batch, batch_idx)

    @hook
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Testing begins."""
        self._begin(Phase.TEST)

    @hook
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Testing ends."""
        self._end()

    @hook
    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Add the operations of a test batch."""
        self._evaluated(batch, batch_idx)

    @hook
    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predicting begins."""
        self._begin(Phase.PREDICT)

    @hook
    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predicting ends."""
        self._end()

    @hook
    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Add the operations of a batch that was predicted."""
        self._evaluated(batch, batch_idx)

    @hook
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint is about to be written; no hook says when it was, so the next one of any kind ends it."""
        if self.marks is not None and not self._saving:
            self._begin(Phase.CHECKPOINT)
            self._saving = True
            self._take_up_hooks("on_train_batch_start")

    @hook
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close whatever is open: after an exception or SIGTERM no end hook comes."""
        self._end(self._depth)
        self._add_regular(trainer)
        self._take_up_hooks()

    @hook
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close whatever is open."""
        self._end(self._depth)
        self._take_up_hooks()

    def _shed(self, *names: str) -> None:
        """Have Lightning pass hooks over from now on: an idle one costs each batch microseconds.

        A hook of somebody's own subclass stays.
        """
        for name in names if self._sheds else ():
            if getattr(type(self), name).__module__.partition(".")[0] in _OURS:
                setattr(self, name, None)

    def _take_up_hooks(self, *names: str) -> None:
        """Be called again, by some hooks or all."""
        for name in names or [name for name in self.__dict__ if name.startswith("on_")]:
            self.__dict__.pop(name, None)

    def _add_regular(self, trainer: pl.Trainer) -> None:
        """Add the operations of the training batches since the last time, whose sizes are known."""
        if self._regular is None or self._count is None or self.flops is None:
            return
        progress = trainer.fit_loop.epoch_loop.batch_progress
        batches, upto = progress.total.completed - self._done, progress.current.completed
        self._done += batches
        samples = self._regular.samples(upto) - self._regular.samples(max(upto - batches, 0))
        self.flops += (self._count.forward + self._count.backward) * samples // self._count.batch_size

    def _begin_counting(self) -> None:
        """Count from 0, for another run."""
        self.flops, self.uncounted_ops = None, ()
        self._count, self._counted, self._seen = None, False, 0

    def _begin(self, phase: Phase) -> None:
        if self._saving:
            self._saved()
        if self.marks is not None:
            self.marks.begin(f"{self.account}/{phase.value}")

    def _end(self, depth: int | None = None) -> None:
        if self._saving:
            self._saved()
        if self.marks is not None:
            self.marks.end(depth)

    def _saved(self) -> None:
        self._saving = False
        if self.marks is not None:
            self.marks.end()

    def _count_operations(self, module: pl.LightningModule, batch: Any) -> None:
        self._counted = True
        marks = self.marks
        if marks is None:
            return
        depth = marks.depth
        marks.begin(audit_account(parse_account(self.account).name))
        try:
            self._count = flops_of(module, batch)
        except Exception as error:  # a model the meta device can't run must not stop its training
            self.uncounted_ops = (f"all: {type(error).__name__} on the meta device",)
        else:
            self.flops = self._count.forward * self._seen // self._count.batch_size
            self.uncounted_ops = self._count.uncounted_ops
        finally:
            marks.end(depth)

    def _evaluated(self, batch: Any, number: int) -> None:
        if self._count is not None:
            self._add(self._count.forward, batch, number)
        elif not self._counted:
            self._seen += batch_size_of(batch)  # a sanity check comes before the first batch that is counted

    def _add(self, operations: int, batch: Any, number: int) -> None:
        if self._count is None or self.flops is None:
            return
        if number % _TIMED:
            self.flops += operations * batch_size_of(batch) // self._count.batch_size
            return
        began_ns = time.thread_time_ns()
        self.flops += operations * batch_size_of(batch) // self._count.batch_size
        if isinstance(self.marks, Activity):
            self.marks.audited(_TIMED * (time.thread_time_ns() - began_ns))


def _skips_hooks_that_are_none(trainer: pl.Trainer) -> bool:
    """Whether this Lightning looks if a hook can be called before it calls it, as all known ones do."""
    for parent in type(trainer).__mro__:
        caller = sys.modules.get(parent.__module__.rpartition(".")[0] + ".call")
        if (call := getattr(caller, "_call_callback_hooks", None)) is not None:
            return "callable" in call.__code__.co_names
    return False


def metric_value(metrics: Mapping[str, Any], name: str) -> float:
    """A logged metric as a number.

    Raises:
        KeyError: the module did not log it; the message lists what it logged.
    """
    if name not in metrics:
        raise KeyError(f"the module logged no '{name}'; it logged: {', '.join(sorted(metrics)) or 'nothing'}")
    return float(metrics[name])


class TrialCallback(PhaseCallback):
    """The callback of a search: also reports the validation metric, and stops the training when that says so.

    Args:
        activity: The marks of this process.
        account: The account of the training, without a phase.
        metric: Name of the logged metric.
        report: Called with (epoch, value) after every epoch, answers whether to prune; ``None``: nobody asks.

    Attributes:
        pruned: Whether the training was stopped.
        scores: Of each test example, in the order of the loader, where ``test_step`` returns ``{"score": (n,)}``.
    """

    def __init__(
        self, activity: Activity, account: str, metric: str, report: Callable[[int, float], bool] | None = None
    ) -> None:
        super().__init__()
        self.marks, self.account = activity, account
        self._metric = metric
        self._report = report
        self.pruned = False
        self.scores: list[float] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the metric of this epoch."""
        if (
            self._report is not None
            and not trainer.sanity_checking
            and self._metric in trainer.callback_metrics
            and self._report(trainer.current_epoch, metric_value(trainer.callback_metrics, self._metric))
        ):
            self.pruned = True
            trainer.should_stop = True
        super().on_validation_end(trainer, pl_module)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the scores of the examples."""
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        score: Any = outputs.get("score") if isinstance(outputs, Mapping) else None
        if score is not None and getattr(score, "ndim", 0) == 1 and hasattr(score, "detach"):
            self.scores += score.detach().float().cpu().tolist()
