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
        checks: Everything else, as a rule a second opinion on a part that another meter covers: compared, never summed.
    """

    kept: tuple[tuple[str, Component], ...]
    checks: tuple[tuple[str, Component], ...]


def choose(offers: Sequence[tuple[str, Sequence[Component]]]) -> Choice:
    """Keep for each part of the machine the figures of the meter that measures it best.

    A part is ``cpu``, ``ram``, or all GPUs together, since a meter may give only their sum. The rest of a ``platform``
    only fits parts of the same meter: what another measures may lie within it (the memory of a machine without a
    counter for it, a graphics card that the board feeds). Overlaps are resolved, never added.

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
    holder.pop("platform", None)
    if "cpu" in holder and len(set(holder.values())) == 1:
        holder["platform"] = holder["cpu"]
    pairs = [(meter, c) for meter, found in offers for c in found]
    kept = tuple((meter, c) for meter, c in pairs if holder.get(_part(c)) == meter)
    checks = tuple((meter, c) for meter, c in pairs if holder.get(_part(c)) != meter)
    return Choice(kept=kept, checks=checks)


def _part(component: Component) -> str:
    return component.name.partition(":")[0]
