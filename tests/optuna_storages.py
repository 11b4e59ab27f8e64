"""Real storages of Optuna with a small study each, for the tests of importers."""

from __future__ import annotations

import math
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)

DISTRIBUTIONS: dict[str, Any] = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "layers": IntDistribution(1, 8),
    "<b>|*": CategoricalDistribution(["a\n\"b'", "\u202edetrevni", None, True, 3]),
}
DRAWN: tuple[dict[str, Any], ...] = (
    {"lr": 0.1, "layers": 2, "<b>|*": "a\n\"b'"},
    {"lr": 0.01, "layers": 3, "<b>|*": "\u202edetrevni"},
    {"lr": 0.02, "layers": 4, "<b>|*": None},
    {"lr": 0.03, "layers": 5, "<b>|*": True},
    {"lr": 0.04, "layers": 6, "<b>|*": 3},
)


def storage(place: Path, kind: str) -> tuple[Any, str]:
    """A new storage and its source: ``rdb`` (SQLite) or ``journal``."""
    if kind == "rdb":
        source = f"sqlite:///{place / 'optuna.db'}"
        return RDBStorage(source), source
    source = str(place / "optuna.journal")
    return JournalStorage(JournalFileBackend(source)), source


def fill(made: Any, name: str = "<i>mine</i>") -> optuna.Study:
    """Five trials that ran (complete, pruned, failed, infinite, still running) and one that waits."""
    study = optuna.create_study(storage=made, study_name=name, direction="maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.set_metric_names(["val_acc"])
    for number, drawn in enumerate(DRAWN):
        study.enqueue_trial(drawn)
        trial = study.ask(DISTRIBUTIONS)
        assert trial.params == drawn
        trial.report(0.5 + number / 100, 1)
        trial.report(0.6, 3)
        trial.set_user_attr("auditor:energy_j", 100.0 + number)
        trial.set_user_attr("test_acc", 0.4)
        trial.set_user_attr("note", "<script>")
        match number:
            case 0:
                study.tell(trial, 0.7)
            case 1:
                study.tell(trial, state=TrialState.PRUNED)
            case 2:
                study.tell(trial, state=TrialState.FAIL)
            case 3:
                study.tell(trial, math.inf)
    study.enqueue_trial({"lr": 0.5})
    return study


def set_times(database: Path, times: list[tuple[str, str | None]], *, enqueued: bool = False) -> None:
    """Times of trials as text, as whoever wrote the database had them on the clock."""
    connection = sqlite3.connect(database)
    for number, (start, complete) in enumerate(times):
        connection.execute(
            "UPDATE trials SET datetime_start = ?, datetime_complete = ? WHERE number = ?", (start, complete, number)
        )
    if not enqueued:
        connection.execute("DELETE FROM trial_system_attributes")
    connection.commit()
    connection.close()
