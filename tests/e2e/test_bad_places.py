"""A study folder that can't be written: a disk that is full, a folder that is read-only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.metering.activity import Activity, forget
from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.runtime import AgentHandle
from e2e.searches import auditor, wait_until
from studies import made_study

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place]).returncode != 0:
        pytest.skip("only root may mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_costs_nothing_once_there_is_room_again(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    folder = StudyFolder(small_disk / "study")
    about = {"name": "demo", "space": "", "sampler": "", "metric": "m", "direction": "maximize", "test_metric": None}
    folder.create(StudyFile(uuid="u", study=about, config={}, parameters={}, versions={}, hardware={}))
    activity = Activity(folder.journals, "u", "study/demo/training/a", cpu_slots=1)
    AgentHandle(["linear_meter:LinearMeter"], 0.2).ensure()
    wait_until(lambda: list(folder.journals.glob("readings-*.jsonl")), "readings")
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2 << 20))
    for phase in ("train", "validate") * 200:  # fails nothing
        activity.begin(f"study/demo/training/a/{phase}")
    time.sleep(1.5)
    filler.unlink()
    activity.end(0)
    time.sleep(1)
    forget(activity)
    record, _ = read_study(folder.path)
    assert record.books.residual_uj == 0
    assert record.books.coverage == 1.0
    assert record.books.metered_uj > 2 * 2.5 * 1e6  # its static power alone over what passed
    assert record.books.accounts["study/demo/training/a/validate"] > 0
    assert {f.code for f in record.findings} <= {"journal-records-skipped"}


def test_a_search_on_a_full_disk_ends_in_one_line(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1_040_000))
    (tmp_path / "c.yaml").write_text("study: full\nspace: digits_cnn\nbudget: {trials: 1}\n")
    process = auditor("search", "c.yaml", "--out", str(small_disk / "study"), cwd=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in {1, 2}
    assert "Traceback" not in output
    assert output.strip().splitlines()[-1].startswith("error: ")


def test_a_read_only_folder_can_be_reported_and_verified_and_not_searched(small_disk: Path, tmp_path: Path) -> None:
    study = made_study(small_disk / "study")
    (tmp_path / "c.yaml").write_text("study: demo\nspace: digits_cnn\nbudget: {trials: 1}\n")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for command, code in (("report", 0), ("verify", 2)):  # it has no statement yet
        process = auditor(command, str(study.path), cwd=tmp_path)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == code, output
    process = auditor("search", "c.yaml", "--out", str(small_disk / "other"), cwd=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "can't be written" in output.strip().splitlines()[-1]
