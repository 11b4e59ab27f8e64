"""``auditor report`` on a study that ran elsewhere: shown, and not kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

import optuna_storages
from auditor.cli import imports
from unit.cli.test_app import Answer
from unit.cli.test_imports import csv, files

Run = Callable[..., Answer]


class TestReportOnWhatRanElsewhere:
    def test_in_one_command_and_nothing_is_kept(self, auditor: Run, storage: str, tmp_path: Path) -> None:
        before = files()
        answer = auditor("report", storage, "--study", "lr", "--html", "out.html")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.splitlines()[0] == "lr · metric val_acc (higher is better)"
        assert "The study ran elsewhere" in Path("out.html").read_text()
        assert files() == sorted([*before, "out.html"])

    def test_the_only_study_needs_no_name(self, auditor: Run, storage: str) -> None:
        answer = auditor("report", "optuna.db", "--json", "-", "--baseline-trial", 0, "--grid", 100)
        read = json.loads(answer.out)
        assert read["study"]["name"] == "lr"
        assert read["energy"]["times_default"] == pytest.approx(5.1)
        assert read["carbon"]["location_based_g"] > 0

    def test_several_are_listed(self, auditor: Run, storage: str) -> None:
        optuna.create_study(storage=storage, study_name="two")
        answer = auditor("report", storage)
        assert answer.code == 2
        assert answer.complaint.endswith("holds several; name one with --study: lr (6 trials), two (0 trials)")

    def test_a_journal(self, auditor: Run, tmp_path: Path) -> None:
        made, _ = optuna_storages.storage(tmp_path, "journal")
        optuna_storages.fill(made)
        assert auditor("report", "optuna.journal", "--markdown", "-").out.startswith("# ")

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["sqlite:///u.db"], "sqlite:///u.db: there is no such database"),
            (["u.db"], "u.db: there is no such file"),
            (["postgresql://me:secret@h/x"], r"postgresql://me:\*\*\*@h/x: name with --study its study of Optuna"),
            (["sqlite:///x.db", "--experiment", "e"], "there is no such database"),
        ],
    )
    def test_what_is_not_there(self, auditor: Run, arguments: list[str], complaint: str) -> None:
        answer = auditor("report", *arguments)
        assert answer.code == 2
        assert re.search(complaint, answer.complaint)
        assert "secret" not in answer.err

    def test_a_folder_takes_none_of_this(self, auditor: Run) -> None:
        csv(auditor)
        answer = auditor("report", "auditor-runs/t", "--study", "x", "--power-w", 5, "--grid", "100")
        assert answer.code == 2
        assert answer.complaint.startswith("--study, --power-w: only for a study that ran elsewhere")


@pytest.mark.parametrize("name", ["lr", "a.b-c", "x" * 300, "..", "", "a/b", "a b", "\u202e", "é", "CON\n"])
def test_names_of_folders_are_safe(name: str) -> None:
    safe = imports.safe_name(name)
    assert re.fullmatch(r"[\w.+=-]+", safe)
    assert not safe.startswith(".")
    assert len(safe) <= 107
    assert safe == name or imports.safe_name(f"{name}'") != safe
