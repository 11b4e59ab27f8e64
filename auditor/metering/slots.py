"""The slots of this node: what can be reserved on it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path


def cpu_slots() -> float:
    """CPUs this process may use: its affinity, cut by the quota of its control group."""
    count = float(len(os.sched_getaffinity(0)))
    quota = _cgroup_quota()
    return count if quota is None else min(count, quota)


def gpu_count() -> int:
    """NVIDIA GPUs of this node; 0 where no driver is installed."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def visible_gpus(slots: float, visible: str | None = None) -> dict[str, float]:
    """The share of each GPU that a process holds which reserved some slots, by UUID.

    Empty where no slots are held or the GPUs can't be told (no driver, MIG instances).

    Args:
        slots: GPU slots it reserved.
        visible: Its ``CUDA_VISIBLE_DEVICES``, by index or UUID; ``None``: that of this process.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if visible is None else visible
    named = [part.strip() for part in visible.split(",") if part.strip()]
    if slots <= 0:
        return {}
    uuids = gpu_uuids()
    held = []
    for name in named or [str(index) for index in range(len(uuids))]:
        if name.isdecimal() and int(name) < len(uuids):
            held.append(uuids[int(name)])
        else:
            held += [uuid for uuid in uuids if uuid.startswith(name)]
    return {uuid: min(1.0, slots / len(held)) for uuid in held}


def gpus_held(indices: Sequence[int] | None) -> dict[str, float]:
    """The GPUs that a process holds, whole, by UUID.

    Args:
        indices: As CUDA counts those that are visible; ``None``: all that ``CUDA_VISIBLE_DEVICES`` names, and none
            where it names none, since a process that could use every GPU need not hold any.
    """
    named = bool(os.environ.get("CUDA_VISIBLE_DEVICES", "").strip())
    if not indices if indices is not None else not named:
        return {}
    visible = list(visible_gpus(math.inf))
    return {uuid: 1.0 for number, uuid in enumerate(visible) if indices is None or number in indices}


def gpu_uuids() -> list[str]:
    """UUIDs of the NVIDIA GPUs of this node, by index; empty where no driver is installed."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _cgroup_quota() -> float | None:
    """CPU quota of control groups version 2 or 1, in CPUs; ``None``: unlimited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text())
        return quota_us / int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError):
        return None
