"""The folder of an imported study: what is written is read again as it was."""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from pathlib import Path

import pytest

from auditor import open_study
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, Power, Told
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import Finding, Severity, TrialState
from auditor.importers.folder import ImportedReader, open_reader, read_trials, write_import
from auditor.metering.folder import StudyFolder
from unit.importers.test_record import study, trial

WEIRD = "</script><b>|`\n\u202e'\"% /é"
STUDY = study(
    trial(0, params={WEIRD: WEIRD, "n": [1, None]}, intermediate={1: 0.5, 3: math.inf}, test_value=0.25, energy_j=1.5),
    trial(4, state=TrialState.PRUNED, value=None, begin_ns=None, end_ns=None, fidelity=3.0, random=True),
    trial(5, value=math.inf),
    name=WEIRD,
    source="somewhere",
    findings=(Finding(code="c", severity=Severity.INFO, message=WEIRD),),
)
PARAMETERS = Parameters(pue=1.2, factor=CarbonFactor(g_per_kwh=50.0, source="user"), worth_gain=0.1)


def write(path: Path, imported: ImportedStudy = STUDY, told: Told | None = None) -> StudyFolder:
    folder = StudyFolder(path)
    write_import(folder, imported, told or Told(), PARAMETERS, "csv")
    return folder


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "study")
    assert read_trials(folder, folder.read_study()) == STUDY
    assert open_reader(folder).parameters == PARAMETERS
    assert sorted(path.name for path in folder.path.iterdir()) == ["study.yaml", "trials.parquet"]


def test_what_was_told_is_kept(tmp_path: Path) -> None:
    power = Power(low_w=1.0, typical_w=2.0, high_w=3.0, detail="d")
    imported = replace(STUDY, trials=tuple(replace(t, energy_j=None) for t in STUDY.trials))
    folder = write(tmp_path / "study", imported, Told(power=power, gpus=0.5, sampler="random"))
    record, ledger = open_study(folder.path)
    assert record.sampler == "random"
    assert record.books.device_s == {"gpu": 10.0}
    assert len(ledger.energy_uj) == 0


def test_the_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name).trials.read_bytes() for name in ("a", "b"))
    assert first == second


def test_the_same_study_again_keeps_its_identity(tmp_path: Path) -> None:
    uuid = write(tmp_path / "study").read_study().uuid
    again = write(tmp_path / "study", replace(STUDY, trials=STUDY.trials[:1]))
    assert again.read_study().uuid == uuid
    assert len(read_trials(again, again.read_study()).trials) == 1


def test_an_import_that_was_killed_is_made_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "study")
    folder.trials.unlink()
    assert write(tmp_path / "study").read_study().uuid == folder.read_study().uuid
    assert folder.imported


def test_a_full_disk_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("auditor.importers.folder.write_atomically", full)
    with pytest.raises(InputError, match=r"study: can't be written \(No space left on device\); name another folder"):
        write(tmp_path / "study")


def test_another_study_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path / "study")
    with pytest.raises(InputError, match="holds another study; name a new folder with --out"):
        write(tmp_path / "study", replace(STUDY, source="elsewhere"))


def test_what_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--baseline-trial 9"):
        write(tmp_path / "study", told=Told(baseline_trial=9))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("damage", [b"", b"PAR1" * 20])
def test_a_damaged_table_is_named(tmp_path: Path, damage: bytes) -> None:
    folder = write(tmp_path / "study")
    folder.trials.write_bytes(damage)
    with pytest.raises(InputError, match=r"trials\.parquet: is damaged"):
        ImportedReader(folder).refresh()
