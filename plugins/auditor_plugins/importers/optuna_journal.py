"""Optuna's journal storage: a file of JSON lines, replayed."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from auditor.domain.errors import InputError
from auditor_plugins.importers.optuna_trials import ENQUEUED, Draft, StudyDraft, numbers_in, param_value
from auditor_plugins.importers.told import choose, not_read

_STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
_DIRECTIONS = ("not_set", "minimize", "maximize")
_OPEN = {"RUNNING", "WAITING"}


def read_journal(source: str, asked: str | None) -> StudyDraft:
    """A study of a journal.

    Args:
        source: The file.
        asked: Name of the study; ``None``: the only one.

    Raises:
        InputError: no such file, it is no journal, or the study must be chosen.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{source}: there is no such file")
    replay = _Replay()
    torn = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if torn:
                    raise InputError(f"{source}: line {torn} is damaged; expected a journal of Optuna")
                record = _decode(line)
                if record is None:
                    torn = number  # the last line of a process that died
                else:
                    replay.apply(record)
    except OSError as error:
        raise InputError(f"{source}: can't be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"{source}: line {number} is no record of Optuna ({type(error).__name__}: {error})") from error
    if not replay.studies:
        raise InputError(f"{source}: holds no studies of Optuna (expected a journal, or an SQLite database)")
    studies = {study.name: study for study in replay.studies.values()}
    chosen = studies[choose("study", "--study", asked, {n: len(s.trials) for n, s in studies.items()}, source)]
    if torn:
        chosen.findings.append(not_read(f"The last line of the journal ({torn}) is torn and was left out."))
    return chosen


def _decode(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        try:
            found = json.loads(line)  # knows NaN
        except ValueError:
            return None
    return found if isinstance(found, dict) and "op_code" in found else None


class _Replay:
    """The state that the records of a journal lead to; what Optuna ignores is ignored."""

    def __init__(self) -> None:
        self.studies: dict[int, StudyDraft] = {}
        self._begun = 0
        self._trials: list[Draft] = []
        self._owners: list[int] = []

    def apply(self, record: Mapping[str, Any]) -> None:
        """Apply one record."""
        match record["op_code"]:
            case 0:
                self._create_study(record)
            case 1:
                self.studies.pop(record["study_id"], None)
            case 3:
                names = record["system_attr"].get("study:metric_names")
                if names and record["study_id"] in self.studies:
                    self.studies[record["study_id"]].metrics = list(map(str, names))
            case 4:
                self._create_trial(record)
            case 5 | 6 | 7 | 8 | 9:
                self._change(record)

    def _create_study(self, record: Mapping[str, Any]) -> None:
        if record["study_name"] in {study.name for study in self.studies.values()}:
            return
        directions = [_DIRECTIONS[direction] for direction in record["directions"]]
        self.studies[self._begun] = StudyDraft(name=record["study_name"], directions=directions)
        self._begun += 1

    def _create_trial(self, record: Mapping[str, Any]) -> None:
        study = self.studies.get(record["study_id"])
        if study is None:
            return
        distributions = record.get("distributions", {})
        values = record.get("values")
        if values is None:
            values = [] if record.get("value") is None else [record["value"]]
        trial = Draft(
            number=len(study.trials),
            state=_STATES[record.get("state", 0)],
            start=_moment(record.get("datetime_start")),
            complete=_moment(record.get("datetime_complete")),
            params={name: param_value(value, distributions[name]) for name, value in record.get("params", {}).items()},
            values=dict(enumerate(values)),
            intermediate={int(step): value for step, value in record.get("intermediate_values", {}).items()},
            figures=dict(numbers_in(record.get("user_attrs", {}))),
            enqueued=ENQUEUED in record.get("system_attrs", {}),
        )
        study.trials.append(trial)
        self._trials.append(trial)

    def _change(self, record: Mapping[str, Any]) -> None:
        """A change of a trial; one that has ended changes no more."""
        trial_id = record["trial_id"]
        if not 0 <= trial_id < len(self._trials) or self._trials[trial_id].state not in _OPEN:
            return
        trial = self._trials[trial_id]
        match record["op_code"]:
            case 5:
                internal, distribution = record["param_value_internal"], record["distribution"]
                trial.params[record["param_name"]] = param_value(internal, distribution)
            case 6:
                self._set_state(trial, record)
            case 7:
                trial.intermediate[record["step"]] = record["intermediate_value"]
            case 8:
                trial.figures.update(numbers_in(record["user_attr"]))
            case 9:
                trial.enqueued = trial.enqueued or ENQUEUED in record["system_attr"]

    def _set_state(self, trial: Draft, record: Mapping[str, Any]) -> None:
        state = _STATES[record["state"]]
        if state == "RUNNING":
            if trial.state == "RUNNING":
                return
            trial.start = _moment(record["datetime_start"])
        elif state not in _OPEN:
            trial.complete = _moment(record["datetime_complete"])
        trial.state = state
        if record.get("values") is not None:
            trial.values = dict(enumerate(record["values"]))


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)
