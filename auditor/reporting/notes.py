"""What the auditor objects to, as a reader is shown it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.reporting.lookup import Statement, records, text

_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A finding: its severity (``error``, ``warning``, ``info``), code and sentence."""

    severity: str
    code: str
    message: str


def notes(statement: Statement) -> list[Note]:
    """The findings, the gravest first; those that give one reason for several figures as one."""
    found = [
        Note(severity=text(part, "severity") or "info", code=text(part, "code"), message=text(part, "message"))
        for part in records(statement, "findings")
    ]
    rank = {severity: place for place, severity in enumerate(_SEVERITIES)}
    return sorted(_merged(found), key=lambda note: rank.get(note.severity, len(rank)))


def _merged(found: Sequence[Note]) -> list[Note]:
    """Findings that give the same reason for several missing figures, each such group as one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for note in found:
        subject, is_null, reason = note.message.partition(" is null: ")
        key = (note.severity, note.code, reason if is_null else "")
        groups.setdefault(key if is_null else (*key[:2], note.message), []).append(subject if is_null else "")
    merged = []
    for (severity, code, reason), subjects in groups.items():
        if not subjects[0]:
            message = reason
        elif len(subjects) == 1:
            message = f"{subjects[0]} is null: {reason}"
        else:
            message = f"{', '.join(subjects[:-1])} and {subjects[-1]} are null: {reason}"
        merged.append(Note(severity=severity, code=code, message=message))
    return merged
