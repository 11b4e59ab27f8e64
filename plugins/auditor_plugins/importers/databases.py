"""Databases of other programs, opened to be read: no table is made, upgraded or locked for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from auditor.domain.errors import InputError
from auditor.domain.redaction import redact_url

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQLITE = b"SQLite format 3\x00"
_WAL = 2
"""What bytes 18 and 19 of an SQLite file say where it has a write-ahead log."""


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


@contextmanager
def reading(source: str) -> Iterator[Connection]:
    """A connection to a database, by its SQLAlchemy URL or as an SQLite file.

    Raises:
        InputError: there is no such database, it can't be reached, or what is read of it fails.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    shown = redact_url(source)
    try:
        if "://" in source and make_url(source).get_backend_name() != "sqlite":
            engine = create_engine(source, poolclass=NullPool)
        else:
            path = Path((make_url(source).database or "") if "://" in source else source)
            if not path.is_file():
                raise InputError(f"{shown}: there is no such database")
            if not is_sqlite(path):
                raise InputError(f"{shown}: is no SQLite database")
            engine = create_engine("sqlite://", creator=lambda: _open(path), poolclass=NullPool)
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        raise InputError(f"{shown}: can't be read ({said.replace(source, shown)[:300]})") from error
    except ImportError as error:
        raise InputError(f"{shown}: can't be read ({error}; install the driver of that database)") from error


def _open(path: Path) -> sqlite3.Connection:
    """An SQLite file, read-only.

    Reading one with a write-ahead log would leave two files beside it; where nobody has it open it needs none.
    """
    with path.open("rb") as file:
        header = file.read(20)
    idle = _WAL in header[18:20] and not path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro&immutable=1" if idle else "mode=ro"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)


def tables_of(connection: Connection) -> frozenset[str]:
    """Names of the tables of a database."""
    from sqlalchemy import inspect

    return frozenset(inspect(connection).get_table_names())


def columns_of(connection: Connection, table: str) -> frozenset[str]:
    """Names of the columns of a table."""
    from sqlalchemy import inspect

    return frozenset(column["name"] for column in inspect(connection).get_columns(table))
