"""Counting runs a copy of a training step; nothing of the original, or of what it shares, is changed by that."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from auditor.training.flops import count_flops
from unit.training.nets import THIRD_PARTY

pytestmark = THIRD_PARTY

calls = 0
ready = False
last: Any = None
history: list[Any] = []
recent: deque[Any] = deque(maxlen=3)
cache: dict[int, Any] = {}
seen: set[int] = set()
python_rng = random.Random(1)
numpy_rng = np.random.default_rng(2)
old_rng = np.random.RandomState(3)
torch_rng = torch.Generator().manual_seed(4)


class Sums(pl.LightningModule):
    losses: list[Any] = []  # noqa: RUF012 - shared by all instances, as people write it
    steps = 0

    def __init__(self, step: Callable[[Any], None] = lambda module: None) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.step = step

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        output = self.net(batch).sum()
        type(self).step_of(self, output)
        return output

    def step_of(self, output: Any) -> None:
        self.step(self)


def fingerprint() -> list[Any]:
    """All that the steps below change, by value."""
    rngs = [python_rng.getstate(), str(numpy_rng.bit_generator.state), str(old_rng.get_state()), torch_rng.get_state()]
    shared = [calls, last, list(history), list(recent), dict(cache), set(seen), list(Sums.losses), Sums.steps]
    globals_ = [random.getstate(), str(np.random.get_state()), torch.get_rng_state()]
    return [str(value) for value in (*rngs, *shared, *globals_)]


def draw(module: Any) -> None:
    python_rng.random(), numpy_rng.random(), old_rng.rand(), torch.rand(2, generator=torch_rng)
    random.random(), np.random.random(), torch.rand(2)


def count(module: Any) -> None:
    global calls, last
    calls += 1
    last = torch.ones(2, device="meta")
    Sums.steps += 1


def collect(module: Any) -> None:
    output = torch.ones(2, device="meta")
    history.append(output)
    recent.append(output)
    cache[len(cache)] = output
    seen.add(len(seen))
    Sums.losses.append(output)


class TestSharedState:
    @pytest.mark.parametrize("step", [draw, count, collect])
    def test_it_is_as_before(self, step: Callable[[Any], None]) -> None:
        history[:] = [1, 2]
        recent.extend([1, 2, 3])
        before = fingerprint()
        assert count_flops(Sums(step), torch.zeros(8, 4)).forward == 2 * 8 * 4 * 3
        assert fingerprint() == before

    def test_also_where_the_step_fails(self) -> None:
        def step(module: Any) -> None:
            draw(module)
            count(module)
            collect(module)
            raise ValueError("mine")

        before = fingerprint()
        with pytest.raises(ValueError, match="mine"):
            count_flops(Sums(step), torch.zeros(8, 4))
        assert fingerprint() == before

    def test_a_flag_stays_set(self) -> None:
        """What was set up once must not be set up again."""

        def step(module: Any) -> None:
            global ready
            ready = True

        count_flops(Sums(step), torch.zeros(8, 4))
        assert ready


class Hooked(Sums):
    """Keeps activations by a hook that knows the module by its closure."""

    def __init__(self) -> None:
        super().__init__()
        self.activations: list[torch.Tensor] = []
        self.lock_free = lambda output: self.activations.append(output)
        self.net.register_forward_hook(lambda module, args, output: self.lock_free(output))

    def step_of(self, output: Any) -> None:
        assert len(self.activations) == 1
        self.activations.clear()


class TestTheModule:
    def test_hooks_of_the_copy_work_on_the_copy(self) -> None:
        module = Hooked()
        module.activations.append(torch.ones(1))
        module.activations.clear()
        assert count_flops(module, torch.zeros(8, 4)).forward == 2 * 8 * 4 * 3
        assert module.activations == []
        module.training_step(torch.ones(2, 4), 0)

    def test_weights_gradients_buffers_mode_and_hooks_are_as_before(self) -> None:
        module = Sums()
        module.net = nn.Sequential(nn.BatchNorm1d(4), nn.utils.spectral_norm(nn.Linear(4, 3)), nn.Dropout())  # type: ignore[assignment]
        module.training_step(torch.randn(8, 4), 0).backward()
        module.eval()
        before = {name: value.clone() for name, value in module.state_dict().items()}
        grads = [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]
        hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
        count_flops(module, torch.randn(8, 4))
        assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
        assert all(
            torch.equal(a, b.grad) for a, b in zip(grads, module.parameters(), strict=True) if b.grad is not None
        )
        assert not any(part.training for part in module.modules())
        assert hooks == [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]

    def test_no_hook_is_put_into_all_modules(self) -> None:
        """Other threads train meanwhile."""

        def step(module: Any) -> None:
            assert not nn.modules.module._global_forward_hooks

        count_flops(Sums(step), torch.zeros(8, 4))
