"""What each kind of journal says, sorted as it is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from auditor.metering.records import (
    AttemptRecord,
    ClockRecord,
    Closed,
    ComponentRecord,
    Fault,
    Finished,
    Gone,
    Header,
    Mark,
    NodeRecord,
    OutcomeRecord,
    Reading,
    Record,
    RunRecord,
    Seal,
    Seen,
    StaticRecord,
    StepRecord,
)


@dataclass(slots=True)
class Readings:
    """Journal of a node agent."""

    header: Header
    node: NodeRecord | None = None
    components: list[ComponentRecord] = field(default_factory=list)
    static: dict[str, StaticRecord] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    closed: int | None = None

    def add(self, records: Iterable[Record]) -> None:
        """Sort in what was appended; records of other roles are left out."""
        for record in records:
            match record:
                case Reading():
                    self.readings.append(record)
                case Seen():
                    self.seen[record.key] = record
                case Gone():
                    self.gone[record.key] = record.t
                case ComponentRecord():
                    if all(record.key != known.key for known in self.components):  # said twice, it counts once
                        self.components.append(record)
                case StaticRecord():
                    self.static[record.name] = record
                case NodeRecord():
                    self.node = record
                case Closed():
                    self.closed = record.t
                case _:
                    pass


@dataclass(slots=True)
class Marks:
    """Journal of an activity."""

    header: Header
    marks: list[Mark] = field(default_factory=list)
    closed: int | None = None
    seals: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    clocks: list[ClockRecord] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, records: Iterable[Record]) -> None:
        """Sort in what was appended; records of other roles are left out."""
        for record in records:
            match record:
                case Mark():
                    self.marks.append(record)
                case Closed():
                    self.closed = record.t
                case Seal():
                    self.seals.append(record.t)
                case Finished():
                    self.finished.append(record.t)
                case ClockRecord():
                    self.clocks.append(record)
                case Fault():
                    self.faults.append(record)
                case _:
                    pass


@dataclass(slots=True)
class SearchLog:
    """Journal of a coordinator."""

    header: Header
    records: list[AttemptRecord | StepRecord | OutcomeRecord | RunRecord] = field(default_factory=list)

    def add(self, records: Iterable[Record]) -> None:
        """Sort in what was appended; records of other roles are left out."""
        for record in records:
            if isinstance(record, AttemptRecord | StepRecord | OutcomeRecord | RunRecord):
                self.records.append(record)


PARTS: dict[str, type[Readings] | type[Marks] | type[SearchLog]] = {
    "readings": Readings,
    "marks": Marks,
    "search": SearchLog,
}
"""By the role in a journal's header."""
