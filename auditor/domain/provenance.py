"""How a figure was measured."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Provenance(StrEnum):
    """How an energy figure came about, best first; people read "how measured"."""

    COUNTER = "counter"
    SAMPLED = "sampled"
    MODELLED = "modelled"
    CONSTANT = "constant"
    REPORTED = "reported"
    MISSING = "missing"

    @property
    def meaning(self) -> str:
        """One plain phrase for people."""
        return _MEANING[self]


_MEANING = {
    Provenance.COUNTER: "hardware energy counter",
    Provenance.SAMPLED: "power sensor, integrated over time",
    Provenance.MODELLED: "modelled from load and rated power",
    Provenance.CONSTANT: "a constant assumed for this hardware",
    Provenance.REPORTED: "reported by somebody else",
    Provenance.MISSING: "not measured",
}


def worst(grades: Iterable[Provenance]) -> Provenance:
    """The worst of some grades: what a sum over them carries. Nothing at all is ``missing``."""
    order = list(Provenance)
    return max(grades, key=order.index, default=Provenance.MISSING)
