"""A replayed search as a study folder: everything that an importer may say comes back."""

from pathlib import Path

from auditor.domain.imported import Told
from auditor.domain.parameters import Parameters
from auditor.importers.folder import open_reader, open_study, write_import
from auditor.importers.record import record_of
from auditor.importers.replay import told_power
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from auditor.reporting.subjects import read_subject
from auditor.search.verify import verify
from unit.importers.test_replay import searched
from unit.importers.toy import Toy
from unit.statement.searches import study


def written(path: Path) -> StudyFolder:
    folder = StudyFolder(path)
    write_import(folder, searched(Toy(), seed=7).study, told_power(250.0), Parameters(), "replay")
    return folder


def test_the_record_comes_back(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    record, _ = open_study(folder.path)
    assert record == record_of(searched(Toy(), seed=7).study, told_power(250.0), folder.read_study().uuid)
    assert [finding.code for finding in record.findings] == ["replayed"]


def test_its_seed_is_known_when_it_is_compared(tmp_path: Path) -> None:
    assert read_subject(written(tmp_path / "s").path).seed == 7


def test_a_study_whose_source_says_no_seed_has_none(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    write_import(folder, study([0.5]), Told(), Parameters(), "csv")
    assert "seed" not in folder.read_study().study
    assert open_reader(folder).file.study.get("seed") is None


def test_it_is_published_and_verified(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    publish(folder, Parameters(), "reserved")
    assert verify(folder).study == "toy-small-random"
