"""A meter that replays recorded energy, so that books can be tested against a known truth."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component
from auditor.testing.clock import SystemClock

ENVIRONMENT = "AUDITOR_REPLAY"
"""Names the journal that a ReplayMeter without arguments replays."""


class ReplayMeter:
    """Gives the cumulative energy of recorded samples, linear between them, by an injected clock.

    Before the first sample it stands at the first, after the last it goes on with the power of the last interval.

    Args:
        samples: (time in ns, cumulative microjoules by component), in order; times count from the start of the meter.
            ``None``: those of the readings journal that the environment variable ``AUDITOR_REPLAY`` names.
        components: What the samples hold; ``None``: every component of the first sample, as a counter.
        clock: Whose time passes.

    Raises:
        MeterError: no samples were given or recorded.
    """

    name = "replay"
    self_paced = False

    def __init__(
        self,
        samples: Sequence[tuple[int, Mapping[str, int]]] | None = None,
        components: Sequence[Component] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if samples is None:
            samples, recorded = _recorded()
            components = components or recorded
        if len(samples) < 2:
            raise MeterError("replay: at least two samples are needed")
        self._times = [t - samples[0][0] for t, _ in samples]
        self._energies = [dict(energy) for _, energy in samples]
        self._components = tuple(
            components or (Component(name=name, provenance=Provenance.COUNTER) for name in self._energies[0])
        )
        self._clock: Clock = clock or SystemClock()
        self._start_ns = 0

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin at the first sample; never calls ``tick``."""
        self._start_ns = self._clock.monotonic_ns()
        return self._components

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules now."""
        now = self._clock.monotonic_ns() - self._start_ns
        right = min(max(bisect_right(self._times, now), 1), len(self._times) - 1)
        before, after = self._times[right - 1], self._times[right]
        passed, whole = max(0, now - before), max(1, after - before)
        low, high = self._energies[right - 1], self._energies[right]
        return {c.name: low[c.name] + (high[c.name] - low[c.name]) * passed // whole for c in self._components}

    def sample(self) -> None:
        """Nothing to do: every reading is of its instant."""

    def stop(self) -> None:
        """Nothing to stop."""


def constant_power(watts: Mapping[str, float]) -> list[tuple[int, dict[str, int]]]:
    """Samples of components that draw constant power, in watts."""
    return [(0, dict.fromkeys(watts, 0)), (1_000_000_000, {name: round(w * 1e6) for name, w in watts.items()})]


def _recorded() -> tuple[list[tuple[int, Mapping[str, int]]], list[Component]]:
    path = os.environ.get(ENVIRONMENT)
    if not path:
        raise MeterError(f"replay: set {ENVIRONMENT} to the readings journal to replay")
    samples: list[tuple[int, Mapping[str, int]]] = []
    components: list[Component] = []
    try:
        for line in Path(path).read_text().splitlines():
            record = json.loads(line)
            if record.get("k") == "reading":
                samples.append((record["t"], record["e"]))
            elif record.get("k") == "component":
                components.append(
                    Component(
                        name=record["name"],
                        provenance=Provenance(record["provenance"]),
                        static_w=record.get("static_w"),
                        low_w=record.get("low_w"),
                        high_w=record.get("high_w"),
                        detail=f"replayed: {record.get('detail', '')}",
                    )
                )
    except (OSError, ValueError, KeyError) as error:
        raise MeterError(f"replay: {path} is no readings journal ({error})") from error
    return samples, components
