"""Names and folders of studies that a program of somebody's own opens."""

from __future__ import annotations

import re
from pathlib import Path

from auditor.domain.errors import InputError
from auditor.metering.folder import StudyFolder

RUNS = "auditor-runs"
"""Where study folders go unless told otherwise, below the working directory."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checked_name(name: str) -> str:
    """A name of a study, which becomes part of its accounts.

    Raises:
        InputError: it holds something else than letters, digits, dots, dashes and underscores.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"name: expected letters, digits, '.', '-' and '_', got {name!r}")
    return name


def checked_folder(folder: str | Path | None, name: str) -> Path | None:
    """A folder for a study of some name: a new or empty one, or the study's own.

    Raises:
        InputError: it holds something else.
    """
    if folder is None:
        return None
    path = Path(folder).resolve()  # the work may change its directory
    study = StudyFolder(path)
    if study.exists():
        named = study.read_study().study.get("name")
        if named != name:
            raise InputError(f"folder: {path} holds the study {named!r}, expected {name!r} or a new folder")
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"folder: {path} is not empty and holds no study; name a new folder")
    return path


def next_free(parent: Path, name: str) -> Path:
    """Make the first of ``name``, ``name-2``, … that is not there: of several processes each gets its own."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path
