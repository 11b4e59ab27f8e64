"""What Tune was told and does not tell its callbacks, and what its trials report."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an experiment is about.

    Attributes:
        metric: Name of the reported metric; empty: none was named.
        mode: ``max``, ``min``, or empty.
        sampler: Name of what draws its trials.
        scheduler: What may stop its trials; ``None``: not known.
    """

    metric: str = ""
    mode: str = ""
    sampler: str = "Ray Tune"
    scheduler: Any = None

    def cut(self, said_done: bool, last: Mapping[str, Any], criteria: Mapping[str, Any]) -> bool:
        """Whether a trial that ended was stopped before its end.

        A function that returns gives one more result than it reports: its last result is done, and was not when it was
        reported. A result that was done already is the last for meeting the experiment's criteria, or for the
        scheduler, which also stops who has run as long as it lets any.

        Args:
            said_done: Whether its last result was done when it was reported.
            last: Its last result, flat.
            criteria: The experiment's criteria.
        """
        if not said_done:
            return not last.get("done", False)
        if isinstance(self.scheduler, FIFOScheduler) and type(self.scheduler).on_trial_result is _NEVER_STOPS:
            return False
        if any(name in last and last[name] >= limit for name, limit in criteria.items()):
            return False
        longest = getattr(self.scheduler, "_max_t", getattr(self.scheduler, "_max_t_attr", None))
        ran = last.get(getattr(self.scheduler, "_time_attr", None) or "training_iteration")
        return longest is None or ran is None or bool(ran < longest)


_NEVER_STOPS = FIFOScheduler.on_trial_result


def told(given: Told) -> Told:
    """What the ``tune.run`` that calls this was told, by its arguments; what was given goes first.

    Raises:
        LookupError: no ``tune.run`` calls this.
    """
    frame, code = inspect.currentframe(), inspect.unwrap(tune.run).__code__
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    if frame is None:
        raise LookupError("what Tune was told can't be seen; name metric and mode to RayTuneCallback")
    arguments = frame.f_locals
    scheduler, sampler = arguments.get("scheduler"), arguments.get("search_alg")
    while (base := getattr(scheduler, "_base_scheduler", None)) is not None:
        scheduler = base
    while (base := getattr(sampler, "searcher", None)) is not None:
        sampler = base
    return Told(
        metric=given.metric or arguments.get("metric") or _first("_metric", sampler, scheduler),
        mode=given.mode or arguments.get("mode") or _first("_mode", sampler, scheduler),
        sampler=type(sampler).__name__ if sampler is not None else given.sampler,
        scheduler=scheduler,
    )


def _first(name: str, *told: Any) -> str:
    """The first that is named in an attribute; several objectives are none."""
    found = (getattr(each, name, None) for each in told)
    return next((each for each in found if isinstance(each, str) and each != "_metric"), "")


def flat(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A result with nested names as ``a/b``, as Tune names metrics."""
    found: dict[str, Any] = {}
    for name, value in result.items():
        nested = isinstance(value, Mapping) and value
        found |= flat(value, f"{prefix}{name}/") if nested else {f"{prefix}{name}": value}
    return found


def number_of(value: Any) -> float | None:
    """A metric as a number; ``None`` where it is none."""
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """A configuration as a journal holds it: what JSON has no word for as text."""
    match value:
        case None | str() | bool():
            return value
        case Integral():
            return int(value)
        case Real():
            return float(value)
        case Mapping():
            return {str(name): plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
    return repr(value)
