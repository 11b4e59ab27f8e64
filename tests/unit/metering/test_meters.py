"""The meters of a node as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.metering import meters
from auditor.metering.meters import Calibration, Metering
from auditor.metering.records import ComponentRecord
from auditor.metering.runtime import keep_static_w, known_static_w
from auditor.ports import Component

S = 1_000_000_000


class Made:
    """A meter whose figures a test sets."""

    self_paced = False

    def __init__(self, name: str, *components: Component, fails: str = "") -> None:
        self.name = name
        self.components = components
        self.energy = {c.name: 0 for c in components}
        self.fails = fails
        self.running = False
        self.used: dict[str, dict[int, int]] = {}

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        if self.fails:
            raise MeterError(self.fails)
        self.running = True
        return self.components

    def read(self) -> Mapping[str, int]:
        if self.fails:
            raise MeterError(self.fails)
        return self.energy

    def process_ns(self) -> Mapping[str, Mapping[int, int]]:
        return self.used

    def sample(self) -> None:
        pass

    def stop(self) -> None:
        self.running = False


CPU = Component(name="cpu", provenance=Provenance.COUNTER)
MODEL = Component(name="cpu", provenance=Provenance.MODELLED, static_w=3.0)
RAM = Component(name="ram", provenance=Provenance.CONSTANT, static_w=20.0)
GPU = Component(name="gpu:A", provenance=Provenance.COUNTER)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Made]:
    made = {
        "rapl": Made("rapl", CPU),
        "nvml": Made("nvml", GPU),
        "codecarbon": Made("codecarbon", MODEL, RAM),
    }
    monkeypatch.setattr(meters, "installed", lambda kind: made)
    monkeypatch.setattr(meters, "load", lambda kind, name, where="": made[name])
    return made


def started(*names: str, static_w: Mapping[str, float] | None = None) -> Metering:
    metering = Metering(names, static_w)
    metering.start(lambda: None, 1.0)
    return metering


def test_auto_takes_the_best_of_what_works(registry: dict[str, Made]) -> None:
    registry["nvml"].fails = "no driver"
    metering = started("auto")
    assert [(c.key, c.meter, c.check) for c in metering.components] == [
        ("cpu", "rapl", False),
        ("ram", "codecarbon", False),
        ("cpu@codecarbon", "codecarbon", True),
    ]
    assert metering.unavailable == {"nvml": "no driver"}
    registry["codecarbon"].energy.update(cpu=7, ram=2)
    assert metering.read() == {"cpu": 0, "ram": 2, "cpu@codecarbon": 7}


def test_a_meter_that_was_named_must_work(registry: dict[str, Made]) -> None:
    registry["rapl"].fails = "root only"
    with pytest.raises(MeterError, match="root only"):
        started("rapl", "codecarbon")


def test_nothing_at_all_says_why(registry: dict[str, Made]) -> None:
    for name, meter in registry.items():
        meter.fails = f"no {name} here"
    with pytest.raises(MeterError, match=r"no rapl here.*no nvml here.*no codecarbon here.*auditor doctor"):
        started("auto")


def test_what_is_counted_already_needs_no_model(registry: dict[str, Made]) -> None:
    registry["rapl"].components = (CPU, Component(name="ram", provenance=Provenance.COUNTER))
    started("auto")
    assert not registry["codecarbon"].running


def test_static_power_of_the_configuration_counts(registry: dict[str, Made]) -> None:
    found = {
        c.key: (c.static_w, c.static_source) for c in started("auto", static_w={"cpu": 12.5, "gpu": 60}).components
    }
    assert found["cpu"] == (12.5, "configuration")
    assert found["gpu:A"] == (60, "configuration")
    assert found["ram"] == (20.0, "model")
    assert found["cpu@codecarbon"] == (3.0, "model")


def test_a_meter_that_fails_later_is_left_out_and_the_others_go_on(registry: dict[str, Made]) -> None:
    metering = started("auto")
    registry["nvml"].fails = "GPU is lost"
    assert set(metering.read()) == {"cpu", "ram", "cpu@codecarbon"}
    assert not registry["nvml"].running
    for meter in registry.values():
        meter.fails = "gone"
    with pytest.raises(MeterError, match="gone"):
        metering.read()


def test_device_time_of_what_is_not_on_the_books_is_left_out(registry: dict[str, Made]) -> None:
    registry["nvml"].used = {"gpu:A": {1: 5}, "gpu:B": {2: 6}}
    assert started("auto").process_ns() == {"gpu:A": {1: 5}}


def component(name: str, **more: object) -> ComponentRecord:
    return ComponentRecord(**{"name": name, "meter": "m", "provenance": "counter", **more})


def calibrated(powers_w: Sequence[float], known_w: Mapping[str, float] | None = None) -> dict[str, float]:
    calibration = Calibration([component("cpu"), component("ram", static_w=2.0)], known_w or {})
    energy_uj, t_ns = 0, 0
    for power_w in powers_w:
        if not calibration.wants_more():
            break
        calibration.add(t_ns, {"cpu": energy_uj, "ram": 0})
        t_ns += S // 10
        energy_uj += round(power_w * 1e5)
    return calibration.static_w()


def test_the_least_power_over_half_a_second_is_the_static_power() -> None:
    powers = [50.0] * 8 + [10.0] * 6 + [2.0] + [60.0] * 10  # one short dip is not enough
    assert calibrated(powers) == {"cpu": pytest.approx((4 * 10 + 2) / 5)}


def test_a_lower_figure_of_this_boot_stays() -> None:
    assert calibrated([50.0] * 30, {"cpu@m": 8.0, "cpu@other": 1.0}) == {"cpu": 8.0}
    assert calibrated([5.0] * 30, {"cpu@m": 8.0}) == {"cpu": pytest.approx(5.0)}


def test_what_one_meter_found_is_kept_as_that_meters() -> None:
    calibration = Calibration([component("cpu")], {"cpu@m": 8.0})
    assert calibration.to_keep() == {"cpu@m": 8.0}


def test_what_states_its_static_power_is_not_calibrated() -> None:
    assert not Calibration([component("ram", static_w=2.0), component("cpu", check=True)], {}).wants_more()


def test_calibrated_power_outlives_an_agent(runtime_dir: Path) -> None:
    assert known_static_w() == {}
    keep_static_w({"cpu": 5.0})
    keep_static_w({"gpu:A": 50.0})
    assert known_static_w() == {"cpu": 5.0, "gpu:A": 50.0}
