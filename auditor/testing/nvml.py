"""NVIDIA GPUs that are not there: a C library in the place of the driver's, loaded by the real ``nvidia-ml-py``."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from auditor.domain.errors import MeterError

GPU_IS_LOST = 15
"""NVML's code for a GPU that fell off the bus."""

_VARIABLE = "FAKE_NVML"
_GPUS, _USERS = 8, 16


class _User(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_uint32), ("sm", ctypes.c_uint32), ("time_us", ctypes.c_uint64))


class _Gpu(ctypes.Structure):
    _fields_ = (
        ("uuid", ctypes.c_char * 80),
        *((name, ctypes.c_uint32) for name in ("power_mw", "limit_mw", "has_counter", "runs")),
        *((name, ctypes.c_uint32) for name in ("mig", "failure", "tells_users", "users")),
        *((name, ctypes.c_uint64) for name in ("edition", "energy_mj", "since_ns")),
        ("user", _User * _USERS),
    )


class _State(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("gpu", _Gpu * _GPUS))


class FakeNvml:
    """GPUs made up for a test: 50 W each at first, with an energy counter that stands still until it is set or runs.

    Args:
        folder: Where the library and its state are put.
        gpus: How many GPUs there are, at most 8.

    Raises:
        MeterError: there is no C compiler.
    """

    def __init__(self, folder: Path, gpus: int = 2) -> None:
        self._folder = folder
        self.library = folder / "libnvidia-ml.so.1"
        self.state_file = folder / "fake-nvml"
        self._compile()
        self.state_file.write_bytes(bytes(ctypes.sizeof(_State)))
        with self.state_file.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._state = _State.from_buffer(self._map)
        self._state.count = gpus
        self.uuids = [f"GPU-00000000-0000-0000-0000-{index:012d}" for index in range(gpus)]
        for gpu, uuid in zip(self._state.gpu, self.uuids, strict=False):
            gpu.uuid = uuid.encode()
            gpu.has_counter = gpu.tells_users = 1
            gpu.power_mw, gpu.limit_mw = 50_000, 300_000
        smi = folder / "nvidia-smi"
        smi.write_text("#!/bin/sh\nexit 0\n")
        smi.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """Variables under which another process finds these GPUs."""
        return {
            _VARIABLE: str(self.state_file),
            "LD_LIBRARY_PATH": f"{self._folder}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "PATH": f"{self._folder}:{os.environ['PATH']}",
        }

    @contextlib.contextmanager
    def loaded(self) -> Iterator[None]:
        """Let ``pynvml`` of this process find these GPUs for a while, also where it has those of the machine."""
        import pynvml

        pointers = pynvml._nvmlGetFunctionPointer_cache
        before, known = pynvml.nvmlLib, dict(pointers)
        variable = os.environ.get(_VARIABLE)
        pointers.clear()
        pynvml.nvmlLib = ctypes.CDLL(str(self.library))
        os.environ[_VARIABLE] = str(self.state_file)
        try:
            yield
        finally:
            os.environ.pop(_VARIABLE, None)
            os.environ |= {} if variable is None else {_VARIABLE: variable}
            pointers.clear()
            pointers |= known
            pynvml.nvmlLib = before

    def power(self, gpu: int, watts: float, *, runs: bool = False) -> None:
        """Power of a GPU from now on; with ``runs`` its energy counter grows with it."""
        with self._editing(gpu) as state:
            now_ns = time.monotonic_ns()
            if state.runs:  # what the counter shows now is where it goes on from
                state.energy_mj += round((now_ns - state.since_ns) * state.power_mw / 1e9)
            state.since_ns, state.power_mw, state.runs = now_ns, round(watts * 1e3), int(runs)

    def energy(self, gpu: int, joules: float | None) -> None:
        """What the energy counter shows; ``None``: the GPU has none."""
        with self._editing(gpu) as state:
            state.has_counter, state.runs = int(joules is not None), 0
            state.energy_mj = round((joules or 0.0) * 1e3)

    def users(self, gpu: int, *users: tuple[int, int] | tuple[int, int, int]) -> None:
        """Processes that use a GPU: process id, percent of its multiprocessors, and since which time in microseconds.

        Without a time the sample is always of now.
        """
        for place, user in enumerate(users):
            pid, sm, time_us = (*user, 0)[:3]
            self._state.gpu[gpu].user[place] = _User(pid, sm, time_us)
        self._state.gpu[gpu].users = len(users)

    def tells_users(self, gpu: int, tells: bool) -> None:
        """Whether the driver says which process uses a GPU."""
        self._state.gpu[gpu].tells_users = int(tells)

    def mig(self, gpu: int, on: bool) -> None:
        """Whether a GPU is split into MIG instances."""
        self._state.gpu[gpu].mig = int(on)

    def fail(self, gpu: int, code: int) -> None:
        """Let every call for a GPU fail with an NVML code; 0: none."""
        self._state.gpu[gpu].failure = code

    @contextlib.contextmanager
    def _editing(self, gpu: int) -> Iterator[_Gpu]:
        """Change the energy of a GPU while other processes read it: they wait for an even edition."""
        state = self._state.gpu[gpu]
        state.edition += 1
        yield state
        state.edition += 1

    def _compile(self) -> None:
        with as_file(files("auditor.testing").joinpath("fake_nvml.c")) as source:
            # without a soname: who asks for the driver's library by name must not get this one once it is loaded
            command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self.library), str(source)]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except FileNotFoundError:
                raise MeterError("fake NVML: no C compiler was found; install one (Debian: gcc)") from None
            except subprocess.CalledProcessError as error:
                raise MeterError(f"fake NVML does not compile: {error.stderr}") from error
