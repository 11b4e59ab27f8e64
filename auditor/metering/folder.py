"""The study folder: what a user keeps."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from auditor.domain.errors import InputError, JournalError
from auditor.domain.parameters import CarbonFactor, Parameters

FORMAT = 1
"""Version of the study folder, in ``study.yaml`` and ``manifest.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFile:
    """What ``study.yaml`` holds.

    Attributes:
        uuid: Identity of the study.
        study: ``name``, ``kind`` (``search`` where it is not said, or ``training``), and of a search ``space``,
            ``sampler``, ``metric``, ``direction``, ``test_metric``.
        config: The resolved configuration.
        parameters: Fields of :class:`auditor.domain.parameters.Parameters` the statement was asked for.
        versions: Versions of what ran the study.
        hardware: What the study ran on.
    """

    uuid: str
    study: Mapping[str, Any]
    config: Mapping[str, Any]
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]


class StudyFolder:
    """Paths of a study folder, and the files in it that are not journals."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journals = path / "journal"
        self.study_yaml = path / "study.yaml"
        self.optuna_journal = path / "optuna.journal"
        self.statement = path / "statement.json"
        self.report = path / "report.html"
        self.ledger = path / "ledger.parquet"
        self.trials = path / "trials.parquet"
        self.manifest = path / "manifest.json"
        self.lock_file = path / ".lock"

    def exists(self) -> bool:
        """Whether this is a study folder already."""
        return self.study_yaml.is_file()

    @property
    def imported(self) -> bool:
        """Whether its study ran elsewhere: it has a table of trials instead of journals."""
        return self.trials.is_file()

    def create(self, file: StudyFile, *, journals: bool = True) -> None:
        """Make the folder with its ``study.yaml``.

        Args:
            file: What ``study.yaml`` says.
            journals: Whether the study will have journals; one that ran elsewhere has none.

        Raises:
            InputError: the folder can't be made or written to, or holds something else.
        """
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise InputError(f"{self.path}: is not empty and holds no study; name a new folder with --out")
            (self.journals if journals else self.path).mkdir(parents=True, exist_ok=True)
            self.write_study(file)
        except OSError as error:
            raise InputError(
                f"{self.path}: can't be written ({error.strerror}); name another folder with --out"
            ) from error

    def write_study(self, file: StudyFile) -> None:
        """Write ``study.yaml``."""
        text = yaml.safe_dump(
            {
                "format": FORMAT,
                "uuid": file.uuid,
                "study": dict(file.study),
                "config": dict(file.config),
                "parameters": dict(file.parameters),
                "versions": dict(file.versions),
                "hardware": dict(file.hardware),
            },
            sort_keys=False,
            allow_unicode=True,
        )
        write_atomically(self.study_yaml, text.encode())

    def read_study(self) -> StudyFile:
        """Read ``study.yaml``.

        Raises:
            InputError: there is none, or it is no study file of this version.
        """
        try:
            data = yaml.safe_load(self.study_yaml.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{self.path}: is no study folder (expected {self.study_yaml.name} in it)") from None
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"{self.study_yaml}: can't be read ({' '.join(str(error).split())})") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(f"{self.study_yaml}: expected 'format: {FORMAT}', written by this version of auditor")
        try:
            return StudyFile(
                uuid=str(data["uuid"]),
                study=data["study"],
                config=data["config"],
                parameters=data["parameters"],
                versions=data["versions"],
                hardware=data["hardware"],
            )
        except KeyError as error:
            raise InputError(f"{self.study_yaml}: the key {error} is missing") from error

    def write_statement(self, statement: Mapping[str, Any]) -> None:
        """Write ``statement.json``."""
        write_atomically(self.statement, statement_bytes(statement))

    def digests(self, within: Path | None = None) -> dict[str, str]:
        """SHA-256 of every file of the study, by its name within the study folder, sorted.

        The manifest itself and hidden files (the lock, files half written) are none of them.

        Args:
            within: Only files in this folder of it.

        Raises:
            OSError: a file can't be read.
        """
        found = {}
        if self.journals.is_symlink():
            raise OSError(errno.ELOOP, "is a link, and what it leads to is not in this folder", str(self.journals))
        for path in (within or self.path).rglob("*"):
            name = path.relative_to(self.path)
            if path.is_file() and path != self.manifest and not any(part.startswith(".") for part in name.parts):
                with path.open("rb") as file:
                    found[name.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
        return dict(sorted(found.items()))

    def write_manifest(self) -> None:
        """Write ``manifest.json``: SHA-256 of every file of the study."""
        write_atomically(self.manifest, manifest_bytes(self.digests()))

    def lock(self, wait_s: float) -> int:
        """Lock the folder for one search; the lock dies with the process. Returns its file descriptor.

        Raises:
            JournalError: another process held the lock for all of ``wait_s`` seconds, or the folder can't be written.
        """
        try:
            fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(f"{self.path}: can't be written ({error.strerror})") from error
        until_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    os.close(fd)
                    raise JournalError(
                        f"{self.path}: another search works on this folder; wait for it, or name another with --out"
                    ) from None
                time.sleep(0.1)
            else:
                return fd

    def in_use(self) -> bool:
        """Whether a search holds the lock now; nothing is written."""
        try:
            fd = os.open(self.lock_file, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


def stored_parameters(file: StudyFile) -> Parameters:
    """The parameters of the statement that ``study.yaml`` holds."""
    fields = dict(file.parameters)
    factor = fields.pop("factor", None)
    return Parameters(factor=CarbonFactor(**factor) if factor else None, **fields)


def manifest_bytes(digests: Mapping[str, str]) -> bytes:
    """A manifest as JSON: the same files give the same bytes."""
    return json.dumps({"format": FORMAT, "sha256": dict(digests)}, indent=1).encode() + b"\n"


def statement_bytes(statement: Mapping[str, Any]) -> bytes:
    """A statement as JSON: the same statement gives the same bytes."""
    return json.dumps(statement, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)  # a full disk is not left fuller
        raise
