"""What the CodeCarbon meter relies on in CodeCarbon, and what must not reach its figures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component
from auditor_plugins.meters.codecarbon import CodeCarbonMeter

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
    with pytest.raises(MeterError, match="metered nothing"):
        meter.start(lambda: None, 1.0)


def test_stopping_before_the_start_does_nothing() -> None:
    CodeCarbonMeter().stop()
