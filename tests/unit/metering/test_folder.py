import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.domain.errors import InputError, JournalError
from auditor.metering.folder import StudyFile, StudyFolder, manifest_bytes, statement_bytes, write_atomically

FILE = StudyFile(
    uuid="u-1",
    study={"name": "Größe: 1", "space": "digits", "test_metric": None},
    config={"budget": {"trials": 3}, "search": {"seed": 0}},
    parameters={"pue": 1.1},
    versions={"python": "3.11"},
    hardware={"cpus": 2.0},
)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    made = StudyFolder(tmp_path / "runs" / "one")
    made.create(FILE)
    return made


def test_a_folder_is_made_with_its_study(folder: StudyFolder) -> None:
    assert folder.exists()
    assert folder.journals.is_dir()
    assert folder.read_study() == FILE
    assert "Größe" in folder.study_yaml.read_text()


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert not folder.exists()
    folder.create(FILE)
    assert folder.exists()


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"is not empty and holds no study; name a new folder with --out"):
        StudyFolder(tmp_path).create(FILE)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        StudyFolder(tmp_path / "file").create(FILE)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"can't be written \(Not a directory\); name another folder with --out"):
        StudyFolder(tmp_path / "file" / "study").create(FILE)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"can't be written \(Permission denied\)"):
        StudyFolder(tmp_path / "study").create(FILE)


def test_what_is_no_study_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no study folder \(expected study\.yaml in it\)"):
        StudyFolder(tmp_path).read_study()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "can't be read"),
        ("format: 1\nuuid: 2026-99-99", "can't be read"),
        ("[1, 2]", "expected 'format: 1'"),
        ("format: 2\nuuid: x", "expected 'format: 1'"),
        ("format: 1\nuuid: x\nstudy: {}", "the key 'config' is missing"),
    ],
)
def test_a_damaged_study_file_is_refused(folder: StudyFolder, text: str, message: str) -> None:
    folder.study_yaml.write_text(text)
    with pytest.raises(InputError, match=message):
        folder.read_study()


def test_a_study_file_that_is_no_text_is_refused(folder: StudyFolder) -> None:
    folder.study_yaml.write_bytes(b"format: 1\nuuid: \xff\xfe\n")
    with pytest.raises(InputError, match="can't be read"):
        folder.read_study()


def test_no_code_is_run_from_a_study_file(folder: StudyFolder) -> None:
    folder.study_yaml.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="can't be read"):
        folder.read_study()


def test_writing_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["statement.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "statement.json"
    path.write_bytes(b"old")

    def full(fd: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_statement_gives_the_same_bytes(folder: StudyFolder) -> None:
    statement = {"b": 1.5, "a": ["é", None]}
    folder.write_statement(statement)
    assert folder.statement.read_bytes() == statement_bytes({"b": 1.5, "a": ["é", None]})
    assert json.loads(folder.statement.read_bytes()) == statement


def test_a_statement_holds_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        statement_bytes({"value": float("nan")})


def test_the_manifest_holds_the_hash_of_every_file(folder: StudyFolder) -> None:
    (folder.journals / "a.jsonl").write_text("{}\n")
    (folder.path / "report.html").write_text("<p>")
    (folder.path / ".hidden").write_text("x")
    (folder.path / ".cache").mkdir()
    (folder.path / ".cache" / "file").write_text("x")
    descriptor = folder.lock(0)
    folder.write_manifest()
    folder.write_manifest()  # its own hash is not in it
    os.close(descriptor)
    manifest = json.loads(folder.manifest.read_text())
    hashes = manifest["sha256"]
    assert manifest["format"] == 1
    assert list(hashes) == ["journal/a.jsonl", "report.html", "study.yaml"]
    assert hashes["report.html"] == hashlib.sha256(b"<p>").hexdigest()
    assert hashes == folder.digests()


def test_the_manifest_is_the_same_in_whatever_order_files_came(tmp_path: Path) -> None:
    written = []
    for place, names in (("one", "abc"), ("other", "cba")):
        folder = StudyFolder(tmp_path / place)
        folder.create(FILE)
        for name in names:
            (folder.journals / f"{name}.jsonl").write_text(name)
        folder.write_manifest()
        written.append(folder.manifest.read_bytes())
    assert written[0] == written[1] == manifest_bytes(folder.digests())


def test_a_folder_says_whether_a_search_works_on_it(folder: StudyFolder) -> None:
    assert not folder.in_use()
    assert not folder.lock_file.exists()  # asking leaves nothing behind
    held = folder.lock(0)
    assert folder.in_use()
    os.close(held)
    assert not folder.in_use()


def test_one_search_locks_the_folder(folder: StudyFolder) -> None:
    held = folder.lock(0)
    with pytest.raises(JournalError, match="another search works on this folder"):
        folder.lock(0.15)
    os.close(held)
    os.close(folder.lock(0))


def test_the_lock_dies_with_its_holder(folder: StudyFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from auditor.metering.folder import StudyFolder\n"
        "StudyFolder(Path(sys.argv[1])).lock(0); print(flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(JournalError):
        folder.lock(0)
    child.kill()
    child.communicate()
    os.close(folder.lock(5))
