"""Running one training of a search: a trial, a baseline or an evaluation."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from auditor.domain.accounts import Phase
from auditor.domain.errors import one_line
from auditor.domain.study import InferenceBlock, TrialState
from auditor.metering.activity import Activity
from auditor.ports import SearchSpace
from auditor.training.phases import TrialCallback, metric_value
from auditor.training.result import TrainingResult

MOST_SCORES = 100_000
"""Test examples beyond which scores are not kept: the noise of so many is nothing beside that of the seeds."""


def quiet_lightning() -> None:
    """Silence Lightning's notes about hardware and data loaders, of which a search would repeat hundreds."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning)\b")


def warm_up(space: SearchSpace) -> None:
    """Import what the space's module and data need, so that the first trial does not pay for it.

    A space that fails here fails in its first trial again, with its message.
    """
    try:
        space.module(space.default)
        space.data(space.default)
    except Exception:
        logging.getLogger(__name__).debug("warming up failed", exc_info=True)


def run_training(
    space: SearchSpace,
    params: Mapping[str, Any],
    *,
    seed: int,
    max_epochs: int,
    activity: Activity,
    account: str,
    gpus: int = 0,
    report: Callable[[int, float], bool] | None = None,
    test: bool = False,
    infer: Callable[[Any, Any], tuple[InferenceBlock, ...]] | None = None,
) -> TrainingResult:
    """Train once with some parameters, marking every phase on an account.

    Args:
        space: Makes the module and the data.
        params: Parameters of the space.
        seed: Seeds Python, NumPy and torch.
        max_epochs: Epochs to train.
        activity: The marks of this process.
        account: Account of the training, without a phase.
        gpus: GPUs to train on; 0: the CPU.
        report: Called with (epoch, validation metric) after every epoch; answers whether to prune.
        test: Whether to evaluate on the test set afterwards.
        infer: Measures inference of the trained module on batches of a loader; what fails in it fails nothing else.

    Returns:
        The result; an exception of the user's code becomes the state ``failed``.
    """
    audit = TrialCallback(activity, account, space.metric, report)
    with activity.working_for(f"{account}/{Phase.SETUP.value}"):
        try:
            pl.seed_everything(seed, workers=False, verbose=False)
            trainer = pl.Trainer(
                max_epochs=max_epochs,
                accelerator="gpu" if gpus else "cpu",
                devices=gpus or 1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                callbacks=[audit],
                plugins=[LightningEnvironment()],
            )
            module, data = space.module(params), space.data(params)
            trainer.fit(module, datamodule=data)
            if audit.pruned:
                return _result(TrialState.PRUNED, audit)
            value = metric_value(trainer.callback_metrics, space.metric)
            if not math.isfinite(value):
                return _result(TrialState.FAILED, audit, error=f"{space.metric} is {value}")
            test_value = None
            if test and space.test_metric is not None:
                results = trainer.test(module, datamodule=data, verbose=False)
                test_value = metric_value({k: v for r in results for k, v in r.items()}, space.test_metric)
            result = _result(TrialState.COMPLETE, audit, value=value, test_value=test_value)
            return result if infer is None else _with_inference(result, infer, module, data, tested=test)
        except Exception as error:
            logging.getLogger(__name__).debug("training failed", exc_info=True)
            return _result(TrialState.FAILED, audit, error=one_line(error))


def _with_inference(
    result: TrainingResult,
    infer: Callable[[Any, Any], tuple[InferenceBlock, ...]],
    module: Any,
    data: Any,
    *,
    tested: bool,
) -> TrainingResult:
    try:
        loader = data.test_dataloader() if tested else data.val_dataloader()
        return replace(result, inference=infer(module, loader))
    except Exception as error:
        logging.getLogger(__name__).debug("measuring inference failed", exc_info=True)
        return replace(result, inference_error=one_line(error))


def _result(
    state: TrialState,
    audit: TrialCallback,
    *,
    value: float | None = None,
    test_value: float | None = None,
    error: str = "",
) -> TrainingResult:
    return TrainingResult(
        state=state,
        value=value,
        test_value=test_value,
        flops=audit.flops,
        uncounted_ops=audit.uncounted_ops,
        error=error,
        scores=tuple(audit.scores) if len(audit.scores) <= MOST_SCORES else (),
    )
