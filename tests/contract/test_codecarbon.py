"""What the CodeCarbon meter relies on in CodeCarbon, and what must not reach its figures."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component
from auditor.testing import FakeNvml
from auditor.testing.nvml import GPU_IS_LOST
from auditor_plugins.meters.codecarbon import CodeCarbonMeter, _processor_name

pytestmark = pytest.mark.slow


@pytest.fixture
def meter() -> Iterator[CodeCarbonMeter]:
    made = CodeCarbonMeter()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def plain() -> Sequence[Component]:
    """What this machine has, with nothing set."""
    meter = CodeCarbonMeter()
    try:
        return meter.start(lambda: None, 1.0)
    finally:
        meter.stop()


def figures(components: Sequence[Component]) -> dict[str, tuple[object, ...]]:
    return {c.name: (c.provenance, c.static_w, c.low_w, c.high_w) for c in components}


def test_the_private_names_are_there(meter: CodeCarbonMeter) -> None:
    meter.start(lambda: None, 1.0)
    hardware = {type(part).__name__: part for part in meter._tracker._hardware}
    assert {"CPU", "RAM"} <= set(hardware)
    cpu = hardware["CPU"]
    assert cpu._mode in {"cpu_load", "constant", "intel_rapl"}
    assert float(cpu._tdp) > 0
    assert isinstance(cpu._model, str)
    assert float(hardware["RAM"].total_power().W) > 0


def test_components_say_how_they_are_measured(plain: Sequence[Component]) -> None:
    found = {c.name: c for c in plain}
    assert found["ram"].provenance is Provenance.CONSTANT
    assert found["ram"].static_w is not None
    assert found["ram"].static_w > 0
    assert found["cpu"].provenance in {Provenance.COUNTER, Provenance.MODELLED, Provenance.CONSTANT}
    assert all(c.detail for c in plain)


def test_a_modelled_cpu_has_the_models_bounds(plain: Sequence[Component]) -> None:
    (cpu,) = (c for c in plain if c.name == "cpu")
    if cpu.provenance is not Provenance.MODELLED:
        pytest.skip("the CPU of this machine is not modelled by load")
    assert cpu.high_w is not None
    assert cpu.low_w == cpu.static_w == pytest.approx(0.1 * cpu.high_w)


def test_the_processor_has_the_name_that_codecarbon_would_find(
    meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cpuinfo
    from codecarbon.core.util import detect_cpu_model

    found = cpuinfo.get_cpu_info()["brand_raw"]
    assert _processor_name() in {found, ""}
    asked: list[int] = []
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: asked.append(1) or {"brand_raw": found})
    detect_cpu_model.cache_clear()
    (cpu,) = (c for c in meter.start(lambda: None, 1.0) if c.name == "cpu")
    assert found in cpu.detail or cpu.provenance is Provenance.COUNTER
    assert bool(asked) == (not _processor_name())
    assert cpuinfo.get_cpu_info() == {"brand_raw": found}  # as it was


def test_a_processor_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\nCPU part\t: 0xd0c\n")
    assert _processor_name(tmp_path / "cpuinfo") == ""
    assert _processor_name(tmp_path / "none") == ""
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 7B13: x\nmodel name\t: other\n")
    assert _processor_name(tmp_path / "cpuinfo") == "AMD EPYC 7B13: x"


HOSTILE = {
    "CODECARBON_PUE": "2",
    "CODECARBON_WUE": "2",
    "CODECARBON_FORCE_CPU_POWER": "500",
    "CODECARBON_FORCE_RAM_POWER": "900",
    "CODECARBON_FORCE_MODE_CPU_LOAD": "true",
    "CODECARBON_TRACKING_MODE": "process",
    "CODECARBON_GPU_IDS": "0,1",
    "CODECARBON_MEASURE_POWER_SECS": "60",
    "CODECARBON_API_CALL_INTERVAL": "-1",
    "CODECARBON_SAVE_TO_FILE": "true",
    "CODECARBON_SAVE_TO_API": "true",
    "CODECARBON_OUTPUT_METHODS": "csv",
    "CODECARBON_ALLOW_MULTIPLE_RUNS": "false",
    "CODECARBON_RAPL_INCLUDE_DRAM": "true",
}


@pytest.mark.parametrize("by", ["environment", "file"])
def test_settings_from_outside_change_nothing(
    by: str, plain: Sequence[Component], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    if by == "environment":
        for name, value in HOSTILE.items():
            monkeypatch.setenv(name, value)
    else:
        lines = [f"{name.removeprefix('CODECARBON_').lower()} = {value}" for name, value in HOSTILE.items()]
        (tmp_path / ".codecarbon.config").write_text("\n".join(["[codecarbon]", *lines]) + "\n")
    before = {path.name for path in tmp_path.iterdir()}
    meter = CodeCarbonMeter()
    enough = threading.Event()
    seen: list[dict[str, int]] = []

    def tick() -> None:
        seen.append(dict(meter.read()))
        if len(seen) > 3:
            enough.set()

    try:
        components = meter.start(tick, 0.5)
        assert enough.wait(10), "the interval is the one asked for"
        pue = meter._tracker._pue
    finally:
        meter.stop()
    assert figures(components) == figures(plain)
    assert pue == 1.0
    for component in components:  # energy is power times time, of the hardware and not of the settings
        drawn_w = (seen[3][component.name] - seen[1][component.name]) / 1e6 / 1.0
        if component.high_w is not None:
            assert drawn_w <= 1.3 * component.high_w
        elif component.static_w:
            assert drawn_w == pytest.approx(component.static_w, rel=0.3)
    assert {path.name for path in tmp_path.iterdir()} == before  # and no file is written


def test_two_meters_run_side_by_side(meter: CodeCarbonMeter, plain: Sequence[Component]) -> None:
    other = CodeCarbonMeter()
    try:
        assert figures(other.start(lambda: None, 1.0)) == figures(meter.start(lambda: None, 1.0)) == figures(plain)
    finally:
        other.stop()


def test_a_tracker_that_meters_nothing_is_an_error(meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    from codecarbon import OfflineEmissionsTracker

    def broken(self: object) -> None:
        raise RuntimeError("no sensors")

    monkeypatch.setattr(OfflineEmissionsTracker, "_do_measurements", broken)
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    with pytest.raises(MeterError, match=r"codecarbon: it measures nothing \(RuntimeError\('no sensors'\)\)"):
        meter.start(lambda: None, 1.0)


def test_a_tracker_that_cannot_be_made_is_an_error(meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    from codecarbon import OfflineEmissionsTracker

    def broken(self: object) -> None:
        raise RuntimeError("no scheduler")

    monkeypatch.setattr(OfflineEmissionsTracker, "_initialize_scheduler_state", broken)
    with pytest.raises(MeterError, match="codecarbon: it measures nothing"):
        meter.start(lambda: None, 1.0)


def test_a_tracker_that_breaks_later_is_an_error_and_no_silence(
    meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked = threading.Event()
    meter.start(ticked.set, 0.2)
    assert ticked.wait(5)

    def broken() -> None:
        raise RuntimeError("sensors gone")

    monkeypatch.setattr(meter._tracker, "_do_measurements", broken)
    ticked.clear()
    assert ticked.wait(5), "the reader must hear of it"
    with pytest.raises(MeterError, match="sensors gone"):
        meter.read()


def test_rapl_counters_are_read_and_named(
    meter: CodeCarbonMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codecarbon.core import cpu, hardware_cache
    from codecarbon.external.hardware import CPU

    zone = tmp_path / "intel-rapl" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in {"name": "package-0", "max_energy_range_uj": "262143328850", "energy_uj": "5000000"}.items():
        (zone / name).write_text(text)
    defaults = CPU.__init__.__defaults__
    assert defaults is not None
    monkeypatch.setattr(CPU.__init__, "__defaults__", (str(tmp_path), *defaults[1:]))
    monkeypatch.setattr(cpu, "is_rapl_available", lambda: True)
    hardware_cache.clear_cache()
    try:
        found = {c.name: c for c in meter.start(lambda: None, 60.0)}
        assert found["cpu"].provenance is Provenance.COUNTER
        assert "RAPL counters intel-rapl:0" in found["cpu"].detail
        assert found["cpu"].static_w is None
        before = meter.read()["cpu"]
        (zone / "energy_uj").write_text("9000000")
        meter.sample()
        assert meter.read()["cpu"] - before == pytest.approx(4_000_000, abs=10)
        (zone / "energy_uj").unlink()
        meter.sample()
        with pytest.raises(MeterError, match=r"codecarbon: .*energy_uj does not answer any more"):
            meter.read()
    finally:
        hardware_cache.clear_cache()


def test_without_a_load_half_the_rated_power_is_assumed(
    meter: CodeCarbonMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codecarbon.core import cpu, hardware_cache

    monkeypatch.setattr(cpu, "is_psutil_available", lambda: False)
    monkeypatch.setattr(cpu, "is_rapl_available", lambda: False)
    hardware_cache.clear_cache()
    taken: list[tuple[float, dict[str, int]]] = []
    try:
        found = {c.name: c for c in meter.start(lambda: taken.append((time.monotonic(), dict(meter.read()))), 0.5)}
        time.sleep(2.2)
    finally:
        hardware_cache.clear_cache()
    assert found["cpu"].provenance is Provenance.CONSTANT
    (t0, first), (t1, last) = taken[1], taken[-1]
    assert (last["cpu"] - first["cpu"]) / 1e6 / (t1 - t0) == pytest.approx(found["cpu"].static_w, rel=0.1)


# With GPUs: CodeCarbon looks for them when it is imported, so each in an interpreter of its own.

READ = """
import json, os, time
from auditor.domain.errors import AuditorError
from auditor_plugins.meters.codecarbon import CodeCarbonMeter, _processor_name
meter, taken = CodeCarbonMeter(), []
def tick():
    try:
        taken.append((time.monotonic(), dict(meter.read())))
    except AuditorError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        os._exit(0)
try:
    components = meter.start(tick, 0.5)
except AuditorError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    os._exit(0)
print(json.dumps({c.name: [c.provenance, c.detail] for c in components}), flush=True)
time.sleep(3.3)
meter.stop()
(t0, first), (t1, last) = taken[1], taken[-1]
print(json.dumps({name: (last[name] - first[name]) / 1e6 / (t1 - t0) for name in last}))
"""


@pytest.fixture
def gpus(tmp_path: Path) -> FakeNvml:
    if shutil.which("cc") is None:
        pytest.skip("the GPUs are a C library, and there is no C compiler")
    fake = FakeNvml(tmp_path)
    for gpu, watts in enumerate((100, 250)):
        fake.power(gpu, watts, runs=True)
    return fake


def read(environment: dict[str, str], during: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """What a meter in another process says: components, and then power in watts; or an error."""
    with subprocess.Popen(
        [sys.executable, "-c", READ], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        during()
        lines += process.stdout.read().splitlines()
    assert process.returncode == 0
    return [json.loads(line) for line in lines]


def test_gpus_are_summed_by_their_counters(gpus: FakeNvml) -> None:
    components, watts = read({**gpus.environment(), "CUDA_VISIBLE_DEVICES": "1"})
    assert set(components) == {"cpu", "ram", "gpu"}
    assert components["gpu"] == ["counter", "sum of 2 GPUs, energy counters"]
    assert watts["gpu"] == pytest.approx(350, rel=0.1)


def test_a_gpu_without_a_counter_is_sampled(gpus: FakeNvml) -> None:
    gpus.energy(1, None)
    components, watts = read(gpus.environment())
    assert components["gpu"][0] == "sampled"
    assert watts["gpu"] == pytest.approx(350, rel=0.15)


def test_a_gpu_that_is_lost_is_an_error_and_no_zero(gpus: FakeNvml) -> None:
    components, end = read(gpus.environment(), lambda: gpus.fail(1, GPU_IS_LOST))
    assert components["gpu"][0] == "counter"
    assert end == {"error": "codecarbon: GPU 1 does not answer any more"}


def test_a_gpu_that_fails_at_the_start_is_an_error_and_no_silence(gpus: FakeNvml) -> None:
    gpus.fail(0, GPU_IS_LOST)
    (end,) = read(gpus.environment())
    assert end["error"].startswith("codecarbon: it measures nothing")


def test_nvidia_smi_without_its_driver_is_no_gpu(gpus: FakeNvml) -> None:
    components, _ = read({**gpus.environment(), "FAKE_NVML": ""})
    assert set(components) == {"cpu", "ram"}


AMDSMI = """
import time
class AmdSmiException(Exception): ...
class amdsmi_exception:
    class AmdSmiLibraryException(AmdSmiException): ...
def amdsmi_init(*_): ...
def amdsmi_get_processor_handles(): return [0, 1]
def amdsmi_get_gpu_device_bdf(handle): return "0000:00"
def amdsmi_get_gpu_device_uuid(handle): return f"uuid-{handle}"
def amdsmi_get_gpu_asic_info(handle): return {"market_name": "Radeon"}
def amdsmi_get_gpu_vram_usage(handle): return {"vram_total": 1000, "vram_used": 10}
def amdsmi_get_power_cap_info(handle): return {"power_cap": 300_000_000}
def amdsmi_get_power_info(handle): return {"average_socket_power": 60}
def amdsmi_get_gpu_activity(handle): return {"gfx_activity": 1}
def amdsmi_get_energy_count(handle):
    return {"energy_accumulator": int(time.monotonic() * (60 + 30 * handle) * 1e6 / 15.3), "counter_resolution": 15.3}
"""


def test_amd_gpus_are_summed_by_their_counters(tmp_path: Path) -> None:
    (tmp_path / "amdsmi.py").write_text(AMDSMI)
    smi = tmp_path / "rocm-smi"
    smi.write_text("#!/bin/sh\nexit 0\n")
    smi.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    components, watts = read({"PYTHONPATH": str(tmp_path), "PATH": path, "ROCR_VISIBLE_DEVICES": "1"})
    assert components["gpu"] == ["counter", "sum of 2 GPUs, energy counters"]
    assert watts["gpu"] == pytest.approx(150, rel=0.1)


def test_stopping_before_the_start_does_nothing() -> None:
    CodeCarbonMeter().stop()
