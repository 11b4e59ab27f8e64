"""RAPL counters on a folder of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component, Meter
from auditor.testing import FakeClock, MeterContract
from auditor_plugins.meters.rapl import RaplMeter

RANGE_UJ = 262_143_328_850


class Powercap:
    """A powercap folder whose counters grow with a clock."""

    def __init__(self, root: Path, clock: FakeClock) -> None:
        self.root = root
        self._clock = clock
        self._zones: dict[str, tuple[float, int, int]] = {}

    def zone(self, folder: str, name: str, watts: float, start_uj: int = 0, range_uj: int = RANGE_UJ) -> Powercap:
        (self.root / folder).mkdir(parents=True)
        (self.root / folder / "name").write_text(f"{name}\n")
        (self.root / folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self._zones[folder] = (watts, start_uj, range_uj)
        self.write()
        return self

    def write(self) -> None:
        for folder, (watts, start_uj, range_uj) in self._zones.items():
            now_uj = start_uj + round(watts * self._clock.monotonic_ns() / 1000)
            (self.root / folder / "energy_uj").write_text(f"{now_uj % (range_uj + 1)}\n")

    def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self.write()


class WritingClock(FakeClock):
    """A clock whose every step is seen by the counters."""

    powercap: Powercap | None = None

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        if self.powercap is not None:
            self.powercap.write()


@pytest.fixture
def clock() -> WritingClock:
    return WritingClock()


@pytest.fixture
def powercap(tmp_path: Path, clock: WritingClock) -> Powercap:
    clock.powercap = Powercap(tmp_path / "powercap", clock)
    return clock.powercap


def server(powercap: Powercap) -> Powercap:
    """Two packages with cores and memory, and a mirror of the first in memory-mapped registers."""
    for i, start_uj in enumerate((RANGE_UJ - 1_000_000, 5_000)):
        powercap.zone(f"intel-rapl:{i}", f"package-{i}", 50, start_uj)
        powercap.zone(f"intel-rapl:{i}:0", "core", 30)
        powercap.zone(f"intel-rapl:{i}:1", "dram", 4)
    return powercap.zone("intel-rapl-mmio:0", "package-0", 50)


class TestRaplMeter(MeterContract):
    @pytest.fixture
    def clock(self, clock: WritingClock) -> Clock:
        return clock

    @pytest.fixture
    def meter(self, powercap: Powercap) -> Meter:
        self.powercap = server(powercap)
        return RaplMeter(powercap.root)

    def again(self) -> Meter | None:
        return RaplMeter(self.powercap.root)

    def expected_w(self, component: Component) -> float:
        return {"cpu": 100.0, "ram": 8.0}[component.name]


class TestRaplMeterWithPsys(TestRaplMeter):
    @pytest.fixture
    def meter(self, powercap: Powercap) -> Meter:
        self.powercap = server(powercap).zone("intel-rapl:2", "psys", 133, 77)
        return RaplMeter(powercap.root, sleep=powercap.sleep)

    def expected_w(self, component: Component) -> float:
        return {"cpu": 100.0, "ram": 8.0, "platform": 25.0}[component.name]


def watts(meter: RaplMeter, clock: FakeClock, seconds: float = 10) -> dict[str, float]:
    before = meter.read()
    clock.advance(seconds)
    after = meter.read()
    return {name: (after[name] - before[name]) / 1e6 / seconds for name in after}


def test_what_is_contained_is_not_added(powercap: Powercap, clock: WritingClock) -> None:
    meter = RaplMeter(server(powercap).root)
    components = {c.name: c for c in meter.start(lambda: None, 1.0)}
    assert set(components) == {"cpu", "ram"}
    assert all(c.provenance is Provenance.COUNTER for c in components.values())
    assert components["cpu"].counter == "rapl intel-rapl:0 intel-rapl:1"
    assert components["cpu"].wrap_uj == RANGE_UJ + 1
    assert watts(meter, clock) == pytest.approx({"cpu": 100, "ram": 8})


def test_counters_that_begin_again_are_counted_on(powercap: Powercap, clock: WritingClock) -> None:
    meter = RaplMeter(powercap.zone("intel-rapl:0", "package-0", 10, range_uj=25_000_000).root)
    meter.start(lambda: None, 1.0)
    assert [round(watts(meter, clock, 1)["cpu"]) for _ in range(12)] == [10] * 12


def test_psys_gives_the_rest_of_the_platform(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl:0", "package-0", 20).zone("intel-rapl:1", "psys", 33, 77).zone(
        "intel-rapl:0:0", "dram", 3
    )
    meter = RaplMeter(powercap.root, sleep=powercap.sleep)
    components = {c.name: c for c in meter.start(lambda: None, 1.0)}
    assert components["platform"].counter == ""
    assert watts(meter, clock) == pytest.approx({"cpu": 20, "ram": 3, "platform": 10})


def test_the_rest_of_the_platform_never_decreases(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl:0", "package-0", 20).zone("intel-rapl:1", "psys", 30, 77)
    meter = RaplMeter(powercap.root, sleep=powercap.sleep)
    meter.start(lambda: None, 1.0)
    clock.advance(1)
    before = meter.read()["platform"]
    psys = powercap.root / "intel-rapl:1" / "energy_uj"
    psys.write_text(str(int(psys.read_text()) + 500_000))
    assert meter.read()["platform"] == before + 500_000
    (powercap.root / "intel-rapl:0" / "energy_uj").write_text("900000000")  # read a moment later than psys
    assert meter.read()["platform"] == before + 500_000


def test_a_psys_below_what_it_contains_is_left_out(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl:0", "package-0", 20).zone("intel-rapl:1", "psys", 5)
    meter = RaplMeter(powercap.root, sleep=powercap.sleep)
    (cpu,) = meter.start(lambda: None, 1.0)
    assert "psys shows less" in cpu.detail
    assert watts(meter, clock) == pytest.approx({"cpu": 20})


def test_dies_that_show_the_counter_of_their_package_are_one(powercap: Powercap, clock: WritingClock) -> None:
    for i, (name, start_uj) in enumerate((("0-die-0", 7_000_000), ("0-die-1", 7_000_400), ("1-die-0", 9_000_000))):
        powercap.zone(f"intel-rapl:{i}", f"package-{name}", 60, start_uj)
    meter = RaplMeter(powercap.root)
    (cpu,) = meter.start(lambda: None, 1.0)
    assert "2 packages (intel-rapl:0 intel-rapl:2); intel-rapl:1 left out: the same counter again" in cpu.detail
    assert watts(meter, clock) == pytest.approx({"cpu": 120})


def test_dies_with_counters_of_their_own_are_added(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl:0", "package-0-die-0", 60, 7_000_000)
    powercap.zone("intel-rapl:1", "package-0-die-1", 40, 9_000_000)
    meter = RaplMeter(powercap.root)
    meter.start(lambda: None, 1.0)
    assert watts(meter, clock) == pytest.approx({"cpu": 100})


def test_packages_that_happen_to_show_the_same_are_added(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl:0", "package-0", 60).zone("intel-rapl:1", "package-1", 60)
    meter = RaplMeter(powercap.root)
    meter.start(lambda: None, 1.0)
    assert watts(meter, clock) == pytest.approx({"cpu": 120})


def test_nested_folders_hold_the_same_zones(powercap: Powercap, clock: WritingClock) -> None:
    powercap.zone("intel-rapl/intel-rapl:0", "package-0", 50, 5).zone(
        "intel-rapl-mmio/intel-rapl-mmio:0", "package-0", 50
    )
    powercap.zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", 30)
    powercap.zone("intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram", 4)
    meter = RaplMeter(powercap.root)
    assert [c.counter for c in meter.start(lambda: None, 1.0)] == ["rapl intel-rapl:0", "rapl intel-rapl:0:1"]
    assert watts(meter, clock) == pytest.approx({"cpu": 50, "ram": 4})


def test_memory_mapped_registers_do_where_there_is_nothing_else(powercap: Powercap, clock: WritingClock) -> None:
    meter = RaplMeter(powercap.zone("intel-rapl-mmio:0", "package-0", 50).root)
    meter.start(lambda: None, 1.0)
    assert watts(meter, clock) == pytest.approx({"cpu": 50})


def test_a_processor_that_lost_its_power_begins_again_at_zero(
    powercap: Powercap, clock: WritingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept_ns = 0
    monkeypatch.setattr("auditor_plugins.meters.rapl._suspended_ns", lambda: slept_ns)
    meter = RaplMeter(powercap.zone("intel-rapl:0", "package-0", 10, 90_000_000).root)
    meter.start(lambda: None, 1.0)
    before = meter.read()["cpu"]
    (powercap.root / "intel-rapl:0" / "energy_uj").write_text("4000000")
    slept_ns = 3600 * 10**9
    assert meter.read()["cpu"] - before == 4_000_000


def test_counters_of_unequal_range_can_not_be_bridged(powercap: Powercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 20).zone("intel-rapl:1", "package-1", 20, range_uj=1_000_000)
    (cpu,) = RaplMeter(powercap.root).start(lambda: None, 1.0)
    assert (cpu.counter, cpu.wrap_uj) == ("", None)


def test_no_counter_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"has no package counter.*virtual machines.*use 'codecarbon'"):
        RaplMeter(tmp_path).start(lambda: None, 1.0)


def test_a_counter_for_root_alone_is_refused_with_a_remedy(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return path.read_bytes().decode()

    powercap.zone("intel-rapl:0", "package-0", 20)
    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(MeterError, match=r"may only be read by root; allow it with: sudo chmod a\+r .*energy_uj"):
        RaplMeter(powercap.root).start(lambda: None, 1.0)


def test_a_counter_that_goes_away_is_an_error_and_no_zero(powercap: Powercap) -> None:
    meter = RaplMeter(powercap.zone("intel-rapl:0", "package-0", 20).root)
    meter.start(lambda: None, 1.0)
    (powercap.root / "intel-rapl:0" / "energy_uj").unlink()
    with pytest.raises(MeterError, match="can't be read"):
        meter.read()


def test_the_folder_can_be_named(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0", 20)
    monkeypatch.setenv("AUDITOR_POWERCAP", str(powercap.root))
    assert [c.name for c in RaplMeter().start(lambda: None, 1.0)] == ["cpu"]
