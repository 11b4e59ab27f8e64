"""How each component of each node was measured, in words."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.domain.provenance import Provenance
from auditor.reporting.figures import NOT_AVAILABLE, energy, percent
from auditor.reporting.lookup import Statement, figure, joules, records, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """How one component of one node was measured; all fields formatted."""

    node: str
    component: str
    how: str
    detail: str
    energy: str
    share: str


def components(statement: Statement) -> list[Component]:
    """Every component of every node; where a statement lists none, the grades that it has."""
    lines = [
        Component(
            node=text(part, "node"),
            component=text(part, "component"),
            how=_how(text(part, "provenance"), text(part, "meaning")),
            detail=_detail(part),
            energy=energy(joules(part, "metered_uj")),
            share=percent(figure(part, "share")),
        )
        for part in records(statement, "energy.components")
    ]
    if lines:
        return lines
    grades = statement.get("energy") or {}
    return [
        Component(
            node="",
            component=name,
            how=_how(str(grade), ""),
            detail="",
            energy=NOT_AVAILABLE,
            share=NOT_AVAILABLE,
        )
        for name, grade in (grades.get("provenance") or {}).items()
    ]


def _detail(part: Statement) -> str:
    """What was read, and where its static power comes from."""
    static_w = figure(part, "static_w")
    source = {"model": "by the meter's model", "configuration": "as configured", "calibrated": "calibrated"}
    idle = (
        f"{static_w:.3g} W without load, {source[text(part, 'static_source')]}"
        if (static_w is not None and text(part, "static_source") in source)
        else ""
    )
    return "; ".join(part for part in (text(part, "detail") or text(part, "meter"), idle) if part)


def _how(provenance: str, meaning: str) -> str:
    if meaning:
        return meaning
    try:
        return Provenance(provenance).meaning
    except ValueError:
        return NOT_AVAILABLE
