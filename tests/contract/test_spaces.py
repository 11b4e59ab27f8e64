"""The shipped spaces pass the suite that authors of spaces are given, and the suite finds what it should."""

import numpy as np
import pytest

from auditor.ports import SearchSpace
from auditor.search.space import load_space
from auditor.testing import SearchSpaceContract
from unit.training.nets import THIRD_PARTY, space

pytestmark = THIRD_PARTY


class TestDigitsCnn(SearchSpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return load_space("digits_cnn")


class TestToy(SearchSpaceContract):
    """The least a space can be."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        part = (np.zeros((3, 2)), np.zeros(3))
        return space(arrays_from=lambda: {"train": part, "validation": part})


class Nothing:
    """Neither a module nor data."""

    def __init__(self) -> None: ...


SUITE = SearchSpaceContract()


class TestBrokenSpacesFail:
    def test_no_metric(self) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_parts_are_there(space(metric=""))

    def test_a_direction_that_is_none(self) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_parts_are_there(space(direction="up"))

    def test_parameters_that_cannot_be_written_down(self) -> None:
        with pytest.raises((AssertionError, TypeError)):
            SUITE.test_parameters_can_be_written_down(space(default={"act": print}))
        with pytest.raises((AssertionError, TypeError)):
            SUITE.test_parameters_can_be_written_down(space(suggest=lambda trial: {"shape": (1, 2)}))

    def test_a_default_outside_the_space(self) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_default_is_a_point_of_the_space(space(default={"momentum": 0.9}))

    @pytest.mark.parametrize("part", ["module_class", "data_class"])
    def test_a_part_that_is_no_lightning(self, part: str) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_module_and_data_are_made(space(**{part: Nothing}))

    def test_a_metric_that_is_not_logged(self) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_one_training_logs_the_metrics(space(metric="val_loss"))

    def test_a_test_metric_that_is_not_logged(self) -> None:
        with pytest.raises(AssertionError):
            SUITE.test_one_training_logs_the_metrics(space(test_metric="test_loss"))

    def test_arrays_that_do_not_fit_together(self) -> None:
        for arrays in (
            {"train": (np.zeros((3, 2)), np.zeros(3))},
            {"train": (np.zeros((3, 2)), np.zeros(3)), "validation": (np.zeros((3, 2)), np.zeros(4))},
            {"train": (np.zeros((3, 2, 2)), np.zeros(3)), "validation": (np.zeros((3, 2)), np.zeros(3))},
        ):
            with pytest.raises(AssertionError):
                SUITE.test_arrays_fit_together(space(arrays_from=lambda arrays=arrays: arrays))
