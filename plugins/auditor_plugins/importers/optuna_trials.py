"""What both kinds of Optuna's storages hold: studies, and trials as they are put together from many records."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from auditor.domain.study import Finding, TrialState
from auditor_plugins.importers.told import not_read

STATES = {
    "RUNNING": TrialState.RUNNING,
    "COMPLETE": TrialState.COMPLETE,
    "PRUNED": TrialState.PRUNED,
    "FAIL": TrialState.FAILED,
}
"""By Optuna's names; WAITING is left out: such a trial has not begun."""

ENQUEUED = "fixed_params"
"""System attribute of a trial that waited before it ran."""

_TWO_CLOCKS_S = 600.0
"""Zones differ by quarters of an hour; starts of workers that begin at once by less than this."""


@dataclass(slots=True)
class Draft:
    """A trial while it is read.

    Attributes:
        number: Its number.
        state: Optuna's name of its state.
        start: When it began; without a zone, the storage's clock.
        complete: When it ended.
        params: Parameters, as the objective saw them.
        values: Values by objective.
        intermediate: Values by step.
        figures: User attributes that are numbers.
        enqueued: Whether it waited before it ran.
    """

    number: int
    state: str
    start: datetime.datetime | None = None
    complete: datetime.datetime | None = None
    params: dict[str, Any] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    intermediate: dict[int, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    enqueued: bool = False


@dataclass(slots=True)
class StudyDraft:
    """A study while it is read.

    Attributes:
        name: Its name.
        directions: ``maximize`` or ``minimize`` by objective.
        metrics: Names of the objectives, where it has some.
        trials: Its trials.
        findings: What reading it found.
    """

    name: str
    directions: list[str]
    metrics: list[str] = field(default_factory=list)
    trials: list[Draft] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def param_value(internal: float, distribution: str) -> Any:
    """A parameter as the objective saw it, from how storages keep it."""
    choices = _read_choices(distribution)
    if choices is None:
        return internal
    if not choices:
        return int(internal)
    index = int(internal)
    return choices[index] if 0 <= index < len(choices) else internal


@lru_cache(maxsize=4096)
def _read_choices(distribution: str) -> list[Any] | None:
    """Choices of a categorical parameter; none for whole numbers, ``None`` for others."""
    try:
        about = msgspec.json.decode(distribution)
        name = about["name"]
        if name == "CategoricalDistribution":
            return list(about["attributes"]["choices"])
        return [] if name in ("IntDistribution", "IntUniformDistribution", "IntLogUniformDistribution") else None
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


def duration_s(draft: Draft) -> float | None:
    """How long a trial ran; clocks that were set back in between make it unknown."""
    if draft.start is None or draft.complete is None:
        return None
    passed_s = (_plain(draft.complete) - _plain(draft.start)).total_seconds()
    return passed_s if passed_s >= 0 else None


def times_ns(drafts: Sequence[Draft]) -> tuple[Mapping[int, tuple[int | None, int | None]], tuple[Finding, ...]]:
    """Begin and end of trials in nanoseconds since the first began, by number.

    A database keeps local time up to version 4 of Optuna and UTC from version 5 on, both without saying so: dates mean
    nothing. Where trials were begun in their order, a start before that of an earlier one tells that both clocks were
    used: then nothing is known but durations and the order.
    """
    starts = [_plain(d.start) for d in drafts if d.start is not None]
    if not starts:
        return {}, ()
    latest = None
    for draft in drafts:
        if draft.start is None or draft.enqueued:
            continue
        start = _plain(draft.start)
        if latest is not None and (latest - start).total_seconds() > _TWO_CLOCKS_S:
            gap_min = round((latest - start).total_seconds() / 60)
            return {}, (
                not_read(
                    f"Trial {draft.number} begins {gap_min} min before an earlier one: the storage holds times of two "
                    "clocks, so only durations and the order of trials are taken from it."
                ),
            )
        latest = start if latest is None else max(latest, start)
    origin = min(starts)
    return {d.number: (_since(origin, d.start), _end(origin, d)) for d in drafts}, ()


def _end(origin: datetime.datetime, draft: Draft) -> int | None:
    return None if duration_s(draft) is None else _since(origin, draft.complete)


def _since(origin: datetime.datetime, moment: datetime.datetime | None) -> int | None:
    if moment is None:
        return None
    passed = _plain(moment) - origin
    return ((passed.days * 86_400 + passed.seconds) * 10**6 + passed.microseconds) * 1000


def _plain(moment: datetime.datetime) -> datetime.datetime:
    """A time of the storage's clock; one with a zone in UTC."""
    return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)


def numbers_in(attributes: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Attributes that are numbers."""
    for name, value in attributes.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
