"""Search spaces without a network, for what only draws and compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


class ToySpace:
    """One number in [0, 1]; the more the better."""

    metric = "score"
    direction: Any = "maximize"
    test_metric: str | None = "test_score"
    default: Mapping[str, Any] = {"x": 0.5}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.0, 1.0)}

    def module(self, params: Mapping[str, Any]) -> Any:
        raise AssertionError("nothing is trained here")

    def data(self, params: Mapping[str, Any]) -> Any:
        raise AssertionError("nothing is trained here")

    def arrays(self) -> None:
        return None


class Minimised(ToySpace):
    """The less the better."""

    direction = "minimize"


class Untested(ToySpace):
    """A space without a test set."""

    test_metric = None


class Lacking:
    """Half a space."""

    metric = "score"
    direction = "maximize"


class Sideways(ToySpace):
    """A space of no known direction."""

    direction = "sideways"


class ListDefault(ToySpace):
    """A space whose default is no mapping."""

    default: Any = (1, 2)


toy = ToySpace()
minimised = Minimised()
untested = Untested()
