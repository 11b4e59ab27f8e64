"""Journals made by hand: a node whose clock is easy to read, in seconds since the study began."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.records import ComponentRecord, Header, NodeRecord, Reading, Record

S = 1_000_000_000
J = 1_000_000
UP_NS = 5_000 * S
"""CLOCK_MONOTONIC when the study begins."""
WALL_NS = 1_767_225_600 * S
"""UTC when the study begins."""
MAIN = "study/u/search/orchestration"


def at(seconds: float) -> int:
    """CLOCK_MONOTONIC some seconds into the study."""
    return UP_NS + round(seconds * S)


def utc(seconds: float) -> int:
    """UTC nanoseconds some seconds into the study."""
    return WALL_NS + round(seconds * S)


def header(role: str = "marks", *, pid: int = 100, begin_s: float = 0.0, **more: Any) -> Header:
    """The header of a process on the node."""
    fields: dict[str, Any] = {
        "role": role,
        "study": "u",
        "node": "node-a",
        "boot": "boot-1",
        "pidns": "pid:[1]",
        "pid": pid,
        "start": 7,
        "wall_ns": utc(begin_s),
        "mono_ns": at(begin_s),
        "started_ns": at(begin_s) - S,
        "cpu_ns": 0,
    }
    return Header(**{**fields, **more})


def reading(
    seconds: float,
    cpu_j: float,
    usage: dict[str, tuple[float, float]] | None = None,
    busy_s: float | None = None,
    **joules: float,
) -> Reading:
    """A reading in seconds and joules."""
    return Reading(
        t=at(seconds),
        e={name: round(j * J) for name, j in {"cpu": cpu_j, **joules}.items()},
        u={key: (round(tree * S), round(own * S)) for key, (tree, own) in (usage or {}).items()},
        b=None if busy_s is None else round(busy_s * S),
    )


def agent(*records: Record, pid: int = 50, begin_s: float = 0.0, static_w: float | None = None) -> list[Record]:
    """The journal of a node agent that meters the CPU of a node with two slots."""
    return [
        header("readings", pid=pid, begin_s=begin_s),
        NodeRecord(cpu_slots=2.0, gpu_slots=0.0),
        ComponentRecord(name="cpu", meter="m", provenance="counter", static_w=static_w),
        *records,
    ]


def study(folder: Path, **journals: Sequence[Record]) -> StudyFolder:
    """A study folder with some journals, the header of each first."""
    made = StudyFolder(folder)
    about = {
        "name": "demo",
        "space": "digits",
        "sampler": "tpe",
        "metric": "accuracy",
        "direction": "maximize",
        "test_metric": "test_accuracy",
    }
    made.create(StudyFile(uuid="u", study=about, config={}, parameters={}, versions={}, hardware={}))
    for name, records in journals.items():
        write(made.journals / f"{name}.jsonl", records)
    return made


def write(path: Path, records: Sequence[Record]) -> None:
    """Write a journal."""
    first, *rest = records
    assert isinstance(first, Header)
    with JournalWriter(path, first) as writer:
        for record in rest:
            writer.append(record)
