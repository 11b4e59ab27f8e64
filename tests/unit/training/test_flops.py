import copy
import random
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from auditor.training.flops import batch_size_of, count_flops, flops_of
from unit.training.nets import THIRD_PARTY, Data, Net

pytestmark = THIRD_PARTY


class Sums(pl.LightningModule):
    """A network whose loss is the sum of its output."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.net(batch).sum()


class TestKnownAnswers:
    @pytest.mark.parametrize("bias", [True, False])
    def test_a_linear_layer(self, bias: bool) -> None:
        count = count_flops(Sums(nn.Linear(4, 3, bias=bias)), torch.zeros(8, 4))
        assert count.forward == 2 * 8 * 4 * 3
        assert count.backward == 2 * 8 * 4 * 3  # the gradient of the weight alone
        assert count.batch_size == 8

    def test_two_linear_layers(self) -> None:
        count = count_flops(Sums(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))), torch.zeros(8, 4))
        assert count.forward == 2 * 8 * (4 * 5 + 5 * 3)
        assert count.backward == 2 * 8 * (4 * 5 + 2 * 5 * 3)  # and the second's gradient of its input

    def test_a_convolution(self) -> None:
        count = count_flops(Sums(nn.Conv2d(3, 16, 5, padding=2)), torch.zeros(2, 3, 8, 10))
        macs = 2 * 16 * (8 * 10) * 3 * 5 * 5
        assert count.forward == 2 * macs
        assert count.backward == 2 * macs

    def test_two_convolutions(self) -> None:
        net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
        count = count_flops(Sums(net), torch.zeros(2, 1, 8, 8))
        first, second = 2 * 2 * 4 * 64 * 9, 2 * 2 * 2 * 64 * 4
        assert count.forward == first + second
        assert count.backward == first + 2 * second

    def test_strides_and_no_padding(self) -> None:
        count = count_flops(Sums(nn.Conv2d(1, 4, 3, stride=2)), torch.zeros(2, 1, 9, 9))
        assert count.forward == 2 * 2 * 4 * (4 * 4) * 9

    def test_only_shapes_count(self) -> None:
        small, large = (count_flops(Sums(nn.Linear(4, 3)), torch.full((8, 4), v)) for v in (0.0, 1e30))
        assert small == large


class TestUncounted:
    def test_what_has_no_count_is_listed(self) -> None:
        count = count_flops(Sums(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3))), torch.zeros(8, 4))
        assert "aten.relu" in count.uncounted_ops
        assert any("batch_norm" in name for name in count.uncounted_ops)
        assert list(count.uncounted_ops) == sorted(set(count.uncounted_ops))

    def test_what_is_counted_or_free_is_not(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
        count = count_flops(Sums(net), torch.zeros(8, 2, 2))
        assert not any(
            name.startswith(("aten.mm", "aten.addmm", "aten.view", "aten.t")) for name in count.uncounted_ops
        )

    def test_an_lstm_is_counted(self) -> None:
        class Net(Sums):
            def training_step(self, batch: Any, batch_idx: int) -> Any:
                return self.net(batch)[0].sum()

        count = count_flops(Net(nn.LSTM(4, 3, batch_first=True)), torch.zeros(2, 5, 4))
        assert count.forward >= 2 * 2 * 5 * (4 + 3) * 4 * 3


class TestTheModuleItself:
    def test_it_is_not_changed(self) -> None:
        module = Sums(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout()))
        module.eval()
        before = copy.deepcopy(module.state_dict())
        count_flops(module, torch.ones(8, 4))
        assert not module.training
        assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())
        assert {str(parameter.device) for parameter in module.parameters()} == {"cpu"}

    @pytest.mark.parametrize("fails", [False, True])
    def test_random_numbers_are_not_used_up(self, fails: bool) -> None:
        class Mixes(Sums):
            def training_step(self, batch: Any, batch_idx: int) -> Any:
                torch.randperm(8)
                random.random()
                np.random.random()
                return None if fails else self.net(batch).sum()

        def draw() -> tuple[float, float, float]:
            return float(torch.rand(1)), random.random(), float(np.random.random())

        module = Mixes(nn.Sequential(nn.Linear(4, 3), nn.Dropout()))
        pl.seed_everything(0, verbose=False)
        expected = draw()
        pl.seed_everything(0, verbose=False)
        with suppress(TypeError):
            count_flops(module, torch.ones(8, 4))
        assert draw() == expected

    def test_the_batch_is_not_changed(self) -> None:
        batch = torch.ones(8, 4)
        count_flops(Sums(nn.Linear(4, 3)), batch)
        assert batch.device.type == "cpu"
        assert torch.equal(batch, torch.ones(8, 4))

    def test_an_attached_trainer_is_not_copied(self) -> None:
        class Precious(pl.Callback):
            def __deepcopy__(self, memo: Any) -> Any:
                raise AssertionError("the trainer was copied")

        seen = []

        class Attached(Net):
            def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
                seen.append(count_flops(self, batch).forward)
                assert self.trainer is made

        made = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Precious()],
        )
        made.fit(Attached(), Data())
        assert seen == [2 * 4 * 4 * 3] * 2


class Pair(NamedTuple):
    features: torch.Tensor
    labels: torch.Tensor


class TestBatches:
    @pytest.mark.parametrize(
        ("batch", "size"),
        [
            (torch.zeros(8, 4), 8),
            ([torch.zeros(8, 4), torch.zeros(8)], 8),
            ((torch.zeros(3), torch.zeros(8)), 3),
            ({"name": "x", "images": torch.zeros(5, 1)}, 5),
            ({"inner": {"images": torch.zeros(6, 1)}}, 6),
            (Pair(torch.zeros(7, 1), torch.zeros(7)), 7),
            (torch.tensor(1.0), 1),
            ("text", 1),
            (None, 1),
            ({}, 1),
        ],
    )
    def test_size(self, batch: Any, size: int) -> None:
        assert batch_size_of(batch) == size

    def test_named_and_nested_batches_keep_their_form(self) -> None:
        class Named(Sums):
            def training_step(self, batch: Any, batch_idx: int) -> Any:
                assert isinstance(batch["pair"], Pair)
                assert batch["name"] == "x"
                assert batch["pair"].features.is_meta
                return {"loss": self.net(batch["pair"].features).sum()}

        batch = {"name": "x", "pair": Pair(torch.zeros(8, 4), torch.zeros(8))}
        assert count_flops(Named(nn.Linear(4, 3)), batch).forward == 2 * 8 * 4 * 3


def test_a_step_without_a_loss_can_not_be_counted() -> None:
    class Lossless(Sums):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return None

    with pytest.raises(TypeError, match="training_step returns no loss"):
        count_flops(Lossless(nn.Linear(4, 3)), torch.zeros(8, 4))


def test_reading_a_value_can_not_be_counted() -> None:
    class Reads(Sums):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch, batch_idx).item()

    with pytest.raises(RuntimeError):
        count_flops(Reads(nn.Linear(4, 3)), torch.zeros(8, 4))


class TestOncePerArchitecture:
    def test_the_learning_rate_does_not_matter(self) -> None:
        first, second = Sums(nn.Linear(6, 5)), Sums(nn.Linear(6, 5))
        first.lr, second.lr = 0.1, 0.2
        assert flops_of(first, torch.zeros(8, 6)) is flops_of(second, torch.zeros(8, 6))

    def test_another_shape_is_counted_anew(self) -> None:
        counts = [
            flops_of(Sums(nn.Linear(6, width)), torch.zeros(size, 6)).forward for width in (5, 7) for size in (8, 16)
        ]
        assert counts == [2 * 6 * width * size for width in (5, 7) for size in (8, 16)]

    def test_a_setting_that_changes_no_shape_of_a_parameter_is_counted_anew(self) -> None:
        near, far = (
            flops_of(Sums(nn.Conv2d(1, 4, 3, stride=stride)), torch.zeros(2, 1, 9, 9)).forward for stride in (2, 3)
        )
        assert near > far

    def test_a_setting_of_the_module_itself_is_counted_anew(self) -> None:
        class Repeats(Sums):
            def __init__(self, times: int) -> None:
                super().__init__(nn.Linear(4, 4))
                self.times = times

            def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
                for _ in range(self.times):
                    batch = self.net(batch)
                return batch.sum()

        once, thrice = (flops_of(Repeats(times), torch.zeros(8, 4)).forward for times in (1, 3))
        assert thrice == 3 * once
