"""A training that somebody ran and recorded, as a benchmark gives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded training.

    Attributes:
        value: Its metric, on the validation set.
        test_value: What another training of the same configuration, or the test set, says of it; ``None``: nothing is
            recorded.
        seconds: How long the training took.
    """

    value: float
    test_value: float | None
    seconds: float
