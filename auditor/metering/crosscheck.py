"""Do the journals of a study fit each other, and what it asked for?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditor.accounting.coverage import Session
from auditor.domain.quantities import NS_PER_S
from auditor.domain.study import Books, Finding, Severity, Trial, TrialState
from auditor.metering.parts import Readings
from auditor.metering.records import NodeRecord

LONG_S = 5.0
"""An attempt that ran for longer than this is on the books, whatever interval they were read at."""


def without_energy(trials: Iterable[Trial], books: Books) -> list[Finding]:
    """Attempts that ran for a while and have no energy: marks or readings of their processes are missing."""
    if not books.metered_uj:
        return []
    booked: set[tuple[str, str]] = set()
    for account, energy_uj in books.accounts.items():
        parts = account.split("/")
        if energy_uj > 0 and parts[2:3] == ["trial"]:
            booked.add((parts[3], parts[4]))
    ended = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED}
    empty = [
        (f"{trial.number}/{attempt.number}", (attempt.end_ns - attempt.begin_ns) / NS_PER_S)
        for trial in trials
        for attempt in trial.attempts
        if attempt.state in ended
        and attempt.begin_ns is not None
        and attempt.end_ns is not None
        and attempt.end_ns - attempt.begin_ns > LONG_S * NS_PER_S
        and (str(trial.number), str(attempt.number)) not in booked
    ]
    if not empty:
        return []
    return [
        Finding(
            code="attempt-without-energy",
            severity=Severity.WARNING,
            message=f"Attempts that ran for {sum(s for _, s in empty):.3g} s in all have no energy on the books "
            f"({len(empty)}; trial/attempt {', '.join(name for name, _ in empty[:5])}): marks or readings of them are "
            "missing.",
        )
    ]


def otherwise_metered(readings: Sequence[Readings], asked: Mapping[str, Any]) -> list[Finding]:
    """Agents with other settings than the study's: somebody else had started them, or the study asks anew."""
    wanted = NodeRecord(
        cpu_slots=0,
        gpu_slots=0,
        interval_s=asked.get("interval_s") or 0.0,
        meters=tuple(asked.get("meters") or ()),
        static_w=dict(asked.get("static_w") or {}),
    )
    found: dict[str, str] = {}
    for part in readings:
        node = part.node
        if node is None or not node.meters or not wanted.meters:
            continue
        if _settings(node) != _settings(wanted):
            found[part.header.node] = (
                f"Node {part.header.node} was metered, at least at times, with {_settings(node)}; the study asks for "
                f"{_settings(wanted)}."
            )
    return [Finding(code="metered-otherwise", severity=Severity.WARNING, message=text) for text in found.values()]


def _settings(node: NodeRecord) -> str:
    stated = ", ".join(f"{name}={watts:g} W" for name, watts in sorted(node.static_w.items())) or "none stated"
    return f"meters {', '.join(node.meters)}, readings each {node.interval_s:g} s, static power {stated}"


def gone_on_with(trials: Sequence[Trial], sessions: Sequence[Session]) -> list[Finding]:
    """Whether trials were added after a search had ended: who decides that by what was found stops by looking.

    Args:
        trials: The trials of a study.
        sessions: When it ran, in order.
    """
    begins = [trial.begin_ns for trial in trials if trial.begin_ns is not None]
    ends = [session.end_ns for session in sessions[:-1]]
    rounds = {sum(end_ns <= begin_ns for end_ns in ends) for begin_ns in begins}
    if len(rounds) < 2:
        return []
    return [
        Finding(
            code="gone-on-with",
            severity=Severity.INFO,
            message=f"Trials were begun in {len(rounds)} sessions: where it was gone on with because of what had been "
            "found, the search stopped by looking at values, and its best looks better than it is.",
        )
    ]
