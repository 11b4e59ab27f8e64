"""Which meter's figure counts where several cover one part of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.domain.provenance import Provenance, worst
from auditor.ports import Component

AUTO_ORDER = ("rapl", "nvml", "codecarbon")
"""What ``auto`` tries, in order of preference where two measure a part equally well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Components by the name of their meter.

    Attributes:
        kept: What goes on the books; disjoint.
        checks: Second opinions on parts that another meter covers: compared, never summed.
    """

    kept: tuple[tuple[str, Component], ...]
    checks: tuple[tuple[str, Component], ...]


def choose(offers: Sequence[tuple[str, Sequence[Component]]]) -> Choice:
    """Keep for each part of the machine the figures of the meter that measures it best.

    A part is ``cpu``, ``ram``, or all GPUs together, since a meter may give only their sum. The rest of a ``platform``
    only fits the ``cpu`` of the same meter. Overlaps are resolved, never added.

    Args:
        offers: Components by meter; of equal provenance the earlier is kept.
    """
    order = list(Provenance)
    holder: dict[str, str] = {}
    for part in dict.fromkeys(_part(c) for _, found in offers for c in found):
        grades = [
            (order.index(worst(c.provenance for c in found if _part(c) == part)), position, meter)
            for position, (meter, found) in enumerate(offers)
            if any(_part(c) == part for c in found)
        ]
        holder[part] = min(grades)[2]
    if "platform" in holder and holder["platform"] != holder.get("cpu"):
        del holder["platform"]
    pairs = [(meter, c) for meter, found in offers for c in found]
    kept = tuple((meter, c) for meter, c in pairs if holder.get(_part(c)) == meter)
    checks = tuple((meter, c) for meter, c in pairs if holder.get(_part(c), meter) != meter)
    return Choice(kept=kept, checks=checks)


def _part(component: Component) -> str:
    return component.name.partition(":")[0]
