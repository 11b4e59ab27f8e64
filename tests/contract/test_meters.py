"""The meters that ship pass the contract; meters with a fault each fail the clause that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component, Meter
from auditor.testing import FakeClock, MeterContract, ReplayMeter
from auditor.testing.replay import constant_power
from auditor_plugins.meters.codecarbon import CodeCarbonMeter


class TestReplayMeter(MeterContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return FakeClock(start_ns=10**15)

    @pytest.fixture
    def meter(self, clock: Clock) -> Meter:
        components = [
            Component(name="cpu", provenance=Provenance.COUNTER, static_w=10.0, low_w=5.0, high_w=30.0),
            Component(name="gpu:GPU-1", provenance=Provenance.COUNTER, high_w=300.0),
        ]
        return ReplayMeter(constant_power({"cpu": 20.0, "gpu:GPU-1": 300.0}), components, clock)


@pytest.mark.slow
class TestCodeCarbonMeter(MeterContract):
    interval_s = 0.3
    samples = 4

    @pytest.fixture
    def meter(self) -> Iterator[Meter]:
        made = CodeCarbonMeter()
        yield made
        made.stop()


FACTORS = {"millijoules": 1e-3, "nanojoules": 1e3, "pue": 1.2}


class KnownPower(MeterContract):
    """The contract on a rig that knows the true power."""

    def expected_w(self, component: Component) -> float | None:
        return {"cpu": 20.0, "ram": 5.0}[component.name]


class FlawedMeter:
    """A meter of 20 W with one fault."""

    name = "flawed"
    self_paced = False

    def __init__(self, clock: Clock, fault: str) -> None:
        self._clock = clock
        self._fault = fault
        self._start_ns = 0
        self._reads = 0
        self._lost_uj = 0
        self._last_ns = 0
        self._given_uj = 0

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        self._start_ns = self._last_ns = self._clock.monotonic_ns()
        cpu = Component(name="cpu", provenance=Provenance.MODELLED, static_w=15.0, low_w=10.0, high_w=25.0)
        ram = Component(name="ram", provenance=Provenance.CONSTANT, static_w=5.0)
        if self._fault == "bounds":
            cpu = Component(name="cpu", provenance=Provenance.MODELLED, static_w=15.0, low_w=16.0, high_w=25.0)
        if self._fault == "twice":
            return [cpu, ram, ram]
        return [] if self._fault == "nothing" else [cpu, ram]

    def read(self) -> Mapping[str, int]:
        now_ns = self._clock.monotonic_ns()
        self._reads += 1
        passed_us = (now_ns - self._start_ns) // 1000
        if self._fault == "leaks":  # what flowed since the last reading is lost every other time
            self._lost_uj += 20 * (now_ns - self._last_ns) // 1000 if self._reads % 2 else 0
        self._last_ns = now_ns
        energy: dict[str, float | int] = {"cpu": 20 * passed_us - self._lost_uj, "ram": 5 * passed_us}
        if self._fault == "backwards" and self._reads > 4:
            energy["cpu"] = 20 * passed_us - 10_000_000
        if self._fault == "double":
            energy["cpu"] = 40 * passed_us
        if self._fault in FACTORS:
            energy["cpu"] = round(20 * passed_us * FACTORS[self._fault])
        if self._fault == "deltas":
            energy["cpu"], self._given_uj = 20 * passed_us - self._given_uj, 20 * passed_us
        if self._fault == "freezes":
            energy["cpu"] = min(20 * passed_us, 20 * 800_000)
        if self._fault == "vanishes" and self._reads > 4:
            del energy["ram"]
        if self._fault == "joules":
            energy["cpu"] = passed_us * 20e-6
        if self._fault == "reading":
            energy["cpu"] = self._reads * 10_000_000
        return energy

    def stop(self) -> None:
        if self._fault == "stop" and not self._start_ns:
            raise RuntimeError("not running")
        self._start_ns = 0


def run(clause: str, fault: str) -> None:
    """Run one clause of the contract on a meter with a fault."""
    clock = FakeClock(start_ns=10**15)
    contract, meter = KnownPower(), FlawedMeter(clock, fault)
    test = getattr(contract, clause)
    if clause in {"test_reading_is_not_measuring"}:
        test(meter, clock)
    elif clause == "test_stop_may_be_called_twice":
        test(meter)
    else:
        test(contract.observe(meter, clock))


FAULTS = {
    "leaks": "test_nothing_leaks",
    "backwards": "test_energy_never_decreases",
    "double": "test_nothing_is_counted_twice",
    "millijoules": "test_power_is_right",
    "nanojoules": "test_power_is_right",
    "pue": "test_power_is_right",
    "deltas": "test_power_is_right",
    "freezes": "test_energy_keeps_flowing",
    "vanishes": "test_every_reading_holds_every_component",
    "joules": "test_energy_is_whole_microjoules",
    "twice": "test_components_are_named_once",
    "nothing": "test_components_are_named_once",
    "bounds": "test_bounds_hold_each_other",
    "reading": "test_reading_is_not_measuring",
}


@pytest.mark.parametrize(("fault", "clause"), FAULTS.items())
def test_a_flawed_meter_fails_the_clause_that_names_its_fault(fault: str, clause: str) -> None:
    with pytest.raises(AssertionError):
        run(clause, fault)
    run(clause, "none")


def test_a_meter_that_cannot_be_stopped_twice_fails() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        run("test_stop_may_be_called_twice", "stop")
    run("test_stop_may_be_called_twice", "none")


def test_a_self_paced_meter_that_never_ticks_fails() -> None:
    clock = FakeClock(start_ns=10**15)
    contract, meter = MeterContract(), FlawedMeter(clock, "none")
    meter.self_paced = True
    contract.samples = 1
    contract.interval_s = -1.6  # 5 + 3 * samples * interval: a short wait
    with pytest.raises(AssertionError, match="must call tick"):
        contract.observe(meter, clock)


# What the replay meter gives.


def test_replayed_energy_is_linear_between_samples_and_goes_on_after_the_last() -> None:
    clock = FakeClock(start_ns=500)
    meter = ReplayMeter([(70, {"cpu": 10}), (170, {"cpu": 110}), (270, {"cpu": 310})], clock=clock)
    assert [c.name for c in meter.start(lambda: None, 1.0)] == ["cpu"]
    found = []
    for _ in range(7):
        found.append(meter.read()["cpu"])
        clock.advance(50e-9)
    assert found == [10, 60, 110, 210, 310, 410, 510]


def test_a_recorded_journal_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "readings.jsonl"
    path.write_text(
        '{"k":"header"}\n'
        '{"k":"component","name":"cpu","meter":"m","provenance":"modelled","static_w":2.0,"detail":"x"}\n'
        '{"k":"reading","t":5,"e":{"cpu":1}}\n{"k":"mark"}\n{"k":"reading","t":15,"e":{"cpu":2}}\n'
    )
    monkeypatch.setenv("AUDITOR_REPLAY", str(path))
    (component,) = ReplayMeter(clock=FakeClock()).start(lambda: None, 1.0)
    assert (component.name, component.provenance, component.static_w) == ("cpu", Provenance.MODELLED, 2.0)
    assert component.detail == "replayed: x"


@pytest.mark.parametrize("content", [None, "", '{"k":"reading","t":5,"e":{"cpu":1}}\n', "no json", '{"k":"component"}'])
def test_what_cannot_be_replayed_is_refused(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "readings.jsonl"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("AUDITOR_REPLAY", str(path))
    with pytest.raises(MeterError, match="replay: "):
        ReplayMeter()


def test_nothing_to_replay_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_REPLAY", raising=False)
    with pytest.raises(MeterError, match="set AUDITOR_REPLAY"):
        ReplayMeter()


def test_a_clock_that_is_told_to_go_back_refuses() -> None:
    with pytest.raises(ValueError, match="can't go back"):
        FakeClock().advance(-1)
