"""CodeCarbon as a meter of the whole node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import kwh_to_uj
from auditor.ports import Component

_CPU_IDLE_SHARE = 0.1  # of the rated power: CodeCarbon's load model is TDP * (0.1 + 0.9 * load^3)


class CodeCarbonMeter:
    """One CodeCarbon tracker in machine mode, read by its running totals.

    It sets the pace: the tracker measures on its own timer and calls ``tick`` from there, so that process usage is read
    at the same instant. Every option is passed explicitly, since CodeCarbon fills what is left out from
    ``.codecarbon.config`` files and the environment. The offline tracker looks nothing up on the network.
    """

    name = "codecarbon"
    self_paced = True

    def __init__(self) -> None:
        self._tracker: Any = None
        self._tick: Callable[[], None] | None = None
        self._totals: dict[str, int] = {}

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin metering; see :class:`auditor.ports.Meter`.

        Raises:
            MeterError: CodeCarbon found nothing to meter.
        """
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.output_methods.base_output import BaseOutput

        meter = self

        class Totals(BaseOutput):
            def live_out(self, total: Any, delta: Any) -> None:
                meter._receive(total)

        self._tick = tick
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks before it reads log_level
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA",  # only its carbon figures depend on it, and nobody reads them
            tracking_mode="machine",
            measure_power_secs=interval_s,
            api_call_interval=1,
            output_methods=[],
            output_handlers=[Totals()],
            emissions_endpoint=None,
            allow_multiple_runs=True,
            gpu_ids=_gpu_indices(),
            pue=1.0,
            wue=0.0,
            force_cpu_power=None,
            force_ram_power=None,
            force_mode_cpu_load=False,
            force_carbon_intensity_g_co2e_kwh=None,
            rapl_include_dram=False,
            rapl_prefer_psys=False,
            log_level=logging.CRITICAL,
            logger_preamble="",
            project_name="nas-auditor",
            experiment_name="nas-auditor",
            metadata=None,
        )
        self._guard()
        self._tracker.start()
        components = [_describe(part) for part in self._tracker._hardware]
        if not self._totals:  # start() swallows every exception
            self.stop()
            raise MeterError("CodeCarbon started but metered nothing; run 'codecarbon monitor' to see its own messages")
        self._totals = {c.name: self._totals[c.name] for c in components}
        return components

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules by component, as of the tracker's last measurement."""
        return dict(self._totals)

    def sample(self) -> None:
        """Measure now; its totals reach ``tick`` as those of the regular measurements do."""
        if self._tracker is not None:
            self._tracker._measure_power_and_energy()

    def stop(self) -> None:
        """Stop the tracker."""
        if self._tracker is not None:
            self._tick = None
            self._tracker.stop()
            self._tracker = None

    def _guard(self) -> None:
        """Let one thread measure at a time: two would both count the energy since the last measurement."""
        measure, lock = self._tracker._measure_power_and_energy, threading.Lock()

        def measure_alone() -> None:
            with lock:
                measure()

        self._tracker._measure_power_and_energy = measure_alone
        self._tracker._scheduler.function = measure_alone

    def _receive(self, total: Any) -> None:
        latest = {
            "cpu": kwh_to_uj(total.cpu_energy),
            "ram": kwh_to_uj(total.ram_energy),
            "gpu": kwh_to_uj(total.gpu_energy),
        }
        known = self._totals or latest
        self._totals = {name: latest[name] for name in known}
        if self._tick is not None:
            self._tick()


def _gpu_indices() -> list[int] | None:
    """All NVIDIA GPUs by index; ``None`` without one, where explicit indices would make CodeCarbon report GPUs."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return list(range(pynvml.nvmlDeviceGetCount())) or None
    finally:
        pynvml.nvmlShutdown()


def _describe(part: Any) -> Component:
    """Read off a CodeCarbon hardware object what is really measured, and how."""
    kind = type(part).__name__
    if kind == "RAM":
        watts = float(part.total_power().W)
        return Component(
            name="ram",
            provenance=Provenance.CONSTANT,
            static_w=watts,
            detail=f"{watts:.3g} W assumed from the number of memory modules",
        )
    if kind == "CPU":
        if part._mode == "intel_rapl":
            return Component(name="cpu", provenance=Provenance.COUNTER, detail="RAPL package energy counters")
        tdp_w = float(part._tdp)
        load = part._mode == "cpu_load"
        return Component(
            name="cpu",
            provenance=Provenance.MODELLED if load else Provenance.CONSTANT,
            static_w=tdp_w * _CPU_IDLE_SHARE if load else tdp_w,
            low_w=tdp_w * _CPU_IDLE_SHARE,
            high_w=tdp_w,
            detail=f"{part._model}, rated {tdp_w:.3g} W" + (", scaled by the cube of the load" if load else ""),
        )
    if kind == "GPU":
        return Component(
            name="gpu", provenance=Provenance.COUNTER, detail="sum of all NVIDIA GPUs by their energy counters"
        )
    return Component(name="cpu", provenance=Provenance.SAMPLED, detail=f"CodeCarbon {kind}")
