"""The commands ``doctor`` and ``plugins``."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.domain.errors import AuditorError, one_line
from auditor.domain.provenance import Provenance
from auditor.ports import Component

_BETTER = {
    "cpu": "RAPL counters (Intel or AMD, Linux without a virtual machine, readable by you)",
    "ram": "a processor whose RAPL has a dram zone (most Intel servers)",
    "gpu": "a GPU with an energy counter (NVIDIA: Volta or newer)",
}
_KINDS = ("cpu", "ram", "gpu", "platform")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a meter said of a component, with its power now in watts; ``None``: no figure came."""

    meter: str
    component: Component
    power_w: float | None

    @property
    def kind(self) -> str:
        return self.component.name.partition(":")[0]

    @property
    def sentence(self) -> str:
        watts = "no figure yet" if self.power_w is None else f"{self.power_w:.3g} W"
        return f"{watts} by {self.meter}, {self.component.provenance.meaning}"


def doctor() -> None:
    """Try every meter for a moment; say which `auto` uses for each part, how it measures, and what would better it."""
    from auditor.metering.choice import AUTO_ORDER, choose
    from auditor.metering.slots import cpu_slots, gpu_count

    console = Console()
    gpus = gpu_count()
    console.print(
        f"This machine: {cpu_slots():g} CPU slots, {gpus or 'no'} NVIDIA GPU{'s' * (gpus > 1)}", highlight=False
    )
    refusals: dict[str, str] = {}
    with console.status("trying the meters for two seconds each"):
        found = sorted(_try_all(AUTO_ORDER, refusals), key=lambda f: _KINDS.index(f.kind))
    choice = choose([(name, [f.component for f in found if f.meter == name]) for name in AUTO_ORDER])
    names = {(meter, component.name) for meter, component in choice.kept}
    used = [f for f in found if (f.meter, f.component.name) in names]
    others = [f for f in found if f not in used]
    for part in used:
        _print(console, part.component.name, part.sentence)
        if part.component.detail:
            _print(console, "read", part.component.detail, "  ")
        if part.component.provenance is not Provenance.COUNTER and part.kind in _BETTER:
            _print(console, "better", _BETTER[part.kind], "  ")
    for kind in ("cpu", "ram", *(["gpu"] if gpus else [])):
        if all(part.kind != kind for part in used):
            _print(console, kind, f"not measured; needed: {_BETTER[kind]}")
    if others:
        console.print("\nNot used by 'auto' (no better, or overlapping, or only used by name)")
    for part in others:
        _print(console, part.component.name, "; ".join(filter(None, (part.sentence, part.component.detail))), "  ")
    if refusals:
        console.print("\nNot available here")
    for name, reason in refusals.items():
        _print(console, name, reason, "  ")
    if not used:
        raise AuditorError("no meter works on this machine")


def plugins() -> None:
    """List the entry points of every kind."""
    from auditor.plugins import GROUPS, installed

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "name", "object", "package"):
        table.add_column(column, overflow="fold")
    for kind in GROUPS:
        for name, point in installed(kind).items():
            package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
            table.add_row(kind, name, point.value, package)
    Console().print(table)


def _print(console: Console, name: str, text: str, indent: str = "") -> None:
    """One item, its further lines set in below its name."""
    lines = textwrap.fill(f"{name}: {text}", console.width, initial_indent=indent, subsequent_indent=f"{indent}  ")
    item = Text(lines)
    item.stylize("bold", len(indent), len(indent) + len(name))
    console.print(item, highlight=False)


def _try_all(order: tuple[str, ...], refusals: dict[str, str]) -> Iterator[_Found]:
    """What each installed meter finds; why one does not work goes into ``refusals``."""
    from auditor.plugins import installed, load

    for name in sorted(installed("meter"), key=lambda name: (*order, name).index(name)):
        try:
            made: Any = load("meter", name)
            for component, power_w in _try(made() if isinstance(made, type) else made):
                yield _Found(meter=name, component=component, power_w=power_w)
        except AuditorError as error:
            refusals[name] = str(error).removeprefix(f"{name}: ")
        except Exception as error:  # somebody's plugin: the other meters are explained all the same
            refusals[name] = f"it broke: {one_line(error)}"


def _try(meter: Any) -> list[tuple[Any, float | None]]:
    """Components of a meter with the power each draws, over two samples."""
    ticks: list[tuple[int, dict[str, int]]] = []
    enough = threading.Event()

    def tick() -> None:
        ticks.append((time.monotonic_ns(), dict(meter.read())))
        if len(ticks) > 3:
            enough.set()

    components = meter.start(tick, 0.5)
    try:
        if meter.self_paced:
            enough.wait(4)
        else:
            for _ in range(4):
                tick()
                time.sleep(0.5)
    finally:
        meter.stop()
    if len(ticks) < 3:
        return [(c, None) for c in components]
    (t0, first), (t1, last) = ticks[1], ticks[-1]  # the first comes while the meter starts
    return [(c, (last[c.name] - first[c.name]) * 1e3 / (t1 - t0)) for c in components]
