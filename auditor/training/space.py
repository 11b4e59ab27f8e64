"""A search space made of a LightningModule and a LightningDataModule."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import optuna
    import pytorch_lightning as pl


@dataclass(frozen=True, kw_only=True)
class LightningSpace:
    """A search space over training that you already have.

    Args:
        suggest: Draws the parameters of a trial (define by run), for example
            ``lambda trial: {"lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True)}``.
        default: Parameters you would use without searching; the baseline of the audit.
        module_class: The LightningModule, called with the parameters it has arguments for; a class, or
            ``module:attribute``, which is imported by the workers only.
        data_class: The LightningDataModule, likewise.
        metric: Name under which the module logs its validation metric.
        direction: ``maximize`` or ``minimize``.
        test_metric: Name under which the module's ``test_step`` logs its metric; ``None``: no test set.
        scorer: Name of the scikit-learn scorer that equals the metric, for the classical baselines.
        arrays_from: Gives the features and labels of ``train``, ``validation`` and ``test`` for classical baselines,
            or names a function that does; ``None``: classical models don't apply.
    """

    suggest: Callable[[optuna.Trial], Mapping[str, Any]]
    default: Mapping[str, Any]
    module_class: Callable[..., pl.LightningModule] | str
    data_class: Callable[..., pl.LightningDataModule] | str
    metric: str
    direction: Literal["maximize", "minimize"] = "maximize"
    test_metric: str | None = None
    scorer: str = "accuracy"
    arrays_from: Callable[[], Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]] | str | None = None

    def module(self, params: Mapping[str, Any]) -> pl.LightningModule:
        """The model for some parameters."""
        model: pl.LightningModule = _call(_resolve(self.module_class), params)
        return model

    def data(self, params: Mapping[str, Any]) -> pl.LightningDataModule:
        """The data for some parameters."""
        data: pl.LightningDataModule = _call(_resolve(self.data_class), params)
        return data

    def arrays(self) -> Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] | None:
        """Features and labels for classical baselines; ``None`` where they don't apply."""
        if self.arrays_from is None:
            return None
        arrays: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = _resolve(self.arrays_from)()
        return arrays


def _resolve(target: Callable[..., Any] | str) -> Callable[..., Any]:
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _call(make: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    """Call with those parameters that the callable takes."""
    signature = inspect.signature(make)
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return make(**params)
    return make(**{name: value for name, value in params.items() if name in signature.parameters})
