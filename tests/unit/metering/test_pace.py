"""The agent goes on reading whatever becomes of the meter that sets its pace."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.metering import meters
from auditor.metering.activity import Activity, forget
from auditor.metering.agent import Agent
from auditor.metering.meters import Metering
from auditor.ports import Component
from unit.metering.journals import study

INTERVAL_S = 0.1


class Counter:
    """Read whenever somebody likes."""

    name = "counter"
    self_paced = False

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        return [Component(name="cpu", provenance=Provenance.COUNTER, static_w=0.0)]

    def read(self) -> Mapping[str, int]:
        return {"cpu": time.monotonic_ns() // 1000}

    def sample(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Pacer(Counter):
    """Ticks by itself until it is told to fail or to fall silent."""

    name = "pacer"
    self_paced = True

    def __init__(self) -> None:
        self.fails = threading.Event()
        self.silent = threading.Event()
        self._stopped = threading.Event()

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        def run() -> None:
            while not self._stopped.wait(interval_s):
                if not self.silent.is_set():
                    tick()

        threading.Thread(target=run, daemon=True).start()
        return [Component(name="ram", provenance=Provenance.CONSTANT, static_w=1.0)]

    def read(self) -> Mapping[str, int]:
        if self.fails.is_set():
            raise MeterError("pacer: it fell off")
        return {"ram": time.monotonic_ns() // 1000}

    def stop(self) -> None:
        self._stopped.set()


@pytest.fixture
def pacer(monkeypatch: pytest.MonkeyPatch) -> Pacer:
    made = Pacer()
    known = {"counter": Counter(), "pacer": made}
    monkeypatch.setattr(meters, "load", lambda kind, name, where="": known[name])
    return made


@pytest.fixture
def journals(pacer: Pacer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The journal folder of a study that a real agent meters with both, in a thread."""
    monkeypatch.setattr("auditor.metering.agent.FIRST_READING_S", 1.0)
    folder = study(tmp_path / "s").journals
    activity = Activity(folder, "u", "study/demo/search/orchestration")
    agent = Agent(Metering(["counter", "pacer"]), INTERVAL_S)
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield folder
    finally:
        agent.stop()
        thread.join(timeout=10)
        forget(activity)
    assert not thread.is_alive()


def readings(folder: Path) -> list[dict[str, int]]:
    lines = [line for path in folder.glob("readings-*.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line)["e"] for line in lines if '"k":"reading"' in line]


def more(folder: Path, count: int, timeout_s: float = 10.0) -> list[dict[str, int]]:
    """The readings that come from now on, at least so many."""
    before = len(readings(folder))
    until_s = time.monotonic() + timeout_s
    while len(readings(folder)) < before + count:
        assert time.monotonic() < until_s, f"{len(readings(folder)) - before} readings in {timeout_s} s"
        time.sleep(0.02)
    return readings(folder)[before:]


def test_where_it_fails_the_others_are_read_on(journals: Path, pacer: Pacer) -> None:
    assert set(more(journals, 3)[-1]) == {"cpu", "ram"}
    pacer.fails.set()
    later = more(journals, 10)
    assert set(later[-1]) == {"cpu"}
    assert later[-1]["cpu"] > later[0]["cpu"]


def test_where_it_falls_silent_readings_go_on(journals: Path, pacer: Pacer) -> None:
    more(journals, 3)
    pacer.silent.set()
    more(journals, 2)
    pacer.silent.clear()
    begun_s = time.monotonic()
    more(journals, 10)
    assert time.monotonic() - begun_s < 3.0  # it sets the pace again
