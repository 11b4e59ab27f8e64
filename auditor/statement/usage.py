"""What the accounts of the books were for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.domain.accounts import AccountName, evaluated, is_draw, parse_account
from auditor.domain.study import Finding, Run, StudyRecord, TrialState
from auditor.statement.objections import warning

TRAINING = "training"
"""Kind of a plain training: of its study, of its runs, of their accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The accounts summed by purpose, in microjoules; the first four sum to the charged energy.

    Attributes:
        search_uj: Trials (all states, all attempts), plain trainings, the search's own work, the auditor.
        baselines_uj: Baselines.
        evaluation_uj: Retraining on fresh seeds.
        outside_uj: What is no part of the study: idle, foreign, unexplained, other studies.
        foreign_uj: Of the last, other people's processes.
        unexplained_uj: Of the last, energy without known usage.
        by_state: Trials by the outcome of each attempt.
        by_trial: Trials by number.
        by_attempt: Trials by number and attempt.
        by_baseline: Baselines by name.
        by_evaluation: Retrainings by subject and phase; no phase is the empty one.
        sampler_uj: Of the search, what choosing parameters took.
        by_draw: Draws of the random arm by number; they are among the baselines.
        by_training: Plain trainings by run and phase; no phase is the empty one.
        findings: Accounts that fit nowhere.
    """

    search_uj: int
    baselines_uj: int
    evaluation_uj: int
    outside_uj: int
    foreign_uj: int
    unexplained_uj: int
    by_state: Mapping[TrialState, int]
    by_trial: Mapping[int, int]
    by_attempt: Mapping[tuple[int, int], int]
    by_baseline: Mapping[str, int]
    by_evaluation: Mapping[str, Mapping[str, int]]
    sampler_uj: int
    by_draw: Mapping[int, int]
    by_training: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]

    @property
    def random_arm_uj(self) -> int | None:
        """Energy of the random arm; ``None`` where there is none."""
        return sum(self.by_draw.values()) if self.by_draw else None


def usage_of(record: StudyRecord) -> Usage:
    """Sum the accounts of a study by purpose; every microjoule in exactly one of the four sums.

    An attempt that the record does not know counts as lost. An account outside the scheme counts as outside
    the study. Both are findings.
    """
    outcome = {(t.number, a.number): a.state for t in record.trials for a in t.attempts}
    sums = dict.fromkeys(("search", "baselines", "evaluation", "outside", "foreign", "unexplained", "sampler"), 0)
    by_state = dict.fromkeys(TrialState, 0)
    by_trial: dict[int, int] = {}
    by_baseline: dict[str, int] = {}
    by_attempt: dict[tuple[int, int], int] = {}
    by_evaluation: dict[str, dict[str, int]] = {}
    by_draw: dict[int, int] = {}
    by_training: dict[str, dict[str, int]] = {}
    strange: list[str] = []
    unknown: set[tuple[int, int]] = set()
    for text, energy_uj in record.books.accounts.items():
        name = _parse(text)
        if name is None:
            strange.append(text)
        if name is None or name.owner == "node" or name.name != record.name:
            sums["outside"] += energy_uj
            if name is not None and name.kind in {"foreign", "unexplained"}:
                sums[name.kind] += energy_uj
        elif name.kind == "baseline":
            sums["baselines"] += energy_uj
            by_baseline[name.subject] = by_baseline.get(name.subject, 0) + energy_uj
            if is_draw(name.subject):
                number = int(name.subject.rpartition("-")[2])
                by_draw[number] = by_draw.get(number, 0) + energy_uj
        elif name.kind == "evaluation":
            sums["evaluation"] += energy_uj
            phases = by_evaluation.setdefault(name.subject, {})
            phases[name.phase] = phases.get(name.phase, 0) + energy_uj
        else:
            sums["search"] += energy_uj
            if name.kind == "search" and name.subject == "sampler":
                sums["sampler"] += energy_uj
            if name.kind == "trial":
                key = (int(name.subject), name.attempt)
                if key not in outcome:
                    unknown.add(key)
                by_state[outcome.get(key, TrialState.LOST)] += energy_uj
                by_trial[key[0]] = by_trial.get(key[0], 0) + energy_uj
                by_attempt[key] = by_attempt.get(key, 0) + energy_uj
            elif name.kind == TRAINING:
                phases = by_training.setdefault(name.subject, {})
                phases[name.phase] = phases.get(name.phase, 0) + energy_uj
    return Usage(
        search_uj=sums["search"],
        baselines_uj=sums["baselines"],
        evaluation_uj=sums["evaluation"],
        outside_uj=sums["outside"],
        foreign_uj=sums["foreign"],
        unexplained_uj=sums["unexplained"],
        by_state=by_state,
        by_trial=by_trial,
        by_baseline=by_baseline,
        by_attempt=by_attempt,
        by_evaluation=by_evaluation,
        sampler_uj=sums["sampler"],
        by_draw=by_draw,
        by_training=by_training,
        findings=_findings(strange, unknown),
    )


def retraining(run: Run) -> str:
    """Subject of the account of an evaluation."""
    return run.account or evaluated(run.name, run.seed or 0)


def is_metered(record: StudyRecord) -> bool:
    """Whether the books hold any energy at all; without it a sum of 0 would be no figure."""
    return record.books.metered_uj != 0 or any(record.books.accounts.values())


def _parse(text: str) -> AccountName | None:
    try:
        return parse_account(text)
    except ValueError:
        return None


def _findings(strange: list[str], unknown: set[tuple[int, int]]) -> tuple[Finding, ...]:
    found = []
    if strange:
        found.append(
            warning(
                "unknown-account",
                f"{len(strange)} account(s) follow no known scheme and count as outside the study: "
                f"{', '.join(sorted(strange)[:5])}.",
            )
        )
    if unknown:
        listed = ", ".join(f"trial {trial} attempt {attempt}" for trial, attempt in sorted(unknown)[:5])
        found.append(
            warning(
                "unknown-attempt",
                f"{len(unknown)} attempt(s) with energy on the books have no outcome and count as lost: {listed}.",
            )
        )
    return tuple(found)
