"""What a process, or one of its threads, works for at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stack(ABC):
    """Accounts that were begun and not ended yet; the last one begun is worked for. It belongs to one thread."""

    def __init__(self) -> None:
        self._stack: list[str] = []

    @property
    def depth(self) -> int:
        """How many accounts are stacked."""
        return len(self._stack)

    def begin(self, account: str) -> None:
        """Work for an account from now on."""
        self._stack.append(account)
        self._mark()

    def end(self, depth: int | None = None) -> None:
        """Go back to what was worked for before; with ``depth``, unwind the stack down to it."""
        target = max(0, len(self._stack) - 1) if depth is None else depth
        if target < len(self._stack):
            del self._stack[target:]
            self._mark()

    @contextmanager
    def working_for(self, account: str) -> Iterator[None]:
        """Work for an account within a block; whatever the block left open is closed with it."""
        depth = self.depth
        self.begin(account)
        try:
            yield
        finally:
            self.end(depth)

    @abstractmethod
    def _mark(self) -> None:
        """Write down what is worked for from now on."""


class Lane(Stack):
    """A thread of a process that works for accounts of its own, while others of its threads work for others.

    While any lane of a process has an account, the process works for those of its lanes and not for its own. Only the
    thread that works may use its lane, since its CPU time is read. Made by
    :meth:`auditor.metering.activity.Activity.lane`.

    Args:
        write: Writes down what the calling thread works for from now on; empty: for nothing of its own.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    @property
    def account(self) -> str:
        """What the thread works for; empty: nothing of its own."""
        return self._stack[-1] if self._stack else ""

    def close(self) -> None:
        """Work for nothing of its own any more; may be called twice."""
        self.end(0)

    def _mark(self) -> None:
        self._write(self.account)
