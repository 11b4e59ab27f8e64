"""Study folders as they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.domain.errors import InputError
from auditor.domain.study import StudyRecord
from auditor.importers.folder import open_reader
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.statement.compared import Subject
from auditor.statement.course import ranked_trials
from auditor.statement.draws import full_fidelity
from auditor.statement.volumes import valued_trials


def read_subject(path: Path, label: str = "") -> Subject:
    """A study folder as it is compared.

    Args:
        path: The folder, of a study that ran here or elsewhere.
        label: What people know it by; its path where not given.

    Raises:
        InputError: it is no study folder, or has nothing to compare.
    """
    folder = StudyFolder(path)
    reader = open_reader(folder)
    reader.refresh()
    record, _ = reader.close()
    if record.kind != "search":
        raise InputError(f"{path}: is a plain training, nothing was searched; expected searches to compare")
    if not (valued_trials(record) if record.directions else ranked_trials(record)):
        raise InputError(f"{path}: no trial completed with a value, there is nothing to compare")
    return Subject(
        label=label or str(path), record=record, protocol=_protocol(reader.file, record), seed=_seed(reader.file)
    )


def _protocol(file: StudyFile, record: StudyRecord) -> dict[str, Any]:
    """What must be the same for a verdict, beside space, metrics, direction and parameters."""
    if record.imported:
        full = full_fidelity(record.trials)
        return {} if full is None else {"full fidelity": full}
    config = file.config
    evaluation = _section(config, "evaluation").get("seeds")
    return {
        **{f"training.{key}": value for key, value in _section(config, "training").items()},
        "search.pruner": _section(config, "search").get("pruner"),
        "evaluation": None if evaluation is None else "on fresh seeds" if evaluation else "none",
    }


def _seed(file: StudyFile) -> int | None:
    """Seed of the search, where the folder says it."""
    seed = _section(file.config, "search").get("seed", file.study.get("seed"))
    return seed if isinstance(seed, int) else None


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}
