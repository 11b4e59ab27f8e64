"""Journals that would make the books lie: each ends in right books, or in a finding that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from auditor.domain.errors import JournalError
from auditor.domain.parameters import Parameters
from auditor.domain.study import StudyRecord, TrialState
from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFolder
from auditor.metering.records import (
    AttemptRecord,
    ClockRecord,
    Closed,
    ComponentRecord,
    Header,
    Mark,
    NodeRecord,
    OutcomeRecord,
    Reading,
    Record,
    Seal,
    Seen,
)
from auditor.statement.build import build_statement
from studies import made_study
from unit.metering.journals import J, S, at, header, study, utc

MAIN, T0, T1 = "study/demo/search/orchestration", "study/demo/trial/0/1/train", "study/demo/trial/1/1/train"
WRAP_UJ = 262_143_328_850
CPU = ComponentRecord(name="cpu", meter="rapl", provenance="counter", static_w=0.0)
RAPL = ComponentRecord(
    name="cpu", meter="rapl", provenance="counter", static_w=0.0, counter="rapl intel-rapl:0", wrap_uj=WRAP_UJ
)


def driver(begin_s: float = 0.0, session: int = 1, **more: Any) -> Header:
    pid = 100 * session
    return header(pid=pid, begin_s=begin_s, account=MAIN, driver=True, session=session, **{"holds_rest": True, **more})


def agent(
    seconds: Sequence[float], *seen: Header, power_w: float = 20.0, component: ComponentRecord = CPU, **more: Any
) -> list[Record]:
    """An agent that sees some processes, each of which uses half a CPU."""
    begin_s = seconds[0]
    node = more.pop("node_record", NodeRecord(cpu_slots=2.0, gpu_slots=0.0))
    energy = more.pop("energy", lambda s: power_w * s)
    slept_s = more.pop("slept_s", 0)
    introductions = [
        Seen(
            key=h.key,
            study=h.study,
            account=h.account,
            begin_ns=h.mono_ns,
            cpu_slots=h.cpu_slots,
            holds_rest=h.holds_rest,
        )
        for h in seen
    ]
    readings = [
        Reading(
            t=at(s),
            e={component.name: round(energy(s) * J)},
            u={h.key: (round((s - begin_s) * S / 2), round((s - begin_s) * S / 2)) for h in seen},
            b=round(s * S),
            z=slept_s * S,
        )
        for s in seconds
    ]
    return [
        header("readings", begin_s=begin_s, **{"pid": 50 + round(begin_s) % 40, **more}),
        node,
        component,
        *introductions,
        *readings,
    ]


def closed(path: Path, **journals: Sequence[Record]) -> tuple[StudyRecord, dict[str, Any]]:
    record, _ = read_study(study(path, **journals).path)
    assert record.books.residual_uj == 0
    return record, build_statement(record, Parameters(), version="x")


def codes(record: StudyRecord) -> set[str]:
    return {finding.code for finding in (*record.findings, *record.books.findings)}


def attempts(*numbers: int, begin_s: float = 0, end_s: float = 59) -> list[Record]:
    made: list[Record] = []
    for number in numbers:
        made.append(AttemptRecord(t=at(begin_s), trial=number, attempt=1, params={}))
        made.append(OutcomeRecord(t=at(end_s), trial=number, attempt=1, state="complete", value=0.5))
    return made


class TestWhatNobodyMetered:
    def test_a_node_with_a_worker_and_no_reading(self, tmp_path: Path) -> None:
        main, worker = driver(), header(pid=101, account=MAIN, cpu_slots=1.0)
        far = header(pid=102, node="node-b", boot="boot-b", account=MAIN, cpu_slots=1.0)
        record, statement = closed(
            tmp_path / "s",
            agent=agent(range(61), main, worker),
            driver=[main, Seal(t=at(60)), Closed(t=at(60))],
            worker=[worker, Mark(t=at(0.1), c=0, a=T0), Mark(t=at(59), c=29 * S, a=MAIN)],
            far=[far, Mark(t=at(0.1), c=0, a=T1), Mark(t=at(59), c=59 * S, a=MAIN)],
            log=[header("search", pid=103), *attempts(0, 1)],
        )
        assert record.books.coverage == 0.0
        assert {"meter-gap", "attempt-without-energy"} <= codes(record)
        assert any("node-b" in f.message for f in record.books.findings if f.code == "meter-gap")
        assert any("1/1" in f.message for f in record.findings if f.code == "attempt-without-energy")
        assert statement["measurement"]["grade"] == "none"

    @pytest.mark.parametrize(("late_s", "coverage"), [(2, 1.0), (40, 20 / 60)])
    def test_a_node_whose_readings_begin_long_after_its_worker(
        self, late_s: int, coverage: float, tmp_path: Path
    ) -> None:
        main, far = driver(), header(pid=102, node="node-b", boot="boot-b", account=MAIN, cpu_slots=1.0)
        record, _ = closed(
            tmp_path / "s",
            agent=agent(range(61), main),
            other=agent(range(late_s, 61), far, node="node-b", boot="boot-b"),
            driver=[main, Seal(t=at(60)), Closed(t=at(60))],
            far=[far, Mark(t=at(0.1), c=0, a=T1), Closed(t=at(60))],
        )
        assert record.books.coverage == pytest.approx(coverage)
        assert ("meter-gap" in codes(record)) == (coverage < 1)

    def test_a_session_that_nobody_metered(self, tmp_path: Path) -> None:
        drivers = driver(), driver(1000, 2), driver(3000, 3)
        record, _ = closed(
            tmp_path / "s",
            a1=agent(range(61), drivers[0]),
            a3=agent(range(3000, 3061), drivers[2]),
            d1=[drivers[0], Seal(t=at(60)), Closed(t=at(60))],
            d2=[drivers[1], Closed(t=at(2800))],
            d3=[drivers[2], Seal(t=at(3060)), Closed(t=at(3060))],
            log=[header("search", pid=201, begin_s=1000), *attempts(0, begin_s=1001, end_s=2700)],
        )
        assert record.books.coverage == pytest.approx(120 / 1920)
        assert any("for 1.8e+03 s" in f.message for f in record.books.findings if f.code == "meter-gap")
        assert "attempt-without-energy" in codes(record)

    def test_marks_that_are_gone(self, tmp_path: Path) -> None:
        folder = made_study(tmp_path / "s")
        next(folder.journals.glob("marks-box-102*")).unlink()
        record, _ = read_study(folder.path)
        assert {"marks-missing"} <= codes(record)
        statement = build_statement(record, Parameters(), version="x")
        assert statement["measurement"]["grade"] == "limited"
        assert "have no journal of marks (1: 102-1)" in statement["measurement"]["reasons"][0]

    @pytest.mark.parametrize(("interval_s", "coverage"), [(0.0, 1.0), (1.0, 1 / 601)])
    def test_few_readings_of_a_model_are_no_usual_interval(
        self, interval_s: float, coverage: float, tmp_path: Path
    ) -> None:
        """Where the agent was told its interval, a gap is one however few readings there are."""
        model = ComponentRecord(name="cpu", meter="codecarbon", provenance="modelled", static_w=5.0)
        node = NodeRecord(cpu_slots=2.0, gpu_slots=0.0, interval_s=interval_s)
        main = driver()
        record, _ = closed(
            tmp_path / "s",
            agent=agent([0, 600, 601], main, component=model, node_record=node),
            driver=[main, Seal(t=at(601)), Closed(t=at(601))],
        )
        assert record.books.coverage == pytest.approx(coverage)
        assert ("reading-gap" in codes(record)) == (interval_s > 0)

    def test_figures_that_no_record_describes(self, tmp_path: Path) -> None:
        main = driver()
        records = [r for r in agent(range(5), main) if not isinstance(r, ComponentRecord)]
        record, _ = closed(tmp_path / "s", agent=records, driver=[main, Closed(t=at(4))])
        assert "journal-incomplete" in codes(record)


class TestCounters:
    def test_more_than_one_wrap_between_two_agents_is_a_gap(self, tmp_path: Path) -> None:
        main = driver()
        record, statement = closed(
            tmp_path / "s",
            a1=agent(range(61), main, power_w=200, component=RAPL),
            a2=agent(range(3540, 3601), main, energy=lambda s: 200 * s % (WRAP_UJ / J), component=RAPL),
            driver=[main, Seal(t=at(3600)), Closed(t=at(3600))],
        )
        assert record.books.metered_uj == 120 * 200 * J
        assert record.books.coverage == pytest.approx(120 / 3600)
        assert statement["measurement"]["grade"] == "none"

    def test_an_agent_that_was_stopped_for_longer_than_a_wrap_takes(self, tmp_path: Path) -> None:
        main = driver()
        record, _ = closed(
            tmp_path / "s",
            agent=agent([*range(61), *range(3540, 3601)], main, power_w=50, component=RAPL),
            driver=[main, Seal(t=at(3600)), Closed(t=at(3600))],
        )
        assert record.books.coverage == pytest.approx(120 / 3600)
        assert any("are the least that it was" in f.message for f in record.books.findings)

    def test_a_machine_that_slept_between_two_agents(self, tmp_path: Path) -> None:
        main = driver()
        record, _ = closed(
            tmp_path / "s",
            a1=agent(range(61), main, energy=lambda s: 100_000 + 20 * s, component=RAPL),
            a2=agent(range(62, 123), main, energy=lambda s: 20 * (s - 61), component=RAPL, slept_s=3600),
            driver=[main, Seal(t=at(122)), Closed(t=at(122))],
        )
        assert record.books.metered_uj == 120 * 20 * J
        assert "meter-gap" in codes(record)

    def test_a_counter_that_begins_again_loses_one_interval(self, tmp_path: Path) -> None:
        main = driver()
        record, _ = closed(
            tmp_path / "s",
            agent=agent(range(1261), main, energy=lambda s: 500_000 + 300 * s if s <= 60 else 300 * (s - 61)),
            driver=[main, Seal(t=at(1260)), Closed(t=at(1260))],
        )
        assert record.books.metered_uj == 1259 * 300 * J
        assert record.books.coverage == pytest.approx(1259 / 1260)
        assert "energy-backwards" in codes(record)

    def test_more_than_a_part_can_draw_contradicts_the_books(self, tmp_path: Path) -> None:
        main = driver()
        gpu = ComponentRecord(name="gpu:G", meter="nvml", provenance="counter", static_w=0.0, high_w=300.0)
        for jump_j, grade in ((0, "good"), (10**9, "contradicted")):
            _, statement = closed(
                tmp_path / str(jump_j),
                agent=agent(range(61), main, component=gpu, energy=lambda s, j=jump_j: 300 * s + (j if s > 30 else 0)),
                driver=[main, Seal(t=at(60)), Closed(t=at(60))],
            )
            assert statement["measurement"]["grade"] == grade


class TestMachines:
    def test_resumed_on_a_machine_whose_clock_is_behind(self, tmp_path: Path) -> None:
        far = {"node": "node-b", "boot": "boot-b", "wall_ns": utc(200) - 3600 * S}
        first, second = driver(), driver(200, 2, **far)
        record, _ = closed(
            tmp_path / "s",
            a1=agent(range(61), first),
            a2=agent(range(200, 261), second, **far),
            d1=[first, Closed(t=at(60))],
            d2=[second, Seal(t=at(260)), Closed(t=at(260))],
            l1=[header("search", pid=101), AttemptRecord(t=at(5), trial=0, attempt=1, params={})],
            l2=[
                header("search", pid=201, begin_s=200, **far),
                OutcomeRecord(t=at(201), trial=0, attempt=1, state="lost", final=False),
                AttemptRecord(t=at(202), trial=0, attempt=2, params={}),
                OutcomeRecord(t=at(250), trial=0, attempt=2, state="complete", value=0.5),
            ],
        )
        assert record.books.metered_uj == 2400 * J
        assert record.books.coverage == 1.0
        assert "clock-skew" in codes(record)
        assert [a.state for t in record.trials for a in t.attempts] == [TrialState.LOST, TrialState.COMPLETE]

    def test_two_containers_with_host_names_of_their_own_are_one_machine(self, tmp_path: Path) -> None:
        main = driver(node="c1")
        other = header(pid=7, account=MAIN, cpu_slots=1.0, node="c2", pidns="pid:[2]")
        record, _ = closed(
            tmp_path / "s",
            a1=agent(range(61), main, node="c1"),
            a2=agent(range(61), other, node="c2", pidns="pid:[2]", pid=5),
            driver=[main, Seal(t=at(60)), Closed(t=at(60))],
            other=[other, Mark(t=at(1), c=0, a=T0)],
        )
        assert record.books.metered_uj == 1200 * J
        assert record.books.coverage == 1.0
        assert "shared-node-unknown" in codes(record)

    def test_a_host_name_that_changes(self, tmp_path: Path) -> None:
        main, worker = driver(node="laptop"), header(pid=101, account=MAIN, cpu_slots=1.0, node="laptop.lan")
        record, _ = closed(
            tmp_path / "s",
            agent=agent(range(61), main, worker, node="laptop"),
            driver=[main, Seal(t=at(60)), Closed(t=at(60))],
            worker=[worker, Mark(t=at(1), c=0, a=T0), Closed(t=at(60))],
        )
        assert record.books.coverage == 1.0
        assert record.books.accounts[T0] > 500 * J
        assert codes(record) == set()

    def test_two_machines_with_one_host_name(self, tmp_path: Path) -> None:
        main, worker = driver(), header(pid=101, account=MAIN, cpu_slots=1.0, boot="boot-2")
        clock = ClockRecord(t=at(1), node="node-a", boot="boot-2", mono_ns=at(1), within_ns=10)
        record, _ = closed(
            tmp_path / "s",
            a1=agent(range(61), main),
            a2=agent(range(61), worker, boot="boot-2", pid=51),
            driver=[main, clock, Seal(t=at(60)), Closed(t=at(60))],
            worker=[worker, Mark(t=at(1), c=0, a=T0), Closed(t=at(60))],
        )
        assert record.books.metered_uj == 2400 * J
        assert record.books.coverage == 1.0
        assert codes(record) == set()


class TestMarks:
    def changed(self, folder: StudyFolder, change: Any) -> StudyRecord:
        path = next(folder.journals.glob("marks-box-102*"))
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("\n".join(lines) + "\n")
        return read_study(folder.path)[0]

    def test_lines_that_were_swapped(self, tmp_path: Path) -> None:
        right = read_study(made_study(tmp_path / "a").path)[0].books.accounts

        def swap(lines: list[str]) -> None:
            lines[1], lines[4] = lines[4], lines[1]

        record = self.changed(made_study(tmp_path / "b"), swap)
        assert record.books.accounts == right
        assert "marks-out-of-order" in codes(record)

    def test_a_mark_of_the_far_future(self, tmp_path: Path) -> None:
        def later(lines: list[str]) -> None:
            lines[1] = json.dumps({**json.loads(lines[1]), "t": 10**15})

        record = self.changed(made_study(tmp_path / "s"), later)
        assert "marks-out-of-order" in codes(record)
        assert record.books.accounts["study/demo/trial/1/1/train"] > 0

    def test_an_outcome_that_no_version_knows_is_refused_in_one_line(self, tmp_path: Path) -> None:
        folder = study(
            tmp_path / "s",
            log=[header("search", pid=1), OutcomeRecord(t=at(1), trial=0, attempt=1, state="timeout")],
        )
        with pytest.raises(JournalError, match="timeout"):
            read_study(folder.path)


def test_a_journal_folder_that_is_a_link_is_not_verified(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "s")
    folder.journals.rename(tmp_path / "elsewhere")
    folder.journals.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link"):
        folder.digests()
