"""How a training ended; without torch, so that the coordinator stays light."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.domain.study import InferenceBlock, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        state: ``complete``, ``pruned`` or ``failed``.
        value: Validation metric after the last epoch; ``None`` unless complete.
        test_value: Metric on the test set; ``None`` where it was not asked for.
        flops: Operations counted; ``None`` where the model can't be counted.
        uncounted_ops: Operators that have no known count.
        error: Why it failed, in one line.
        scores: Of each test example, where the module's ``test_step`` gives them.
        inference: Blocks of inference that followed.
        inference_error: Why there are none where they were asked for; empty otherwise.
    """

    state: TrialState
    value: float | None = None
    test_value: float | None = None
    flops: int | None = None
    uncounted_ops: tuple[str, ...] = ()
    error: str = ""
    scores: tuple[float, ...] = ()
    inference: tuple[InferenceBlock, ...] = ()
    inference_error: str = ""
