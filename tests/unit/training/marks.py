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


@contextmanager
def activity_in(folder: Path) -> Iterator[Activity]:
    """An activity of this process whose journal lies in ``folder``."""
    folder.mkdir(exist_ok=True)
    activity = Activity(folder, "uuid", BASE)
    try:
        yield activity
    finally:
        activity.close()


def accounts(folder: Path) -> list[str]:
    """What the process worked for, one mark after the other, shortened to the phase."""
    [path] = folder.glob("*.jsonl")
    records = JournalReader(path).read_new()
    return [_short(record.a) for record in records if isinstance(record, Mark)]


def phases(folder: Path) -> list[str]:
    """Like :func:`accounts`, repetitions left out."""
    found = accounts(folder)
    return [name for position, name in enumerate(found) if position == 0 or found[position - 1] != name]


def _short(account: str) -> str:
    return "base" if account == BASE else account.removeprefix(f"{ACCOUNT}/")
