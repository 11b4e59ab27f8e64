"""Accelerators by name: the limit of the board as its maker states it, and its power without load."""

from __future__ import annotations

from auditor.ports import HardwareProfile

ASSUMED_IDLE = 0.1
"""Share of full power that is taken without load, where no measurement is at hand."""


def _nvidia(name: str, full_w: float) -> HardwareProfile:
    return HardwareProfile(
        name=f"NVIDIA {name}",
        idle_w=ASSUMED_IDLE * full_w,
        full_w=full_w,
        source="power of the board in NVIDIA's data sheet; a tenth of it without load is assumed",
    )


def _amd(name: str, full_w: float) -> HardwareProfile:
    return HardwareProfile(
        name=f"AMD Instinct {name}",
        idle_w=ASSUMED_IDLE * full_w,
        full_w=full_w,
        source="power of the board in AMD's data sheet; a tenth of it without load is assumed",
    )


A10 = _nvidia("A10", 150.0)
A30 = _nvidia("A30", 165.0)
A40 = _nvidia("A40", 300.0)
A100 = _nvidia("A100 SXM4", 400.0)
A100_PCIE_40GB = _nvidia("A100 PCIe 40 GB", 250.0)
A100_PCIE_80GB = _nvidia("A100 PCIe 80 GB", 300.0)
A6000 = _nvidia("RTX A6000", 300.0)
H100 = _nvidia("H100 SXM5", 700.0)
H100_PCIE = _nvidia("H100 PCIe", 350.0)
H200 = _nvidia("H200 SXM", 700.0)
K80 = _nvidia("Tesla K80 (both GPUs of a board)", 300.0)
L4 = _nvidia("L4", 72.0)
L40S = _nvidia("L40S", 350.0)
P100 = _nvidia("Tesla P100 SXM2", 300.0)
P100_PCIE = _nvidia("Tesla P100 PCIe", 250.0)
RTX2080TI = _nvidia("GeForce RTX 2080 Ti", 250.0)
RTX3090 = _nvidia("GeForce RTX 3090", 350.0)
RTX4090 = _nvidia("GeForce RTX 4090", 450.0)
T4 = _nvidia("T4", 70.0)
V100 = _nvidia("Tesla V100 SXM2", 300.0)
V100_PCIE = _nvidia("Tesla V100 PCIe", 250.0)
MI250X = _amd("MI250X", 560.0)
MI300X = _amd("MI300X", 750.0)
TPUV2 = HardwareProfile(
    name="Google TPU v2 (a chip: two cores)",
    idle_w=ASSUMED_IDLE * 280.0,
    full_w=280.0,
    source="thermal design power in Jouppi et al. 2021, Ten Lessons; a tenth of it without load is assumed",
)
TPUV3 = HardwareProfile(
    name="Google TPU v3 (a chip: two cores)",
    idle_w=123.0,
    full_w=262.0,
    source="least and most power measured, Google Cloud's documentation of TPU v3",
)
TPUV4 = HardwareProfile(
    name="Google TPU v4 (a chip: two cores)",
    idle_w=90.0,
    full_w=192.0,
    source="least and most power measured, Google Cloud's documentation of TPU v4",
)
