"""A benchmark of nine configurations, whose truth is known by heart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from auditor.domain.benchmark import Recorded


class Toy:
    """Two integers from 0 to 2; the truth is their sum, recordings are 0.1 above and below it."""

    name = "toy"
    datasets: ClassVar[tuple[str, ...]] = ("small",)
    direction: Literal["maximize", "minimize"] = "maximize"
    metric = "small score"
    test_metric = "small score of other trainings"
    source = "a toy"
    seconds = 100.0

    def __init__(self, dataset: str = "small") -> None:
        self.dataset = dataset

    def suggest(self, trial: Any) -> Mapping[str, Any]:
        return {name: trial.suggest_int(name, 0, 2) for name in ("a", "b")}

    def configurations(self) -> Iterator[Mapping[str, Any]]:
        return ({"a": a, "b": b} for a in range(3) for b in range(3))

    def lookup(self, params: Mapping[str, Any], seed: int) -> Recorded:
        noise = 0.1 if seed % 2 else -0.1
        truth = self.truth(params)
        return Recorded(value=truth + noise, test_value=truth - noise, seconds=self.seconds)

    def truth(self, params: Mapping[str, Any]) -> float:
        return float(params["a"] + params["b"])


class Instant(Toy):
    seconds = 0.0


class Costs(Toy):
    direction: Literal["maximize", "minimize"] = "minimize"
