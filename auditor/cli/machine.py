"""The commands ``doctor`` and ``plugins``."""

from __future__ import annotations

import threading
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from auditor.domain.errors import AuditorError
from auditor.domain.provenance import Provenance

_BETTER = {
    "cpu": "bare-metal Linux with readable RAPL counters (/sys/class/powercap, root or a udev rule)",
    "ram": "a machine whose RAPL has a dram domain",
    "gpu": "an NVIDIA driver with energy counters (Volta or newer)",
}


def doctor() -> None:
    """Try every meter for a moment; say which `auto` uses for each part, how it measures, and what would better it."""
    from auditor.metering.choice import AUTO_ORDER, choose
    from auditor.metering.slots import cpu_slots, gpu_count
    from auditor.plugins import installed, load

    console = Console()
    console.print(f"This machine: {cpu_slots():g} CPU slots, {gpu_count()} GPUs", highlight=False)
    offers: dict[str, list[tuple[Any, float | None]]] = {}
    refusals: dict[str, str] = {}
    names = sorted(installed("meter"), key=lambda name: (*AUTO_ORDER, name).index(name))
    with console.status("trying the meters for two seconds each"):
        for name in names:
            try:
                made: Any = load("meter", name)
                offers[name] = _try(made() if isinstance(made, type) else made)
            except AuditorError as error:
                refusals[name] = str(error).removeprefix(f"{name}: ")
    choice = choose([(name, [c for c, _ in offers[name]]) for name in AUTO_ORDER if name in offers])
    kept = {(meter, component.name) for meter, component in choice.kept}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("part", "meter", "how measured", "now", "what exactly"):
        table.add_column(column, overflow="fold")
    worst: dict[str, Provenance] = {}
    for name, found in sorted(
        offers.items(), key=lambda offer: all((offer[0], c.name) not in kept for c, _ in offer[1])
    ):
        for component, watts in found:
            used = (name, component.name) in kept
            if used:
                worst.setdefault(component.name.partition(":")[0], component.provenance)
            table.add_row(
                component.name,
                name if used else f"({name})",
                component.provenance.meaning,
                "" if watts is None else f"{watts:.3g} W",
                component.detail,
            )
    if offers:
        console.print(table)
        if any((name, c.name) not in kept for name, found in offers.items() for c, _ in found):
            console.print(
                "(in brackets: not used by 'auto', another measures the part as well or better)", highlight=False
            )
    for kind, provenance in worst.items():
        if provenance is not Provenance.COUNTER and kind in _BETTER:
            console.print(f"{kind}: {provenance.meaning}. Better: {_BETTER[kind]}", highlight=False)
    if refusals:
        console.print("Not available here:", highlight=False)
    for name, reason in refusals.items():
        console.print(f"  {name}: {reason}", highlight=False, markup=False)
    if not worst:
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
