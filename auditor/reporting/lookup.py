"""Finding things in a statement, and the reason where a figure is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.reporting.figures import is_figure

Statement = Mapping[str, Any]
"""A statement as read from ``statement.json``."""

_PREFIX = re.compile(r"^[\w.,\[\] ]+? (?:is|are) (?:null|empty|not known): ")


def at(statement: Statement, path: str) -> Any:
    """What stands at a dotted path such as ``energy.search_uj``; ``None`` where any part of it is missing."""
    here: Any = statement
    for key in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(key)
    return here


def figure(statement: Statement, path: str) -> float | None:
    """The number at a path; ``None`` where there is none, or none that is finite."""
    value = at(statement, path)
    return value if is_figure(value) else None


def joules(statement: Statement, path: str) -> float | None:
    """Microjoules at a path, in joules."""
    energy_uj = figure(statement, path)
    return None if energy_uj is None else energy_uj / 1e6


def metered_j(statement: Statement) -> float | None:
    """All metered energy in joules; ``None`` also for the empty sum of a study that nothing metered."""
    energy_j = joules(statement, "energy.metered_uj")
    return energy_j or (energy_j if records(statement, "energy.components") else None)


def text(statement: Statement, path: str) -> str:
    """The text at a path; empty where there is none."""
    value = at(statement, path)
    return value if isinstance(value, str) else ""


def subject(statement: Statement) -> str:
    """What a statement is about: ``training``, or ``search``."""
    return "training" if text(statement, "study.kind") == "training" else "search"


def is_imported(statement: Statement) -> bool:
    """Whether the study ran elsewhere, so that no meter was read here."""
    return at(statement, "study.imported") is True


def texts(statement: Statement, path: str) -> list[str]:
    """The texts listed at a path."""
    value = at(statement, path)
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []


def records(statement: Statement, path: str) -> list[Statement]:
    """The objects listed at a path."""
    value = at(statement, path)
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, list) else []


def numbers(statement: Statement, path: str) -> list[float]:
    """The finite numbers listed at a path."""
    value = at(statement, path)
    return [part for part in value if is_figure(part)] if isinstance(value, list) else []


def interval(statement: Statement, path: str) -> tuple[float, float] | None:
    """Both ends of an interval; ``None`` unless both are known."""
    ends = numbers(statement, path)
    return (ends[0], ends[1]) if len(ends) == 2 else None


def why(statement: Statement, path: str) -> str:
    """Why the figure at a path is missing, in the words of the finding that names it; empty where none does.

    A finding names a figure by its path (``cost.energy is null: …``) or by what the figure is part of
    (``gain is null: …``).
    """
    messages = [text(finding, "message") for finding in records(statement, "findings")]
    for name in _enclosing(path):
        for message in messages:
            if _names(message, name):
                reason = _PREFIX.sub("", message)
                return reason.rstrip(".")
    return ""


def _enclosing(path: str) -> Iterator[str]:
    yield path
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _names(message: str, name: str) -> bool:
    """Whether a message is about this key; a plain word such as ``gain`` may also just occur in it."""
    about = rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)"
    if "." in name or "_" in name:
        return re.search(about, message) is not None
    return re.search(rf"{about}(?:(?:, and |, | and )[\w.]+)* (?:is|are) (?:null|empty|not)\b", message) is not None
