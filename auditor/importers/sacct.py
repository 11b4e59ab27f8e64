"""Energy of Slurm's jobs, from what ``sacct`` printed: a second meter for a study that ran elsewhere."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from auditor.domain.errors import InputError

_JOULES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNKNOWN_FROM = 2.0**63
"""Slurm writes numbers near 2^64 for what it does not know."""

_WHOLE_STEPS = {"batch", "extern", "interactive"}
"""Steps that last as long as their job, on its nodes: they see what its other steps use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmEnergy:
    """What Slurm says of some jobs.

    Attributes:
        energy_j: Energy of all of them, in joules.
        jobs: How many there are.
        known: How many of them have energy.
    """

    energy_j: float
    jobs: int
    known: int

    @property
    def meter(self) -> str:
        """What this is, for people."""
        of = f"{self.known} of {self.jobs} jobs" if self.known < self.jobs else f"{self.jobs} jobs"
        return f"Slurm (sacct, {of.removesuffix('s') if self.jobs == 1 else of})"


@dataclass(slots=True)
class _Job:
    own_j: float = 0.0
    whole_j: dict[str, float] = field(default_factory=dict)
    steps_j: float = 0.0

    @property
    def energy_j(self) -> float:
        """The job's own figure, else that of its longest step or the sum of the others: never both."""
        return self.own_j or max([*self.whole_j.values(), self.steps_j])


def read_sacct(path: Path) -> SlurmEnergy:
    """Sum the energy of jobs, each once.

    ``sacct`` prints a line for a job and one for each of its steps (``7``, ``7.batch``, ``7.extern``, ``7.0``), whose
    energies overlap. A job that was requeued has several lines of its own, which are summed.

    Args:
        path: Output of ``sacct --parsable2`` (or ``--parsable``), or the same as CSV, with its header; columns
            ``JobID`` (or ``JobIDRaw``) and ``ConsumedEnergyRaw`` (joules) or ``ConsumedEnergy`` (``12.3K``).

    Raises:
        InputError: there is no such file, a column is missing, a figure is none, or no job has energy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--slurm {path}: can't be read ({error})") from error
    header = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(), delimiter="|" if "|" in header else ",")
    names = next(rows, [])
    place_id = _column(names, ("JobID", "JobIDRaw"), path)
    place_energy = _column(names, ("ConsumedEnergyRaw", "ConsumedEnergy"), path)
    jobs: dict[str, _Job] = {}
    for number, row in enumerate(rows, start=2):
        if not any(field.strip() for field in row):
            continue
        if len(row) <= max(place_id, place_energy):
            raise InputError(f"--slurm {path}: line {number} has {len(row)} fields; expected {len(names)}")
        job_id, _, step = row[place_id].strip().partition(".")
        energy_j = _joules(row[place_energy].strip(), f"--slurm {path}: line {number}")
        job = jobs.setdefault(job_id, _Job())
        if not step:
            job.own_j += energy_j
        elif step in _WHOLE_STEPS:
            job.whole_j[step] = job.whole_j.get(step, 0.0) + energy_j
        else:
            job.steps_j += energy_j
    known = [job.energy_j for job in jobs.values() if job.energy_j > 0]
    if not known:
        raise InputError(
            f"--slurm {path}: none of {len(jobs)} jobs has energy; Slurm has it where AcctGatherEnergyType is set"
        )
    return SlurmEnergy(energy_j=sum(known), jobs=len(jobs), known=len(known))


def _column(names: list[str], wanted: tuple[str, ...], path: Path) -> int:
    places = {name.strip().lower(): place for place, name in reversed(list(enumerate(names)))}
    for name in wanted:
        if name.lower() in places:
            return places[name.lower()]
    raise InputError(f"--slurm {path}: has no column {' or '.join(wanted)}; expected the output of sacct --parsable2 "
                     f"--format=JobID,ConsumedEnergyRaw, found {', '.join(names)[:200] or 'nothing'}")  # fmt: skip


def _joules(text: str, where: str) -> float:
    """Joules of a field; 0 where Slurm does not know."""
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    figure = text[: len(text) - len(unit)]
    if not text:
        return 0.0
    try:
        energy_j = float(figure) * _JOULES[unit]
    except (ValueError, KeyError):
        raise InputError(f"{where}: '{text}' is no energy; expected joules, such as 1234 or 1.23K") from None
    if not energy_j >= 0:
        raise InputError(f"{where}: '{text}' is no energy; expected 0 or more")
    return energy_j if energy_j < _UNKNOWN_FROM else 0.0
