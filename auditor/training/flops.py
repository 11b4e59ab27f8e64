"""Counting floating-point operations of a training step, without running it.

``FlopCounterMode`` on the meta device counts by shapes: 2 operations per multiply-add, forward and backward. It knows
matrix products, convolutions and attention; operators it does not know are listed, never counted as zero in silence.
"""

from __future__ import annotations

import copy
import os
import random
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from auditor.training.shared import closed_over, shared_state_kept

if TYPE_CHECKING:
    import pytorch_lightning as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class FlopCount:
    """Operations of one batch.

    Attributes:
        forward: Operations of the forward pass.
        backward: Operations of the backward pass.
        batch_size: Samples in the batch.
        uncounted_ops: Operators that were used and have no known count, sorted.
    """

    forward: int
    backward: int
    batch_size: int
    uncounted_ops: tuple[str, ...]


def count_flops(module: pl.LightningModule, batch: Any) -> FlopCount:
    """Count the operations of ``training_step`` and its backward pass on a copy on the meta device.

    Args:
        module: The module, attached to a Trainer or not; it is not changed.
        batch: A batch as ``training_step`` gets it; only shapes and types are used.

    Raises:
        Exception: whatever the module raises on the meta device, where it reads a value of a tensor, say.
    """
    from torch.utils.flop_counter import FlopCounterMode

    twin = _twin(module)
    meta_batch = _to_meta(batch)
    seen = _Operators()
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoTracker()  # type: ignore[assignment]  # all that is asked of it
    with shared_state_kept(module), _random_numbers_kept(), warnings.catch_warnings(), counter, seen:
        warnings.simplefilter("ignore")  # self.log() says that there is no Trainer
        with torch.enable_grad():
            backward = 0

            def go_back(loss: torch.Tensor, *_: Any, **__: Any) -> None:
                nonlocal backward
                before = counter.get_total_flops()
                loss.backward()
                backward += counter.get_total_flops() - before

            if not twin.automatic_optimization:
                _optimise_by_hand(twin, module, go_back)
            output = twin.training_step(meta_batch, 0)
            if twin.automatic_optimization:
                loss = output["loss"] if isinstance(output, dict) else output
                if not isinstance(loss, torch.Tensor):
                    raise TypeError("training_step returns no loss")
                go_back(loss)
    return FlopCount(
        forward=counter.get_total_flops() - backward,
        backward=backward,
        batch_size=batch_size_of(batch),
        uncounted_ops=seen.uncounted(),
    )


def _twin(module: pl.LightningModule) -> pl.LightningModule:
    """A copy on the meta device that is not attached to a Trainer; no parameter is copied, however large."""
    memo: dict[int, Any] = {}
    if module._trainer is not None:
        memo[id(module._trainer)] = None
    plain = (value for part in module.modules() for value in vars(part).values() if isinstance(value, torch.Tensor))
    for tensor in (*module.parameters(), *module.buffers(), *plain):
        empty = torch.empty_like(tensor, device="meta")
        made = torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty
        memo[id(tensor)] = made
    twin = copy.deepcopy(module, memo)
    for part in twin.modules():
        for held in (vars(part), *(hooks for hooks in vars(part).values() if isinstance(hooks, dict))):
            for name, function in list(held.items()):
                if isinstance(function, types.FunctionType):
                    held[name] = closed_over(function, memo)
    return twin.to("meta").train()


class _NoTracker:
    """Stands for what tells which module runs: that hooks into every module of the process, other threads' too."""

    parents = ("Global",)

    def __enter__(self) -> None:
        """Hook into nothing."""

    def __exit__(self, *error: object) -> None:
        """Nothing to take back."""


class _Idle:
    """Stands for an optimizer or a scheduler; what these compute has no known count."""

    param_groups: tuple[()] = ()

    def zero_grad(self, *_: Any, **__: Any) -> None:
        """Leave the gradients."""

    def step(self, closure: Any = None, *_: Any, **__: Any) -> None:
        """Compute the loss where the step is to do that."""
        if callable(closure):
            closure()

    def toggle_model(self, *_: Any, **__: Any) -> AbstractContextManager[None]:
        """Do nothing for a block."""
        return nullcontext()


def _optimise_by_hand(twin: pl.LightningModule, module: pl.LightningModule, go_back: Callable[..., None]) -> None:
    """Let a copy that calls its optimizers itself call idle ones."""

    def idle(of: Any) -> Any:
        return [_Idle() for _ in of] if isinstance(of, list) else None if of is None else _Idle()

    optimizers, schedulers = idle(module.optimizers()), idle(module.lr_schedulers())
    instead: dict[str, Callable[..., Any]] = {
        "optimizers": lambda *_, **__: optimizers,
        "lr_schedulers": lambda *_, **__: schedulers,
        "manual_backward": go_back,
        "toggled_optimizer": nullcontext,
        **dict.fromkeys(("toggle_optimizer", "untoggle_optimizer", "clip_gradients"), lambda *_, **__: None),
    }
    for name, method in instead.items():
        setattr(twin, name, method)


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Leave Python's, NumPy's and torch's generators where they were: counting must not change the training."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


_PATIENCE_S = 10.0


class _OneAtATime:
    """What counting sets for the process, warnings and random numbers, it sets for all of its threads."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a child forked while another thread was counting."""
        self.lock = threading.RLock()


_counts: dict[tuple[Any, ...], FlopCount] = {}
_counting = _OneAtATime()
os.register_at_fork(after_in_child=_counting.renew)


def flops_of(module: pl.LightningModule, batch: Any) -> FlopCount:
    """The operations of a batch, counted once per architecture and batch shape in this process.

    Modules are of one architecture where their submodules, the shapes of their parameters and buffers, and their public
    settings agree. Fractions on the LightningModule itself (a learning rate) do not count as settings.

    Raises:
        Exception: as :func:`count_flops`.
    """
    key = (_architecture(module), _shapes(batch))
    if key in _counts:
        return _counts[key]
    lock = _counting.lock
    if not lock.acquire(timeout=_PATIENCE_S):  # what is counted may wait for this very thread
        raise TimeoutError(f"another thread has been counting for {_PATIENCE_S:g} s")
    try:
        if key not in _counts:
            _counts[key] = count_flops(module, batch)
        return _counts[key]
    finally:
        lock.release()


def _architecture(module: pl.LightningModule) -> tuple[Any, ...]:
    parts: list[Any] = []
    for name, part in module.named_modules():
        plain = (bool, int, str, tuple) if part is module else (bool, int, str, tuple, float)
        settings = {k: v for k, v in vars(part).items() if isinstance(v, plain) and not k.startswith("_")}
        shapes = [(k, tuple(t.shape)) for k, t in (*part._parameters.items(), *part._buffers.items()) if t is not None]
        parts.append((name, type(part), repr(settings), repr(shapes)))
    return tuple(parts)


def _shapes(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return (tuple(batch.shape), batch.dtype)
    if isinstance(batch, dict):
        return tuple((key, _shapes(value)) for key, value in batch.items())
    if isinstance(batch, list | tuple):
        return tuple(map(_shapes, batch))
    return type(batch)


def batch_size_of(batch: Any) -> int:
    """Samples in a batch: first dimension of its first tensor; 1 where there is none."""
    if isinstance(batch, torch.Tensor):
        return int(batch.shape[0]) if batch.ndim else 1
    values = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, list | tuple) else ()
    for value in values:
        if isinstance(value, torch.Tensor | list | tuple | dict):
            return batch_size_of(value)
    return 1


def _to_meta(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return torch.empty_like(batch, device="meta")
    if isinstance(batch, dict):
        return {key: _to_meta(value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(_to_meta, batch))
    if isinstance(batch, list | tuple):
        return type(batch)(map(_to_meta, batch))
    return batch


class _Operators:
    """Notes which operators run and have no known count; views and constructors cost nothing."""

    def __init__(self) -> None:
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils.flop_counter import flop_registry

        names: set[str] = set()

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if func._overloadpacket not in flop_registry and not _is_free(func):
                    names.add(str(func._overloadpacket))
                return func(*args, **(kwargs or {}))

        self._names = names
        self._mode: Any = Mode()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def __enter__(self) -> None:
        self._mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)

    def uncounted(self) -> tuple[str, ...]:
        return tuple(sorted(self._names))


def _is_free(func: torch._ops.OpOverload) -> bool:
    """Whether an operator only makes a view, or a tensor without computing its values."""
    if func.is_view:
        return True
    name = func._overloadpacket.__name__
    return name.startswith(("empty", "new_", "zeros", "ones", "full", "detach", "_unsafe_view", "clone", "_to_copy"))
