"""The exceptions of the auditor.

::

    AuditorError                exit code 1
    ├── InputError              exit code 2: what a person wrote is wrong
    │   └── UnknownNameError    exit code 2: a name that is not in a registry
    ├── MeterError              no energy figure could be had
    ├── JournalError            a journal can't be read or written
    ├── SearchError             the search could not go on
    └── IntegrityError          exit code 3: books or manifest don't balance
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AuditorError(Exception):
    """Root of everything the auditor raises on purpose.

    The message says what was wrong, where, and what was expected.
    """

    exit_code = 1


class InputError(AuditorError):
    """Something a person wrote (configuration, option, path) is wrong."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that no registry knows; the message lists those available."""

    def __init__(self, kind: str, name: str, available: Iterable[str], *, where: str = "") -> None:
        choices = sorted(available)
        near = get_close_matches(name, choices, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        place = f"{where}: " if where else ""
        super().__init__(f"{place}unknown {kind} '{name}'.{hint} Available: {', '.join(choices) or 'none installed'}.")


class MeterError(AuditorError):
    """A meter can't give readings; the message says why and what would help."""


class JournalError(AuditorError):
    """A journal or study folder can't be read or written."""


class SearchError(AuditorError):
    """The search can't go on."""


class IntegrityError(AuditorError):
    """Books that don't balance, or a figure or hash that differs."""

    exit_code = 3


def one_line(error: BaseException, limit: int = 500) -> str:
    """An exception in one line that can be written down anywhere: its type, and what it says."""
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line[:limit].encode("utf-8", "replace").decode()
