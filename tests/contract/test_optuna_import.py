"""Studies of Optuna, from real storages: the same from a database and a journal, and as Optuna itself reads them."""

from __future__ import annotations

import datetime
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest

import optuna_storages
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy
from auditor.domain.study import TrialState
from auditor_plugins.importers.optuna import OptunaImporter

KINDS = ["rdb", "journal"]


def read(source: str, **options: str) -> ImportedStudy:
    return OptunaImporter().read(source, {name.replace("_", "-"): value for name, value in options.items()})


def refused(source: str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    made, source = optuna_storages.storage(tmp_path, request.param)
    optuna_storages.fill(made)
    return source


class TestAStudy:
    def test_as_it_is_named(self, source: str) -> None:
        study = read(source)
        assert (study.name, study.metric, study.direction) == ("<i>mine</i>", "val_acc", "maximize")
        assert read(source, metric="acc").metric == "acc"
        assert study.energy_source == "nas-auditor, attribute auditor:energy_j"

    def test_values_are_those_of_complete_trials(self, source: str) -> None:
        study = read(source, test="test_acc")
        assert [(t.state.value, t.value) for t in study.trials] == [
            ("complete", 0.7),
            ("pruned", None),
            ("failed", None),
            ("complete", math.inf),
            ("running", None),
        ]
        assert {t.test_value for t in study.trials} == {0.4}
        assert [t.energy_j for t in study.trials] == [100.0, 101.0, 102.0, 103.0, 104.0]

    def test_parameters_are_what_the_objective_saw(self, source: str) -> None:
        for trial, drawn in zip(read(source).trials, optuna_storages.DRAWN, strict=True):
            assert trial.params == pytest.approx(drawn)
            assert type(trial.params["layers"]) is int
            assert trial.params["<b>|*"] == drawn["<b>|*"]

    def test_steps(self, source: str) -> None:
        assert read(source).trials[2].intermediate == {1: 0.52, 3: 0.6}

    def test_durations_and_order(self, source: str) -> None:
        trials = read(source).trials
        assert all(0 < (t.duration_s or 0) < 60 for t in trials[:4])
        assert (trials[4].duration_s, trials[4].end_ns) == (None, None)
        assert trials[0].begin_ns == 0
        ends = [t.end_ns or 0 for t in trials[:4]]
        assert ends == sorted(ends)

    def test_energy_by_another_attribute(self, source: str) -> None:
        study = read(source, energy="test_acc", energy_unit="Wh")
        assert study.trials[0].energy_j == pytest.approx(0.4 * 3600)
        assert study.energy_source == "attribute test_acc"

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"study": "yours"}, "--study yours: no such study in"),
            ({"energy": "note"}, "--energy note: no such attribute; there is: auditor:energy_j, test_acc"),
            ({"energy": "test_acc"}, "--energy-unit: 'test_acc' does not say its unit"),
            ({"test": "note"}, "--test note: no trial has such an attribute that is a number; there is: auditor:e"),
        ],
    )
    def test_what_is_not_there(self, source: str, options: dict[str, str], complaint: str) -> None:
        assert complaint in refused(source, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_several_studies_are_listed(tmp_path: Path, kind: str) -> None:
    made, source = optuna_storages.storage(tmp_path, kind)
    optuna_storages.fill(made, "one")
    optuna.create_study(storage=made, study_name="two")
    assert "holds several; name one with --study: one (6 trials), two (0 trials)" in refused(source)
    assert read(source, study="one").name == "one"
    assert read(source, study="two").trials == ()


@pytest.mark.parametrize("kind", KINDS)
def test_several_objectives(tmp_path: Path, kind: str) -> None:
    made, source = optuna_storages.storage(tmp_path, kind)
    study = optuna.create_study(storage=made, study_name="pareto", directions=["maximize", "minimize"])
    study.tell(study.ask(), (0.5, math.inf))
    found = read(source)
    assert (found.direction, found.directions) == ("", ("maximize", "minimize"))
    assert (found.trials[0].value, found.trials[0].values) == (None, (0.5, math.inf))


@pytest.mark.parametrize("kind", KINDS)
def test_trials_that_were_added_whole(tmp_path: Path, kind: str) -> None:
    made, source = optuna_storages.storage(tmp_path, kind)
    study = optuna.create_study(storage=made, study_name="added")
    study.add_trial(
        optuna.trial.create_trial(
            params=optuna_storages.DRAWN[0],
            distributions=optuna_storages.DISTRIBUTIONS,
            value=0.25,
            intermediate_values={2: math.nan},
            user_attrs={"energy_consumed": 0.5},
        )
    )
    (trial,) = read(source).trials
    assert (trial.value, trial.energy_j, trial.params) == (0.25, 1.8e6, optuna_storages.DRAWN[0])
    assert math.isnan(trial.intermediate[2])


class TestDates:
    """Databases hold times without a zone: local ones up to Optuna 4, UTC since."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        made, _ = optuna_storages.storage(tmp_path, "rdb")
        optuna_storages.fill(made)
        return tmp_path / "optuna.db"

    def test_local_times_give_the_same_as_utc(self, database: Path) -> None:
        found = []
        for hour in ("08", "10"):  # the same trials, as Optuna 5 and as Optuna 4 in Paris wrote them
            day = f"2024-07-01 {hour}:"
            optuna_storages.set_times(
                database,
                [(f"{day}00:00.0", f"{day}01:00.5"), (f"{day}00:30.0", f"{day}02:00.0"), (f"{day}02:00.0", None)],
            )
            trials = read(str(database)).trials
            found.append([(t.begin_ns, t.end_ns, t.duration_s) for t in trials[:3]])
        assert found[0] == found[1]
        assert found[0] == [(0, 60_500_000_000, 60.5), (30 * 10**9, 120 * 10**9, 90.0), (120 * 10**9, None, None)]

    def test_two_clocks_are_seen(self, database: Path) -> None:
        optuna_storages.set_times(
            database,
            [("2024-07-01 10:00:00.0", "2024-07-01 10:01:00.0"), ("2024-07-01 08:02:00.0", "2024-07-01 08:03:00.0")],
        )
        study = read(str(database))
        assert [t.duration_s for t in study.trials[:2]] == [60.0, 60.0]
        assert {t.end_ns for t in study.trials} == {None}
        assert [f.message.partition(":")[0] for f in study.findings] == ["Trial 1 begins 118 min before an earlier one"]

    def test_a_clock_that_was_set_back(self, database: Path) -> None:
        optuna_storages.set_times(database, [("2024-10-27 02:59:00.0", "2024-10-27 02:01:00.0")])
        assert read(str(database)).trials[0].ran_s is None

    def test_trials_that_waited_tell_nothing(self, database: Path) -> None:
        optuna_storages.set_times(
            database,
            [("2024-07-01 10:00:00.0", "2024-07-01 10:01:00.0"), ("2024-07-01 08:02:00.0", "2024-07-01 08:03:00.0")],
            enqueued=True,
        )
        assert read(str(database)).findings == ()

    def test_journals_with_and_without_a_zone(self, tmp_path: Path) -> None:
        made, source = optuna_storages.storage(tmp_path, "journal")
        optuna_storages.fill(made)
        aware = [t.duration_s for t in read(source).trials]
        path, text = Path(source), []
        for line in Path(source).read_text().splitlines():
            record: dict[str, Any] = json.loads(line)
            for key in ("datetime_start", "datetime_complete"):
                if record.get(key):
                    moment = datetime.datetime.fromisoformat(record[key]) + datetime.timedelta(hours=2)
                    record[key] = moment.replace(tzinfo=None).isoformat()  # as Optuna 4 wrote it
            text.append(json.dumps(record))
        path.write_text("\n".join(text) + "\n")
        assert [t.duration_s for t in read(source).trials] == aware


class TestJournals:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Path:
        made, source = optuna_storages.storage(tmp_path, "journal")
        optuna_storages.fill(made)
        return Path(source)

    def test_a_torn_last_line_is_left_out(self, journal: Path) -> None:
        whole = read(str(journal))
        journal.write_bytes(journal.read_bytes() + b'{"op_code":6,"tri')
        study = read(str(journal))
        assert study.trials == whole.trials
        assert "is torn and was left out" in study.findings[0].message

    def test_damage_within_is_not(self, journal: Path) -> None:
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([*lines[:3], b"odd\n", *lines[3:]]))
        assert "line 4 is damaged" in refused(str(journal))

    @pytest.mark.parametrize("line", ['{"op_code":4}', '{"op_code":5,"trial_id":"x"}', '{"op_code":0,"study_name":1}'])
    def test_a_record_that_is_none(self, journal: Path, line: str) -> None:
        journal.write_text(line + "\n" + journal.read_text())
        assert "line 1 is no record of Optuna" in refused(str(journal))

    @pytest.mark.parametrize("text", ["", "epoch 1: loss 3\n", "[1]\n", '{"a":1}\n'])
    def test_a_file_of_something_else(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "train.log"
        path.write_text(text)
        assert "holds no studies of Optuna" in refused(str(path))


class TestDatabases:
    def test_a_database_of_something_else(self, tmp_path: Path) -> None:
        sqlite3.connect(tmp_path / "x.db").execute("CREATE TABLE cats (name)").connection.close()
        assert "holds no studies of Optuna (expected its tables, found cats)" in refused(f"sqlite:///{tmp_path}/x.db")

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").write_text("hello")
        assert "is no SQLite database" in refused(f"sqlite:///{tmp_path}/x.db")

    def test_a_damaged_database(self, tmp_path: Path) -> None:
        made, source = optuna_storages.storage(tmp_path, "rdb")
        optuna_storages.fill(made)
        whole = (tmp_path / "optuna.db").read_bytes()
        (tmp_path / "optuna.db").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        assert "can't be read" in refused(source)

    @pytest.mark.parametrize("url", ["postgresql+psycopg2://u:s3cret@127.0.0.1:1/x", "nosuchdb://u:s3cret@h/x"])
    def test_a_server_that_is_not_there(self, url: str) -> None:
        said = refused(url)
        assert "u:***@" in said
        assert "s3cret" not in said

    def test_storages_without_tables(self) -> None:
        assert "expected a database or a journal file" in refused("redis://localhost:1")

    def test_a_write_ahead_log_is_read_and_none_is_left(self, tmp_path: Path) -> None:
        made, source = optuna_storages.storage(tmp_path, "rdb")
        optuna_storages.fill(made)
        connection = sqlite3.connect(tmp_path / "optuna.db")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE trial_values SET value = 0.75 WHERE value = 0.7")
        connection.commit()
        assert read(source).trials[0].value == 0.75  # still in the log
        connection.close()
        made.engine.dispose()
        assert read(source).trials[0].value == 0.75
        assert sorted(path.name for path in tmp_path.iterdir()) == ["optuna.db"]


def test_optuna_itself_reads_the_same(source: str) -> None:
    made = source if "://" in source else optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(source)
    )  # fmt: skip
    theirs = optuna.load_study(study_name="<i>mine</i>", storage=made).trials
    states = {"fail": "failed"}
    for ours, trial in zip(read(source).trials, theirs, strict=False):
        assert (ours.number, ours.params, dict(ours.intermediate)) == (
            trial.number,
            trial.params,
            trial.intermediate_values,
        )
        name = trial.state.name.lower()
        assert ours.state is TrialState(states.get(name, name))
        if trial.duration is not None:
            assert ours.duration_s == pytest.approx(trial.duration.total_seconds())
