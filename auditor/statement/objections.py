"""Findings of the statement: how they are made, ordered and written."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.domain.study import Finding, Severity

OF_SEARCHES = (
    "expected_max",
    "expected_max_basis",
    "random_arm",
    "pareto",
    "hypervolume",
    "proxy",
    "inference",
    "break_even",
)
"""Sections that only a search has."""

NOT_COMPUTED = ("alternatives", "break_even.tasks")


def info(code: str, message: str) -> Finding:
    """A finding that explains, for example why a figure is ``null``."""
    return Finding(code=code, severity=Severity.INFO, message=message)


def warning(code: str, message: str) -> Finding:
    """A finding that weakens a figure."""
    return Finding(code=code, severity=Severity.WARNING, message=message)


def error(code: str, message: str) -> Finding:
    """A finding that makes figures unusable."""
    return Finding(code=code, severity=Severity.ERROR, message=message)


def not_computed() -> tuple[Finding, ...]:
    """One finding for each part of the statement that this version leaves ``null``."""
    return tuple(info("not-computed", f"{key} is null: this version does not compute it.") for key in NOT_COMPUTED)


def findings_section(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as data, worst first, otherwise in the order given; the same finding twice is written once."""
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    unique = dict.fromkeys(findings)
    return [
        {"code": finding.code, "severity": finding.severity.value, "message": finding.message}
        for finding in sorted(unique, key=lambda finding: order[finding.severity])
    ]
