"""Energy of an inference: the same batch again and again, in blocks that have accounts of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device

from auditor.analysis.mean import mean_interval
from auditor.domain.accounts import Phase
from auditor.domain.study import InferenceBlock
from auditor.metering.activity import Activity
from auditor.training.flops import batch_size_of

BLOCK_S = 1.0
"""Least time of a block: a reading is taken at its end, and energy counters step every 0.1 s or so."""

LEAST_BLOCKS = 3
WITHIN = 0.05
"""How far, relatively, the ends of the 95 % interval of the mean may lie from it before the blocks end."""


def measure_inference(
    module: Any,
    loader: Any,
    *,
    activity: Activity,
    account: Callable[[int], str],
    energy_j: Callable[[str], float | None],
    most_s: float,
    block_s: float = BLOCK_S,
) -> tuple[InferenceBlock, ...]:
    """Run a model on its first batch until the energy of a sample is known to 5 %, or for so long.

    Args:
        module: A LightningModule, trained.
        loader: Its batches; the first one is used.
        activity: The marks of this process.
        account: Account of a block by its number, without a phase.
        energy_j: Energy on the books of an account so far, in joules; ``None`` where that is not known.
        most_s: Seconds after which no further block begins; three are run in any case.
        block_s: Least seconds of a block.

    Returns:
        The blocks; how much each used is on the books.

    Raises:
        Exception: whatever the model raises.
    """
    batch = move_data_to_device(next(iter(loader)), module.device)
    size = batch_size_of(batch)
    module.eval()
    run = forward_of(module, batch)
    blocks: list[InferenceBlock] = []
    spent: list[float | None] = []
    with torch.inference_mode():
        for _ in range(2):  # kernels are chosen and memory is taken in the first
            run()
        began_s = time.monotonic()
        while len(blocks) < LEAST_BLOCKS or time.monotonic() - began_s < most_s:
            number, batches = len(blocks), 0
            with activity.working_for(f"{account(number)}/{Phase.PREDICT.value}"):
                until_s = time.monotonic() + block_s
                while batches == 0 or time.monotonic() < until_s:
                    run()
                    batches += 1
                if module.device.type == "cuda":
                    torch.cuda.synchronize(module.device)
            blocks.append(InferenceBlock(number=number, samples=batches * size, batch_size=size))
            with activity.working_for(activity.audit_account):
                spent.append(energy_j(account(number)))
            if is_known(spent, blocks):
                break
    return tuple(blocks)


def is_known(spent: Sequence[float | None], blocks: Sequence[InferenceBlock]) -> bool:
    """Whether the mean energy of a sample is known to 5 %: the 95 % interval over at least three blocks."""
    if len(blocks) < LEAST_BLOCKS or any(energy_j is None for energy_j in spent):
        return False
    mean = mean_interval([(energy_j or 0.0) / b.samples for energy_j, b in zip(spent, blocks, strict=True)])
    return mean is not None and mean.relative_half_width <= WITHIN


def forward_of(module: Any, batch: Any) -> Callable[[], Any]:
    """What an inference of a module is: its ``predict_step`` where it has its own, else ``forward`` of the inputs.

    Of a batch of several parts the first holds the inputs, as in ``(images, labels)``.
    """
    if not type(module).predict_step.__module__.startswith(("pytorch_lightning.", "lightning.")):
        return lambda: module.predict_step(batch, 0)
    inputs = batch[0] if isinstance(batch, list | tuple) else batch
    return lambda: module(inputs)
