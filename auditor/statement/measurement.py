"""How far the books can be trusted: the measurement grade."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from auditor.domain.provenance import Provenance
from auditor.domain.study import Finding, StudyRecord
from auditor.statement.usage import Usage, is_metered
from auditor.statement.values import finite, percent

CONTRADICTIONS = frozenset(
    {
        "books-do-not-balance",
        "components-do-not-sum",
        "meters-disagree",
        "energy-impossible",
        "hash-differs",
        "recomputation-differs",
    }
)
INCOMPLETE = frozenset(
    {
        "attempt-without-energy",
        "training-without-energy",
        "marks-missing",
        "marks-out-of-order",
        "journal-incomplete",
    }
)
NONE_BELOW_COVERAGE = 0.5
GOOD_FROM_COVERAGE = 0.99
MOST_DISTURBANCE = 0.1
TRUSTED = frozenset({Provenance.COUNTER, Provenance.SAMPLED})


class MeasurementGrade(StrEnum):
    """How far the books can be trusted."""

    GOOD = "good"
    LIMITED = "limited"
    REPORTED = "reported"
    NONE = "none"
    CONTRADICTED = "contradicted"


def measurement_section(record: StudyRecord, usage: Usage, findings: Iterable[Finding]) -> dict[str, Any]:
    """Grade the books, every reason with its figure, those of the grade itself first.

    Args:
        record: The study.
        usage: Its accounts by purpose.
        findings: All findings on the books; those named in ``CONTRADICTIONS`` contradict them, those in ``INCOMPLETE``
            limit them.
    """
    findings = list(findings)
    contradictions = [finding.message for finding in findings if finding.code in CONTRADICTIONS]
    absent = _absent(record)
    limits = [*(finding.message for finding in findings if finding.code in INCOMPLETE), *_limits(record, usage)]
    imported = (
        ["the study ran elsewhere: its energy is compiled from what others wrote down, not metered here"]
        if record.imported
        else []
    )
    if contradictions:
        grade = MeasurementGrade.CONTRADICTED
    elif absent:
        grade = MeasurementGrade.NONE
    elif imported:
        grade = MeasurementGrade.REPORTED
    elif limits:
        grade = MeasurementGrade.LIMITED
    else:
        grade = MeasurementGrade.GOOD
    reasons = [*contradictions, *absent, *imported, *limits]
    return {"grade": grade.value, "reasons": reasons or _merits(record)}


def _absent(record: StudyRecord) -> list[str]:
    coverage = finite(record.books.coverage)
    reasons = []
    if not is_metered(record):
        reasons.append("no energy is on the books")
    if coverage is None:
        if not record.imported:
            reasons.append("no readings, so nothing says how much of the time was metered")
    elif coverage < NONE_BELOW_COVERAGE:
        reasons.append(f"only {percent(coverage)} of the time was metered, less than half")
    return reasons


def _limits(record: StudyRecord, usage: Usage) -> list[str]:
    books = record.books
    coverage = finite(books.coverage)
    reasons = []
    if coverage is not None and NONE_BELOW_COVERAGE <= coverage < GOOD_FROM_COVERAGE:
        reasons.append(f"{percent(coverage)} of the time was metered, less than 99 %")
    shares: dict[tuple[str, Provenance], int] = {}
    for book in books.components:
        key = (book.component, book.provenance)
        shares[key] = shares.get(key, 0) + book.metered_uj
    for (component, provenance), energy_uj in shares.items():
        if provenance not in TRUSTED:
            share = f" ({percent(energy_uj / books.metered_uj)} of the energy)" if books.metered_uj else ""
            reasons.append(f"{_how(record, component, provenance)}{share}")
    if is_metered(record) and not books.components and not record.imported:
        reasons.append("how the energy was measured is not known: no component is on the books")
    disturbed_uj = usage.foreign_uj + usage.unexplained_uj
    if books.metered_uj > 0 and disturbed_uj > MOST_DISTURBANCE * books.metered_uj:
        reasons.append(
            f"{percent(disturbed_uj / books.metered_uj)} of the energy went to other people's processes "
            f"({percent(usage.foreign_uj / books.metered_uj)}) or is unexplained "
            f"({percent(usage.unexplained_uj / books.metered_uj)}), more than 10 %"
        )
    return reasons


def _how(record: StudyRecord, component: str, provenance: Provenance) -> str:
    """How a component is known, where that is no meter."""
    if record.imported and provenance is Provenance.REPORTED:
        by = ", ".join(dict.fromkeys(b.meter for b in record.books.components if b.provenance is provenance))
        return f"nothing here can check the energy: it comes from {by}"
    if record.imported and provenance is Provenance.MODELLED:
        power = "; ".join(dict.fromkeys(b.detail for b in record.books.components if b.component == component))
        return f"the energy of {component} is how long trials ran times a power: {power}"
    return f"{component} is {provenance.meaning}"


def _merits(record: StudyRecord) -> list[str]:
    coverage = record.books.coverage or 0.0
    how = dict.fromkeys(f"{book.component} by {book.provenance.meaning}" for book in record.books.components)
    return [f"{percent(coverage)} of the time was metered", *how]
