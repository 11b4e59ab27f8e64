"""Second opinions: whether two meters of one component agree within what they can err."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.trace import ComponentTrace, NodeTrace
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Finding, Severity

ERROR = {
    Provenance.COUNTER: 0.05,
    Provenance.SAMPLED: 0.1,
    Provenance.MODELLED: 0.4,
    Provenance.CONSTANT: 0.4,
}
"""Relative error granted by how a figure was measured; models err by up to 40 % (arXiv:2509.22092)."""

LEAST_S = 5.0
"""Two meters are compared over no less than this: they don't read at the same instant."""


def disagreements(traces: Sequence[NodeTrace]) -> list[Finding]:
    """One finding for each component of a node whose meters contradict each other.

    A figure's interval is from its least to its most, as its meter bounds it, widened by the error of its kind; two
    intervals without a common point contradict each other.
    """
    totals: dict[tuple[str, str, str], _Pair] = {}
    for trace in traces:
        duration_s = (int(trace.t_ns[-1]) - int(trace.t_ns[0])) / NS_PER_S
        for part, meter in sorted({(_part(c), c.meter) for c in trace.checks}):
            covered = [c for c in trace.components if _part(c) == part]
            if covered and duration_s > 0:
                pair = totals.setdefault((trace.node, part, meter), _Pair(meter=covered[0].meter))
                pair.duration_s += duration_s
                pair.kept += sum(_interval(c, duration_s) for c in covered)
                checks = [c for c in trace.checks if (_part(c), c.meter) == (part, meter)]
                pair.checked += sum(_interval(c, duration_s) for c in checks)
    return [
        Finding(
            code="meters-disagree",
            severity=Severity.ERROR,
            message=f"Two meters contradict each other on {part} of {node}: {pair.meter} says "
            f"{uj_to_j(round(pair.kept[1])):.3g} J, {meter} {uj_to_j(round(pair.checked[1])):.3g} J, "
            "beyond what either can err.",
        )
        for (node, part, meter), pair in sorted(totals.items())
        if pair.duration_s >= LEAST_S and (pair.checked[0] > pair.kept[2] or pair.checked[2] < pair.kept[0])
    ]


@dataclass(slots=True, kw_only=True)
class _Pair:
    """Least, metered and most microjoules by the meter that is on the books, and by the other."""

    meter: str
    duration_s: float = 0.0
    kept: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    checked: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


def _part(component: ComponentTrace) -> str:
    """What is compared: all GPUs together, since one meter may give only their sum."""
    return "gpu" if component.kind == "gpu" else component.name


def _interval(component: ComponentTrace, duration_s: float) -> NDArray[np.float64]:
    """Least, metered and most, in microjoules."""
    energy = float(component.energy_uj[-1] - component.energy_uj[0])
    error = ERROR.get(component.provenance, 0.4)
    low, high = energy * (1 - error), energy * (1 + error)
    if component.provenance is Provenance.MODELLED:  # idle to rated power
        low = low if component.low_w is None else min(low, component.low_w * duration_s * 1e6)
        high = high if component.high_w is None else max(high, component.high_w * duration_s * 1e6)
    return np.array([low, energy, high])
