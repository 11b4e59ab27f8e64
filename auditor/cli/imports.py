"""Importing studies that ran elsewhere, and reporting on one without keeping it."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.cli.told import Options, parameters_of, told_of
from auditor.domain.errors import InputError
from auditor.domain.redaction import redact_url

if TYPE_CHECKING:
    from auditor.domain.imported import ImportedStudy, Told
    from auditor.domain.parameters import Parameters
    from auditor.metering.folder import StudyFolder

_POLICY = "reserved"
"""Changes nothing for an imported study; written down because a statement names one."""

_LONGEST = 100
_FILES = (".db", ".sqlite", ".sqlite3", ".log", ".journal")


def take_over(importer: str, source: str, given: Mapping[str, str], options: Options, out: Path | None) -> None:
    """Import a study, publish it into a folder of its own and show its statement.

    Args:
        importer: Its registered name.
        source: What to read.
        given: Options of the importer that were given.
        options: What the user says of the study.
        out: Where to; by default a folder of the study's name.

    Raises:
        InputError: something in it is wrong; then nothing is written.
    """
    from auditor.cli.run import show
    from auditor.reporting.publish import publish

    console = Console()
    told, parameters = told_of(options), parameters_of(options)
    with console.status("reading the trials"):
        studies = _read(importer, source, given)
    several = "run" in given
    root = out or Path("auditor-runs")
    folders = [root / name if several or out is None else out for name in _names(studies)]
    _write(importer, studies, told, parameters, folders)
    statements = []
    for place in folders:
        with console.status(f"closing the books of {place.name}"):
            statements.append(publish(_folder(place), parameters, _POLICY))
    if not several:
        show(console, statements[0])
        console.print()
        _say(console, f"Study    {folders[0]}")
        _say(console, f"Report   {folders[0] / 'report.html'}")
        return
    _summary(console, folders, statements)
    _say(console, f"Reports  {root}/*/report.html; one of them: auditor report {folders[0]}")


@contextmanager
def imported_for_now(source: str, given: Mapping[str, str], options: Options) -> Iterator[Path]:
    """A study folder of what a URL or file holds, gone afterwards.

    Raises:
        InputError: it is no storage of Optuna and no store of MLflow, or must be chosen from.
    """
    importer = _whose(source, given)
    told, parameters = told_of(options), parameters_of(options)
    with Console().status("reading the trials"):
        studies = _read(importer, source, given)
    with tempfile.TemporaryDirectory(prefix="auditor-") as folder:
        place = Path(folder) / "study"
        _write(importer, studies, told, parameters, [place])
        yield place


def is_source(text: str) -> bool:
    """Whether ``report`` was given something to import: a URL, or a file of a storage that is no folder."""
    return "://" in text or (Path(text).suffix.lower() in _FILES and not Path(text).is_dir())


def safe_name(name: str) -> str:
    """A study's name as the name of a folder; two names never give the same one."""
    plain = re.sub(r"[^\w.+=-]+", "_", name).strip("_.")[:_LONGEST]
    if plain and plain == name:
        return plain
    return f"{plain or 'study'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:6]}"


def _read(importer: str, source: str, given: Mapping[str, str]) -> Sequence[ImportedStudy]:
    from auditor.plugins import load
    from auditor.ports import SeveralStudies

    made = load("importer", importer)
    made = made() if isinstance(made, type) else made
    if "run" in given and isinstance(made, SeveralStudies):
        return made.read_each(source, given)
    return [made.read(source, given)]


def _names(studies: Sequence[ImportedStudy]) -> list[str]:
    return [safe_name(study.name) for study in studies]


def _write(
    importer: str, studies: Sequence[ImportedStudy], told: Told, parameters: Parameters, places: Sequence[Path]
) -> None:
    """Write the folders: all, or none where something does not fit one of them."""
    from auditor.importers.folder import check_import, write_import

    for study, place in zip(studies, places, strict=True):
        check_import(_folder(place), study, told)
    for study, place in zip(studies, places, strict=True):
        write_import(_folder(place), study, told, parameters, importer)


def _folder(place: Path) -> StudyFolder:
    from auditor.metering.folder import StudyFolder

    return StudyFolder(place)


def _whose(source: str, given: Mapping[str, str]) -> str:
    """Which importer reads a source: as the options name it, else as its tables do."""
    if "experiment" in given:
        return "mlflow"
    if "study" in given:
        return "optuna"
    if source.startswith(("http://", "https://", "databricks")):
        return "mlflow"
    path = re.sub(r"^sqlite(\+\w+)?:///", "", source)
    if "://" in path:
        names = "--study its study of Optuna, or with --experiment its experiment of MLflow"
        raise InputError(f"{redact_url(source)}: name with {names}")
    tables = _tables(Path(path))
    found = [name for name, table in (("optuna", "studies"), ("mlflow", "experiments")) if table in tables]
    if len(found) > 1:
        raise InputError(f"{source}: holds studies of Optuna and experiments of MLflow; name one with --study or "
                         "--experiment")  # fmt: skip
    return found[0] if found else "optuna"


def _tables(path: Path) -> frozenset[str]:
    """Tables of an SQLite file; none where it is no such file."""
    if not path.is_file():
        return frozenset()
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
    try:
        return frozenset(name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
    except sqlite3.DatabaseError:
        return frozenset()
    finally:
        connection.close()


def _summary(console: Console, folders: Sequence[Path], statements: Sequence[Mapping[str, object]]) -> None:
    from auditor.reporting.figures import count, energy, number
    from auditor.reporting.lookup import figure, joules, text
    from auditor.reporting.names import plain

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("study folder", overflow="fold")
    for column in ("trials", "best", "energy"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for folder, statement in zip(folders, statements, strict=True):
        table.add_row(
            Text(plain(str(folder))),
            count(int(figure(statement, "trials.total") or 0)),
            number(figure(statement, "gain.best.value")),
            energy(joules(statement, "energy.search_uj")),
            text(statement, "verdict.grade"),
        )
    console.print(table)
    console.print()


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
