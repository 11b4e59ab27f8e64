"""The trainings section: every plain training with its energy by phase, and what is missing of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from auditor.domain.accounts import Phase
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import Finding, Run, StudyRecord, TrialState
from auditor.statement.objections import info, warning
from auditor.statement.usage import TRAINING, Usage, is_metered
from auditor.statement.values import counted, energy, utc

OTHER = "other"
"""What stands for no phase at all."""

_PHASES = tuple(phase.value for phase in Phase)
_ERROR_CHARACTERS = 160
_MOST_NAMED = 5


def with_lost_trainings(record: StudyRecord, usage: Usage) -> StudyRecord:
    """The record with a lost run for every training that has energy on the books and no record of its end."""
    known = {run.name for run in record.runs if run.kind == TRAINING}
    lost = [
        Run(kind=TRAINING, name=name, state=TrialState.LOST)
        for name in sorted(usage.by_training, key=_in_order)
        if name not in known
    ]
    return replace(record, runs=(*record.runs, *lost)) if lost else record


def trainings_of(record: StudyRecord) -> tuple[Run, ...]:
    """Plain trainings in the order of their numbers; of two records of one run the later counts."""
    latest = {run.name: run for run in record.runs if run.kind == TRAINING}
    return tuple(latest[name] for name in sorted(latest, key=_in_order))


def carried(runs: Iterable[tuple[int, Sequence[str]]]) -> tuple[int, int]:
    """Energy of earlier sessions in microjoules, and how many they were.

    Runs that went on from the same sessions count them once: of several checkpoints of one session the one that had
    used most.

    Args:
        runs: Of each run ``carried_uj`` and ``carried_from``.
    """
    total_uj, seen = 0, set[str]()
    for energy_uj, names in sorted(runs, key=lambda run: (len(set(run[1])), run[0]), reverse=True):
        folders = set(names)
        if not folders or not folders <= seen:
            total_uj += energy_uj
        seen |= folders
    return total_uj, len(seen)


def trainings_section(record: StudyRecord, usage: Usage) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The ``trainings`` section; energies are integer microjoules.

    Args:
        record: The study, with its lost trainings (:func:`with_lost_trainings`).
        usage: Its accounts by purpose.
    """
    runs = trainings_of(record)
    metered = is_metered(record)
    section = []
    for run in runs:
        ended = run.end_ns is not None
        phases = usage.by_training.get(run.name)
        section.append(
            {
                "run": run.name,
                "state": run.state.value,
                "start": utc(run.begin_ns) if ended else None,
                "wall_s": max(0, run.end_ns - run.begin_ns) / NS_PER_S if run.end_ns is not None else None,
                "energy_uj": None if phases is None or not metered else sum(phases.values()),
                "phases": _by_name(phases or {}),
                "carried_uj": run.carried_uj,
                "carried_from": list(run.carried_from),
                "flops": run.flops,
                "error": run.error,
            }
        )
    return section, [*_unrecorded(runs), *_failed(runs), *_unbooked(runs, usage, metered=metered), *_carried(runs)]


def _unrecorded(runs: Sequence[Run]) -> list[Finding]:
    lost = [run.name for run in runs if run.end_ns is None]
    if not lost:
        return []
    return [
        warning(
            "training-without-outcome",
            f"trainings[].start and trainings[].wall_s are null for {_runs(lost)}: there is energy on the books and no "
            "record of an end, so it was killed, or still runs; it counts as lost.",
        )
    ]


def _failed(runs: Sequence[Run]) -> list[Finding]:
    bad = [run for run in runs if run.end_ns is not None and run.state in {TrialState.FAILED, TrialState.LOST}]
    if not bad:
        return []
    reason = next((run.error.strip().splitlines()[0] for run in bad if run.error.strip()), "")
    cause = f": {reason[:_ERROR_CHARACTERS]}" if reason else ""
    of = counted(len(runs), "training")
    return [warning("training-failed", f"{len(bad)} of {of} failed ({_runs([run.name for run in bad])}){cause}.")]


def _unbooked(runs: Sequence[Run], usage: Usage, *, metered: bool) -> list[Finding]:
    without = [run.name for run in runs if run.name not in usage.by_training]
    if not without:
        return []
    why = "marks or readings of it are missing" if metered else "no energy is on the books"
    return [warning("training-without-energy", f"trainings[].energy_uj is null for {_runs(without)}: {why}.")]


def _carried(runs: Sequence[Run]) -> list[Finding]:
    found = []
    for run in runs:
        if run.carried_uj <= 0:
            continue
        folders = run.carried_from
        more = ", …" if len(folders) > _MOST_NAMED else ""
        named = f" ({counted(len(folders), 'folder')}: {', '.join(folders[:_MOST_NAMED])}{more})" if folders else ""
        found.append(
            info(
                "energy-carried",
                f"{energy(uj_to_j(run.carried_uj))} of earlier sessions of run {run.name}{named} are not on these "
                "books, they are added in trainings[].carried_uj.",
            )
        )
    return found


def _runs(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MOST_NAMED])
    return f"{'run' if len(names) == 1 else 'runs'} {listed}{', …' if len(names) > _MOST_NAMED else ''}"


def _by_name(phases: Mapping[str, int]) -> dict[str, int]:
    """Energy by phase: those of the scheme in their order, a user's own by name, none at all last."""
    ranks = {name: rank for rank, name in enumerate(_PHASES)}
    sums: dict[str, int] = {}
    for name in sorted(phases, key=lambda name: (name in {"", OTHER}, ranks.get(name, len(ranks)), name)):
        sums[name or OTHER] = sums.get(name or OTHER, 0) + phases[name]
    return sums


def _in_order(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
