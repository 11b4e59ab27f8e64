"""Where the energy of a study went: its accounts in groups, and its trials by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.domain.accounts import AccountName, parse_account
from auditor.reporting.figures import is_figure
from auditor.reporting.lookup import Statement, at, figure

_GROUPS = {
    "trial": ("Trials", "all, also pruned, failed, lost"),
    "training": ("Training", "plain training, without a search"),
    "baseline": ("Baselines", "what needs no search"),
    "evaluation": ("Evaluation", "winner and default on fresh seeds"),
    "alternative": ("Alternatives", "other ways to the same end"),
    "sampler": ("Sampler", "choosing what to try"),
    "tracking": ("Tracking", "writing results to MLflow"),
    "orchestration": ("Orchestration", "Ray, driver, slots left empty"),
    "audit": ("Audit", "the auditor itself"),
    "idle": ("Idle", "nobody held it"),
    "foreign": ("Foreign", "other people's processes"),
    "unexplained": ("Unexplained", "metered, but whose is not known"),
    "other": ("Other accounts", "of no known kind"),
    "uncharged": ("In no account", "metered, but charged to nobody"),
}
_PHASES = {
    "setup": "setting up",
    "train": "training",
    "validate": "validation",
    "checkpoint": "checkpoints",
    "test": "testing",
    "predict": "predicting",
    "teardown": "closing down",
}
_OUTSIDE = {"idle", "foreign", "unexplained", "other", "uncharged"}
_OUTCOMES = ("complete", "pruned", "failed", "lost", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One line of what a study cost.

    Attributes:
        key: Kind of the account group, for example ``trial``; a phase within one, ``trial/train``.
        label: Its name for people.
        note: What it is, in a few words.
        energy_j: Energy in joules.
        share: Share of all metered energy; ``None`` where that is unknown or nothing.
        part: Whether it is a part of the line above it, and not to be added.
        outside: Whether the study did not spend it.
    """

    key: str
    label: str
    note: str
    energy_j: float
    share: float | None
    part: bool = False
    outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Energy of the trials by how they ended.

    Attributes:
        state: ``complete``, ``pruned``, ``failed``, ``lost``; or ``running``, in books closed early.
        trials: How many trials ended so; ``None`` where unknown.
        energy_j: Energy of the attempts that ended so, in joules; ``None`` where unknown.
        share: Share of the energy of all attempts; ``None`` where that is unknown or nothing.
    """

    state: str
    trials: int | None
    energy_j: float | None
    share: float | None


def accounts(statement: Statement) -> dict[str, float]:
    """Joules by account name."""
    books = at(statement, "energy.accounts")
    if not isinstance(books, Mapping):
        return {}
    return {str(name): energy_uj / 1e6 for name, energy_uj in books.items() if is_figure(energy_uj)}


def costs(statement: Statement) -> list[Cost]:
    """Accounts in groups, trials also by phase; groups that the books don't have are left out."""
    groups: dict[str, float] = {}
    phases: dict[str, float] = {}
    for name, energy_j in accounts(statement).items():
        account = account_name(name)
        key = _group(account)
        groups[key] = groups.get(key, 0.0) + energy_j
        if account is not None and key == "trial" and account.phase:
            phases[account.phase] = phases.get(account.phase, 0.0) + energy_j
    metered_uj, charged_uj = figure(statement, "energy.metered_uj"), sum(accounts(statement).values()) * 1e6
    if metered_uj is not None and groups and abs(metered_uj - charged_uj) >= 1:
        groups["uncharged"] = (metered_uj - charged_uj) / 1e6
    total_j = sum(groups.values()) if metered_uj is None else metered_uj / 1e6
    lines = []
    for key, (label, note) in _GROUPS.items():
        if key not in groups:
            continue
        energy_j = groups[key]
        lines.append(
            Cost(
                key=key,
                label=label,
                note=note,
                energy_j=energy_j,
                share=_share(energy_j, total_j),
                outside=key in _OUTSIDE,
            )
        )
        if key == "trial" and len(phases) > 1:
            lines.extend(_phase_lines(phases, total_j))
    return lines


def outcomes(statement: Statement) -> list[Outcome]:
    """Energy by outcome; energy goes by attempt, the number of trials by each trial's final state.

    Trials still running are listed only where there are any.
    """
    energies = {state: figure(statement, f"energy.by_state.{state}") for state in _OUTCOMES}
    total_uj = sum(energy_uj for energy_uj in energies.values() if energy_uj is not None)
    lines = []
    for state, energy_uj in energies.items():
        trials = figure(statement, f"trials.{state}")
        if state == "running" and not energy_uj and not trials:
            continue
        lines.append(
            Outcome(
                state=state,
                trials=None if trials is None else int(trials),
                energy_j=None if energy_uj is None else energy_uj / 1e6,
                share=None if energy_uj is None else _share(energy_uj, total_uj),
            )
        )
    return lines


def baseline_energy_j(statement: Statement, name: str) -> float | None:
    """What one training of a baseline took, in joules; ``None`` where no account has it."""
    parts = [
        energy_j
        for account, energy_j in accounts(statement).items()
        if (taken := account_name(account)) and (taken.kind, taken.subject) == ("baseline", name)
    ]
    return sum(parts) if parts else None


def phase_label(phase: str) -> str:
    """A phase for people; a user's own by its name."""
    return _PHASES.get(phase, phase)


def account_name(name: str) -> AccountName | None:
    """An account name taken apart; ``None`` for an unknown one."""
    try:
        return parse_account(name)
    except ValueError:
        return None


def _group(account: AccountName | None) -> str:
    if account is None:
        return "other"
    key = account.subject if account.kind == "search" else account.kind
    return key if key in _GROUPS else "other"


def _phase_lines(phases: Mapping[str, float], total_j: float) -> list[Cost]:
    known = [phase for phase in _PHASES if phase in phases]
    return [
        Cost(
            key=f"trial/{phase}",
            label=phase_label(phase),
            note="",
            energy_j=phases[phase],
            share=_share(phases[phase], total_j),
            part=True,
        )
        for phase in known + sorted(set(phases) - set(known))
    ]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
