"""The study folder of an imported study: ``trials.parquet`` instead of journals."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger, empty_ledger
from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial, Told
from auditor.domain.parameters import Parameters
from auditor.domain.study import Finding, Severity, StudyRecord, TrialState
from auditor.importers.record import record_of
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFile, StudyFolder, stored_parameters, write_atomically

if TYPE_CHECKING:
    import pyarrow as pa


class ImportedReader:
    """Reads the folder of an imported study as :class:`auditor.metering.closing.StudyReader` reads journals."""

    def __init__(self, folder: StudyFolder) -> None:
        """Open a folder.

        Raises:
            InputError: it is no study folder, or its study did not run elsewhere.
        """
        self.folder = folder
        self.file: StudyFile = folder.read_study()
        self._study: ImportedStudy | None = None

    def refresh(self) -> None:
        """Read the table of trials.

        Raises:
            InputError: it can't be read.
        """
        self._study = read_trials(self.folder, self.file)

    @property
    def parameters(self) -> Parameters:
        """The parameters that ``study.yaml`` holds."""
        return stored_parameters(self.file)

    def close(self, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
        """The record of the study; its ledger is empty, since nothing was metered interval by interval.

        Args:
            policy: Changes nothing here: an imported trial has no static part.
        """
        if self._study is None:
            self.refresh()
        assert self._study is not None
        told = msgspec.convert(self.file.config["told"], Told)
        return record_of(self._study, told, self.file.uuid), empty_ledger()


def open_reader(folder: StudyFolder) -> StudyReader | ImportedReader:
    """Whoever reads a study folder: one of journals, or one that was imported.

    Raises:
        InputError: it is no study folder.
    """
    return ImportedReader(folder) if folder.imported else StudyReader(folder)


def open_study(path: Path, policy: Policy = Policy.RESERVED) -> tuple[StudyRecord, Ledger]:
    """Read a study folder once and close its books, whether its study ran here or elsewhere.

    Raises:
        InputError: the folder is no study folder.
    """
    reader = open_reader(StudyFolder(path))
    reader.refresh()
    return reader.close(policy)


def check_import(folder: StudyFolder, study: ImportedStudy, told: Told) -> str:
    """Whether a study can be imported into a folder; its identity. Nothing is written.

    Raises:
        InputError: the folder holds something else, or what the user says does not fit the study.
    """
    identity = str(uuid.uuid4())
    if folder.exists():
        old = folder.read_study()
        imported = folder.imported or "importer" in old.config  # an import that was killed left no table
        if not imported or old.study.get("source") != study.source or old.study["name"] != study.name:
            raise InputError(f"{folder.path}: holds another study; name a new folder with --out")
        identity = old.uuid
    elif folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise InputError(f"{folder.path}: is not empty and holds no study; name a new folder with --out")
    record_of(study, told, identity)
    return identity


def write_import(folder: StudyFolder, study: ImportedStudy, told: Told, parameters: Parameters, importer: str) -> None:
    """Make the folder of an imported study, or make it anew where it holds the same study of the same source.

    Raises:
        InputError: the folder holds something else, or what the user says does not fit the study.
    """
    identity = check_import(folder, study, told)
    file = StudyFile(
        uuid=identity,
        study={
            "name": study.name,
            "space": None,
            "sampler": told.sampler or study.sampler,
            "metric": study.metric,
            "direction": study.direction,
            "directions": list(study.directions),
            "metrics": list(study.metrics),
            "test_metric": study.test_metric,
            "source": study.source,
            "energy_source": study.energy_source,
            **({} if study.seed is None else {"seed": study.seed}),
        },
        config=msgspec.to_builtins({"importer": importer, "told": told, "findings": study.findings}),
        parameters=asdict(parameters),
        versions={"nas-auditor": version("nas-auditor")},
        hardware={},
    )
    table = trials_bytes(study)
    if not folder.exists():
        folder.create(file, journals=False)
    try:
        folder.write_study(file)
        write_atomically(folder.trials, table)
    except OSError as error:
        raise InputError(
            f"{folder.path}: can't be written ({error.strerror}); name another folder with --out"
        ) from error


def read_trials(folder: StudyFolder, file: StudyFile) -> ImportedStudy:
    """The imported study that a folder keeps.

    Raises:
        InputError: its table or its ``study.yaml`` can't be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = file.study
    try:
        table = pq.read_table(folder.trials)
        trials = tuple(map(_trial, table.to_pylist()))
        findings = tuple(
            Finding(code=f["code"], severity=Severity(f["severity"]), message=f["message"])
            for f in file.config.get("findings", [])
        )
        return ImportedStudy(
            name=about["name"],
            metric=about.get("metric") or "",
            direction=about.get("direction") or "",
            directions=tuple(about.get("directions") or ()),
            metrics=tuple(about.get("metrics") or ()),
            sampler=about.get("sampler") or "",
            test_metric=about.get("test_metric"),
            source=about.get("source") or "",
            energy_source=about.get("energy_source") or "",
            seed=about.get("seed"),
            trials=trials,
            findings=findings,
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise InputError(f"{folder.trials}: is damaged ({' '.join(str(error).split())})") from error


def trials_bytes(study: ImportedStudy) -> bytes:
    """The trials as a Parquet file: the same trials give the same bytes under one version of Arrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(_table(study.trials), sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _table(trials: tuple[ImportedTrial, ...]) -> pa.Table:
    import pyarrow as pa

    kinds = {
        "number": pa.int64(),
        "begin_ns": pa.int64(),
        "end_ns": pa.int64(),
        "duration_s": pa.float64(),
        "value": pa.float64(),
        "test_value": pa.float64(),
        "energy_j": pa.float64(),
        "fidelity": pa.float64(),
        "random": pa.bool_(),
    }
    columns = {name: pa.array([getattr(t, name) for t in trials], kind) for name, kind in kinds.items()}
    columns["state"] = pa.array([t.state.value for t in trials], pa.string())
    columns["values"] = pa.array([list(t.values) for t in trials], pa.list_(pa.float64()))
    columns["params"] = pa.array([_json(t.params) for t in trials], pa.string())
    columns["steps"] = pa.array([list(t.intermediate) for t in trials], pa.list_(pa.int64()))
    columns["step_values"] = pa.array([list(t.intermediate.values()) for t in trials], pa.list_(pa.float64()))
    return pa.table(columns)


def _json(params: Mapping[str, Any]) -> str:
    return msgspec.json.encode(params, enc_hook=str).decode()


def _trial(row: dict[str, Any]) -> ImportedTrial:
    steps, values = row.pop("steps"), row.pop("step_values")
    return ImportedTrial(
        state=TrialState(row.pop("state")),
        values=tuple(row.pop("values")),
        params=msgspec.json.decode(row.pop("params")),
        intermediate=dict(zip(steps, values, strict=True)),
        **row,
    )
