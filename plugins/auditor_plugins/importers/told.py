"""What importers are told and what sources name alike: options, metrics, directions, states."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from auditor.domain.errors import InputError, UnknownNameError
from auditor.domain.study import Finding, Severity, TrialState

MOST_NAMES = 20
"""Names that a message lists at most."""

_STATES = {
    TrialState.COMPLETE: ("complete", "completed", "finished", "succeeded", "success", "terminated", "done", "ok"),
    TrialState.PRUNED: ("pruned", "stopped", "earlystopped"),
    TrialState.FAILED: ("failed", "fail", "error", "errored", "crashed"),
    TrialState.LOST: ("lost", "killed", "timeout", "cancelled", "canceled", "preempted", "oom"),
    TrialState.RUNNING: ("running", "paused"),
}
_STATE_BY_NAME = {name: state for state, names in _STATES.items() for name in names}
_DIRECTIONS = {"maximize": "maximize", "max": "maximize", "minimize": "minimize", "min": "minimize"}
_BETTER_HIGH = {"acc", "accuracy", "auc", "auroc", "f1", "precision", "recall", "r2", "score", "map", "iou", "miou"}
_BETTER_LOW = {"loss", "err", "error", "rmse", "mse", "mae", "nll", "perplexity", "ppl", "wer", "cer", "regret"}


def check_options(importer: str, options: Mapping[str, str], known: Iterable[str]) -> None:
    """Refuse what an importer can't be told.

    Raises:
        UnknownNameError: an option that it does not know.
    """
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known, where=importer)


def listed(names: Iterable[object]) -> str:
    """Names for a message, not all where there are many."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:MOST_NAMES])
    return shown + (f" and {len(every) - MOST_NAMES} more" if len(every) > MOST_NAMES else "") or "none"


def choose(kind: str, option: str, asked: str | None, there: Mapping[str, int], source: str) -> str:
    """The study or experiment to read.

    Args:
        kind: What is chosen: ``study``, ``experiment``.
        option: The option that names it.
        asked: What the user named.
        there: Trials of each that there is.
        source: Where they are, for the message.

    Raises:
        InputError: the one asked for is not there, none is, or it must be chosen.
    """
    counted = listed(f"{name} ({trials:,} trial{'' if trials == 1 else 's'})" for name, trials in there.items())
    if asked is not None:
        if asked not in there:
            raise InputError(f"{option} {asked}: no such {kind} in {source}; there is: {counted}")
        return asked
    if not there:
        raise InputError(f"{source}: holds no {kind}")
    if len(there) > 1:
        raise InputError(f"{source}: holds several; name one with {option}: {counted}")
    return next(iter(there))


def state_of(text: str, where: str) -> TrialState:
    """The state that a source's word stands for.

    Raises:
        InputError: the word is not known.
    """
    word = re.sub(r"[^a-z0-9]", "", text.lower().removeprefix("trialstate."))
    if word not in _STATE_BY_NAME:
        raise InputError(f"{where}: '{text}' is no state; expected one of {', '.join(_STATE_BY_NAME)}")
    return _STATE_BY_NAME[word]


def direction_of(metric: str, asked: str | None) -> tuple[str, tuple[Finding, ...]]:
    """Whether higher or lower values are better: as asked, else as the metric's name says.

    Raises:
        InputError: it was asked for wrongly, or the name does not say it.
    """
    if asked is not None:
        if asked.lower() not in _DIRECTIONS:
            raise InputError(f"--direction: '{asked}' is no direction; expected maximize or minimize")
        return _DIRECTIONS[asked.lower()], ()
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    low, high = bool(words & _BETTER_LOW), bool(words & _BETTER_HIGH)
    if low == high:
        raise InputError(f"--direction: nothing says whether high or low values of '{metric}' are better; "
                         "expected maximize or minimize")  # fmt: skip
    found = "minimize" if low else "maximize"
    message = f"{metric} is taken as one to {found}, as its name suggests; say otherwise with --direction."
    return found, (Finding(code="direction-by-name", severity=Severity.INFO, message=message),)


def choose_metric(asked: str | None, there: Iterable[str], source: str) -> str:
    """The metric that was searched for.

    Raises:
        InputError: the one asked for was never logged, none was, or it must be chosen.
    """
    names = list(there)
    if asked is not None:
        if asked not in names:
            raise InputError(f"--metric {asked}: no trial of {source} has it; there is: {listed(names)}")
        return asked
    if not names:
        raise InputError(f"{source}: no trial has a metric")
    if len(names) > 1:
        raise InputError(f"{source}: has several metrics; name the one searched for with --metric: {listed(names)}")
    return names[0]


def not_read(message: str) -> Finding:
    """A finding on what was left out while reading."""
    return Finding(code="import-incomplete", severity=Severity.WARNING, message=message)
