"""Runs of an MLflow experiment: from its database, table by table, or from a server."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from auditor.domain.errors import InputError
from auditor.domain.redaction import redact_url
from auditor_plugins.importers.databases import reading, tables_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

PARENT = "mlflow.parentRunId"

_NEEDED = {"experiments", "runs", "latest_metrics", "metrics", "params", "tags"}
_INFINITE = 1.79e308
"""MLflow writes the largest number there is for infinity."""

_PAGE = 1000


@dataclass(slots=True)
class MlflowRun:
    """A run as MLflow tells it; times in milliseconds, metrics as last logged."""

    run_id: str
    name: str
    status: str
    start_ms: int | None
    end_ms: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """A logged value."""

    step: int
    time_ms: int
    value: float


class Runs(Protocol):
    """Where runs are read from."""

    def experiments(self, asked: str | None) -> Mapping[str, int]:
        """Number of runs by name of the experiment; where one is asked for and is there, that one may be enough."""

    def runs(self, experiment: str) -> Sequence[MlflowRun]:
        """Runs of an experiment that were not deleted, in the order of their start."""

    def deleted(self, experiment: str) -> int:
        """How many of its runs were deleted."""

    def history(
        self, experiment: str, keys: Iterable[str], runs: Sequence[MlflowRun]
    ) -> Iterator[tuple[str, str, Point]]:
        """Every value of some metrics: run, metric, point; in the order they were logged."""


@contextmanager
def open_runs(source: str) -> Iterator[Runs]:
    """Runs at a tracking URI, or in an SQLite file.

    Raises:
        InputError: there is no such database or server, or it is none of MLflow's.
    """
    if source.startswith(("http://", "https://", "databricks")):
        yield _Server(source)
        return
    path = Path(source.removeprefix("file://"))
    if path.is_dir():
        raise InputError(f"{source}: is a folder; MLflow's old file store is moved into a database with 'mlflow "
                         f"migrate-filestore --source {source} --target sqlite:///mlflow.db'")  # fmt: skip
    with reading(source) as connection:
        there = tables_of(connection)
        if not there >= _NEEDED:
            raise InputError(f"{redact_url(source)}: holds no runs of MLflow (expected its tables, found "
                             f"{', '.join(sorted(there)[:10]) or 'none'})")  # fmt: skip
        yield _Database(connection)


class _Database:
    """MLflow's tables; its own store would make and upgrade them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _rows(self, query: str, **values: Any) -> Iterator[Any]:
        from sqlalchemy import text

        return iter(self._connection.execute(text(query), values))

    def experiments(self, asked: str | None) -> Mapping[str, int]:
        return dict(
            self._rows(
                "SELECT e.name, COUNT(r.run_uuid) FROM experiments e LEFT JOIN runs r "
                "ON r.experiment_id = e.experiment_id AND r.lifecycle_stage = 'active' "
                "WHERE e.lifecycle_stage = 'active' GROUP BY e.name, e.experiment_id ORDER BY e.experiment_id"
            )
        )

    def runs(self, experiment: str) -> Sequence[MlflowRun]:
        rows = self._rows(
            "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time FROM runs r JOIN experiments e "
            "ON e.experiment_id = r.experiment_id WHERE e.name = :name AND r.lifecycle_stage = 'active' "
            "ORDER BY r.start_time, r.run_uuid",
            name=experiment,
        )
        found = {row[0]: MlflowRun(row[0], row[1] or "", row[2], row[3], row[4]) for row in rows}
        for run_id, key, value, is_nan in self._of("latest_metrics", "t.key, t.value, t.is_nan", experiment):
            if run_id in found:
                found[run_id].metrics[key] = _value(value, is_nan)
        for table, which in (("params", ""), ("tags", f"AND (t.key = '{PARENT}' OR t.key NOT LIKE 'mlflow.%')")):
            for run_id, key, value in self._of(table, "t.key, t.value", experiment, which):
                if run_id in found:
                    getattr(found[run_id], table)[key] = value
        return list(found.values())

    def deleted(self, experiment: str) -> int:
        rows = self._rows(
            "SELECT COUNT(*) FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
            "WHERE e.name = :name AND r.lifecycle_stage <> 'active'",
            name=experiment,
        )
        return int(next(rows)[0])

    def history(
        self, experiment: str, keys: Iterable[str], runs: Sequence[MlflowRun]
    ) -> Iterator[tuple[str, str, Point]]:
        known = {run.run_id for run in runs}
        columns = "t.key, t.step, t.timestamp, t.value, t.is_nan"
        for key in keys:
            where = "AND t.key = :key ORDER BY t.timestamp, t.step"
            for run_id, name, step, time_ms, value, is_nan in self._of("metrics", columns, experiment, where, key=key):
                if run_id in known:
                    yield run_id, name, Point(step, time_ms, _value(value, is_nan))

    def _of(self, table: str, columns: str, experiment: str, more: str = "", **values: Any) -> Iterator[Any]:
        """Rows of a table on runs, for those of an experiment."""
        return self._rows(
            f"SELECT t.run_uuid, {columns} FROM {table} t JOIN runs r ON r.run_uuid = t.run_uuid "
            f"JOIN experiments e ON e.experiment_id = r.experiment_id WHERE e.name = :name {more}",
            name=experiment,
            **values,
        )


class _Server:
    """A tracking server, asked through MLflow's client."""

    def __init__(self, source: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
        from mlflow import MlflowClient

        self._shown = redact_url(source)
        self._client = MlflowClient(source)

    def _ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return getattr(self._client, method)(*arguments, **named)
        except (MlflowException, OSError) as error:
            said = " ".join(str(error).split())[:300]
            raise InputError(f"{self._shown}: can't be read ({said})") from error

    def _pages(self, method: str, **named: Any) -> Iterator[Any]:
        token = None
        while True:
            page = self._ask(method, page_token=token, max_results=_PAGE, **named)
            yield from page
            token = page.token
            if not token:
                return

    def experiments(self, asked: str | None) -> Mapping[str, int]:
        if asked is not None and self._ask("get_experiment_by_name", asked) is not None:
            return {asked: 0}  # to count the runs of all would be to ask for them
        found = {e.name: e.experiment_id for e in self._pages("search_experiments")}
        return {name: sum(1 for _ in self._runs(known)) for name, known in found.items()}

    def _runs(self, experiment_id: str, view: int = 1) -> Iterator[Any]:
        return self._pages("search_runs", experiment_ids=[experiment_id], run_view_type=view)

    def _id(self, experiment: str) -> str:
        return str(self._ask("get_experiment_by_name", experiment).experiment_id)

    def runs(self, experiment: str) -> Sequence[MlflowRun]:
        found = [
            MlflowRun(
                run.info.run_id,
                run.info.run_name or "",
                run.info.status,
                run.info.start_time,
                run.info.end_time,
                {key: _value(value, math.isnan(value)) for key, value in run.data.metrics.items()},
                dict(run.data.params),
                dict(run.data.tags),
            )
            for run in self._runs(self._id(experiment))
        ]
        return sorted(found, key=lambda run: (run.start_ms or 0, run.run_id))

    def deleted(self, experiment: str) -> int:
        return sum(1 for _ in self._runs(self._id(experiment), view=2))

    def history(
        self, experiment: str, keys: Iterable[str], runs: Sequence[MlflowRun]
    ) -> Iterator[tuple[str, str, Point]]:
        for key in keys:
            for run in runs:
                if key in run.metrics:
                    for point in self._ask("get_metric_history", run.run_id, key):
                        value = _value(point.value, math.isnan(point.value))
                        yield run.run_id, key, Point(point.step, point.timestamp, value)


def _value(value: float, is_nan: bool) -> float:
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= _INFINITE else value
