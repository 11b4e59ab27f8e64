"""``auditor verify`` as people meet it."""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditor.cli import app
from auditor.domain.parameters import Parameters
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from blocking import block
from studies import TRIALS, MadeStudy, made_study
from unit.cli.test_app import Answer

Run = Callable[[Path], Answer]

FLIPS = 6
"""Digits changed in each file, one at a time, beside the first and the last."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_study(tmp_path_factory.mktemp("published") / "study")
    (folder.path / "optuna.journal").write_text('{"op_code": 0, "worker_id": "1"}\n')
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / "3.ckpt").write_bytes(bytes(range(256)))
    publish(folder, Parameters(), "reserved")
    return folder.path


@pytest.fixture
def study(published: Path, tmp_path: Path) -> StudyFolder:
    return StudyFolder(shutil.copytree(published, tmp_path / "study"))


@pytest.fixture
def verify(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``auditor verify``, where Ray, torch and MLflow can't be imported."""
    block(monkeypatch, "ray", "torch", "mlflow", "optuna", "pytorch_lightning")

    def run(folder: Path) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main(["verify", str(folder)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


def damages(data: bytes) -> Iterator[bytes]:
    """The same file with one digit changed here or there, cut short, or empty."""
    digits = [match.start() for match in re.finditer(rb"\d", data)]
    drawn = random.Random(0).sample(digits, min(FLIPS, len(digits)))
    for place in (digits[0], *drawn, digits[-1]):
        other = b"%d" % ((data[place] - ord("0") + 1) % 10)
        yield data[:place] + other + data[place + 1 :]
    for length in (0, 1, len(data) // 2, len(data) - 1):
        yield data[:length]


def test_success_says_what_was_checked(verify: Run, study: StudyFolder) -> None:
    answer = verify(study.path)
    assert (answer.code, answer.err) == (0, "")
    first, second = answer.out.splitlines()
    assert first.startswith("verified: demo, 288 J metered; 10 files as in the manifest; 4 journals with 19 readings")
    assert "integrity, not authenticity" in second


def test_any_digit_of_any_file_and_any_cut_is_found_and_named(verify: Run, study: StudyFolder) -> None:
    tried = set()
    for path in [path for path in study.path.rglob("*") if path.is_file()]:
        name = path.relative_to(study.path).as_posix()
        whole = path.read_bytes()
        for damaged in damages(whole):
            assert damaged != whole
            path.write_bytes(damaged)
            answer = verify(study.path)
            assert answer.code == 3, (name, answer)
            assert name in answer.complaint
        path.write_bytes(whole)
        tried.add(name)
    assert {"manifest.json", "statement.json", "ledger.parquet", "report.html", "study.yaml"} < tried
    assert {"optuna.journal", "checkpoints/3.ckpt", "journal/readings-box-100-1.jsonl"} < tried
    assert verify(study.path).code == 0


def test_any_file_that_is_missing_is_found_and_named(verify: Run, study: StudyFolder) -> None:
    for path in [path for path in study.path.rglob("*") if path.is_file()]:
        aside = path.rename(study.path.parent / "aside")
        answer = verify(study.path)
        assert answer.code == 3
        assert path.relative_to(study.path).as_posix() in answer.complaint
        aside.rename(path)


@pytest.mark.parametrize("name", ["statement.json", "report.html", "ledger.parquet"])
def test_a_manifest_to_match_does_not_help(verify: Run, study: StudyFolder, name: str) -> None:
    path = study.path / name
    whole = path.read_bytes()
    writer = re.search(rb"parquet-cpp-arrow version [\d.]+", whole)
    for damaged in damages(whole):
        if writer is not None and len(damaged) == len(whole) and writer[0] not in damaged:
            continue  # which Arrow wrote the charges is no figure
        path.write_bytes(damaged)
        study.write_manifest()
        answer = verify(study.path)
        assert answer.code == 3, answer
        assert name in answer.complaint


class TestNothingToVerify:
    def test_no_study(self, verify: Run, tmp_path: Path) -> None:
        answer = verify(tmp_path)
        assert (answer.code, answer.out) == (2, "")
        assert answer.complaint == f"{tmp_path}: is no study folder (expected study.yaml in it)"

    def test_a_file(self, verify: Run, study: StudyFolder) -> None:
        assert verify(study.statement).code == 2

    def test_a_search_that_was_killed(self, verify: Run, tmp_path: Path) -> None:
        folder = MadeStudy(tmp_path / "killed").add(*TRIALS).folder
        answer = verify(folder.path)
        assert (answer.code, answer.out) == (2, "")
        assert answer.complaint == (
            f"{folder.path}: has no statement yet, its search did not end; run the same 'auditor search' again to go "
            "on with it"
        )
