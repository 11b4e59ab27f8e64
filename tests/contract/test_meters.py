"""The meters that ship pass the contract; meters with a fault each fail the clause that names it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
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


# A meter with one fault fails the clause that names it; without a fault it passes them all.

FACTORS = {"double": 2.0, "millijoules": 1e-3, "nanojoules": 1e3, "pue": 1.2}


class FlawedMeter:
    """A processor of 20 W and memory of 5 W by counters, read with one fault."""

    name = "flawed"
    self_paced = False

    def __init__(self, clock: Clock, fault: str) -> None:
        self._clock = clock
        self._fault = fault
        self._start_ns = clock.monotonic_ns()
        self._running = False
        self._reads = 0
        self._lost_uj = 0
        self._last_uj = 0

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        self._start_ns, self._running = self._clock.monotonic_ns(), True
        cpu = Component(
            name="cpu",
            provenance=Provenance.COUNTER,
            static_w=15.0,
            low_w=16.0 if self._fault == "bounds" else 10.0,
            high_w=25.0,
            counter="flawed",
            wrap_uj=262_143_328_851,
        )
        ram = Component(name="ram", provenance=Provenance.CONSTANT, static_w=5.0)
        others = {
            "twice": [cpu, ram, ram],
            "nothing": [],
            "kind": [cpu, replace(ram, name="disk")],
            "sum": [cpu, ram, replace(ram, name="gpu"), replace(ram, name="gpu:A")],
            "wrap": [cpu, replace(ram, wrap_uj=7)],
            "identity": [replace(cpu, counter=f"flawed since {self._start_ns}"), ram],
        }
        return others.get(self._fault, [cpu, ram])

    def read(self) -> Mapping[str, int]:
        self._reads += 1
        origin_ns = self._start_ns if self._fault == "restarts" else 0
        cpu_uj = 20 * (self._clock.monotonic_ns() - origin_ns) // 1000
        energy: dict[str, int] = {"cpu": cpu_uj, "ram": 5 * (self._clock.monotonic_ns() // 1000)}
        passed_uj = 20 * (self._clock.monotonic_ns() - self._start_ns) // 1000
        match self._fault:
            case "leaks":  # what flowed since the last reading is lost every other time
                self._lost_uj += cpu_uj - self._last_uj if self._reads % 2 and self._last_uj else 0
                energy["cpu"] -= self._lost_uj
            case "backwards" if self._reads > 4:
                energy["cpu"] -= 10_000_000
            case "deltas":
                energy["cpu"] -= self._last_uj
            case "freezes":
                energy["cpu"] -= max(0, passed_uj - 20 * 800_000)
            case "vanishes" if self._reads > 4:
                del energy["ram"]
            case "joules":
                energy["cpu"] = cpu_uj / 1e6  # type: ignore[assignment]
            case "reading":
                energy["cpu"] += self._reads * 10_000_000
        if self._fault in FACTORS:
            energy["cpu"] = round(cpu_uj * FACTORS[self._fault])
        self._last_uj = cpu_uj
        return energy

    def process_ns(self) -> Mapping[str, Mapping[int, int]]:
        passed_ns = self._clock.monotonic_ns() - self._start_ns
        if self._fault == "forgets":
            return {"cpu": {1: passed_ns // 2} if passed_ns < 10**9 else {}}
        return {"cpu": {1: passed_ns // 2, 2: passed_ns * 2 if self._fault == "overuse" else passed_ns // 3}}

    def sample(self) -> None:
        pass

    def stop(self) -> None:
        assert self._running or self._fault != "stop", "not running"
        self._running = False


class KnownPower(MeterContract):
    """The contract on a rig that knows the true power."""

    def __init__(self, clock: Clock, fault: str) -> None:
        self._clock = clock
        self._fault = fault

    def expected_w(self, component: Component) -> float | None:
        return {"cpu": 20.0, "ram": 5.0}[component.name]

    def again(self) -> Meter:
        return FlawedMeter(self._clock, self._fault)


def run(clause: str, fault: str, rig: type[MeterContract] = KnownPower) -> None:
    """Run one clause of the contract on a meter with a fault."""
    clock = FakeClock(start_ns=10**15)
    contract = rig(clock, fault) if rig is KnownPower else rig()
    meter, test = FlawedMeter(clock, fault), getattr(contract, clause)
    wants = {"meter": meter, "clock": clock}
    if "observed" in inspect.signature(test).parameters:
        wants["observed"] = contract.observe(meter, clock)
    test(**{name: wants[name] for name in inspect.signature(test).parameters})


CLAUSES = [name for name in dir(MeterContract) if name.startswith("test_")]
FAULTS = {
    "leaks": ("test_nothing_leaks", "cpu lost energy"),
    "double": ("test_nothing_is_counted_twice", "cpu counted too much"),
    "backwards": ("test_energy_never_decreases", "cpu goes backwards"),
    "millijoules": ("test_power_is_right", "cpu: wrong power"),
    "nanojoules": ("test_power_is_right", "cpu: wrong power"),
    "pue": ("test_power_is_right", "cpu: wrong power"),
    "deltas": ("test_power_is_right", "cpu: wrong power"),
    "vanishes": ("test_every_reading_holds_every_component", "ram.*came or went"),
    "freezes": ("test_energy_keeps_flowing", "cpu froze"),
    "joules": ("test_energy_is_whole_microjoules", "energy is an int"),
    "twice": ("test_components_are_named_once", "a component is named once"),
    "nothing": ("test_components_are_named_once", "must raise MeterError"),
    "kind": ("test_components_are_named_once", "not .'disk'"),
    "sum": ("test_components_are_named_once", "gpu is the sum of the others"),
    "bounds": ("test_bounds_hold_each_other", "cpu: expected 0 <= low_w"),
    "wrap": ("test_bounds_hold_each_other", "ram: only a named counter wraps"),
    "reading": ("test_reading_is_not_measuring", "cpu grows by being read"),
    "restarts": ("test_a_counter_goes_on_where_another_meter_stopped", "cpu does not go on"),
    "identity": ("test_a_counter_goes_on_where_another_meter_stopped", "cpu: a counter has one identity"),
    "forgets": ("test_device_time_fits_into_time", r"cpu: the time of processes \[1\] goes backwards"),
    "overuse": ("test_device_time_fits_into_time", "cpu was used for longer than it was there"),
    "stop": ("test_stop_may_be_called_twice", "not running"),
}


@pytest.mark.parametrize(("fault", "clause", "complaint"), [(fault, *found) for fault, found in FAULTS.items()])
def test_a_flawed_meter_fails_the_clause_that_names_its_fault(fault: str, clause: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run(clause, fault)


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_meter_without_a_fault_passes(clause: str) -> None:
    run(clause, "none")


@pytest.mark.parametrize("fault", sorted({"millijoules", "pue"}))
def test_a_factor_within_the_bounds_is_only_found_where_the_true_power_is_known(fault: str) -> None:
    run("test_power_is_right", fault, MeterContract)


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
