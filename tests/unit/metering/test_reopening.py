"""A process that works for its study more than once: a fit, and later a test."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from auditor.domain.study import StudyRecord
from auditor.metering.closing import StudyReader, read_study
from auditor.metering.records import Closed, ComponentRecord, Gone, Header, Mark, NodeRecord, Reading, Record, Seen
from unit.metering.journals import MAIN, J, S, at, header, reading, study

FIT, TEST, FOREIGN = "study/u/training/run/train", "study/u/training/run/test", "node/node-a/foreign"
COUNTER = ComponentRecord(name="cpu", meter="m", provenance="counter", static_w=0.0, counter="pkg", high_w=50.0)
P, P_AGAIN = "100-7", f"100-7#{at(4)}"


def agent(*records: Record, pid: int = 50, begin_s: float = 0.0) -> list[Record]:
    return [header("readings", pid=pid, begin_s=begin_s), NodeRecord(cpu_slots=2.0, gpu_slots=0.0), COUNTER, *records]


def seen(key: str, begin_s: float, *, study: str = "u", cpus: float = 0.0) -> Seen:
    return Seen(key=key, study=study, account=MAIN, begin_ns=at(begin_s), cpu_slots=cpus)


def session(count: int, begin_s: float, mark_s: float, account: str, end_s: float | None) -> list[Record]:
    """A driver that keeps one CPU busy from the study's begin on."""
    head: Header = header(begin_s=begin_s, account=MAIN, driver=True, session=count, cpu_ns=round(begin_s * S))
    ends = [] if end_s is None else [Closed(t=at(end_s))]
    return [head, Mark(t=at(mark_s), c=round(mark_s * S), a=account), *ends]


def at_10_w(seconds: Sequence[float], key: str = "", begin_s: float = 0.0, since_s: float = 0.0) -> list[Reading]:
    """Readings of a CPU that one process keeps busy; it is known by a key from when it registered."""
    usage = {s: {key: (s - begin_s, s - since_s)} if key else {} for s in seconds}
    return [reading(s, 10 * s, usage[s], busy_s=s) for s in seconds]


def closed(folder: Path, **journals: Sequence[Record]) -> tuple[StudyRecord, dict[str, float]]:
    record, _ = read_study(study(folder, **journals).path)
    assert record.books.residual_uj == 0
    return record, {name: energy / J for name, energy in record.books.accounts.items() if energy}


def test_each_time_is_booked_by_its_own_marks(tmp_path: Path) -> None:
    record, accounts = closed(
        tmp_path,
        agent=agent(
            seen(P, 0),
            *at_10_w([0, 1, 2], P),
            Gone(key=P, t=at(2)),
            *at_10_w([3]),
            seen(P_AGAIN, 4),
            *at_10_w([4, 5, 6], P_AGAIN, begin_s=4),
        ),
        fit=session(1, 0, 1, FIT, 2),
        test=session(2, 4, 5, TEST, 6),
    )
    assert accounts == {MAIN: 20, FIT: 10, TEST: 10, FOREIGN: 20}
    assert record.books.coverage == 1.0
    assert record.books.unmetered_start_s == pytest.approx(1.0)  # the process started once
    assert [f.code for f in (*record.findings, *record.books.findings)] == []


def test_a_registration_without_a_journal_of_its_own_has_the_marks_before(tmp_path: Path) -> None:
    _, accounts = closed(
        tmp_path,
        agent=agent(seen(P_AGAIN, 4), *at_10_w([4, 5, 6], P_AGAIN, begin_s=4)),
        fit=session(1, 0, 5, FIT, None),
        later=session(2, 9, 9.5, TEST, None),
    )
    assert accounts == {MAIN: 10, FIT: 10}


def test_another_studys_use_of_the_process_does_not_end_with_ours(tmp_path: Path) -> None:
    slots = [
        reading(s, 10 * s, {P: (0, 0)} if s < 2 else {P_AGAIN: (0, 0)}, busy_s=0)  # nobody uses anything
        for s in range(7)
    ]
    _, accounts = closed(
        tmp_path,
        agent=[
            *agent(seen(P, 0), seen(P_AGAIN, 4, study="other", cpus=2))[:2],
            ComponentRecord(name="ram", meter="m", provenance="constant"),
            seen(P, 0),
            seen(P_AGAIN, 4, study="other", cpus=2),
            *(Reading(t=r.t, e={"ram": r.e["cpu"]}, u=r.u, b=r.b) for r in slots),
        ],
        fit=session(1, 0, 1, FIT, 2),
    )
    assert accounts == {"node/node-a/idle": 40, FOREIGN: 20}


def test_counters_bridge_two_agents_while_it_works_again(tmp_path: Path) -> None:
    record, accounts = closed(
        tmp_path,
        first=agent(
            seen(P, 0),
            *at_10_w([0, 1, 2], P),
            Gone(key=P, t=at(2)),
            *at_10_w([3]),
            seen(P_AGAIN, 4),
            *at_10_w([4], P_AGAIN, begin_s=4),
        ),
        second=agent(seen(P, 4), *at_10_w([6, 7], P, begin_s=6), pid=51, begin_s=6),
        fit=session(1, 0, 1, FIT, 2),
        test=session(2, 4, 5, TEST, 7),
    )
    assert accounts == {MAIN: 20, FIT: 10, TEST: 20, FOREIGN: 20}
    assert record.books.coverage == 1.0


def test_nothing_bridges_the_time_between(tmp_path: Path) -> None:
    record, accounts = closed(
        tmp_path,
        first=agent(seen(P, 0), *at_10_w([0, 1, 2], P), Gone(key=P, t=at(2))),
        second=agent(seen(P, 4), *at_10_w([4, 5, 6], P, begin_s=4), pid=51, begin_s=4),
        fit=session(1, 0, 1, FIT, 2),
        test=session(2, 4, 5, TEST, 6),
    )
    assert accounts == {MAIN: 20, FIT: 10, TEST: 10}
    assert record.books.coverage == 1.0


def test_one_that_was_killed_the_second_time_lived_to_its_last_reading(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        agent=agent(
            seen(P, 0),
            *at_10_w([0, 1, 2], P),
            Gone(key=P, t=at(2)),
            seen(P_AGAIN, 4),
            *at_10_w([4, 5, 6, 7], P_AGAIN, begin_s=4),
        ),
        fit=session(1, 0, 1, FIT, 2),
        test=session(2, 4, 4.5, TEST, None),
    )
    reader = StudyReader(folder)
    reader.refresh()
    assert reader.running_s() == pytest.approx(2 + 3)
