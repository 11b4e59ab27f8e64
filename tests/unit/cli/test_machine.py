"""What `auditor doctor` says about the meters of a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from auditor.cli import machine
from auditor.domain.errors import AuditorError, MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component
from auditor.testing import FakeClock

CPU = Component(name="cpu", provenance=Provenance.COUNTER, detail="RAPL counters")
MODEL = Component(name="cpu", provenance=Provenance.MODELLED, static_w=3.0, detail="by load")
RAM = Component(name="ram", provenance=Provenance.CONSTANT, static_w=20.0)


class Made:
    """A meter of 7 W a component that can be told to fail."""

    def __init__(
        self, clock: FakeClock, name: str, *components: Component, fails: str = "", paced: bool = False
    ) -> None:
        self.name = name
        self.self_paced = paced
        self.stopped = False
        self._clock = clock
        self._components = components
        self._fails = fails

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        if self._fails:
            raise MeterError(self._fails)
        for _ in range(4 if self.self_paced else 0):
            self._clock.advance(interval_s)
            tick()
        return self._components

    def read(self) -> Mapping[str, int]:
        return {c.name: 7 * self._clock.monotonic_ns() // 1000 for c in self._components}

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(machine, "time", SimpleNamespace(monotonic_ns=clock.monotonic_ns, sleep=clock.sleep))
    return clock


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command on a machine with these meters: what it prints."""
    monkeypatch.setattr("auditor.metering.slots.gpu_count", lambda: 0)

    def run(*meters: Made, columns: int = 200) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        known: dict[str, Any] = {meter.name: meter for meter in meters}
        monkeypatch.setattr("auditor.plugins.installed", lambda kind: known)
        monkeypatch.setattr("auditor.plugins.load", lambda kind, name: known[name])
        machine.doctor()
        return capsys.readouterr().out

    return run


def test_each_part_has_the_meter_that_auto_uses(clock: FakeClock, doctor: Callable[..., str]) -> None:
    rapl, codecarbon = Made(clock, "rapl", CPU), Made(clock, "codecarbon", MODEL, RAM, paced=True)
    said = doctor(codecarbon, rapl)
    assert said.splitlines()[1:] == [
        "cpu: 7 W by rapl, hardware energy counter",
        "  read: RAPL counters",
        "ram: 7 W by codecarbon, a constant assumed for this hardware",
        "  better: a processor whose RAPL has a dram zone (most Intel servers)",
        "",
        "Not used by 'auto' (no better, or overlapping, or only used by name)",
        "  cpu: 7 W by codecarbon, modelled from load and rated power; by load",
    ]
    assert rapl.stopped
    assert codecarbon.stopped


def test_what_would_better_a_part_is_said_of_what_is_used(clock: FakeClock, doctor: Callable[..., str]) -> None:
    modelled = "cpu: 7 W by codecarbon, modelled from load and rated power\n  read: by load\n  better: RAPL counters"
    assert modelled in doctor(Made(clock, "codecarbon", MODEL, RAM))


def test_of_several_gpus_each_is_explained(clock: FakeClock, doctor: Callable[..., str]) -> None:
    counted = Component(name="gpu:A", provenance=Provenance.COUNTER)
    sampled = Component(name="gpu:B", provenance=Provenance.SAMPLED)
    said = doctor(Made(clock, "nvml", counted, sampled), Made(clock, "rapl", CPU))
    assert said.splitlines()[1:] == [
        "cpu: 7 W by rapl, hardware energy counter",
        "  read: RAPL counters",
        "gpu:A: 7 W by nvml, hardware energy counter",
        "gpu:B: 7 W by nvml, power sensor, integrated over time",
        "  better: a GPU with an energy counter (NVIDIA: Volta or newer)",
        "ram: not measured; needed: a processor whose RAPL has a dram zone (most Intel servers)",
    ]


def test_gpus_that_nothing_measures_are_said_to_be_there(
    clock: FakeClock, doctor: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.metering.slots.gpu_count", lambda: 2)
    said = doctor(Made(clock, "rapl", CPU, RAM))
    assert "CPU slots, 2 NVIDIA GPUs\n" in said
    assert "gpu: not measured; needed: a GPU with an energy counter" in said


def test_it_fits_on_a_terminal_of_eighty_columns(
    clock: FakeClock, doctor: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Component(
        name="gpu:GPU-4e817856-1fb8-192a-7ab7-0e0e4476c184", provenance=Provenance.SAMPLED, detail="x " * 99
    )
    meters = Made(clock, "nvml", gpu), Made(clock, "rapl", fails="rapl: " + "no access " * 20)
    said = doctor(*meters, columns=80)
    assert max(map(len, said.splitlines())) <= 80
    assert gpu.name in said  # to be copied, in one piece


def test_what_does_not_work_says_why(clock: FakeClock, doctor: Callable[..., str]) -> None:
    said = doctor(Made(clock, "nvml", fails="nvml: no driver; install one"), Made(clock, "rapl", CPU))
    assert "Not available here\n  nvml: no driver; install one\n" in said
    assert "Not used" not in said


def test_a_meter_that_breaks_does_not_keep_the_others_from_being_explained(
    clock: FakeClock, doctor: Callable[..., str]
) -> None:
    broken = Made(clock, "mine", RAM)

    def read() -> Mapping[str, int]:
        raise ZeroDivisionError("by\nzero")

    broken.read = read  # type: ignore[method-assign]
    said = doctor(broken, Made(clock, "rapl", CPU))
    assert "  mine: it broke: ZeroDivisionError: by zero\n" in said
    assert "cpu: 7 W by rapl" in said
    assert broken.stopped


def test_a_meter_that_fails_while_it_is_tried_is_stopped(clock: FakeClock, doctor: Callable[..., str]) -> None:
    lost = Made(clock, "nvml", RAM)

    def read() -> Mapping[str, int]:
        raise MeterError("nvml: GPU is lost")

    lost.read = read  # type: ignore[method-assign]
    assert "  nvml: GPU is lost" in doctor(lost, Made(clock, "rapl", CPU))
    assert lost.stopped


def test_a_meter_that_auto_does_not_try_is_shown_apart(clock: FakeClock, doctor: Callable[..., str]) -> None:
    said = doctor(Made(clock, "mine", RAM), Made(clock, "rapl", CPU))
    assert "ram: not measured" in said
    assert "\nNot used by 'auto' (no better, or overlapping, or only used by name)\n  ram: 7 W by mine, a const" in said


def test_a_machine_without_any_meter_is_an_error(clock: FakeClock, doctor: Callable[..., str]) -> None:
    with pytest.raises(AuditorError, match="no meter works"):
        doctor(Made(clock, "rapl", fails="root only"))
