"""The meters on a real NVIDIA GPU; skipped where there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Meter
from auditor.testing import MeterContract
from auditor_plugins.meters.nvml import NvmlMeter


def why_not() -> str:
    """Why nothing can be tried here; empty: it can."""
    meter = NvmlMeter()
    try:
        meter.start(lambda: None, 1.0)
    except MeterError as error:
        return str(error)
    finally:
        meter.stop()
    return ""


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    if reason := why_not():
        pytest.skip(reason)


pytestmark = pytest.mark.gpu


class TestNvmlMeter(MeterContract):
    interval_s = 0.3

    @pytest.fixture
    def meter(self) -> Iterator[Meter]:
        made = NvmlMeter()
        yield made
        made.stop()

    def again(self) -> Meter:
        return NvmlMeter()


@pytest.fixture
def meter() -> Iterator[NvmlMeter]:
    made = NvmlMeter()
    yield made
    made.stop()


def multiply(seconds: float) -> None:
    """Keep the first GPU busy."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this build of torch has no CUDA")
    matrix = torch.rand(4096, 4096, device="cuda:0")
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for _ in range(20):
            matrix = torch.nn.functional.normalize(matrix @ matrix)
        torch.cuda.synchronize()


def test_the_counter_shows_the_power_of_the_sensor(meter: NvmlMeter) -> None:
    import pynvml

    components = [c for c in meter.start(lambda: None, 1.0) if c.provenance is Provenance.COUNTER]
    if not components:
        pytest.skip("no GPU here has an energy counter")
    handles = {c.name: pynvml.nvmlDeviceGetHandleByUUID(c.name.removeprefix("gpu:")) for c in components}
    powers_w: dict[str, list[float]] = {name: [] for name in handles}
    begin_s, before = time.monotonic(), meter.read()
    while time.monotonic() - begin_s < 5:
        for name, handle in handles.items():
            powers_w[name].append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
        time.sleep(0.1)
    after, passed_s = meter.read(), time.monotonic() - begin_s
    for name, seen_w in powers_w.items():
        assert (after[name] - before[name]) / 1e6 / passed_s == pytest.approx(sum(seen_w) / len(seen_w), rel=0.1)


def test_work_is_seen_in_energy_and_device_time(meter: NvmlMeter) -> None:
    components = meter.start(lambda: None, 1.0)
    multiply(1)  # the first call sets up CUDA
    meter.process_ns()
    used_ns, begin_s, before = meter.process_ns(), time.monotonic(), meter.read()
    multiply(4)
    time.sleep(0.5)  # until the driver has looked
    after, now_ns, passed_s = meter.read(), meter.process_ns(), time.monotonic() - begin_s
    grown_uj = {c.name: after[c.name] - before[c.name] for c in components}
    assert all(grown > 0 for grown in grown_uj.values())
    assert all(grown_uj[c.name] <= 1.1e6 * c.high_w * passed_s for c in components if c.high_w is not None)
    if not now_ns:
        pytest.skip("the driver does not tell who uses a GPU")
    busiest = max(now_ns, key=lambda name: sum(now_ns[name].values()))
    used_s = (sum(now_ns[busiest].values()) - sum(used_ns[busiest].values())) / 1e9
    assert 0.5 * 4 < used_s <= 1.1 * passed_s
    if all(Path(f"/proc/{pid}").exists() for pid in now_ns[busiest]):  # the driver's process ids are those seen here
        assert os.getpid() in now_ns[busiest]


@pytest.mark.slow
def test_codecarbon_shows_the_same_sum(meter: NvmlMeter) -> None:
    from auditor_plugins.meters.codecarbon import CodeCarbonMeter

    other = CodeCarbonMeter()
    taken: list[tuple[int, int]] = []

    def tick() -> None:
        taken.append((sum(meter.read().values()), other.read().get("gpu", 0)))

    meter.start(lambda: None, 1.0)
    try:
        if "gpu" not in {c.name for c in other.start(tick, 0.5)}:
            pytest.skip("CodeCarbon finds no GPU; it needs nvidia-smi on the path")
        time.sleep(5)
    finally:
        other.stop()
    (nvml, codecarbon), (nvml_later, codecarbon_later) = taken[1], taken[-1]
    assert codecarbon_later - codecarbon == pytest.approx(nvml_later - nvml, rel=0.1)
