"""What plain trainings cost: every run with its phases, and the key figures of a study that has nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.reporting.costs import phase_label
from auditor.reporting.facts import Fact, key_facts
from auditor.reporting.figures import NOT_AVAILABLE, count, duration, energy, is_figure, percent
from auditor.reporting.lookup import Statement, at, figure, joules, records, text, texts, why
from auditor.reporting.names import shortened
from auditor.statement.trainings import OTHER, carried

_MOST_RUNS = 20
_ERROR_CHARACTERS = 120
_STATES = ("complete", "failed", "lost", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLine:
    """A run, or one phase of it; figures formatted.

    Attributes:
        label: ``Run 0``, or the phase.
        note: How the run ended and how long it took, and what it carries over.
        energy: Energy of its accounts.
        share: Share of all that the study used.
        part: Whether it is a phase of the run above it, and not to be added.
    """

    label: str
    note: str
    energy: str
    share: str
    part: bool = False


def training_lines(statement: Statement) -> list[TrainingLine]:
    """Runs in their order, each with its phases; of very many the rest in one line."""
    runs = records(statement, "trainings")
    whole_j = joules(statement, "energy.search_uj")
    lines = []
    for run in runs[:_MOST_RUNS]:
        lines.append(
            _line(f"Run {text(run, 'run')}".rstrip(), _note(statement, run), joules(run, "energy_uj"), whole_j)
        )
        lines += _phases(run, whole_j)
    if rest := runs[_MOST_RUNS:]:
        energy_j = sum(joules(run, "energy_uj") or 0.0 for run in rest)
        lines.append(_line(f"{count(len(rest))} more runs", "", energy_j, whole_j))
    return lines


def training_facts(statement: Statement) -> list[Fact]:
    """The key figures, with those of a search replaced by what a training has."""
    instead = {"energy.times_default": _with_earlier(statement), "trials.total": _runs(statement)}
    return [instead.get(fact.path, fact) for fact in key_facts(statement)]


def _phases(run: Statement, whole_j: float | None) -> list[TrainingLine]:
    found = at(run, "phases")
    phases = {name: uj / 1e6 for name, uj in found.items() if is_figure(uj)} if isinstance(found, Mapping) else {}
    if set(phases) <= {OTHER}:
        return []
    return [
        _line("in no phase" if name == OTHER else phase_label(name), "", energy_j, whole_j, part=True)
        for name, energy_j in phases.items()
    ]


def _line(label: str, note: str, energy_j: float | None, whole_j: float | None, *, part: bool = False) -> TrainingLine:
    share = energy_j / whole_j if energy_j is not None and whole_j else None
    return TrainingLine(label=label, note=note, energy=energy(energy_j), share=percent(share), part=part)


def _note(statement: Statement, run: Statement) -> str:
    wall_s, carried_j = figure(run, "wall_s"), joules(run, "carried_uj")
    state = text(run, "state") + ("" if wall_s is None else f" after {duration(wall_s)}")
    parts = [state, shortened(text(run, "error"), _ERROR_CHARACTERS)]
    if joules(run, "energy_uj") is None:
        parts.append(why(statement, "trainings[].energy_uj"))
    if carried_j:
        parts.append(f"earlier sessions used {energy(carried_j)} more")
    return "; ".join(filter(None, parts))


def _with_earlier(statement: Statement) -> Fact:
    """What the training used with the sessions that it went on from."""
    sessions = [
        (int(figure(run, "carried_uj") or 0), texts(run, "carried_from")) for run in records(statement, "trainings")
    ]
    earlier_uj, number = carried(sessions)
    own_j = joules(statement, "energy.search_uj")
    note = "no earlier session is carried over"
    if earlier_uj:
        said = f"{count(number)} of them: " if number else ""
        note = f"{said}{energy(earlier_uj / 1e6)} elsewhere, as the checkpoint says"
    return Fact(
        path="trainings",
        label="With earlier sessions",
        value=energy(None if own_j is None else own_j + earlier_uj / 1e6),
        note=note if own_j is not None else why(statement, "energy.search_uj"),
    )


def _runs(statement: Statement) -> Fact:
    runs = records(statement, "trainings")
    states = [text(run, "state") for run in runs]
    said = [f"{count(states.count(state))} {state}" for state in _STATES if state in states]
    if at(statement, "trainings") is None:
        return Fact.of(statement, "trainings", "Runs", NOT_AVAILABLE)
    return Fact(path="trainings", label="Runs", value=count(len(runs)), note=", ".join(said))
