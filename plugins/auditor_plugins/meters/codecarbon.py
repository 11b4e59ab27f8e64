"""CodeCarbon as a meter of the whole node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import kwh_to_uj
from auditor.ports import Component

_CPU_IDLE_SHARE = 0.1  # of the rated power: CodeCarbon's load model is TDP * (0.1 + 0.9 * load^3)
_CPU_CONSTANT_SHARE = 0.5  # of the rated power, where it can't tell the load either
_MOST_GPUS = 64


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
        self._fault: MeterError | None = None

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

        self._tick, self._totals, self._fault = tick, {}, None
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks before it reads log_level
        with _processor_told():
            self._begin(OfflineEmissionsTracker, Totals(), interval_s)
        if not self._totals:
            self.stop()
            raise self._fault or MeterError("codecarbon: it measures nothing; 'codecarbon monitor' says more")
        components = [c for part in self._tracker._hardware if (c := _describe(part)) is not None]
        self._totals = {c.name: self._totals[c.name] for c in components}
        return components

    def _begin(self, tracker: Any, totals: Any, interval_s: float) -> None:
        self._tracker = tracker(
            country_iso_code="USA",  # only its carbon figures depend on it, and nobody reads them
            tracking_mode="machine",
            measure_power_secs=interval_s,
            api_call_interval=1,
            output_methods=[],
            output_handlers=[totals],
            emissions_endpoint=None,
            allow_multiple_runs=True,
            gpu_ids=list(range(_MOST_GPUS)),  # left out, CUDA_VISIBLE_DEVICES would choose; it skips those not there
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
        if getattr(self._tracker, "_scheduler", None) is not None:  # its constructor swallows every exception
            self._guard()
            self._tracker.start()  # so does this

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules by component, as of the tracker's last measurement.

        Raises:
            MeterError: what CodeCarbon reads does not answer any more; it would count nothing from there on.
        """
        if self._fault is not None:
            raise self._fault
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
            try:
                with lock:
                    measure()
            except Exception as error:  # CodeCarbon would lose it, and no reading come any more
                self._fault = MeterError(f"codecarbon: it measures nothing ({error!r})")
                if self._tick is not None:
                    self._tick()

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
        if silent := next(filter(None, map(_silent, self._tracker._hardware)), None):
            self._fault = MeterError(f"codecarbon: {silent} does not answer any more")
        if self._tick is not None:
            self._tick()


@contextmanager
def _processor_told() -> Iterator[None]:
    """Tell CodeCarbon the processor's name.

    It would ask py-cpuinfo, which forks and computes for a second to find what stands in ``/proc/cpuinfo`` on most
    machines; a takeover would go without readings as long, and a forked child would keep the agent's lease.
    """
    import cpuinfo

    ask, name = cpuinfo.get_cpu_info, _processor_name()
    cpuinfo.get_cpu_info = (lambda: {"brand_raw": name}) if name else ask
    try:
        yield
    finally:
        cpuinfo.get_cpu_info = ask


def _processor_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """What the kernel calls the processor; empty where it has no name for it."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _gpus(part: Any) -> list[Any]:
    """The GPUs that a CodeCarbon hardware object sums."""
    return [gpu for gpu in part.devices.devices if gpu.gpu_index in part.gpu_ids]


def _counters(part: Any) -> list[Any]:
    """The RAPL counters that a CodeCarbon hardware object sums."""
    if part._mode != "intel_rapl":
        return []
    rapl = part._intel_interface
    return [counter for counter in rapl._rapl_files if counter.path not in rapl._mirrored_candidates]


def _silent(part: Any) -> str | None:
    """What CodeCarbon counts as 0 since it can't be read, where it says no more than a warning."""
    kind = type(part).__name__
    if kind == "GPU":
        return next((f"GPU {gpu.gpu_index}" for gpu in _gpus(part) if gpu._warned_power_failure), None)
    if kind == "CPU":
        return next((counter.path for counter in _counters(part) if counter.sample_skipped), None)
    return None


def _describe(part: Any) -> Component | None:
    """Read off a CodeCarbon hardware object what is really measured, and how; ``None``: nothing is."""
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
        return _describe_cpu(part)
    if kind == "GPU":
        gpus = _gpus(part)
        if not gpus:  # nvidia-smi is there, its driver is not
            return None
        counted = all(gpu._has_counter for gpu in gpus)
        return Component(
            name="gpu",
            provenance=Provenance.COUNTER if counted else Provenance.SAMPLED,
            detail=f"sum of {len(gpus)} GPUs, " + ("energy counters" if counted else "in part by power once a second"),
        )
    # Raspberry Pi: rails of its power chip, each read once a measurement
    return Component(name=part.chip_part.lower(), provenance=Provenance.SAMPLED, detail=f"power sensor of {kind}")


def _describe_cpu(part: Any) -> Component:
    from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE
    from codecarbon.core.util import count_physical_cpus

    if part._mode == "intel_rapl":
        zones = " ".join(Path(counter.path).parent.name for counter in _counters(part))
        return Component(
            name="cpu", provenance=Provenance.COUNTER, detail=f"RAPL counters {zones}, which 'rapl' reads too"
        )
    tdp_w = float(part._tdp)
    unknown = tdp_w == DEFAULT_POWER_PER_CORE * part._cpu_count * count_physical_cpus() or part._is_generic_tdp
    rated = f"{part._model}, {'unknown to CodeCarbon and taken as' if unknown else 'rated'} {tdp_w:.3g} W"
    if part._mode == "cpu_load":
        return Component(
            name="cpu",
            provenance=Provenance.MODELLED,
            static_w=tdp_w * _CPU_IDLE_SHARE,
            low_w=tdp_w * _CPU_IDLE_SHARE,
            high_w=tdp_w,
            detail=f"{rated}, scaled by the cube of the load",
        )
    return Component(
        name="cpu",
        provenance=Provenance.CONSTANT,
        static_w=tdp_w * _CPU_CONSTANT_SHARE,
        detail=f"{rated}, {_CPU_CONSTANT_SHARE:.0%} of it at any load",
    )
