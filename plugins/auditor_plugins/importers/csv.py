"""Tables: CSV and Parquet files with one trial a row."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial
from auditor.domain.study import TrialState
from auditor_plugins.importers.figures import amount, energy_figure, number, seconds
from auditor_plugins.importers.told import check_options, direction_of, listed, state_of

if TYPE_CHECKING:
    import pyarrow as pa

_PREFIXES = ("params_", "params.", "params/", "config.", "config/")
"""How exports of Optuna, MLflow, W&B and Ray Tune begin the columns of parameters."""

_COLUMNS = ("value", "energy", "duration", "test", "state", "time", "fidelity", "run")
_DAY_S = 86_400
_UNITS = ((1e17, 1), (1e14, 10**3), (1e11, 10**6))
"""From which size on a number of time is in ns, us, ms; below in seconds."""


class CsvImporter:
    """One trial a row, in the order of the table unless a column says when each ended."""

    name = "csv"
    options: Mapping[str, str] = {
        "value": "Column with the final value of the metric.",
        "direction": "maximize or minimize; else by the metric's name.",
        "metric": "Name of the metric, where the column's is not it.",
        "energy": "Column with the energy of each trial.",
        "energy-unit": "Unit of that column: J, kJ, MJ, Wh, kWh, MWh.",
        "duration": "Column with how long each trial ran, in seconds (or 0 days 00:01:02.5).",
        "test": "Column with the value on the test set.",
        "state": "Column with how each trial ended; else one with a value is complete, one without failed.",
        "time": "Column with when each trial ended (ISO 8601, or seconds); else rows are in order.",
        "fidelity": "Column with how far each trial was trained (epochs).",
        "run": "Column by which the table is split into studies.",
        "params": "What columns of parameters begin with; else params_, params., config. and the like.",
    }

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """The study in a table. See :class:`auditor.ports.Importer`.

        Raises:
            InputError: there is no table, it lacks a column, a field is not what its column must hold, or ``run``
                splits it into several studies.
        """
        studies = self.read_each(source, options)
        if len(studies) > 1:
            raise InputError(f"--run: {source} holds {len(studies)} studies: {listed(s.name for s in studies)}")
        return studies[0]

    def read_each(self, source: str, options: Mapping[str, str]) -> tuple[ImportedStudy, ...]:
        """The studies in a table, one for each value of the column ``run``, in order of appearance.

        Raises:
            InputError: as :meth:`read`.
        """
        check_options(self.name, options, self.options)
        table = _Table(source, _read(source), options)
        if "run" not in options:
            return (table.study(table.stem, range(table.rows)),)
        rows: dict[str, list[int]] = {}
        for row, run in enumerate(table.column("run")):
            rows.setdefault("" if run is None else str(run), []).append(row)
        return tuple(table.study(run, chosen) for run, chosen in rows.items())


class _Table:
    """A table with what its columns are for."""

    def __init__(self, source: str, table: pa.Table, options: Mapping[str, str]) -> None:
        self._source = source
        self._options = options
        self._names: list[str] = table.column_names
        twice = {name for name in self._names if self._names.count(name) > 1}
        if twice:
            raise InputError(f"{source}: has columns of the same name: {listed(sorted(twice))}")
        if "value" not in options:
            raise InputError(f"--value: name the column of the metric; there is: {listed(self._names)}")
        for option in _COLUMNS:
            if option in options and options[option] not in self._names:
                raise InputError(f"--{option} {options[option]}: no such column in {source}; there is: "
                                 f"{listed(self._names)}")  # fmt: skip
        self.rows: int = table.num_rows
        if self.rows == 0:
            raise InputError(f"{source}: has no rows; expected one trial a row")
        self.stem = Path(source).name.split(".")[0] or "table"
        self._metric = options.get("metric", options["value"])
        self._direction, self._findings = direction_of(self._metric, options.get("direction"))
        self._energy = energy_figure(options.get("energy"), options.get("energy-unit"), self._named(), "column")
        self._params = self._params_columns()
        taken = {options[o] for o in _COLUMNS if o in options} | {column for _, column in self._params}
        self._columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in taken}
        self._read_columns()

    def _named(self) -> list[str]:
        """A column of energy is one that the user names: what else a table holds may be of anything."""
        return self._names if "energy" in self._options else []

    def _params_columns(self) -> list[tuple[str, str]]:
        """Name of each parameter, and its column."""
        prefix = self._options.get("params")
        prefixes = _PREFIXES if prefix is None else (prefix,)
        found = []
        for column in self._names:
            start = next((p for p in prefixes if column.startswith(p)), None)
            if start is not None:
                found.append((column.removeprefix(start) or column, column))
        if prefix is not None and not found:
            raise InputError(f"--params {prefix}: no column begins so; there is: {listed(self._names)}")
        return found

    def _read_columns(self) -> None:
        self._values = self._numbers("value")
        self._tests = self._numbers("test")
        self._energies = self._numbers("energy")
        self._fidelities = self._numbers("fidelity")
        self._durations = self._each("duration", _seconds, "seconds, or 0 days 00:01:02.5")
        self._ends = self._each("time", _time_ns, "ISO 8601, or a number of seconds")
        self._states = self._each("state", lambda text: state_of(str(text), "--state"), "a state")

    def column(self, option: str) -> list[Any]:
        """Fields of the column that an option names; nothing at all where it names none."""
        name = self._options.get(option)
        return [None] * self.rows if name is None else self._columns[name]

    def _numbers(self, option: str) -> list[float | None]:
        found: list[float | None] = self._each(option, _number, "a number")
        return found

    def _each(self, option: str, read: Callable[[Any], Any], expected: str) -> list[Any]:
        found = []
        for row, field in enumerate(self.column(option), start=1):
            value = None if field is None or field == "" else read(field)
            if value is None and field not in (None, ""):
                raise InputError(f"--{option} {self._options[option]}: row {row} of {self._source} is '{field}'; "
                                 f"expected {expected}")  # fmt: skip
            found.append(value)
        return found

    def study(self, name: str, rows: Sequence[int]) -> ImportedStudy:
        """The study in some of the rows."""
        return ImportedStudy(
            name=name or "unnamed",
            metric=self._metric,
            direction=self._direction,
            trials=tuple(self._trial(number, row) for number, row in enumerate(rows)),
            test_metric=self._options.get("test"),
            source=self._source,
            energy_source="" if self._energy is None else self._energy.source,
            findings=self._findings,
        )

    def _trial(self, number: int, row: int) -> ImportedTrial:
        value, state = self._values[row], self._states[row]
        if state is None:
            state = TrialState.FAILED if value is None else TrialState.COMPLETE
        duration_s, end_ns = amount(self._durations[row]), self._ends[row]
        begin_ns = None if end_ns is None or duration_s is None else end_ns - round(duration_s * 1e9)
        return ImportedTrial(
            number=number,
            state=state,
            params={name: self._columns[column][row] for name, column in self._params},
            value=value if state is TrialState.COMPLETE else None,
            test_value=self._tests[row],
            begin_ns=begin_ns,
            end_ns=end_ns,
            duration_s=duration_s,
            energy_j=amount(self._energies[row], 1.0 if self._energy is None else self._energy.joules),
            fidelity=self._fidelities[row],
        )


def _number(field: Any) -> float | None:
    return float(field) if isinstance(field, int | float) else number(str(field))


def _seconds(field: Any) -> float | None:
    if isinstance(field, datetime.timedelta):
        return field.total_seconds()
    if isinstance(field, datetime.time):  # how 00:01:02 is read
        return ((field.hour * 60 + field.minute) * 60 + field.second) + field.microsecond / 1e6
    return float(field) if isinstance(field, int | float) else seconds(str(field))


def _time_ns(field: Any) -> int | None:
    """Nanoseconds since the epoch, or since whatever numbers count from."""
    if isinstance(field, datetime.datetime):
        return _datetime_ns(field)
    if isinstance(field, datetime.date):
        return _datetime_ns(datetime.datetime(field.year, field.month, field.day))
    value = _number(field)
    if value is None:
        try:
            return _datetime_ns(datetime.datetime.fromisoformat(str(field)))
        except ValueError:
            return None
    if not math.isfinite(value):
        return None
    return round(value * next((factor for least, factor in _UNITS if abs(value) >= least), 10**9))


def _datetime_ns(moment: datetime.datetime) -> int:
    """A time without a zone is taken as UTC: only order and distance count."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    passed = aware - datetime.datetime.fromtimestamp(0, datetime.UTC)
    return ((passed.days * _DAY_S + passed.seconds) * 10**6 + passed.microseconds) * 1000


def _read(source: str) -> pa.Table:
    import pyarrow as pa

    path = Path(source)
    if not path.is_file():
        raise InputError(f"{source}: is no file; expected a table as CSV or Parquet")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            return pq.read_table(path)
        return _read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{source}: can't be read as a table ({' '.join(str(error).split())[:300]})") from error


def _read_csv(path: Path) -> pa.Table:
    """A CSV file; a column whose fields turn out to be of several kinds far below is read as text, and all others."""
    import pyarrow as pa
    from pyarrow import csv

    parse = csv.ParseOptions(newlines_in_values=True)
    nulls = {"strings_can_be_null": True, "quoted_strings_can_be_null": False}
    try:
        return csv.read_csv(path, parse_options=parse, convert_options=csv.ConvertOptions(**nulls))
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
        with csv.open_csv(path, parse_options=parse) as file:
            text = dict.fromkeys(file.schema.names, pa.string())
        return csv.read_csv(path, parse_options=parse, convert_options=csv.ConvertOptions(column_types=text, **nulls))
