"""Whose books a thread works on, so that who is called within marks on the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


class Marks(Protocol):
    """Where a training is marked: an activity, or one thread of it."""

    @property
    def depth(self) -> int:
        """How many accounts are stacked."""

    def begin(self, account: str) -> None:
        """Work for an account from now on."""

    def end(self, depth: int | None = None) -> None:
        """Go back to the account before, or down to a depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the books of a study lie, as another process of it needs to know.

    Attributes:
        folder: The study folder.
        uuid: Identity of the study.
        account: Account that the process works for where no mark says otherwise.
    """

    folder: str
    uuid: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """Whose books a thread works on, for those who are called within.

    Attributes:
        marks: Where it marks.
        account: The account it works for, without a phase.
        count: Told how many floating-point operations were counted, and which operators were not.
    """

    marks: Marks
    account: str
    count: Callable[[int | None, Iterable[str]], None]


_booked: dict[tuple[int, int], Booked] = {}


def book_here(booked: Booked | None) -> None:
    """This thread works on some books from now on, or on none."""
    key = (os.getpid(), threading.get_ident())
    if booked is None:
        _booked.pop(key, None)
    else:
        _booked[key] = booked


def booked_here() -> Booked | None:
    """Whose books this thread works on; ``None``: nobody's that it knows of."""
    return _booked.get((os.getpid(), threading.get_ident()))


def book_nobody() -> None:
    """No thread works on any books from now on."""
    _booked.clear()
