"""Does a study folder contradict what was published of it? What a report must say, where ``verify`` would stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.domain.study import Finding, Severity
from auditor.metering.folder import StudyFolder
from auditor.reporting.names import plain
from auditor.search.differences import differences

_WHATEVER_IS_ASKED = (("energy", "metered_uj"), ("energy", "policies"), ("compute",), ("trials",))
"""Figures that no factor, price or policy of a report changes."""


def contradictions(folder: StudyFolder, statement: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What speaks against the books of a study that was published; of one that never was, or runs again, nothing.

    Args:
        folder: The study; its journals were read already.
        statement: What they give now.

    Returns:
        ``hash-differs``: a journal, or the table of trials of an import, is not the one that the manifest lists;
        ``recomputation-differs``: they are, and give other figures than the ``statement.json`` that the same version
        wrote.
    """
    listed = _read(folder.manifest).get("sha256")
    if folder.in_use() or not isinstance(listed, dict):
        return ()
    origin = folder.trials.name if folder.imported else f"{folder.journals.name}/"
    published = {name: digest for name, digest in listed.items() if name.startswith(origin)}
    digests = folder.digests(None if folder.imported else folder.journals)
    found = {name: digest for name, digest in digests.items() if name.startswith(origin)}
    for name, digest in published.items():
        if found.get(name) != digest:
            what = "has another SHA-256 than manifest.json lists" if name in found else "is not there"
            return (_error("hash-differs", f"{name} {what}: these figures are not those that were published."),)
    stored = _read(folder.statement)
    versions = [_at(figures, ("generated", "auditor")) for figures in (stored, statement)]
    if found.keys() != published.keys() or versions[0] != versions[1]:
        return ()  # a search went on since, or another version closed the books
    give = "trials give" if folder.imported else "journals give"
    for keys in _WHATEVER_IS_ASKED:
        for path, says, gives in differences(_at(stored, keys), _at(statement, keys), ".".join(keys)):
            return (_error("recomputation-differs", f"{path}: statement.json says {says}, the {give} {gives}."),)
    return ()


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _at(figures: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        figures = figures.get(key) if isinstance(figures, Mapping) else None
    return figures


def _error(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, message=plain(message))
