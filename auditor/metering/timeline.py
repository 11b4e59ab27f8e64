"""One time axis for the journals of all nodes and boots of a study, whatever their wall clocks said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditor.accounting.coverage import Life, Session
from auditor.domain.quantities import NS_PER_S
from auditor.domain.study import Finding, Severity
from auditor.metering.parts import Marks, Readings, SearchLog
from auditor.metering.records import Header

SKEW_S = 1.0
"""Wall clocks that differ by more than this are named."""

_Place = tuple[str, str]


class Timeline:
    """UTC for CLOCK_MONOTONIC times: one offset for each boot of each node, so that its journals keep their order.

    An offset comes from the wall clock of the first journal of that boot. Where the driver asked another node for its
    clock, its answer counts instead; where a later boot of a node would begin before the earlier one ended (its wall
    clock was set back), it is moved behind it. Both are findings.

    Args:
        parts: All journals of the study.

    Attributes:
        findings: Clocks that had to be corrected.
    """

    def __init__(self, parts: Iterable[Readings | Marks | SearchLog]) -> None:
        self._parts = list(parts)
        self.findings: list[Finding] = []
        first: dict[_Place, Header] = {}
        for header in sorted((p.header for p in self._parts), key=lambda h: (h.mono_ns, h.key)):
            first.setdefault((header.node, header.boot), header)
        self._offsets = {place: header.wall_ns - header.mono_ns for place, header in first.items()}
        self._put_machines_in_order()
        self._follow_drivers()
        self._put_boots_in_order()

    def offset_ns(self, header: Header) -> int:
        """UTC less CLOCK_MONOTONIC for a journal, in nanoseconds."""
        return self._offsets[header.node, header.boot]

    def sessions(self) -> list[Session]:
        """When a driver lived: from its process's start to its end, or to the last sign of it.

        Of several drivers of one process only the first began with it.
        """
        sessions, met = [], set()
        for marks in self._drivers():
            header, offset = marks.header, self.offset_ns(marks.header)
            process = (header.boot, header.pidns, header.key)
            sessions.append(
                Session(
                    start_ns=(header.mono_ns if process in met else header.started_ns) + offset,
                    begin_ns=header.mono_ns + offset,
                    end_ns=self._end_of(marks) + offset,
                )
            )
            met.add(process)
        return sorted(sessions, key=lambda s: s.start_ns)

    def _end_of(self, driver: Marks) -> int:
        """CLOCK_MONOTONIC at which a driver ended: as it said, or the last sign of it."""
        said = [*([driver.closed] if driver.closed is not None else []), *driver.seals[-1:]]
        if said:
            return min(said)
        seen = [
            reading.t
            for part in self._parts
            if isinstance(part, Readings) and part.header.boot == driver.header.boot
            for key in (driver.header.key, f"{driver.header.key}#{driver.header.mono_ns}")
            for reading in part.readings
            if reading.u.get(key, (0, -1))[1] >= 0
        ]
        return max([_last_ns(driver), *seen])

    def lives(self) -> list[Life]:
        """When and where each process of the study lived, as far as its own journal tells."""
        return [
            Life(
                node=p.header.node,
                boot=p.header.boot,
                begin_ns=p.header.mono_ns + self.offset_ns(p.header),
                end_ns=_last_ns(p) + self.offset_ns(p.header),
            )
            for p in self._parts
            if isinstance(p, Marks)
        ]

    def last_driver(self) -> Marks | None:
        """Journal of the driver that ran last."""
        return next(iter(self._drivers()[-1:]), None)

    def seal_ns(self) -> int | None:
        """UTC of the seal that closes the study; ``None`` while its last driver made none."""
        driver = self.last_driver()
        return driver.seals[-1] + self.offset_ns(driver.header) if driver and driver.seals else None

    def finished_ns(self) -> int | None:
        """UTC at which the study's last work ended; ``None`` where it is not known."""
        driver = self.last_driver()
        return driver.finished[-1] + self.offset_ns(driver.header) if driver and driver.finished else None

    def _drivers(self) -> list[Marks]:
        """Drivers in the order in which they ran; they count themselves, since wall clocks can go back."""
        drivers = [p for p in self._parts if isinstance(p, Marks) and p.header.driver]
        return sorted(drivers, key=lambda d: (d.header.session, d.header.mono_ns + self.offset_ns(d.header)))

    def _follow_drivers(self) -> None:
        for marks in self._drivers():
            for clock in marks.clocks:
                place = (clock.node, clock.boot)
                if place not in self._offsets:
                    continue
                offset = clock.t + self.offset_ns(marks.header) - clock.mono_ns
                skew_ns = self._offsets[place] - offset
                if abs(skew_ns) > SKEW_S * NS_PER_S + clock.within_ns:
                    self._find(
                        "clock-skew",
                        f"The wall clock of node {clock.node} is {abs(skew_ns) / NS_PER_S:.3g} s "
                        f"{'ahead of' if skew_ns > 0 else 'behind'} that of the driver's node "
                        f"{marks.header.node}; its times are given by the driver's.",
                    )
                self._offsets[place] = offset

    def _put_machines_in_order(self) -> None:
        """A session on another machine than the one before begins after it, whatever the wall clocks say."""
        before: tuple[int, str] | None = None
        placed: set[_Place] = set()
        for driver in self._drivers():
            place = (driver.header.node, driver.header.boot)
            begin_ns = driver.header.mono_ns + self._offsets[place]
            if before and begin_ns < before[0] and before[1] != driver.header.node and place not in placed:
                shift_ns = before[0] - begin_ns
                self._offsets[place] += shift_ns
                self._find(
                    "clock-skew",
                    f"The wall clock of node {driver.header.node} is at least {shift_ns / NS_PER_S:.3g} s behind that "
                    f"of node {before[1]}, where the study ran before; times are given as if it had gone on at once.",
                )
            placed.add(place)
            before = self._end_of(driver) + self._offsets[place], driver.header.node

    def _put_boots_in_order(self) -> None:
        order = {(d.header.node, d.header.boot): i for i, d in reversed(list(enumerate(self._drivers())))}
        ends: dict[str, int] = {}
        asked = {(clock.node, clock.boot) for marks in self._drivers() for clock in marks.clocks}
        places = sorted(
            (place for place in self._offsets if place not in asked or place in order),
            key=lambda p: (p[0], order.get(p, len(order)) if p in order else 0, self._begin_ns(p)),
        )
        for place in places:
            node = place[0]
            if node in ends and self._begin_ns(place) < ends[node]:
                shift_ns = ends[node] - self._begin_ns(place)
                self._offsets[place] += shift_ns
                self._find(
                    "clock-set-back",
                    f"The wall clock of node {node} was set back by at least {shift_ns / NS_PER_S:.3g} s between two "
                    "boots; times after it are given as if the second had begun when the first ended.",
                )
            ends[node] = self._end_ns(place)

    def _begin_ns(self, place: _Place) -> int:
        headers = [p.header for p in self._parts if (p.header.node, p.header.boot) == place]
        return min(h.mono_ns for h in headers) + self._offsets[place]

    def _end_ns(self, place: _Place) -> int:
        parts = [p for p in self._parts if (p.header.node, p.header.boot) == place]
        return max(_last_ns(p) for p in parts) + self._offsets[place]

    def _find(self, code: str, message: str) -> None:
        self.findings.append(Finding(code=code, severity=Severity.WARNING, message=message))


def _last_ns(part: Readings | Marks | SearchLog) -> int:
    records: Sequence[int]
    if isinstance(part, Readings):
        records = [r.t for r in part.readings[-1:]]
    elif isinstance(part, Marks):
        records = [*(m.t for m in part.marks[-1:]), *([part.closed] if part.closed is not None else [])]
    else:
        records = [r.t for r in part.records[-1:]]
    return max([part.header.mono_ns, *records])
