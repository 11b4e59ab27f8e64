"""A meter that replays recorded energy, so that books can be tested against a known truth."""

from __future__ import annotations

import csv
import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Clock, Component
from auditor.testing.clock import SystemClock

ENVIRONMENT = "AUDITOR_REPLAY"
"""Names the file that a ReplayMeter without arguments replays: a readings journal, or a table (``.csv``)."""

_Samples = list[tuple[int, Mapping[str, int]]]


class ReplayMeter:
    """Gives the cumulative energy of recorded samples, linear between them, by an injected clock.

    Before the first sample it stands at the first, after the last it goes on with the power of the last interval.

    Args:
        samples: (time in ns, cumulative microjoules by component), in order; times count from the start of the meter.
            ``None``: those of the file that the environment variable ``AUDITOR_REPLAY`` names, see :func:`recorded`.
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
            path = os.environ.get(ENVIRONMENT)
            if not path:
                raise MeterError(f"replay: set {ENVIRONMENT} to the readings journal or table (.csv) to replay")
            samples, found = recorded(Path(path))
            components = components or found
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


def recorded(path: Path) -> tuple[_Samples, list[Component]]:
    """Samples and components of a file.

    A readings journal is replayed as it was recorded, second opinions left out. A table (``.csv``) has a column ``t_s``
    (seconds, increasing) and for each component either ``<component>_j`` (cumulative joules) or ``<component>_w``
    (watts at that instant, integrated by trapezoids); how it was measured it can't say, so that it is ``reported``.

    Raises:
        MeterError: the file can't be replayed; the message names the line.
    """
    samples: _Samples = []
    components: dict[str, Component] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, sample, described in (_table if path.suffix == ".csv" else _journal)(file):
                components |= {c.name: c for c in described}
                if sample is not None:
                    _check(line, sample, samples, components or (samples[0][1] if samples else ()))
                    samples.append(sample)
    except OSError as error:
        raise MeterError(f"replay: {path} can't be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise MeterError(f"replay: {path} is no text") from None
    except (_BadLineError, csv.Error) as error:
        raise MeterError(f"replay: {path}, {error}") from None
    return samples, list(components.values())


_Line = tuple[int, tuple[int, Mapping[str, int]] | None, Sequence[Component]]


class _BadLineError(Exception):
    """What is wrong with which line."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


def _check(line: int, sample: tuple[int, Mapping[str, int]], earlier: _Samples, components: Iterable[str]) -> None:
    """Time passes and energy is cumulative, in every sample and of every component."""
    t_ns, energy = sample
    if earlier and t_ns <= earlier[-1][0]:
        raise _BadLineError(line, "time goes back or stands still")
    for name in components:
        if name not in energy:
            raise _BadLineError(line, f"it has no energy of '{name}'")
        if earlier and energy[name] < earlier[-1][1].get(name, 0):
            raise _BadLineError(
                line, f"energy of '{name}' goes backwards; it must be cumulative, of one run of a meter"
            )


def _journal(file: Iterable[str]) -> Iterator[_Line]:
    for number, line in enumerate(file, start=1):
        try:
            record = json.loads(line)
            kind = record.get("k")
            if kind == "reading":
                yield number, (int(record["t"]), {name: int(uj) for name, uj in record["e"].items()}), ()
            elif kind == "component" and not record.get("check"):
                yield number, None, [_replayed(record)]
        except (ValueError, TypeError, AttributeError) as error:
            raise _BadLineError(number, f"not of a readings journal ({error})") from error
        except KeyError as error:
            raise _BadLineError(number, f"not of a readings journal ({error} is missing)") from error


def _replayed(record: Mapping[str, Any]) -> Component:
    return Component(
        name=record["name"],
        provenance=Provenance(record["provenance"]),
        static_w=record.get("static_w"),
        low_w=record.get("low_w"),
        high_w=record.get("high_w"),
        detail=f"replayed: {record.get('detail', '')}",
        attributable=record.get("attributable", True),
    )


def _table(file: Iterable[str]) -> Iterator[_Line]:
    rows = csv.reader(file)
    columns = _columns(next(rows, []))
    energy_uj = dict.fromkeys((name for name, _ in columns), 0.0)
    powers_w: list[float] = []
    last_s = 0.0
    for row in rows:
        if not row:
            continue
        if len(row) != len(columns) + 1:
            raise _BadLineError(rows.line_num, f"{len(row)} values where the table has {len(columns) + 1} columns")
        t_s, *values = (_number(text, rows.line_num) for text in row)
        for index, (name, unit) in enumerate(columns):
            if unit == "j":
                energy_uj[name] = values[index] * 1e6
            elif powers_w:
                energy_uj[name] += (powers_w[index] + values[index]) / 2 * (t_s - last_s) * 1e6
        powers_w, last_s = values, t_s
        yield (
            rows.line_num,
            (round(t_s * 1e9), {name: round(uj) for name, uj in energy_uj.items()}),
            _described(columns),
        )


def _columns(header: Sequence[str]) -> list[tuple[str, str]]:
    """Component and unit by column after the first."""
    names = [name.strip() for name in header]
    if names[:1] != ["t_s"] or len(names) < 2:
        raise _BadLineError(1, "expected the columns 't_s' and '<component>_j' or '<component>_w'")
    columns: list[tuple[str, str]] = []
    for column in names[1:]:
        name, _, unit = column.rpartition("_")
        if unit not in {"j", "w"} or name.partition(":")[0] not in {"cpu", "ram", "platform", "gpu"}:
            raise _BadLineError(
                1, f"column '{column}': expected cpu, ram, platform, gpu or gpu:<uuid>, then _j (joules) or _w (watts)"
            )
        if any(name == other for other, _ in columns):
            raise _BadLineError(1, f"'{name}' has two columns")
        columns.append((name, unit))
    return columns


def _described(columns: Sequence[tuple[str, str]]) -> list[Component]:
    """How a table's figures were measured nobody can tell: they are reported."""
    how = {"j": "energy", "w": "power, integrated"}
    return [Component(name=name, provenance=Provenance.REPORTED, detail=f"replayed: {how[u]}") for name, u in columns]


def _number(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _BadLineError(line, f"'{text}' is no number")
    return value
