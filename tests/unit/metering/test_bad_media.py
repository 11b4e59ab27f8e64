"""Damaged and copied journals, clocks that disagree, agents that died: right books or a named finding."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from auditor.domain.errors import JournalError
from auditor.domain.study import Books
from auditor.metering.closing import StudyReader, read_study
from auditor.metering.folder import StudyFolder
from auditor.metering.records import (
    AttemptRecord,
    ClockRecord,
    Closed,
    ComponentRecord,
    Header,
    OutcomeRecord,
    Reading,
    Record,
    Seal,
    Seen,
)
from unit.metering.journals import J, S, agent, at, header, reading, study, utc

MAIN = "study/demo/search/orchestration"
WORKER = "100-7"


def seen(account: str = MAIN, **more: float) -> Seen:
    return Seen(key=WORKER, study="u", account=account, begin_ns=at(0), **more)


def codes(folder: StudyFolder) -> list[str]:
    """Findings, but not that processes have no marks: most journals here are an agent's alone."""
    record, _ = read_study(folder.path)
    return [f.code for f in (*record.findings, *record.books.findings) if f.code != "marks-missing"]


def books(folder: StudyFolder) -> Books:
    record, _ = read_study(folder.path)
    assert record.books.residual_uj == 0
    return record.books


def used(seconds: float, cpu_j: float, cpu_s: float, own_s: float | None = None, **more: object) -> Reading:
    """A reading at which one process of the study lived."""
    made = reading(seconds, cpu_j, {WORKER: (cpu_s, cpu_s if own_s is None else own_s)}, busy_s=cpu_s)
    return msgspec.structs.replace(made, **more)


def counting(records: list[Record], **more: object) -> list[Record]:
    """The journal of an agent whose component is a counter that others can go on with."""
    return [
        msgspec.structs.replace(r, **{"counter": "rapl x", "wrap_uj": 100 * J, "high_w": 20.0, **more})
        if isinstance(r, ComponentRecord)
        else r
        for r in records
    ]


class TestTakeover:
    def test_a_counter_bridges_the_time_between_two_agents(self, tmp_path: Path) -> None:
        folder = study(
            tmp_path,
            a=counting(agent(seen(), used(0, 80, 0), used(1, 90, 1))),
            b=counting(agent(seen(), used(3, 110, 0.5, own_s=3), used(4, 120, 1.5, own_s=4), pid=51, begin_s=3)),
        )
        closed = books(folder)
        assert closed.metered_uj == 40 * J
        assert closed.coverage == 1.0
        assert closed.findings == ()
        assert closed.accounts[MAIN] == 40 * J  # also what it used while no agent lived
        assert len(closed.windows) == 2

    def test_it_bridges_over_the_counters_wrap(self, tmp_path: Path) -> None:
        folder = study(
            tmp_path,
            a=counting(agent(seen(), used(0, 80, 0), used(1, 90, 1))),
            b=counting(agent(seen(), used(3, 5, 0, own_s=3), used(4, 15, 1, own_s=4), pid=51, begin_s=3)),
        )
        assert books(folder).metered_uj == (10 + 15 + 10) * J

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"counter": "rapl y"}, "another counter"),
            ({"wrap_uj": None}, "it was reset"),
            ({"counter": ""}, "it means nothing to another meter"),
        ],
    )
    def test_it_does_not_where_the_counter_is_not_the_same(
        self, change: dict[str, object], why: str, tmp_path: Path
    ) -> None:
        change = {"wrap_uj": None, **change}
        folder = study(
            tmp_path,
            a=counting(agent(seen(), used(0, 80, 0), used(1, 90, 1)), wrap_uj=None),
            b=counting(agent(seen(), used(3, 5, 0), used(4, 15, 1), pid=51, begin_s=3), **change),
        )
        closed = books(folder)
        assert closed.metered_uj == 20 * J, why
        assert closed.coverage == pytest.approx(0.5)
        assert [f.code for f in closed.findings] == ["meter-gap"]

    def test_it_does_not_between_sessions_that_no_process_lived_through(self, tmp_path: Path) -> None:
        other = Seen(key="200-7", study="u", account=MAIN, begin_ns=at(60))
        folder = study(
            tmp_path,
            a=counting(agent(seen(), used(0, 10, 0), used(1, 20, 1))),
            b=counting(
                agent(other, reading(60, 70, {"200-7": (0, 0)}), reading(61, 80, {"200-7": (1, 1)}), pid=51, begin_s=60)
            ),
        )
        assert books(folder).metered_uj == 20 * J

    def test_two_agents_at_once_are_counted_once(self, tmp_path: Path) -> None:
        folder = study(
            tmp_path,
            a=agent(seen(), used(0, 0, 0), used(1, 10, 1), used(2, 20, 2)),
            b=agent(seen(), used(1.5, 0, 1.5), used(2.5, 10, 2.5), used(3.5, 20, 3.5), pid=51, begin_s=1),
        )
        assert books(folder).metered_uj == 30 * J
        assert codes(folder)[0] == "readings-overlap"

    def test_agents_of_two_containers_are_named(self, tmp_path: Path) -> None:
        first, *rest = agent(seen(), used(0.5, 0, 0), used(1.5, 10, 1), pid=51)
        assert isinstance(first, Header)
        folder = study(
            tmp_path,
            a=agent(seen(), used(0, 0, 0), used(2, 20, 2)),
            b=[msgspec.structs.replace(first, pidns="pid:[2]"), *rest],
        )
        assert books(folder).metered_uj == 20 * J
        assert codes(folder)[0] == "shared-node-unknown"


class TestMeters:
    def test_a_component_whose_meter_failed_ends_there(self, tmp_path: Path) -> None:
        ram = ComponentRecord(name="ram", meter="n", provenance="counter")
        parts = [used(t, 10 * t, t) for t in range(5)]
        with_ram = [msgspec.structs.replace(r, e={**r.e, "ram": 5 * J * i}) for i, r in enumerate(parts[:3])]
        folder = study(tmp_path, a=agent(ram, seen(), *with_ram, *parts[3:]))
        closed = books(folder)
        assert {c.component: c.metered_uj for c in closed.components} == {"cpu": 40 * J, "ram": 10 * J}
        assert closed.coverage == pytest.approx(0.5)
        assert any(f.code == "meter-gap" and "for ram" in f.message for f in closed.findings)

    def test_meters_that_contradict_each_other_are_found(self, tmp_path: Path) -> None:
        def with_check(factor: float) -> StudyFolder:
            check = ComponentRecord(name="cpu", meter="n", provenance="counter", check=True)
            parts = [used(t, 10 * t, t) for t in range(11)]
            both = [msgspec.structs.replace(r, e={**r.e, "cpu@n": round(r.e["cpu"] * factor)}) for r in parts]
            return study(tmp_path / str(factor), a=agent(check, seen(), *both))

        assert books(with_check(1.05)).findings == ()
        contradicted = books(with_check(1.6))
        assert [f.code for f in contradicted.findings] == ["meters-disagree"]
        assert contradicted.metered_uj == 100 * J  # a second opinion is never summed

    def test_energy_that_goes_backwards_is_found(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 50, 0), used(1, 60, 1), used(2, 5, 2), used(3, 70, 3)))
        assert "energy-backwards" in codes(folder)
        assert books(folder).metered_uj == 20 * J

    def test_a_long_interval_is_found_and_a_model_covers_nothing_of_it(self, tmp_path: Path) -> None:
        parts = [seen(), *(used(t, t, t) for t in (0, 1, 2, 3, 13, 14, 15, 16))]
        counted = study(tmp_path / "counter", a=agent(*parts))
        modelled = study(
            tmp_path / "model",
            a=[
                msgspec.structs.replace(r, provenance="modelled") if isinstance(r, ComponentRecord) else r
                for r in agent(*parts)
            ],
        )
        assert books(counted).coverage == 1.0
        assert books(modelled).coverage == pytest.approx(6 / 16)
        for folder in (counted, modelled):
            assert books(folder).metered_uj == 16 * J
            assert "reading-gap" in codes(folder)

    def test_a_suspended_machine_is_named(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 0, 0), used(1, 10, 1, z=0), used(2, 20, 2, z=3600 * S)))
        assert books(folder).coverage == 1.0
        record, _ = read_study(folder.path)
        assert "3.6e+03 s" in next(f.message for f in record.findings if f.code == "machine-suspended")


class TestClocks:
    def resumed(self, tmp_path: Path, second_wall_s: float) -> StudyFolder:
        """A study sealed before a reboot and resumed after it, the second boot's wall clock as given."""
        boot = {"boot": "boot-0", "begin_s": 0.0, "wall_ns": utc(second_wall_s)}
        late, *rest = agent(
            Seen(key="200-7", study="u", account=MAIN, begin_ns=at(0)), used(0, 0, 0), used(10, 50, 1), pid=51
        )
        assert isinstance(late, Header)
        return study(
            tmp_path,
            a=agent(seen(), used(0, 0, 0), used(100, 500, 100)),
            m1=[header(account=MAIN, driver=True, session=1), Seal(t=at(100)), Closed(t=at(100))],
            s1=[
                header("search", pid=101),
                AttemptRecord(t=at(1), trial=0, attempt=1, params={}),
                OutcomeRecord(t=at(90), trial=0, attempt=1, state="lost", final=False),
            ],
            b=[msgspec.structs.replace(late, boot="boot-0", wall_ns=utc(second_wall_s)), *rest],
            m2=[header(pid=200, account=MAIN, driver=True, session=2, **boot), Seal(t=at(10)), Closed(t=at(10))],
            s2=[
                header("search", pid=201, **boot),
                AttemptRecord(t=at(1), trial=0, attempt=2, params={}),
                OutcomeRecord(t=at(9), trial=0, attempt=2, state="complete", value=0.5),
            ],
        )

    def test_a_reboot_keeps_both_parts(self, tmp_path: Path) -> None:
        folder = self.resumed(tmp_path, 1000)
        assert books(folder).metered_uj == 550 * J
        assert "clock-set-back" not in codes(folder)

    def test_a_wall_clock_set_back_between_boots_loses_nothing(self, tmp_path: Path) -> None:
        folder = self.resumed(tmp_path, -5000)
        closed = books(folder)
        assert closed.metered_uj == 550 * J
        assert closed.sealed
        assert "clock-set-back" in codes(folder)
        assert [w.start_ns for w in closed.windows] == sorted(w.start_ns for w in closed.windows)
        record, _ = read_study(folder.path)
        (trial,) = record.trials
        assert [a.state for a in trial.attempts] == ["lost", "complete"]
        assert trial.state == "complete"

    @pytest.mark.parametrize("skew_s", [-7200, 7200])
    def test_another_nodes_wall_clock_is_corrected_by_the_drivers(self, skew_s: float, tmp_path: Path) -> None:
        away = {"node": "node-b", "boot": "boot-b", "wall_ns": utc(skew_s)}
        first, *rest = agent(seen(), used(0, 0, 0), used(10, 100, 10), pid=60)
        assert isinstance(first, Header)
        clock = ClockRecord(t=at(0), node="node-b", boot="boot-b", mono_ns=at(0), within_ns=1000)
        folder = study(
            tmp_path,
            a=agent(used(0, 0, 0), used(10, 50, 10)),
            b=[msgspec.structs.replace(first, **away), *rest],
            m=[header(account=MAIN, driver=True, session=1), clock, Seal(t=at(10)), Closed(t=at(10))],
        )
        closed = books(folder)
        assert closed.metered_uj == 150 * J
        assert closed.coverage == 1.0
        assert "clock-skew" in codes(folder)
        assert len({w.start_ns for w in closed.windows}) == 1


class TestMedia:
    def test_a_copy_of_a_journal_counts_once(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 0, 0), used(1, 10, 1)))
        whole = (folder.journals / "a.jsonl").read_bytes()
        (folder.journals / "0-first-by-name.jsonl").write_bytes(whole[: whole.rindex(b'{"k":"reading"')])
        shutil.copy(folder.journals / "a.jsonl", folder.journals / "z.jsonl")
        assert books(folder).metered_uj == 10 * J
        assert codes(folder) == ["journal-copied", "journal-copied"]

    def test_a_journal_of_another_study_is_left_out(self, tmp_path: Path) -> None:
        first, *rest = agent(seen(), used(0, 0, 0), used(1, 10, 1), pid=77)
        assert isinstance(first, Header)
        folder = study(
            tmp_path,
            a=agent(seen(), used(0, 0, 0), used(1, 10, 1)),
            b=[msgspec.structs.replace(first, study="other"), *rest],
        )
        assert books(folder).metered_uj == 10 * J
        assert codes(folder) == ["journal-of-another-study"]

    @pytest.mark.parametrize("content", [b"", b"\0" * 4096, b'{"k":"head'])
    def test_a_journal_without_a_whole_record_is_a_finding(self, content: bytes, tmp_path: Path) -> None:
        folder = study(
            tmp_path,
            a=agent(seen(), used(0, 0, 0), used(1, 10, 1)),
            m=[header(driver=True, account=MAIN), Seal(t=at(1)), Closed(t=at(1))],
        )
        (folder.journals / "marks-lost.jsonl").write_bytes(content)
        assert books(folder).metered_uj == 10 * J
        assert codes(folder) == ["journal-empty"]

    def test_zeros_in_the_middle_cost_the_records_they_cover(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), *(used(t, 10 * t, t) for t in range(5))))
        path = folder.journals / "a.jsonl"
        lines = path.read_bytes().split(b"\n")
        lines[-4] = b"\0" * len(lines[-4])
        path.write_bytes(b"\n".join(lines))
        assert books(folder).metered_uj == 40 * J  # cumulative figures: the next reading holds what this one held
        assert codes(folder) == ["journal-records-skipped"]

    def test_readings_that_jump_back_in_time_are_left_out(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 0, 0), used(9, 10, 1), used(2, 20, 2), used(10, 30, 3)))
        assert books(folder).metered_uj == 30 * J
        assert "readings-out-of-order" in codes(folder)

    def test_bytes_that_are_no_text_cost_their_record(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), *(used(t, 10 * t, t) for t in range(3))))
        path = folder.journals / "a.jsonl"
        path.write_bytes(path.read_bytes().replace(b"counter", b"count\xffr"))
        assert codes(folder)[0] == "journal-records-skipped"

    def test_a_component_that_is_said_twice_counts_once(self, tmp_path: Path) -> None:
        records = agent(reading(0, 0), reading(1, 20))
        once = read_study(study(tmp_path / "once", a=records).path)[0].books
        again = [*records[:3], *records[1:3], *records[3:]]
        assert read_study(study(tmp_path / "again", a=again).path)[0].books.metered_uj == once.metered_uj == 20 * J

    def test_findings_name_no_place(self, tmp_path: Path) -> None:
        folder = study(tmp_path / "s", a=agent(reading(0, 0), reading(1, 20)))
        (folder.journals / "marks-x-9-9.jsonl").write_text('{"k":"closed","t":5}\n')
        found = [f.message for f in read_study(folder.path)[0].findings if f.code == "journal-unreadable"]
        assert found == ["journal marks-x-9-9.jsonl: begins without a header."]

    def test_hidden_files_are_no_journals(self, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 0, 0), used(1, 10, 1)))
        (folder.journals / "._a.jsonl").write_bytes(b"\0\5")
        assert codes(folder) == []

    @pytest.mark.parametrize(
        "record",
        [
            Seen(key="9-9", study="u", account="nonsense", begin_ns=0),
            Reading(t=at(2), e={"cpu": 2**64 - 1}, u={}),
        ],
    )
    def test_what_no_auditor_wrote_is_refused_in_one_line(self, record: Record, tmp_path: Path) -> None:
        folder = study(tmp_path, a=agent(seen(), used(0, 0, 0), used(1, 10, 1), record))
        with pytest.raises(JournalError, match="the books can't be closed from these"):
            read_study(folder.path)

    @pytest.mark.parametrize("seed", range(30))
    def test_whatever_bytes_change_the_books_balance_or_say_why(self, seed: int, tmp_path: Path) -> None:
        """Random damage: truncation, zeros, flipped bytes. Never a traceback; what is booked is booked once."""
        rng = np.random.default_rng(seed)
        folder = study(
            tmp_path,
            a=agent(seen(), *(used(t, 10 * t, t) for t in range(30))),
            m=[header(account=MAIN, driver=True), Seal(t=at(29)), Closed(t=at(29))],
        )
        for path in folder.journals.iterdir():
            data = bytearray(path.read_bytes())
            at_byte = int(rng.integers(len(data)))
            match seed % 3:
                case 0:
                    del data[at_byte:]
                case 1:
                    data[at_byte : at_byte + 200] = bytes(len(data[at_byte : at_byte + 200]))
                case _:
                    data[at_byte] ^= 1 << int(rng.integers(7))
            path.write_bytes(data)
        reader = StudyReader(folder)
        reader.refresh()
        record, ledger = reader.close()
        assert record.books.residual_uj == 0
        assert int(ledger.energy_uj.sum()) == record.books.metered_uj
