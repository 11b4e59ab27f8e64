import math
import posixpath
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.accounting.books import Ledger
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import Attempt, StudyRecord, Trial, TrialState
from auditor.metering.closing import read_study
from auditor.statement.build import build_statement
from auditor.tracking.projection import (
    RunData,
    child,
    cpu_s_by_trial,
    energy_by_trial,
    energy_of_search,
    metric_name,
    parent,
    settled,
)
from studies import START_NS, UUID, MadeStudy, MadeTrial, S, made_study, made_training

START_MS = START_NS // 1_000_000
NOTHING = Parameters()
PRICED = Parameters(pue=1.5, factor=CarbonFactor(g_per_kwh=100.0, source="user"), price_per_kwh=0.3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyRecord, Ledger]:
    """Trials: complete, pruned, failed, and complete in the second attempt."""
    return read_study(made_study(tmp_path_factory.mktemp("study") / "s").path)


@pytest.fixture(scope="module")
def record(study: tuple[StudyRecord, Ledger]) -> StudyRecord:
    return study[0]


def projected(study: tuple[StudyRecord, Ledger], number: int, parameters: Parameters = NOTHING) -> RunData:
    record, ledger = study
    trial = record.trials[number]
    return child(record, trial, energy_by_trial(ledger).get(number, {}), cpu_s_by_trial(record).get(number), parameters)


def made(trial: Trial, record: StudyRecord) -> RunData:
    return child(record, trial, {"cpu": 3_000_000}, None, NOTHING)


def value_of(run: RunData, name: str) -> float:
    [value] = [v for n, v, _, _ in run.metrics if n == name]
    return value


class TestChildren:
    def test_a_complete_trial(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0)
        assert (run.key, run.name, run.status) == (f"{UUID}/0", "trial 0", "FINISHED")
        assert (run.start_ms, run.end_ms) == (START_MS, START_MS + 3000)
        assert run.params == {"lr": "0.01", "depth": "2"}
        assert run.tags["auditor.state"] == "complete"
        assert run.tags["auditor.attempts"] == "1"
        assert run.tags["auditor.trial"] == "0"
        assert run.tags["auditor.study"] == "demo"
        assert "auditor.error" not in run.tags

    def test_the_metric_by_epoch_at_the_time_of_the_journal(self, study: tuple[StudyRecord, Ledger]) -> None:
        points = [m for m in projected(study, 0).metrics if m[0] == "val_acc"]
        assert points == [("val_acc", 0.5, START_MS + 500, 0), ("val_acc", 0.75, START_MS + 1000, 1)]

    def test_energy_sums_to_its_parts_and_to_the_books(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0)
        parts = value_of(run, "energy_cpu_j") + value_of(run, "energy_ram_j")
        assert value_of(run, "energy_j") == pytest.approx(parts, abs=1e-9)
        assert value_of(run, "energy_j") == study[0].books.accounts["study/demo/trial/0/1/train"] / 1e6

    def test_effort(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0)
        assert value_of(run, "wall_s") == 3.0
        assert value_of(run, "cpu_s") == pytest.approx(3.0)
        assert value_of(run, "flops") == 1000.0

    def test_the_worst_provenance_counts(self, study: tuple[StudyRecord, Ledger]) -> None:
        assert projected(study, 0).tags["auditor.provenance"] == "modelled"

    def test_a_pruned_trial(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 1)
        assert (run.status, run.tags["auditor.state"]) == ("FINISHED", "pruned")
        assert [m[1] for m in run.metrics if m[0] == "val_acc"] == [0.25]
        assert value_of(run, "energy_j") > 0
        assert "flops" not in {m[0] for m in run.metrics}

    def test_a_failed_trial(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 2)
        assert (run.status, run.tags["auditor.state"]) == ("FAILED", "failed")
        assert run.tags["auditor.error"] == "ValueError: too deep"
        assert "val_acc" not in {m[0] for m in run.metrics}
        assert value_of(run, "energy_j") > 0

    def test_attempts_share_a_run(self, study: tuple[StudyRecord, Ledger]) -> None:
        run, accounts = projected(study, 3), study[0].books.accounts
        assert run.tags["auditor.attempts"] == "2"
        assert run.tags["auditor.state"] == "complete"
        both = accounts["study/demo/trial/3/1/train"] + accounts["study/demo/trial/3/2/train"]
        assert value_of(run, "energy_j") == both / 1e6
        assert value_of(run, "wall_s") == 3.0
        assert (run.start_ms, run.end_ms) == (START_MS + 12_000, START_MS + 15_500)

    def test_a_lost_trial(self, tmp_path: Path) -> None:
        lost = MadeStudy(tmp_path / "s").add(MadeTrial(states=("lost", "lost"), steps=(), error="the worker died"))
        run = projected(read_study(lost.seal().folder.path), 0)
        assert (run.status, run.tags["auditor.state"]) == ("FAILED", "lost")
        assert run.tags["auditor.error"] == "the worker died"
        assert value_of(run, "energy_j") > 0

    def test_a_value_without_steps_is_a_point(self, record: StudyRecord) -> None:
        run = made(replace(record.trials[0], intermediate={}, intermediate_ns={}), record)
        assert [m for m in run.metrics if m[0] == "val_acc"] == [("val_acc", 0.75, START_MS + 3000, 0)]

    def test_the_final_value_is_the_last_one(self, record: StudyRecord) -> None:
        """A retried trial keeps the steps of its first attempt, and ends with a value of its own."""
        run = made(replace(record.trials[0], value=0.875), record)
        assert [m for m in run.metrics if m[0] == "val_acc"][-1] == ("val_acc", 0.875, START_MS + 3000, 1)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_no_number_is_left_out(self, record: StudyRecord, value: float) -> None:
        run = made(replace(record.trials[0], intermediate={0: value, 1: 0.75}), record)
        assert [m[1] for m in run.metrics if m[0] == "val_acc"] == [0.75]
        assert all(math.isfinite(m[1]) for m in run.metrics)

    def test_a_long_parameter_is_cut(self, record: StudyRecord) -> None:
        run = made(replace(record.trials[0], params={"layers": "x" * 10_000}), record)
        assert run.params["layers"] == "x" * 6000


class TestMoney:
    def test_without_factor_and_price_there_is_no_figure(self, study: tuple[StudyRecord, Ledger]) -> None:
        assert not {"co2e_g", "cost"} & {m[0] for m in projected(study, 0).metrics}

    def test_with_them_there_is(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0, PRICED)
        kwh = value_of(run, "energy_j") / 3_600_000 * 1.5
        assert value_of(run, "co2e_g") == pytest.approx(100 * kwh)
        assert value_of(run, "cost") == pytest.approx(0.3 * kwh)

    def test_a_factor_of_nothing_is_a_figure(self, study: tuple[StudyRecord, Ledger]) -> None:
        free = Parameters(factor=CarbonFactor(g_per_kwh=0.0, source="user"), price_per_kwh=0.0)
        run = projected(study, 0, free)
        assert (value_of(run, "co2e_g"), value_of(run, "cost")) == (0.0, 0.0)


class TestNames:
    @pytest.mark.parametrize("name", ["lr", "val_acc", "val/acc", "a b", "a-b.c", "0"])
    def test_good_names_stay(self, name: str) -> None:
        assert metric_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            *("layers[0]", "größe", "a:b", "a\nb", "<b>", "x" * 300, "a=b", "α"),
            *("", ".", "..", "../x", "/x", "x/", "a//b", "a/../b", "./a", "...", "..x", "/", "//", "a/."),
        ],
    )
    def test_others_are_made_good(self, name: str) -> None:
        from mlflow.utils import validation  # takes two seconds

        plain = metric_name(name)
        validation._validate_metric_name(plain)
        validation._validate_param_name(plain)
        assert 0 < len(plain) <= 250
        assert posixpath.normpath(plain) == plain

    def test_no_parameter_is_lost_to_another(self, record: StudyRecord) -> None:
        run = made(replace(record.trials[0], params={"a[0]": 1, "a(0)": 2, "a{0}": 3}), record)
        assert sorted(run.params.values()) == ["1", "2", "3"]

    def test_a_metric_with_an_odd_name(self, record: StudyRecord) -> None:
        run = made(record.trials[0], replace(record, metric="val:acc@1"))
        assert "val_acc_1" in {m[0] for m in run.metrics}


class TestDigests:
    def test_the_same_content_has_the_same(self, study: tuple[StudyRecord, Ledger]) -> None:
        assert projected(study, 0).digest == projected(study, 0).digest

    def test_other_content_has_another(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0)
        others = [
            projected(study, 1),
            replace(run, status="FAILED"),
            replace(run, end_ms=None),
            replace(run, params={**run.params, "lr": "0.02"}),
            replace(run, tags={**run.tags, "auditor.state": "pruned"}),
            replace(run, metrics=run.metrics[1:]),
        ]
        assert len({run.digest, *(other.digest for other in others)}) == 1 + len(others)

    def test_order_of_parameters_does_not_matter(self, study: tuple[StudyRecord, Ledger]) -> None:
        run = projected(study, 0)
        assert replace(run, params=dict(reversed(run.params.items()))).digest == run.digest


class TestSettled:
    def trial(self, state: TrialState, end_ns: int | None) -> Trial:
        return Trial(
            number=0, params={}, state=state, attempts=(Attempt(number=1, state=state, begin_ns=0, end_ns=end_ns),)
        )

    def test_ended_and_on_the_books(self) -> None:
        assert settled(self.trial(TrialState.COMPLETE, 10 * S), 10 * S)
        assert settled(self.trial(TrialState.LOST, 9 * S), 10 * S)

    def test_not_yet(self) -> None:
        assert not settled(self.trial(TrialState.COMPLETE, 11 * S), 10 * S)
        assert not settled(self.trial(TrialState.RUNNING, None), 10 * S)
        assert not settled(self.trial(TrialState.RUNNING, 9 * S), 10 * S)
        assert not settled(self.trial(TrialState.COMPLETE, None), 10 * S)


class TestSums:
    def test_an_empty_ledger(self, tmp_path: Path) -> None:
        study = MadeStudy(tmp_path / "s")
        study.close()
        _, ledger = read_study(study.folder.path)
        assert energy_by_trial(ledger) == {}

    def test_trials_only(self, study: tuple[StudyRecord, Ledger]) -> None:
        record, ledger = study
        energy = energy_by_trial(ledger)
        assert set(energy) == {0, 1, 2, 3}
        assert sum(sum(kinds.values()) for kinds in energy.values()) == sum(
            uj for name, uj in record.books.accounts.items() if "/trial/" in name
        )
        assert set(energy[0]) == {"cpu", "ram"}
        assert set(cpu_s_by_trial(record)) == {0, 1, 2, 3}


class TestParent:
    @pytest.fixture
    def run(self, study: tuple[StudyRecord, Ledger]) -> RunData:
        record, ledger = study
        return parent(record, build_statement(record, PRICED, version="1"), "**summary**", energy_of_search(ledger))

    def test_identity(self, run: RunData) -> None:
        assert (run.key, run.name, run.status) == (UUID, "demo", "FINISHED")
        assert (run.start_ms, run.end_ms) == (START_MS, START_MS + 18_000)
        assert run.params == {"space": "toy", "sampler": "tpe", "direction": "maximize"}

    def test_tags(self, run: RunData, record: StudyRecord) -> None:
        statement = build_statement(record, PRICED, version="1")
        assert run.tags["auditor.verdict"] == statement["verdict"]["grade"]
        assert run.tags["auditor.measurement"] == statement["measurement"]["grade"]
        assert run.tags["mlflow.note.content"] == "**summary**"

    def test_figures_are_those_of_the_statement(self, run: RunData, record: StudyRecord) -> None:
        statement = build_statement(record, PRICED, version="1")
        assert value_of(run, "energy_j") == statement["energy"]["search_uj"] / 1e6
        assert value_of(run, "energy_metered_j") == 18 * 16.0
        assert value_of(run, "energy_cpu_j") + value_of(run, "energy_ram_j") == pytest.approx(value_of(run, "energy_j"))
        assert value_of(run, "coverage") == 1.0
        assert value_of(run, "trials") == 4
        assert value_of(run, "val_acc") == 0.875
        assert value_of(run, "co2e_g") == statement["carbon"]["location_based_g"]

    def test_what_cannot_be_had_is_left_out(self, record: StudyRecord) -> None:
        run = parent(record, build_statement(record, NOTHING, version="1"), "", {})
        assert not {"co2e_g", "cost", "gain_test"} & {m[0] for m in run.metrics}


class TestTraining:
    def test_it_has_its_figures_and_nothing_of_a_search(self, tmp_path: Path) -> None:
        record, ledger = read_study(made_training(tmp_path / "t").path)
        run = parent(record, build_statement(record, PRICED, version="1"), "", energy_of_search(ledger))
        assert run.params == {}
        assert value_of(run, "energy_j") == 272.0
        assert value_of(run, "energy_cpu_j") + value_of(run, "energy_ram_j") == 272.0
        assert not {"trials", "gain_test", "value", "_"} & {name for name, *_ in run.metrics}

    def test_a_metric_without_a_name(self, record: StudyRecord) -> None:
        unnamed = replace(record, metric="", space="", sampler="")
        run = parent(unnamed, build_statement(unnamed, NOTHING, version="1"), "", {})
        assert value_of(run, "value") == 0.875
        assert run.params == {"direction": "maximize"}
        assert "value" in {name for name, *_ in made(unnamed.trials[0], unnamed).metrics}
