"""What a training cost, in three lines for its terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.domain.accounts import parse_account
from auditor.domain.study import TrialState
from auditor.reporting.figures import duration, energy, flop, percent, watt_hours
from auditor.reporting.names import plain

_LEAST_SHARE = 0.01


def summary(
    statement: Mapping[str, Any], figures: Mapping[str, float], folder: Path, *, carried_j: float = 0.0, where: str = ""
) -> str:
    """Three lines: what it used and for what, how far to trust that, and where to look.

    Args:
        statement: The statement of the study.
        figures: Its figures, as logged.
        folder: The study folder.
        carried_j: What earlier sessions used elsewhere, in joules.
        where: Where else the figures are, for people.
    """
    name = statement["study"]["name"]
    energy_j = figures.get("energy_j")
    if energy_j is None:
        first = f"audit · {name}: energy not known: {_why(statement)}"
    else:
        parts = [f"{energy(energy_j)} ({watt_hours(energy_j)}) in {duration(figures.get('wall_s'))}"]
        parts += [trials] if (trials := _trials(statement)) else []
        parts += [shares] if (shares := _phases(statement)) else []
        parts += [flop(figures["flops"])] if "flops" in figures else []
        parts += [f"of it {energy(carried_j)} in earlier sessions"] if carried_j else []
        first = f"audit · {name}: {' · '.join(parts)}"
    second = f"measured: {_trust(statement)}"
    third = f"report: {os.path.relpath(folder / 'report.html')}{f' · {where}' if where else ''}"
    return f"{plain(first)}\n  {plain(second)}\n  {plain(third)}"


def _trials(statement: Mapping[str, Any]) -> str:
    """How the trials of a search ended: ``24 trials (20 complete, 3 pruned, 1 failed)``."""
    counts = statement["trials"]
    if not counts["total"]:
        return ""
    states = [f"{counts[state.value]} {state.value}" for state in TrialState if counts[state.value]]
    return f"{counts['total']} {'trial' if counts['total'] == 1 else 'trials'} ({', '.join(states)})"


def _phases(statement: Mapping[str, Any]) -> str:
    """Where the energy went, largest first: ``train 81.0 %, validate 15.2 %``, or ``trial 92.0 %, sampler 4.1 %``."""
    sums: dict[str, int] = {}
    for text, energy_uj in statement["energy"]["accounts"].items():
        account = parse_account(text)
        if account.owner == "study":
            phase = {"training": account.phase or "other", "search": account.subject}.get(account.kind, account.kind)
            sums[phase] = sums.get(phase, 0) + energy_uj
    total = sum(sums.values())
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    return ", ".join(f"{phase} {percent(uj / total)}" for phase, uj in ranked if total and uj >= _LEAST_SHARE * total)


def _trust(statement: Mapping[str, Any]) -> str:
    how = ", ".join(f"{component} {grade}" for component, grade in statement["energy"]["provenance"].items())
    grade = statement["measurement"]["grade"]
    found = sum(finding["severity"] in {"warning", "error"} for finding in statement["findings"])
    findings = f" · {found} {'finding' if found == 1 else 'findings'} to look at" if found else ""
    return f"{how or 'nothing'} (books {grade}){findings}"


def _why(statement: Mapping[str, Any]) -> str:
    faults = [f["message"] for f in statement["findings"] if f["code"] == "auditor-fault"]
    if faults:
        return str(faults[0])
    return "it was over before the meter had given two readings; make AuditCallback (or audit) earlier"
