"""The meters of a node as one: which are started, which components count, and what is read of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import NS_PER_S
from auditor.metering.choice import AUTO_ORDER, Choice, choose
from auditor.metering.records import ComponentRecord
from auditor.plugins import installed, load
from auditor.ports import Component, Meter, ProcessUsage

CALIBRATION_S = 2.0
"""For how long after the start the least power of components without a stated static power is looked for."""

WINDOW_S = 0.5
"""Over which least time that power is taken: counters of GPUs step each 0.1 s."""


class Metering:
    """Several meters as one, with disjoint components; the others' are second opinions, never summed.

    Args:
        names: Names of meters, or ``auto`` for every meter that works here.
        static_w: Power without load by component, where the user knows it better, in watts.

    Raises:
        InputError: a name that is not installed.
        MeterError: two of the meters named can't work together.
    """

    def __init__(self, names: Sequence[str], static_w: Mapping[str, float] | None = None) -> None:
        self.asked = tuple(names)
        self.static_w = dict(static_w or {})
        self._meters: list[Meter] = []
        self._optional: set[str] = set()
        for given in dict.fromkeys(names):
            automatic = [name for name in AUTO_ORDER if name in installed("meter")]
            for name in automatic if given == "auto" else [given]:
                if all(meter.name != name for meter in self._meters):
                    made: Any = load("meter", name, where="metering.meters")
                    self._meters.append(made() if isinstance(made, type) else made)
                if given == "auto":
                    self._optional.add(self._meters[-1].name)
        paced = [meter.name for meter in self._meters if meter.self_paced]
        if len(paced) > 1:
            raise MeterError(f"at most one of {', '.join(paced)} can set the pace of the readings; name one of them")
        self._choice = Choice(kept=(), checks=())
        self.components: list[ComponentRecord] = []
        self.unavailable: dict[str, str] = {}

    @property
    def self_paced(self) -> bool:
        """Whether one of those that work calls ``tick`` by itself."""
        return any(meter.self_paced for meter in self._meters)

    def start(self, tick: Callable[[], None], interval_s: float) -> None:
        """Start all that work.

        Raises:
            MeterError: a meter that was named does not work, or none that ``auto`` tried does.
        """
        offers: dict[str, Sequence[Component]] = {}
        for meter in sorted(self._meters, key=lambda m: m.self_paced):  # who sets the pace starts last
            if meter.name in self._optional and _is_covered(offers):
                continue
            try:
                offers[meter.name] = meter.start(tick, interval_s)
            except MeterError as error:
                if meter.name not in self._optional:
                    raise
                self.unavailable[meter.name] = str(error)
        self._meters = [meter for meter in self._meters if meter.name in offers]
        self._choice = choose([(meter.name, offers[meter.name]) for meter in self._meters])
        if not self._choice.kept:
            why = "; ".join(f"{name}: {reason}" for name, reason in self.unavailable.items())
            raise MeterError(f"no meter covers any component of this machine ({why}); 'auditor doctor' says more")
        self.components = [self._record(meter, c) for meter, c in self._choice.kept]
        self.components += [self._record(meter, c, check=True) for meter, c in self._choice.checks]

    def read(self) -> dict[str, int]:
        """Cumulative microjoules by component, and by ``<component>@<meter>`` for second opinions.

        A meter that fails is left out from then on: its components end there.

        Raises:
            MeterError: no meter is left.
        """
        energy: dict[str, int] = {}
        for meter in list(self._meters):
            try:
                said = meter.read()
            except MeterError as error:
                self._meters.remove(meter)
                print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log
                with contextlib.suppress(MeterError):
                    meter.stop()
                if not self._meters:
                    raise
                continue
            energy |= {c.key: said[c.name] for c in self.components if c.meter == meter.name and c.name in said}
        return energy

    def process_ns(self) -> dict[str, Mapping[int, int]]:
        """Device time by component, then by process id; only of components on the books whose driver tells it."""
        known: dict[str, Mapping[int, int]] = {}
        for meter in self._meters:
            if isinstance(meter, ProcessUsage):
                kept = {c.name for c in self.components if c.meter == meter.name and not c.check}
                known |= {name: used for name, used in meter.process_ns().items() if name in kept}
        return known

    @property
    def wants_memory(self) -> bool:
        """Whether who holds memory matters: not where its power is a constant, which follows the slots."""
        return any(c.name == "ram" and c.provenance != Provenance.CONSTANT for c in self.components if not c.check)

    def sample(self) -> None:
        """Take a sample of every meter now."""
        for meter in self._meters:
            meter.sample()

    def stop(self) -> None:
        """Stop all."""
        for meter in self._meters:
            meter.stop()

    def _record(self, meter: str, component: Component, *, check: bool = False) -> ComponentRecord:
        kind = component.name.partition(":")[0]
        given = self.static_w.get(component.name, self.static_w.get(kind))
        if given is not None and not check:
            component = replace(component, static_w=given)
        source = "" if component.static_w is None else "configuration" if given is not None and not check else "model"
        return ComponentRecord(
            name=component.name,
            meter=meter,
            provenance=component.provenance.value,
            static_w=component.static_w,
            static_source=source,
            low_w=component.low_w,
            high_w=component.high_w,
            detail=component.detail,
            counter=component.counter,
            wrap_uj=component.wrap_uj,
            attributable=component.attributable,
            check=check,
        )


def _is_covered(offers: Mapping[str, Sequence[Component]]) -> bool:
    """Whether every part of this machine has a hardware counter already."""
    from auditor.metering.slots import gpu_count

    counted = {
        c.name.partition(":")[0] for found in offers.values() for c in found if c.provenance is Provenance.COUNTER
    }
    return {"cpu", "ram"} <= counted and ("gpu" in counted or gpu_count() == 0)


class Calibration:
    """Looks for the least power of components while little runs yet: what they draw without load.

    Args:
        components: What is metered; only those on the books without a stated static power are looked at.
        known_w: What was found earlier in this boot, by ``<component>@<meter>``; a lower figure replaces it.
    """

    def __init__(self, components: Sequence[ComponentRecord], known_w: Mapping[str, float]) -> None:
        found = [c for c in components if not c.check and c.static_w is None and c.attributable]
        self._names = [c.name for c in found]
        self._meter = {c.name: f"{c.name}@{c.meter}" for c in found}
        self._known_w = {name: known_w[key] for name, key in self._meter.items() if key in known_w}
        self._samples: list[tuple[int, dict[str, int]]] = []

    def wants_more(self) -> bool:
        """Whether another sample is needed."""
        if not self._names:
            return False
        return not self._samples or self._samples[-1][0] - self._samples[0][0] < CALIBRATION_S * NS_PER_S

    def add(self, t_ns: int, energy_uj: Mapping[str, int]) -> None:
        """Take a reading into account."""
        self._samples.append((t_ns, {name: energy_uj[name] for name in self._names if name in energy_uj}))

    def static_w(self) -> dict[str, float]:
        """Least power of each component over half a second or more, in watts, this time or earlier in this boot."""
        found: dict[str, float] = dict(self._known_w)
        for begin, (t_ns, energy) in enumerate(self._samples):
            for later_ns, later in self._samples[begin + 1 :]:
                if later_ns - t_ns < WINDOW_S * NS_PER_S:
                    continue
                for name in energy.keys() & later.keys():
                    power_w = (later[name] - energy[name]) * 1e3 / (later_ns - t_ns)
                    found[name] = min(power_w, found.get(name, power_w))
                break
        return found

    def to_keep(self) -> dict[str, float]:
        """What was found, for other agents of this boot: a figure of one meter says nothing of another's."""
        return {self._meter[name]: watts for name, watts in self.static_w().items()}
