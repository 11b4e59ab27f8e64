"""The suite every meter must pass."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component, Meter, ProcessUsage
from auditor.testing.clock import SystemClock

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Observation:
    """What a meter said over a while: its components, and (time in ns, microjoules by component)."""

    components: Sequence[Component]
    samples: Sequence[tuple[int, Mapping[str, int]]]

    def span_s(self) -> float:
        """Seconds from the first sample to the last."""
        return (self.samples[-1][0] - self.samples[0][0]) / _NS_PER_S

    def energy_j(self, component: str) -> float:
        """Joules of a component from the first sample to the last."""
        return (self.samples[-1][1][component] - self.samples[0][1][component]) / 1e6


class MeterContract:
    """What the books take for granted of a meter.

    Override ``meter``; override ``clock`` where the meter lives by a clock of its own, and ``interval_s`` or
    ``samples`` where it is slow. Override ``expected_w`` where the true power is known (a device made up for the test,
    a second meter): only then can a wrong unit or a factor baked in be told from a thirsty machine.
    """

    interval_s = 0.2
    samples = 8
    tolerance = 0.1

    def expected_w(self, component: Component) -> float | None:
        """True mean power of a component in watts; ``None``: not known. A constant is what it says it is."""
        return component.static_w if component.provenance is Provenance.CONSTANT else None

    def again(self) -> Meter | None:
        """Another meter of the same hardware, not started, to see whether counters go on; ``None``: left out."""
        return None

    @pytest.fixture
    def meter(self) -> Meter:
        """The meter under test, not started."""
        raise AssertionError("override the fixture 'meter' with your meter")

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock the meter lives by."""
        return SystemClock()

    @pytest.fixture
    def observed(self, meter: Meter, clock: Clock) -> Observation:
        """Some samples of the meter."""
        return self.observe(meter, clock)

    def observe(self, meter: Meter, clock: Clock) -> Observation:
        """Start the meter, take samples, stop it."""
        taken: list[tuple[int, Mapping[str, int]]] = []
        enough = threading.Event()

        def tick() -> None:
            taken.append((clock.monotonic_ns(), dict(meter.read())))
            if len(taken) > self.samples:
                enough.set()

        components = meter.start(tick, self.interval_s)
        try:
            if meter.self_paced:
                assert enough.wait(5 + 3 * self.samples * self.interval_s), "a self-paced meter must call tick"
            else:
                for _ in range(self.samples + 1):
                    tick()
                    clock.sleep(self.interval_s)
        finally:
            meter.stop()
        return Observation(components, taken[1:])  # the first may come before the components are known

    def test_components_are_named_once(self, observed: Observation) -> None:
        """Components are disjoint: no name twice, and each name says its kind."""
        names = [component.name for component in observed.components]
        assert names, "a meter that meters nothing must raise MeterError"
        assert len(set(names)) == len(names), "a component is named once"
        unknown = [name for name in names if name.partition(":")[0] not in {"cpu", "ram", "platform", "gpu"}]
        assert not unknown, f"components are named cpu, ram, platform, gpu or gpu:<uuid>, not {unknown}"
        assert "gpu" not in names or not any(name.startswith("gpu:") for name in names), "gpu is the sum of the others"

    def test_every_reading_holds_every_component(self, observed: Observation) -> None:
        """No component vanishes, none appears."""
        names = {component.name for component in observed.components}
        for _, energy in observed.samples:
            assert set(energy) == names, f"{names ^ set(energy)} came or went"

    def test_energy_is_whole_microjoules(self, observed: Observation) -> None:
        """Integers, so that sums are exact."""
        for _, energy in observed.samples:
            assert all(type(value) is int for value in energy.values()), "energy is an int, in microjoules"

    def test_energy_never_decreases(self, observed: Observation) -> None:
        """Cumulative, never deltas."""
        for component in observed.components:
            values = [energy[component.name] for _, energy in observed.samples]
            assert values == sorted(values), f"{component.name} goes backwards"

    def test_nothing_leaks(self, observed: Observation) -> None:
        """Over any time a component uses at least the power it draws without load."""
        for component in observed.components:
            floor_w = component.static_w if component.static_w is not None else component.low_w
            if floor_w:
                least_j = floor_w * observed.span_s() * (1 - self.tolerance)
                assert observed.energy_j(component.name) >= least_j, f"{component.name} lost energy"

    def test_nothing_is_counted_twice(self, observed: Observation) -> None:
        """Over any time a component uses at most what it can draw."""
        for component in observed.components:
            if component.high_w is not None:
                most_j = component.high_w * observed.span_s() * (1 + self.tolerance)
                assert observed.energy_j(component.name) <= most_j, f"{component.name} counted too much"

    def test_power_is_right(self, observed: Observation) -> None:
        """Where the true power is known, the meter shows it: no other unit, no PUE baked in, no deltas."""
        for component in observed.components:
            expected_w = self.expected_w(component)
            if expected_w is not None:
                power_w = observed.energy_j(component.name) / observed.span_s()
                assert power_w == pytest.approx(expected_w, rel=self.tolerance), f"{component.name}: wrong power"

    def test_energy_keeps_flowing(self, observed: Observation) -> None:
        """A component does not stop growing while the meter runs."""
        middle = len(observed.samples) // 2
        for component in observed.components:
            half, last = (observed.samples[i][1][component.name] for i in (middle, -1))
            assert last > half, f"{component.name} froze"

    def test_a_counter_goes_on_where_another_meter_stopped(self, meter: Meter, clock: Clock) -> None:
        """Readings of a named counter are absolute: a second meter continues the first, to the counter's wrap."""
        second = self.again()
        if second is None:
            pytest.skip("no second meter was given (override 'again')")
        counters = {c.name: c for c in meter.start(lambda: None, self.interval_s) if c.counter}
        clock.sleep(self.interval_s)
        before_ns, before = clock.monotonic_ns(), dict(meter.read())
        meter.stop()
        found = {c.name: c for c in second.start(lambda: None, self.interval_s)}
        after, passed_s = dict(second.read()), (clock.monotonic_ns() - before_ns) / _NS_PER_S
        second.stop()
        for name, component in counters.items():
            assert found[name].counter == component.counter, f"{name}: a counter has one identity"
            grown_uj = after[name] - before[name]
            if component.wrap_uj:
                grown_uj %= component.wrap_uj
            assert 0 <= grown_uj <= 10_000 * 1e6 * max(passed_s, 0.01), f"{name} does not go on"  # 10 kW

    def test_device_time_fits_into_time(self, meter: Meter, clock: Clock) -> None:
        """What processes used of a device never decreases, and together is no more than the time that passed."""
        if not isinstance(meter, ProcessUsage):
            pytest.skip("the meter does not say who used its devices")
        start_ns = clock.monotonic_ns()
        meter.start(lambda: None, self.interval_s)
        before: dict[str, dict[int, int]] = {}
        try:
            for _ in range(self.samples):
                clock.sleep(self.interval_s)
                now = {name: dict(used) for name, used in meter.process_ns().items()}
                passed_ns = clock.monotonic_ns() - start_ns
                for name, used in now.items():
                    forgotten = [pid for pid, ns in before.get(name, {}).items() if used.get(pid, 0) < ns]
                    assert not forgotten, f"{name}: the time of processes {forgotten} goes backwards"
                    together_ns = sum(used.values())
                    assert together_ns <= passed_ns * (1 + self.tolerance), (
                        f"{name} was used for longer than it was there"
                    )
                before |= now
        finally:
            meter.stop()

    def test_bounds_hold_each_other(self, observed: Observation) -> None:
        """Least <= without load <= most."""
        for component in observed.components:
            bounds = [b for b in (component.low_w, component.static_w, component.high_w) if b is not None]
            assert [0.0, *bounds] == sorted([0.0, *bounds]), (
                f"{component.name}: expected 0 <= low_w <= static_w <= high_w"
            )
            assert component.wrap_uj is None or component.counter, f"{component.name}: only a named counter wraps"

    def test_reading_is_not_measuring(self, meter: Meter, clock: Clock) -> None:
        """Reading more often changes nothing: two readings at one instant agree to what flows between them."""
        if meter.self_paced:
            pytest.skip("a self-paced meter is read from within its tick only")
        meter.start(lambda: None, self.interval_s)
        try:
            clock.sleep(self.interval_s)
            before_ns = clock.monotonic_ns()
            first, second = meter.read(), meter.read()
            passed_s = (clock.monotonic_ns() - before_ns) / _NS_PER_S
        finally:
            meter.stop()
        for name in first:
            assert second[name] - first[name] <= 10_000 * 1e6 * passed_s, f"{name} grows by being read"  # 10 kW

    def test_a_sample_can_be_asked_for(self, meter: Meter, clock: Clock) -> None:
        """A self-paced meter ticks for it; any meter gives no less energy than before."""
        ticks: list[dict[str, int]] = []
        components = meter.start(lambda: ticks.append(dict(meter.read())), self.interval_s)
        try:
            clock.sleep(self.interval_s / 2)
            before, count = dict(meter.read()), len(ticks)
            meter.sample()
            after = dict(meter.read())
        finally:
            meter.stop()
        assert len(ticks) > count or not meter.self_paced
        assert all(after[c.name] >= before[c.name] for c in components)

    def test_stop_may_be_called_twice(self, meter: Meter) -> None:
        """Stopping is idempotent."""
        meter.start(lambda: None, self.interval_s)
        meter.stop()
        meter.stop()
