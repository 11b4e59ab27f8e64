"""What is published is a function of the folder: the same bytes, whenever and wherever it is made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from auditor.domain.parameters import Parameters
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from auditor.search.again import publish_again
from auditor.search.config import check_config
from auditor.search.parameters import parameters_from
from auditor.search.plan import Plan
from auditor.search.verify import verify
from studies import TRIALS, MadeStudy, made_study

PUBLISH = """
import sys
from pathlib import Path
from auditor.domain.parameters import Parameters
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
publish(StudyFolder(Path(sys.argv[1])), Parameters(), "reserved")
"""


def files(folder: StudyFolder) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in folder.path.rglob("*.*")}


def plan(folder: StudyFolder, **sections: Any) -> Plan:
    config = check_config({"study": "demo", "space": "toy", "budget": {"trials": 4}, **sections}, "here")
    return Plan(
        config=config,
        folder=folder,
        space=cast(Any, None),
        parameters=parameters_from(config),
        gpus=0,
        resumed=True,
    )


def test_publishing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "study")
    publish(folder, Parameters(), "reserved")
    first = files(folder)
    assert {"statement.json", "report.html", "ledger.parquet", "manifest.json"} < set(first)
    publish(folder, Parameters(), "reserved")
    assert files(folder) == first


def test_so_does_another_process_in_another_place(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "study")
    publish(folder, Parameters(), "reserved")
    for seed in ("1", "2"):
        other = StudyFolder(shutil.copytree(folder.path, tmp_path / f"copy-{seed}"))
        other.statement.unlink()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Pacific/Auckland"}
        subprocess.run([sys.executable, "-c", PUBLISH, str(other.path)], check=True, env=environment, timeout=60)
        assert files(other) == files(folder)


def test_the_order_in_which_journals_appeared_does_not_matter(tmp_path: Path) -> None:
    """Whoever watched the study met its journals one by one; whoever checks it meets them all at once."""
    made = MadeStudy(tmp_path / "study").add(*TRIALS)
    watcher = StudyReader(made.folder)
    for name in ("zebra", "ape"):
        (made.folder.journals / f"marks-{name}-9-9.jsonl").write_text("this is no journal\n")
        watcher.refresh()
    folder = made.seal().folder
    publish(folder, Parameters(), "reserved")
    verify(folder)


def test_the_ledger_sums_to_the_meter(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "study")
    statement = publish(folder, Parameters(), "reserved")
    table = pq.read_table(folder.ledger)
    assert sum(table["energy_uj"].to_pylist()) == statement["energy"]["metered_uj"] == 288_000_000
    assert table.column_names == ["node", "start_ns", "end_ns", "component", "account", "energy_uj"]


class TestAgain:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> StudyFolder:
        folder = made_study(tmp_path / "study", config={"study": "demo", "metering": {"policy": "reserved"}})
        publish(folder, Parameters(), "reserved")
        return folder

    def test_what_was_asked_for_is_kept(self, folder: StudyFolder) -> None:
        changed = plan(
            folder, metering={"policy": "direct"}, carbon={"g_per_kwh": 56}, cost={"price_per_kwh": 0.25}, worth={}
        )
        statement = publish_again(changed)
        assert statement["energy"]["policy"] == "direct"
        assert statement["cost"]["price_per_kwh"] == 0.25
        reader = StudyReader(folder)
        assert reader.parameters == changed.parameters
        assert reader.file.config["metering"]["policy"] == "direct"
        assert reader.file.config["study"] == "demo"
        verify(folder)

    def test_the_same_again_changes_nothing(self, folder: StudyFolder) -> None:
        publish_again(plan(folder))
        first = files(folder)
        publish_again(plan(folder))
        assert files(folder) == first
