"""NVIDIA GPUs one by one, by the driver's management library (NVML)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component

_POWER_S = 0.1
_SAMPLE_US = 1_000_000  # the driver looks at the processes every 1/6 s to 1 s
_NS_PER_US = 1_000
_UJ_PER_MJ = 1_000
_WHOLE = 100  # percent


@dataclass(slots=True)
class _Gpu:
    """A GPU: how its energy is read, and what its processes used so far."""

    handle: Any
    component: Component
    counts: bool
    started_ns: int
    energy_uj: float = 0.0
    power_w: float = 0.0
    sampled_ns: int = 0
    asked_us: int = 0
    asked_ns: int = 0
    used_ns: dict[int, int] = field(default_factory=dict)


class NvmlMeter:
    """Every GPU of this machine, whatever ``CUDA_VISIBLE_DEVICES`` says.

    Energy comes from the GPU's own counter where it has one (Volta and newer), otherwise its power is read ten times a
    second and integrated. Who used it comes from the driver's samples of each process's share of the multiprocessors.
    """

    name = "nvml"
    self_paced = False

    def __init__(self) -> None:
        self._gpus: dict[str, _Gpu] = {}
        self._fault: MeterError | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._open = False

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin metering; never calls ``tick``. See :class:`auditor.ports.Meter`.

        Raises:
            MeterError: no driver, or no GPU that tells its energy or power.
        """
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise MeterError(
                f"nvml: no NVIDIA driver answers ({error}); install one, and in a container pass the GPUs on"
            ) from None
        self._open, self._fault, self._gpus = True, None, {}
        failed = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                gpu = _look_at(pynvml.nvmlDeviceGetHandleByIndex(index))
                if not gpu.counts:
                    self._advance(gpu)
            except pynvml.NVMLError as error:  # the others go on
                failed.append(f"GPU {index}: {error}")
                continue
            self._gpus[gpu.component.name] = gpu
        if not self._gpus:
            self.stop()
            raise MeterError(f"nvml: no GPU tells its energy or power ({'; '.join(failed) or 'there is none'})")
        if any(not gpu.counts for gpu in self._gpus.values()):
            self._stopped.clear()
            self._thread = threading.Thread(target=self._integrate, daemon=True)
            self._thread.start()
        remark = f"; not metered: {', '.join(failed)}" if failed else ""
        return [replace(gpu.component, detail=gpu.component.detail + remark) for gpu in self._gpus.values()]

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules by component.

        Raises:
            MeterError: a GPU does not answer any more.
        """
        import pynvml

        if self._fault is not None:
            raise self._fault
        energy = {}
        for name, gpu in self._gpus.items():
            try:
                if gpu.counts:
                    energy[name] = int(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle)) * _UJ_PER_MJ
                else:
                    energy[name] = self._advance(gpu)
            except pynvml.NVMLError as error:
                raise MeterError(f"nvml: {name} does not answer any more ({error})") from error
        return energy

    def process_ns(self) -> Mapping[str, Mapping[int, int]]:
        """Nanoseconds of a whole GPU that each process used, by component; see :class:`auditor.ports.ProcessUsage`."""
        import pynvml

        # no sample, in two ways; or more of them than a moment ago: then the next question brings them
        no_news = (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        found: dict[str, Mapping[int, int]] = {}
        for name, gpu in self._gpus.items():
            if not gpu.component.attributable:
                continue
            try:
                samples = pynvml.nvmlDeviceGetProcessUtilization(gpu.handle, gpu.asked_us)
            except pynvml.NVMLError as error:
                if error.value not in no_news:  # not told on this GPU, or not to this user
                    continue
                samples = []
            _use(gpu, samples, time.monotonic_ns())
            found[name] = dict(gpu.used_ns)
        return found

    def sample(self) -> None:
        """Nothing to do: every reading is of its instant."""

    def stop(self) -> None:
        """Stop integrating and close the library."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
            self._thread = None
        if self._open:
            import pynvml

            self._open = False
            pynvml.nvmlShutdown()

    def _integrate(self) -> None:
        import pynvml

        while not self._stopped.wait(_POWER_S):
            for name, gpu in self._gpus.items():
                if not gpu.counts:
                    try:
                        self._advance(gpu)
                    except pynvml.NVMLError as error:
                        self._fault = MeterError(f"nvml: {name} does not answer any more ({error})")
                        return

    def _advance(self, gpu: _Gpu) -> int:
        """Add the energy since the last sample of power (trapezoid)."""
        import pynvml

        with self._lock:
            power_w = pynvml.nvmlDeviceGetPowerUsage(gpu.handle) / 1e3
            now_ns = time.monotonic_ns()
            if gpu.sampled_ns:
                gpu.energy_uj += (gpu.power_w + power_w) / 2 * (now_ns - gpu.sampled_ns) / 1e3
            gpu.power_w, gpu.sampled_ns = power_w, now_ns
            return int(gpu.energy_uj)


def _look_at(handle: Any) -> _Gpu:
    import pynvml

    uuid = str(pynvml.nvmlDeviceGetUUID(handle))
    model = str(pynvml.nvmlDeviceGetName(handle))
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        counts = True
    except pynvml.NVMLError_NotSupported:
        pynvml.nvmlDeviceGetPowerUsage(handle)
        counts = False
    try:
        split = pynvml.nvmlDeviceGetMigMode(handle)[0] == 1
    except pynvml.NVMLError:
        split = False
    try:
        limit_w: float | None = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3
    except pynvml.NVMLError:
        limit_w = None
    detail = f"{model}, {'energy counter' if counts else 'power read ten times a second'}"
    component = Component(
        name=f"gpu:{uuid}",
        provenance=Provenance.COUNTER if counts else Provenance.SAMPLED,
        high_w=limit_w,
        detail=detail + ("; split into MIG instances, which share this one figure" if split else ""),
        counter=f"nvml {uuid}" if counts else "",
        attributable=not split,
    )
    return _Gpu(handle, component, counts, started_ns=(now_ns := time.monotonic_ns()), asked_ns=now_ns)


def _use(gpu: _Gpu, samples: Sequence[Any], now_ns: int) -> None:
    """Add the multiprocessor time of new samples; each stands for the time since its process's sample before.

    The driver's times have an origin of their own and its samples come late, so none counts for longer than it is since
    the last question or since the driver looked last.
    """
    reach_us = max((now_ns - gpu.asked_ns) // _NS_PER_US, _SAMPLE_US)
    reach_us = min(reach_us, (now_ns - gpu.started_ns) // _NS_PER_US)
    gpu.asked_ns = now_ns
    sane = [s for s in samples if int(s.pid) and int(s.smUtil) <= _WHOLE]  # drivers are known to pass on rubbish
    latest_us = max((int(s.timeStamp) for s in sane), default=0)
    before_us = max(gpu.asked_us, latest_us - reach_us)
    if latest_us <= before_us:
        return
    last_us: dict[int, int] = {}
    used_ns: dict[int, float] = {}
    for sample in sorted(sane, key=lambda s: int(s.timeStamp)):
        pid, at_us = int(sample.pid), int(sample.timeStamp)
        passed_us = max(0, at_us - last_us.get(pid, before_us))
        last_us[pid] = max(at_us, before_us)
        used_ns[pid] = used_ns.get(pid, 0.0) + passed_us * _NS_PER_US * int(sample.smUtil) / _WHOLE
    whole_ns = (latest_us - before_us) * _NS_PER_US
    scale = min(1.0, whole_ns / total) if (total := sum(used_ns.values())) else 0.0
    for pid, amount_ns in used_ns.items():
        gpu.used_ns[pid] = gpu.used_ns.get(pid, 0) + int(amount_ns * scale)
    gpu.asked_us = latest_us
