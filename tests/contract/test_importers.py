"""The shipped importers pass the suite that authors of importers are given, and the suite finds what it should."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import optuna_storages
import tune_folder
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial
from auditor.domain.study import TrialState
from auditor.plugins import load
from auditor.ports import Importer, SeveralStudies
from auditor.testing import ImporterContract

COMPLETE, PRUNED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED


class TestCsv(ImporterContract):
    states: Mapping[int, TrialState] = {0: COMPLETE, 1: PRUNED, 2: FAILED, 3: COMPLETE, 4: TrialState.LOST}

    @pytest.fixture
    def importer(self) -> Importer:
        made: Importer = load("importer", "csv")()
        assert isinstance(made, Importer)
        assert isinstance(made, SeveralStudies)
        return made

    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        path = tmp_path / "source" / "trials.csv"
        path.parent.mkdir()
        path.write_text(
            "acc,kwh,s,state,end,params_lr\n"
            "0.5,0.001,10,complete,2024-01-01T00:00:10,0.1\n"
            "0.9,-1,nan,pruned,2024-01-01T00:00:20,<b>\n"
            ",inf,5,failed,2024-01-01T00:00:30,0.3\n"
            "inf,0.002,10,complete,2024-01-01T00:00:40,0.4\n"
            ",,,killed,,\n"
        )
        return str(path)

    @pytest.fixture
    def missing(self, tmp_path: Path) -> str:
        return str(tmp_path / "nothing.csv")

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        return {
            "value": "acc",
            "energy": "kwh",
            "energy-unit": "kWh",
            "duration": "s",
            "state": "state",
            "time": "end",
        }


class TestOptunaDatabase(ImporterContract):
    kind = "rdb"
    states: Mapping[int, TrialState] = {0: COMPLETE, 1: PRUNED, 2: FAILED, 3: COMPLETE, 4: TrialState.RUNNING}

    @pytest.fixture
    def importer(self) -> Importer:
        made: Importer = load("importer", "optuna")()
        assert isinstance(made, Importer)
        return made

    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        (tmp_path / "source").mkdir()
        made, source = optuna_storages.storage(tmp_path / "source", self.kind)
        optuna_storages.fill(made)
        return source

    @pytest.fixture
    def missing(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'nothing.db'}"


class TestOptunaJournal(TestOptunaDatabase):
    kind = "journal"

    @pytest.fixture
    def missing(self, tmp_path: Path) -> str:
        return str(tmp_path / "nothing.journal")


class TestMlflow(ImporterContract):
    states: Mapping[int, TrialState] = {0: COMPLETE, 1: PRUNED, 2: FAILED, 3: COMPLETE, 4: TrialState.LOST}

    @pytest.fixture
    def importer(self) -> Importer:
        made: Importer = load("importer", "mlflow")()
        assert isinstance(made, Importer)
        return made

    @pytest.fixture
    def source(self, mlflow_database: Path) -> str:
        return f"sqlite:///{mlflow_database}"

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        return {"experiment": "flat", "metric": "val_acc"}

    @pytest.fixture
    def missing(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'nothing.db'}"


class TestRayTune(ImporterContract):
    states: Mapping[int, TrialState] = {0: COMPLETE, 1: PRUNED, 2: FAILED, 3: COMPLETE, 4: TrialState.RUNNING}

    @pytest.fixture
    def importer(self) -> Importer:
        made: Importer = load("importer", "raytune")()
        assert isinstance(made, Importer)
        return made

    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        return tune_folder.usual(tmp_path / "experiment")

    @pytest.fixture
    def missing(self, tmp_path: Path) -> str:
        return str(tmp_path / "nothing")


GOOD = ImportedStudy(
    name="made",
    metric="acc",
    direction="maximize",
    source="made.log",
    energy_source="a meter",
    trials=(
        ImportedTrial(number=0, state=COMPLETE, value=0.5, begin_ns=1, end_ns=2, duration_s=1.0, energy_j=2.0),
        ImportedTrial(number=1, state=PRUNED, intermediate={1: 0.2}),
    ),
)


class FlawedImporter:
    """Reads a made-up study, with one fault."""

    name = "flawed"
    options: Mapping[str, str] = {"study": "Its name."}

    def __init__(self, fault: str = "none") -> None:
        self._fault = fault
        self._reads = 0
        if fault == "silent":
            self.options = {"study": ""}

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        self._reads += 1
        path = Path(source)
        if self._fault != "takes anything" and set(options) - set(self.options):
            raise InputError(f"unknown option {', '.join(options)}")
        if self._fault == "makes" and not path.exists():
            path.write_text("")
        if not path.exists() or path.stat().st_size == 0:
            raise InputError("no" if self._fault == "nameless" else f"{source}: is not there")
        if self._fault == "locks":
            path.with_name("lock").touch()
        first, second = GOOD.trials
        wrong: dict[str, Any] = {
            "random": {"name": f"made {self._reads}"},
            "anonymous": {"name": ""},
            "direction": {"direction": "up"},
            "twice": {"trials": (first, first)},
            "pruned": {"trials": (first, replace(second, state=FAILED))},
            "last value": {"trials": (first, replace(second, value=0.2))},
            "nan": {"trials": (replace(first, energy_j=float("nan")), second)},
            "negative": {"trials": (replace(first, duration_s=-1.0), second)},
            "backwards": {"trials": (replace(first, begin_ns=3), second)},
            "nobody": {"energy_source": ""},
        }
        return replace(GOOD, **wrong.get(self._fault, {}))


class Rig(ImporterContract):
    states: Mapping[int, TrialState] = {0: COMPLETE, 1: PRUNED}


CLAUSES = [name for name in dir(ImporterContract) if name.startswith("test_")]
FAULTS = {
    "silent": ("test_it_says_what_it_can_be_told", "option study says nothing"),
    "random": ("test_the_same_source_gives_the_same_study", "gives another study"),
    "anonymous": ("test_a_study_has_a_name_and_trials", "has no name"),
    "direction": ("test_a_study_has_a_name_and_trials", "are no directions"),
    "twice": ("test_trials_are_numbered_once_and_in_order", "not unique"),
    "pruned": ("test_states_are_read_as_they_are", "expected .1: .*PRUNED"),
    "last value": ("test_only_complete_trials_have_a_value", r"trials \[1\] did not complete"),
    "nan": ("test_amounts_are_finite", "energy_j of trial 0 is nan"),
    "negative": ("test_amounts_are_finite", "duration_s of trial 0 is -1"),
    "backwards": ("test_times_are_whole_nanoseconds_in_order", "ends before it begins"),
    "nobody": ("test_reported_energy_says_by_whom", "who reported"),
    "locks": ("test_nothing_is_written_at_the_source", "lock changed"),
    "nameless": ("test_a_missing_source_is_named", "does not name the source"),
    "makes": ("test_a_missing_source_is_named", "made it"),
}


def run(clause: str, fault: str, tmp_path: Path) -> None:
    """Run one clause of the contract on an importer with a fault."""
    contract, importer = Rig(), FlawedImporter(fault)
    source = tmp_path / "made.log"
    source.write_text("a study")
    wants: dict[str, Any] = {
        "importer": importer,
        "source": str(source),
        "missing": str(tmp_path / "nothing.log"),
        "options": {},
    }
    test = getattr(contract, clause)
    if "study" in inspect.signature(test).parameters:
        wants["study"] = importer.read(str(source), {})
    test(**{name: wants[name] for name in inspect.signature(test).parameters})


@pytest.mark.parametrize(("fault", "clause", "complaint"), [(fault, *found) for fault, found in FAULTS.items()])
def test_a_flawed_importer_fails_the_clause_that_names_its_fault(
    fault: str, clause: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run(clause, fault, tmp_path)


@pytest.mark.parametrize("clause", CLAUSES)
def test_an_importer_without_a_fault_passes(clause: str, tmp_path: Path) -> None:
    run(clause, "none", tmp_path)


def test_an_importer_that_takes_anything_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        run("test_an_unknown_option_is_refused", "takes anything", tmp_path)
