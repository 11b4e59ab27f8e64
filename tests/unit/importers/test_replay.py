import warnings
from itertools import pairwise

import pytest

from auditor.domain.errors import InputError
from auditor.domain.imported import Power, Told
from auditor.domain.provenance import Provenance
from auditor.importers.record import record_of
from auditor.importers.replay import START_NS, Replay, own_seed, replay, told_power
from auditor.ports import Benchmark
from auditor.search.samplers import make_sampler
from unit.importers.toy import Instant, Toy

S = 1_000_000_000


def searched(benchmark: Benchmark, *, name: str = "random", seed: int = 0, budget_s: float = 1000.0) -> Replay:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return replay(benchmark, make_sampler(name, own_seed(name, seed)), name=name, seed=seed, budget_s=budget_s)


def test_a_toy_is_a_benchmark() -> None:
    assert isinstance(Toy(), Benchmark)


class TestTime:
    @pytest.mark.parametrize(("budget_s", "trials"), [(100.0, 1), (199.9, 1), (200.0, 2), (1050.0, 10)])
    def test_a_trial_that_would_end_after_the_budget_is_not_counted(self, budget_s: float, trials: int) -> None:
        assert len(searched(Toy(), budget_s=budget_s).study.trials) == trials

    def test_trials_follow_one_another(self) -> None:
        run = searched(Toy())
        assert run.study.trials[0].begin_ns == START_NS
        assert all(one.end_ns == other.begin_ns for one, other in pairwise(run.study.trials))
        assert run.ends_s == [100.0 * (n + 1) for n in range(10)]
        assert run.study.trials[-1].end_ns == START_NS + 1000 * S

    def test_a_budget_for_no_training(self) -> None:
        with pytest.raises(InputError, match=r"the first training of random, seed 0, takes 100 s, the budget is 99 s"):
            searched(Toy(), budget_s=99.0)

    def test_a_training_that_takes_no_time_would_never_end(self) -> None:
        with pytest.raises(InputError, match="took 0 s; expected more than 0"):
            searched(Instant())


class TestSeeds:
    def test_the_same_seed_gives_the_same_search(self) -> None:
        assert searched(Toy(), name="tpe", seed=3, budget_s=3000.0) == searched(
            Toy(), name="tpe", seed=3, budget_s=3000.0
        )

    def test_another_seed_another(self) -> None:
        assert searched(Toy(), seed=1) != searched(Toy(), seed=2)

    def test_samplers_under_one_seed_do_not_begin_alike(self) -> None:
        names = ("random", "tpe", "nsgaii")
        begun = {tuple(str(t.params) for t in searched(Toy(), name=name).study.trials) for name in names}
        assert len(begun) == len({own_seed(name, 0) for name in names}) == 3

    def test_seeds_are_what_samplers_take(self) -> None:
        assert all(0 <= own_seed("tpe", seed) < 2**31 for seed in range(50))


def test_what_is_seen_and_what_is_true() -> None:
    run = searched(Toy())
    for trial, truth in zip(run.study.trials, run.truths, strict=True):
        assert truth == trial.params["a"] + trial.params["b"]
        assert trial.value is not None
        assert trial.test_value is not None
        assert trial.value + trial.test_value == pytest.approx(2 * truth)
    assert {round((t.value or 0) - truth, 3) for t, truth in zip(run.study.trials, run.truths, strict=True)} == {
        -0.1,
        0.1,
    }


def test_a_better_sampler_finds_more() -> None:
    best = {
        name: sum(max(searched(Toy(), name=name, seed=seed, budget_s=3000.0).truths[10:]) for seed in range(3))
        for name in ("random", "tpe")
    }
    assert best["tpe"] >= best["random"]


class TestRecord:
    def test_energy_is_time_times_the_stated_power_and_modelled(self) -> None:
        record = record_of(searched(Toy()).study, told_power(250.0), "uuid")
        assert record.imported
        (part,) = record.books.components
        assert part.provenance is Provenance.MODELLED
        assert part.metered_uj == 1000 * 250 * 10**6 == record.books.metered_uj
        assert "250 W, stated and not measured" in part.detail
        assert record.books.wall_s == pytest.approx(1000.0)

    def test_a_single_stated_power_bounds_nothing(self) -> None:
        study = searched(Toy()).study
        (part,) = record_of(study, told_power(250.0), "uuid").books.components
        assert (part.low_uj, part.high_uj) == (None, None)
        between = Told(power=Power(low_w=50.0, typical_w=200.0, high_w=250.0, detail="idle to rated"))
        (part,) = record_of(study, between, "uuid").books.components
        assert (part.low_uj, part.metered_uj, part.high_uj) == (50 * 10**9, 200 * 10**9, 250 * 10**9)

    def test_what_people_read_of_it(self) -> None:
        study = searched(Toy(), name="tpe", seed=4).study
        assert (study.name, study.sampler, study.seed) == ("toy-small-tpe", "tpe", 4)
        assert study.source == "a toy, replayed with tpe, seed 4"
        assert [finding.code for finding in study.findings] == ["replayed"]
