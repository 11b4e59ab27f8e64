"""Reading the marks that an activity of this process wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.metering.activity import Activity
from auditor.metering.journal import JournalReader
from auditor.metering.records import Mark

BASE = "study/s/search/orchestration"
ACCOUNT = "study/s/trial/0/1"
AUDIT = "study/s/audit"


@contextmanager
def activity_in(folder: Path) -> Iterator[Activity]:
    """An activity of this process whose journal lies in ``folder``."""
    folder.mkdir(exist_ok=True)
    activity = Activity(folder, "uuid", BASE)
    try:
        yield activity
    finally:
        activity.close()


def marks(folder: Path) -> list[Mark]:
    """Every mark."""
    [path] = folder.glob("*.jsonl")
    return [record for record in JournalReader(path).read_new() if isinstance(record, Mark)]


def accounts(folder: Path) -> list[str]:
    """What the process worked for, one mark after the other, shortened to the phase; the auditor's work left out."""
    written = [mark.a for mark in marks(folder)]
    audits = {i for i, account in enumerate(written) if account == AUDIT}
    return [_short(a) for i, a in enumerate(written) if i not in audits and i - 1 not in audits]


def phases(folder: Path) -> list[str]:
    """Like :func:`accounts`, repetitions left out."""
    found = accounts(folder)
    return [name for position, name in enumerate(found) if position == 0 or found[position - 1] != name]


def _short(account: str) -> str:
    return "base" if account == BASE else account.removeprefix(f"{ACCOUNT}/")
