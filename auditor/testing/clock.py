"""Time: the machine's, and one that tests move."""

from __future__ import annotations

import time

_NS_PER_S = 1_000_000_000


class SystemClock:
    """The machine's monotonic clock."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class FakeClock:
    """A clock that only moves when it is told to, or when somebody sleeps.

    Args:
        start_ns: What it shows at first, in nanoseconds.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def monotonic_ns(self) -> int:
        """What the clock shows, in nanoseconds."""
        return self._now_ns

    def sleep(self, seconds: float) -> None:
        """Move on without waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on by some seconds.

        Raises:
            ValueError: a negative number; a monotonic clock never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a monotonic clock can't go back by {-seconds} s")
        self._now_ns += round(seconds * _NS_PER_S)
