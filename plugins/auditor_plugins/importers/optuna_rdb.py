"""Optuna's relational storage, read table by table.

Optuna's own way would make or upgrade tables at the source, and takes minutes for 100,000 trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from auditor.domain.errors import InputError
from auditor.domain.redaction import redact_url
from auditor_plugins.importers.databases import columns_of, reading, tables_of
from auditor_plugins.importers.optuna_trials import ENQUEUED, Draft, StudyDraft, numbers_in, param_value
from auditor_plugins.importers.told import choose

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NEEDED = {"studies", "study_directions", "trials", "trial_params", "trial_values"}
_SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def read_rdb(source: str, asked: str | None) -> StudyDraft:
    """A study of a database.

    Args:
        source: SQLAlchemy URL or SQLite file.
        asked: Name of the study; ``None``: the only one.

    Raises:
        InputError: no such database, it is none of Optuna's, or the study must be chosen.
    """
    with reading(source) as connection:
        there = tables_of(connection)
        if not there >= _NEEDED:
            raise InputError(f"{redact_url(source)}: holds no studies of Optuna (expected its tables, found "
                             f"{', '.join(sorted(there)[:10]) or 'none'})")  # fmt: skip
        return _Reader(connection, there).study(redact_url(source), asked)


class _Reader:
    """Reads the tables of one database."""

    def __init__(self, connection: Connection, tables: frozenset[str]) -> None:
        self._connection = connection
        self._tables = tables

    def study(self, source: str, asked: str | None) -> StudyDraft:
        """The study asked for, or the only one."""
        rows = self._rows("SELECT study_id, study_name FROM studies ORDER BY study_id")
        counts = dict(self._rows("SELECT study_id, COUNT(*) FROM trials GROUP BY study_id"))
        studies = {name: study_id for study_id, name in rows}
        there = {name: counts.get(study_id, 0) for name, study_id in studies.items()}
        name = choose("study", "--study", asked, there, source)
        study_id = studies[name]
        directions = [
            str(direction).lower()
            for (direction,) in self._of_study(
                "SELECT direction FROM study_directions WHERE study_id = :study ORDER BY objective", study_id
            )
        ]
        draft = StudyDraft(name=name, directions=directions, metrics=self._metrics(study_id))
        trials = self._trials(study_id)
        draft.trials = sorted(trials.values(), key=lambda trial: trial.number)
        self._fill(trials, study_id)
        return draft

    def _rows(self, query: str, **values: Any) -> Iterator[Any]:
        from sqlalchemy import text

        return iter(self._connection.execute(text(query), values))

    def _of_study(self, query: str, study_id: int) -> Iterator[Any]:
        return self._rows(query, study=study_id)

    def _joined(self, table: str, columns: str, study_id: int, order: str) -> Iterator[Any]:
        """Rows of a table on trials, for the trials of a study."""
        chosen = ", ".join(f"t.{column}" for column in columns.split(", "))
        return self._of_study(
            f"SELECT {chosen} FROM {table} t JOIN trials ON trials.trial_id = t.trial_id "
            f"WHERE trials.study_id = :study ORDER BY t.{order}",
            study_id,
        )

    def _metrics(self, study_id: int) -> list[str]:
        if "study_system_attributes" not in self._tables:
            return []
        rows = self._of_study(
            "SELECT a.value_json FROM study_system_attributes a "
            "WHERE a.study_id = :study AND a.key = 'study:metric_names'",
            study_id,
        )
        return next((list(map(str, _json(value) or [])) for (value,) in rows), [])

    def _trials(self, study_id: int) -> dict[int, Draft]:
        """Trials by their ids."""
        from sqlalchemy import DateTime, column, select, table

        trials = table(
            "trials",
            column("trial_id"),
            column("number"),
            column("study_id"),
            column("state"),
            column("datetime_start", DateTime),
            column("datetime_complete", DateTime),
        )
        c = trials.c
        query = select(c.trial_id, c.number, c.state, c.datetime_start, c.datetime_complete)
        rows = self._connection.execute(query.where(c.study_id == study_id).order_by(c.trial_id))
        found = {}
        for place, (trial_id, number, state, start, complete) in enumerate(rows):
            number = place if number is None else number  # as the first versions kept it
            found[trial_id] = Draft(number=number, state=str(state), start=start, complete=complete)
        return found

    def _fill(self, trials: Mapping[int, Draft], study_id: int) -> None:
        columns = "trial_id, param_name, param_value, distribution_json"
        for trial_id, name, internal, distribution in self._joined("trial_params", columns, study_id, "param_id"):
            if trial_id in trials:  # the study may go on while it is read
                trials[trial_id].params[name] = param_value(internal, distribution)
        for trial_id, objective, value in self._valued(trials, "trial_values", "objective", "value", study_id):
            trials[trial_id].values[objective] = value
        if "trial_intermediate_values" in self._tables:
            table, column = "trial_intermediate_values", "intermediate_value"
            for trial_id, step, value in self._valued(trials, table, "step", column, study_id):
                trials[trial_id].intermediate[step] = value
            for draft in trials.values():
                draft.intermediate = dict(sorted(draft.intermediate.items()))
        self._attributes(trials, study_id)

    def _valued(
        self, trials: Mapping[int, Draft], table: str, key: str, column: str, study_id: int
    ) -> Iterator[tuple[int, int, float]]:
        """Values of trials; what is no finite number stands in a column of its own, since version 3."""
        kind = f"{column}_type"
        typed = kind in columns_of(self._connection, table)
        columns = f"trial_id, {key}, {column}" + (f", {kind}" if typed else "")
        for trial_id, place, value, *rest in self._joined(table, columns, study_id, "trial_id"):
            if trial_id in trials:
                special = _SPECIAL.get(str(rest[0])) if rest else None
                yield trial_id, place, special if special is not None else math.nan if value is None else value

    def _attributes(self, trials: Mapping[int, Draft], study_id: int) -> None:
        columns = "trial_id, key, value_json"
        if "trial_user_attributes" in self._tables:
            for trial_id, key, value in self._joined("trial_user_attributes", columns, study_id, "trial_id"):
                if trial_id in trials:
                    trials[trial_id].figures.update(numbers_in({key: _json(value)}))
        if "trial_system_attributes" in self._tables:
            for trial_id, key, _ in self._joined("trial_system_attributes", columns, study_id, "trial_id"):
                if trial_id in trials and key == ENQUEUED:
                    trials[trial_id].enqueued = True


def _json(text: str | None) -> Any:
    """What a text of JSON holds; ``None`` where it is none."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(text.strip())
