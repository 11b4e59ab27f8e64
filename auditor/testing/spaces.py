"""The suite every search space must pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from auditor.ports import SearchSpace


class SearchSpaceContract:
    """What a search takes for granted of its space. Override ``space``."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space under test."""
        raise AssertionError("override the fixture 'space' with your space")

    def drawn(self, space: SearchSpace, seed: int) -> Mapping[str, Any]:
        """Parameters of one random trial."""
        import optuna

        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), direction=space.direction)
        return space.suggest(study.ask())

    def test_parts_are_there(self, space: SearchSpace) -> None:
        """Metric, direction and default are given."""
        assert space.metric
        assert space.direction in {"maximize", "minimize"}
        assert isinstance(space.default, Mapping)

    def test_parameters_can_be_written_down(self, space: SearchSpace) -> None:
        """Parameters survive a journal."""
        for params in (space.default, self.drawn(space, 0)):
            assert json.loads(json.dumps(dict(params))) == dict(params)

    def test_default_is_a_point_of_the_space(self, space: SearchSpace) -> None:
        """The default has no parameter that a trial could not have."""
        drawn = {key for seed in range(20) for key in self.drawn(space, seed)}
        assert set(space.default) <= drawn

    def test_module_and_data_are_made(self, space: SearchSpace) -> None:
        """Default and drawn parameters give a module and data."""
        import pytorch_lightning as pl

        for params in (space.default, self.drawn(space, 1)):
            assert isinstance(space.module(params), pl.LightningModule)
            assert isinstance(space.data(params), pl.LightningDataModule)

    def test_one_training_logs_the_metrics(self, space: SearchSpace) -> None:
        """The metric is logged in validation, the test metric in the test."""
        import pytorch_lightning as pl

        trainer = pl.Trainer(
            max_epochs=1,
            limit_train_batches=1,
            limit_val_batches=1,
            limit_test_batches=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module, data = space.module(space.default), space.data(space.default)
        trainer.fit(module, datamodule=data)
        assert space.metric in trainer.callback_metrics
        if space.test_metric is not None:
            results = trainer.test(module, datamodule=data, verbose=False)
            assert space.test_metric in {name for result in results for name in result}

    def test_arrays_fit_together(self, space: SearchSpace) -> None:
        """Features and labels of one length, training and validation at least."""
        arrays = space.arrays()
        if arrays is None:
            pytest.skip("the space has no arrays for classical baselines")
        assert {"train", "validation"} <= set(arrays)
        for features, labels in arrays.values():
            assert features.ndim == 2
            assert labels.shape == (len(features),)
