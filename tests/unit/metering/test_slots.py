import os
from pathlib import Path

import pynvml
import pytest

from auditor.metering.slots import cpu_slots, gpu_count


@pytest.fixture
def control_groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files of the control group by name, in place of the machine's own."""
    files: dict[str, str] = {}

    def read(path: Path) -> str:
        if path.name not in files:
            raise FileNotFoundError(path)
        return files[path.name]

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    return files


def test_slots_are_the_cpus_of_the_affinity(control_groups: dict[str, str]) -> None:
    assert cpu_slots() == 4.0


@pytest.mark.parametrize(
    ("files", "slots"),
    [
        ({"cpu.max": "max 100000"}, 4.0),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "900000 100000"}, 4.0),
        ({"cpu.max": "what"}, 4.0),
        ({"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 4.0),
        ({"cpu.cfs_quota_us": "50000"}, 4.0),
    ],
)
def test_the_quota_of_the_control_group_cuts_them(
    control_groups: dict[str, str], files: dict[str, str], slots: float
) -> None:
    control_groups.update(files)
    assert cpu_slots() == slots


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert gpu_count() == 0


def test_gpus_are_counted_and_the_driver_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: calls.append("init"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: calls.append("shutdown"))
    assert gpu_count() == 3
    assert calls == ["init", "shutdown"]
