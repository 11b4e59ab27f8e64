"""Files that the replay meter replays: readings journals, and tables from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component, Meter
from auditor.testing import FakeClock, MeterContract, ReplayMeter

JOULES = "t_s,cpu_j,ram_j\n0,5,1\n10,205,51\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the table is that a meter without arguments replays."""
    monkeypatch.setenv("AUDITOR_REPLAY", str(tmp_path / "power.csv"))
    return tmp_path / "power.csv"


class TestReplayOfATable(MeterContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return FakeClock(start_ns=10**15)

    @pytest.fixture
    def meter(self, table: Path, clock: Clock) -> Meter:
        table.write_text("t_s,cpu_j,gpu:GPU-1_w\n0,0,250\n1,20,250\n")
        return ReplayMeter(clock=clock)

    def expected_w(self, component: Component) -> float:
        return {"cpu": 20.0, "gpu:GPU-1": 250.0}[component.name]


def replayed(clock: FakeClock, *seconds: float) -> list[dict[str, int]]:
    """Readings after some seconds each."""
    meter = ReplayMeter(clock=clock)
    meter.start(lambda: None, 1.0)
    found = []
    for passed_s in seconds:
        clock.advance(passed_s)
        found.append(dict(meter.read()))
    return found


def test_joules_are_cumulative(table: Path) -> None:
    table.write_text(JOULES)
    assert replayed(FakeClock(), 0, 5) == [
        {"cpu": 5_000_000, "ram": 1_000_000},
        {"cpu": 105_000_000, "ram": 26_000_000},
    ]


def test_watts_are_integrated_by_trapezoids(table: Path) -> None:
    table.write_text("t_s,gpu_w\n100,0\n102,10\n103,10\n")
    assert [energy["gpu"] for energy in replayed(FakeClock(), 0, 2, 1)] == [0, 10_000_000, 20_000_000]


def test_a_table_says_how_it_came_about(table: Path) -> None:
    table.write_text("\ufefft_s,cpu_j,gpu:GPU-a_b_w\n0,0,1\n\n1,1,1\n")  # a spreadsheet's mark and an empty line
    cpu, gpu = ReplayMeter(clock=FakeClock()).start(lambda: None, 1.0)
    assert (cpu.name, cpu.provenance, cpu.detail) == ("cpu", Provenance.REPORTED, "replayed: energy")
    assert (gpu.name, gpu.provenance) == ("gpu:GPU-a_b", Provenance.REPORTED)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: expected the columns 't_s'"),
        ("t_s\n1\n2\n", "line 1: expected the columns 't_s'"),
        ("time,cpu_j\n0,1\n", "line 1: expected the columns 't_s'"),
        ("t_s,cpu_wh\n0,1\n", r"line 1: column 'cpu_wh': expected cpu, ram.*_j \(joules\) or _w \(watts\)"),
        ("t_s,fan_w\n0,1\n", "line 1: column 'fan_w'"),
        ("t_s,cpu_j,cpu_w\n0,1,1\n", "line 1: 'cpu' has two columns"),
        ("t_s,cpu_j\n0,1\n1,2,3\n", "line 3: 3 values where the table has 2 columns"),
        ("t_s,cpu_j\n0,1\n1,much\n", "line 3: 'much' is no number"),
        ("t_s,cpu_j\n0,1\n1,nan\n", "line 3: 'nan' is no number"),
        ("t_s,cpu_j\n0,1\n2,2\n2,3\n", "line 4: time goes back or stands still"),
        ("t_s,cpu_j\n0,1\n\n1,0\n", "line 4: energy of 'cpu' goes backwards"),
        ("t_s,cpu_w\n0,1\n1,-9\n", "line 3: energy of 'cpu' goes backwards"),
        ("t_s,cpu_j\n0,1\n", "at least two samples"),
        ("t_s,cpu_j\n0," + "1" * 200_000 + "\n", "field larger than field limit"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(content: str, complaint: str, table: Path) -> None:
    table.write_text(content)
    with pytest.raises(MeterError, match=complaint) as raised:
        ReplayMeter()
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_text_is_refused(table: Path) -> None:
    table.write_bytes(b"t_s,cpu_j\n\xff\xfe\n")
    with pytest.raises(MeterError, match=r"power\.csv is no text"):
        ReplayMeter()


READING = '{"k":"reading","t":%d,"e":%s}\n'
CPU = '{"k":"component","name":"cpu","meter":"rapl","provenance":"counter"}\n'


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journal is that a meter without arguments replays."""
    monkeypatch.setenv("AUDITOR_REPLAY", str(tmp_path / "readings.jsonl"))
    return tmp_path / "readings.jsonl"


def test_second_opinions_are_not_replayed(journal: Path) -> None:
    check = '{"k":"component","name":"cpu","meter":"codecarbon","provenance":"modelled","check":true}\n'
    energy = '{"cpu":%d,"cpu@codecarbon":9}'
    journal.write_text(CPU + check + READING % (1, energy % 4) + READING % (2, energy % 5))
    (component,) = ReplayMeter(clock=FakeClock()).start(lambda: None, 1.0)
    assert (component.name, component.provenance) == ("cpu", Provenance.COUNTER)
    assert replayed(FakeClock(), 0) == [{"cpu": 4}]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["no json\n"], "line 1: not of a readings journal"),
        ([CPU, "7\n"], "line 2: not of a readings journal"),
        ([CPU, '{"k":"reading","t":5}\n'], "line 2: not of a readings journal .'e' is missing"),
        ([CPU, READING % (1, "{}")], "line 2: it has no energy of 'cpu'"),
        ([CPU, READING % (1, '{"cpu":5}'), READING % (2, '{"cpu":4}')], "line 3: energy of 'cpu' goes backwards"),
        ([READING % (1, '{"cpu":5}'), READING % (2, '{"ram":6}')], "line 2: it has no energy of 'cpu'"),
    ],
)
def test_a_bad_journal_is_refused_in_one_line(lines: list[str], complaint: str, journal: Path) -> None:
    journal.write_text("".join(lines))
    with pytest.raises(MeterError, match=complaint):
        ReplayMeter()
