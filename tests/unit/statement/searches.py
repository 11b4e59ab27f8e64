"""Small searches to compare: imported studies with a value and an energy for each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.domain.imported import ImportedStudy, ImportedTrial, Told
from auditor.domain.study import StudyRecord, TrialState
from auditor.importers.record import record_of
from auditor.statement.compared import Subject

S = 1_000_000_000


def study(
    values: Sequence[float | None],
    *,
    energy_j: float | None = 100.0,
    tests: Sequence[float] = (),
    direction: str = "maximize",
    metric: str = "val_acc",
    params: Mapping[str, Any] | None = None,
    **about: Any,
) -> ImportedStudy:
    """A study whose trials ran one after the other for 10 s each; ``None`` is a trial that failed."""
    return ImportedStudy(
        name=about.pop("name", "demo"),
        metric=metric,
        direction=direction,
        trials=tuple(
            ImportedTrial(
                number=number,
                state=TrialState.FAILED if value is None else TrialState.COMPLETE,
                params={"lr": 0.1} if params is None else params,
                value=value,
                test_value=tests[number] if tests else None,
                begin_ns=number * 10 * S,
                end_ns=(number + 1) * 10 * S,
                energy_j=energy_j,
            )
            for number, value in enumerate(values)
        ),
        energy_source="" if energy_j is None else "column energy_j",
        **about,
    )


def record(values: Sequence[float | None], **about: Any) -> StudyRecord:
    """The record of such a study."""
    return record_of(study(values, **about), Told(), "uuid")


def subject(seed: int | None, values: Sequence[float | None], *, label: str = "", **about: Any) -> Subject:
    """Such a study as it is compared."""
    protocol = about.pop("protocol", {})
    return Subject(label=label or f"run-{seed}", record=record(values, **about), seed=seed, protocol=protocol)


def group(*runs: Sequence[float | None], first_seed: int = 0, **about: Any) -> list[Subject]:
    """Runs under one search seed each."""
    return [subject(first_seed + place, values, **about) for place, values in enumerate(runs)]


WEAK = [[0.50, 0.60, 0.70], [0.52, 0.58, 0.69], [0.55, 0.61, 0.71]]
STRONG = [[0.60, 0.80, 0.90], [0.61, 0.82, 0.91], [0.59, 0.79, 0.89]]
