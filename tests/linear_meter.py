"""A node whose true power is known: static, and so many joules a CPU second of whoever computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from auditor.domain.provenance import Provenance
from auditor.metering.processes import busy_ns
from auditor.ports import Component

STATIC_W = 2.0
W_PER_CPU = 10.0


class LinearMeter:
    """Absolute since boot, as a hardware counter is."""

    name = "linear_meter:LinearMeter"
    self_paced = False
    counter = "linear"
    provenance = Provenance.COUNTER

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        return [Component(name="cpu", provenance=self.provenance, static_w=STATIC_W, counter=self.counter)]

    def read(self) -> Mapping[str, int]:
        return {"cpu": round(STATIC_W * time.monotonic_ns() / 1e3 + W_PER_CPU * busy_ns() / 1e3)}

    def sample(self) -> None:
        pass

    def stop(self) -> None:
        pass


class LinearModel(LinearMeter):
    """The same figures, as a model gives them: they mean nothing to another meter."""

    name = "linear_meter:LinearModel"
    counter = ""
    provenance = Provenance.MODELLED
