"""NVML through the real nvidia-ml-py, against a library without GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component, Meter
from auditor.testing import FakeNvml, MeterContract
from auditor.testing.nvml import GPU_IS_LOST
from auditor_plugins.meters.nvml import NvmlMeter, _Gpu, _use


@pytest.fixture
def gpus(tmp_path: Path) -> Iterator[FakeNvml]:
    """Two GPUs of 50 W whose energy counter stands still."""
    if shutil.which("cc") is None:
        pytest.skip("the GPUs are a C library, and there is no C compiler")
    fake = FakeNvml(tmp_path)
    for gpu in (0, 1):
        fake.energy(gpu, 1000.0)
    with fake.loaded():
        yield fake


class TestCounters(MeterContract):
    interval_s = 0.05
    samples = 5

    @pytest.fixture
    def meter(self, gpus: FakeNvml) -> Iterator[Meter]:
        gpus.power(0, 100, runs=True)
        gpus.power(1, 250, runs=True)
        gpus.users(0, (10, 60), (11, 40))
        self.gpus = gpus
        made = NvmlMeter()
        yield made
        made.stop()

    def again(self) -> Meter:
        return NvmlMeter()

    def expected_w(self, component: Component) -> float:
        return {self.gpus.uuids[0]: 100.0, self.gpus.uuids[1]: 250.0}[component.name.removeprefix("gpu:")]


class TestIntegratedPower(MeterContract):
    interval_s = 0.05
    samples = 5

    @pytest.fixture
    def meter(self, gpus: FakeNvml) -> Iterator[Meter]:
        for gpu in (0, 1):
            gpus.energy(gpu, None)
            gpus.power(gpu, 120)
        made = NvmlMeter()
        yield made
        made.stop()

    def expected_w(self, component: Component) -> float:
        return 120.0


def started(meter: NvmlMeter) -> dict[str, Component]:
    return {c.name.removeprefix("gpu:"): c for c in meter.start(lambda: None, 1.0)}


@pytest.fixture
def meter() -> Iterator[NvmlMeter]:
    made = NvmlMeter()
    yield made
    made.stop()


def test_each_gpu_is_a_component_with_its_counter(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.energy(1, None)
    found = started(meter)
    assert list(found) == gpus.uuids
    first, second = found.values()
    assert (first.provenance, first.counter, first.high_w) == (Provenance.COUNTER, f"nvml {gpus.uuids[0]}", 300.0)
    assert (second.provenance, second.counter) == (Provenance.SAMPLED, "")
    assert meter.read()[first.name] == 1_000_000_000


def test_processes_share_a_gpu_by_their_multiprocessor_time(gpus: FakeNvml, meter: NvmlMeter) -> None:
    started(meter)
    gpus.users(0, (10, 75), (11, 25))
    before = dict.fromkeys((10, 11), 0) | dict(meter.process_ns()[f"gpu:{gpus.uuids[0]}"])
    begin_ns = time.monotonic_ns()
    for _ in range(3):
        time.sleep(0.1)
        used = meter.process_ns()
    passed_ns = time.monotonic_ns() - begin_ns
    after = used[f"gpu:{gpus.uuids[0]}"]
    assert (after[10] - before[10]) / passed_ns == pytest.approx(0.75, rel=0.1)
    assert (after[11] - before[11]) / passed_ns == pytest.approx(0.25, rel=0.1)
    assert used[f"gpu:{gpus.uuids[1]}"] == {}  # known: nobody


def test_samples_that_come_seldom_count_whole(gpus: FakeNvml, meter: NvmlMeter) -> None:
    started(meter)
    time.sleep(0.5)
    begin_us = time.monotonic_ns() // 1000
    gpus.users(0, (10, 80, begin_us))
    meter.process_ns()
    for _ in range(20):  # asked far more often than the driver looks
        time.sleep(0.02)
        assert meter.process_ns()[f"gpu:{gpus.uuids[1]}"] == {}
    before = meter.process_ns()[f"gpu:{gpus.uuids[0]}"][10]
    gpus.users(0, (10, 80, begin_us + 400_000))
    assert meter.process_ns()[f"gpu:{gpus.uuids[0]}"][10] - before == pytest.approx(0.8 * 400e6, rel=1e-6)


def test_a_process_that_comes_after_an_idle_hour_does_not_pay_for_it(gpus: FakeNvml, meter: NvmlMeter) -> None:
    started(meter)
    (gpu, _) = meter._gpus.values()
    gpu.started_ns -= 3600 * 10**9
    meter.process_ns()
    gpus.users(0, (10, 100))
    assert 0 < meter.process_ns()[f"gpu:{gpus.uuids[0]}"][10] <= 1.01e9


def test_each_sample_stands_for_the_time_since_the_one_before() -> None:
    gpu = _Gpu(None, Component(name="gpu:A", provenance=Provenance.COUNTER), True, started_ns=0)
    samples = [
        SimpleNamespace(pid=1, timeStamp=t, smUtil=u) for t, u in ((600_000, 50), (400_000, 100), (1_000_000, 0))
    ]
    rubbish = [
        SimpleNamespace(pid=1, timeStamp=900_000, smUtil=4_294_967_295),
        SimpleNamespace(pid=0, timeStamp=1, smUtil=9),
    ]
    _use(gpu, [*samples, *rubbish, SimpleNamespace(pid=2, timeStamp=1_000_000, smUtil=10)], 1_000_000_000)
    assert gpu.used_ns == {1: 500_000_000, 2: 100_000_000}
    _use(gpu, samples, 2_000_000_000)  # seen before
    assert gpu.used_ns == {1: 500_000_000, 2: 100_000_000}


def test_a_driver_without_news_knows_that_nobody_used_it(
    gpus: FakeNvml, meter: NvmlMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    started(meter)
    for code in (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INSUFFICIENT_SIZE):

        def silent(handle: object, after_us: int, code: int = code) -> None:
            raise pynvml.NVMLError(code)

        monkeypatch.setattr(pynvml, "nvmlDeviceGetProcessUtilization", silent)
        assert meter.process_ns() == {f"gpu:{uuid}": {} for uuid in gpus.uuids}


def test_a_driver_that_does_not_tell_is_left_out(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.tells_users(0, False)
    started(meter)
    assert list(meter.process_ns()) == [f"gpu:{gpus.uuids[1]}"]


def test_more_than_the_whole_is_scaled_down(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.users(0, (10, 100), (11, 100), (12, 100))
    begin_ns = time.monotonic_ns()
    started(meter)
    time.sleep(0.2)
    used = meter.process_ns()[f"gpu:{gpus.uuids[0]}"]
    assert 0 < sum(used.values()) <= time.monotonic_ns() - begin_ns


def test_mig_is_not_attributable(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.mig(1, True)
    first, second = started(meter).values()
    assert first.attributable
    assert not second.attributable
    assert "MIG" in second.detail
    assert list(meter.process_ns()) == [first.name]


def test_a_gpu_that_fails_at_the_start_is_left_out(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.fail(0, GPU_IS_LOST)
    found = started(meter)
    assert list(found) == gpus.uuids[1:]
    assert found[gpus.uuids[1]].detail.endswith("not metered: GPU 0: GPU is lost")
    gpus.fail(1, GPU_IS_LOST)
    with pytest.raises(MeterError, match=r"no GPU tells .*\(GPU 0: GPU is lost; GPU 1: GPU is lost\)"):
        NvmlMeter().start(lambda: None, 1.0)


def test_a_gpu_that_is_lost_is_an_error_and_no_zero(gpus: FakeNvml, meter: NvmlMeter) -> None:
    started(meter)
    gpus.fail(1, GPU_IS_LOST)
    with pytest.raises(MeterError, match=f"gpu:{gpus.uuids[1]} does not answer any more"):
        meter.read()


def test_a_gpu_lost_while_its_power_is_integrated_is_an_error(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.energy(0, None)
    started(meter)
    gpus.fail(0, GPU_IS_LOST)
    time.sleep(0.4)
    with pytest.raises(MeterError, match="does not answer any more"):
        meter.read()


def test_without_a_driver_it_says_so(gpus: FakeNvml, meter: NvmlMeter) -> None:
    del os.environ["FAKE_NVML"]
    with pytest.raises(MeterError, match="no NVIDIA driver answers"):
        meter.start(lambda: None, 1.0)


def test_gpus_held_are_told_by_uuid(gpus: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.metering.slots import gpu_count, visible_gpus

    assert gpu_count() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus(0.5) == {gpus.uuids[1]: 0.5}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(gpus.uuids))
    assert visible_gpus(2) == dict.fromkeys(gpus.uuids, 1.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-7")
    assert visible_gpus(1) == {}
    assert visible_gpus(0) == {}
    assert visible_gpus(0.5, "0") == {gpus.uuids[0]: 0.5}  # another process's


def test_energy_never_goes_back_while_its_power_changes(gpus: FakeNvml, meter: NvmlMeter) -> None:
    gpus.power(0, 200, runs=True)
    (name, _) = (c.name for c in meter.start(lambda: None, 1.0))
    done = threading.Event()

    def change() -> None:
        watts = 100
        while not done.wait(0.0005):
            watts = 700 - watts
            gpus.power(0, watts, runs=True)

    thread = threading.Thread(target=change)
    thread.start()
    readings = [meter.read()[name] for _ in range(20_000)]
    done.set()
    thread.join()
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]


def test_the_gpus_of_the_machine_come_back(tmp_path: Path) -> None:
    import pynvml

    if shutil.which("cc") is None:
        pytest.skip("the GPUs are a C library, and there is no C compiler")

    def seen() -> list[str]:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return [str(error)]
        return [
            pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(pynvml.nvmlDeviceGetCount())
        ]

    before, fake = seen(), FakeNvml(tmp_path, gpus=3)
    with fake.loaded():
        assert seen() == fake.uuids
    assert seen() == before


def test_a_process_without_the_variable_is_not_disturbed(gpus: FakeNvml, tmp_path: Path) -> None:
    code = "import pynvml\ntry:\n pynvml.nvmlInit()\nexcept pynvml.NVMLError as error:\n print(error)"
    for state in (None, str(tmp_path / "gone")):
        environment = {**os.environ, **gpus.environment()}
        environment.pop("FAKE_NVML")
        if state:
            environment["FAKE_NVML"] = state
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert result.stdout.strip() == "Driver Not Loaded"


def test_gpus_a_training_holds(gpus: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.metering.slots import gpus_held

    first, second = gpus.uuids
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_held(None) == {}  # it could use any, which is not holding them
    assert gpus_held([]) == {}
    assert gpus_held([1]) == {second: 1.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert gpus_held(None) == {first: 1.0, second: 1.0}
    assert gpus_held([0]) == {second: 1.0}  # as CUDA counts those that are visible
