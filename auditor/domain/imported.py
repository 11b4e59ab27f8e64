"""A study that ran elsewhere, as an importer reads it, and what its user says of it.

Nothing here was metered by us: an importer gives what the source holds and leaves out what it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.domain.study import Finding, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTrial:
    """A trial as its source tells it; ``None`` is what the source does not say.

    Attributes:
        number: From 0, in the order of the source, or the source's own.
        state: How it ended.
        params: Its parameters.
        value: Final value of the metric; ``None`` unless complete, and where there are several objectives.
        values: Final values of all objectives, where there are several.
        test_value: Value on the test set.
        intermediate: Value of the metric by step, as reported while it ran.
        begin_ns: Start, UTC nanoseconds since the epoch.
        end_ns: End, UTC nanoseconds since the epoch.
        duration_s: How long it ran, in seconds; of begin and end where it is not given.
        energy_j: Energy that the source reports for it, in joules, with whatever PUE it holds.
        fidelity: How far it was trained (epochs, share of the data); the largest is full fidelity.
        random: Whether it was drawn independently of all other trials.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    values: tuple[float, ...] = ()
    test_value: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    begin_ns: int | None = None
    end_ns: int | None = None
    duration_s: float | None = None
    energy_j: float | None = None
    fidelity: float | None = None
    random: bool | None = None

    @property
    def ran_s(self) -> float | None:
        """How long it ran, in seconds."""
        if self.duration_s is not None or self.begin_ns is None or self.end_ns is None:
            return self.duration_s
        return max(0.0, (self.end_ns - self.begin_ns) / 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedStudy:
    """What an importer gives.

    Attributes:
        name: Name of the study, as its source has it.
        metric: Name of the metric; empty where the source does not say.
        direction: ``maximize`` or ``minimize``; empty with several objectives.
        trials: All trials, by number.
        sampler: Name of the sampler; empty where the source does not say.
        directions: Direction of each objective, where there are several.
        metrics: Name of each objective, where there are several and the source names them.
        test_metric: Name of the metric on the test set.
        source: Where it was read from, without secrets.
        energy_source: What reported the energy, for people: ``column energy_kwh``, ``CodeCarbon`` …
        findings: What reading it found.
        seed: Seed of the search, where the source says it.
    """

    name: str
    metric: str
    direction: str
    trials: tuple[ImportedTrial, ...]
    sampler: str = ""
    directions: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    test_metric: str | None = None
    source: str = ""
    energy_source: str = ""
    findings: tuple[Finding, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBaseline:
    """A figure that the user gives to compare the winner with.

    Attributes:
        name: ``default``, or the name of an alternative.
        value: On the validation set.
        test_value: On the test set.
    """

    name: str
    value: float
    test_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a trial drew while it ran, where its energy is worked out from its duration.

    Attributes:
        low_w: Least it could be, in watts.
        typical_w: What the books take, in watts.
        high_w: Most it could be, in watts.
        detail: Where these come from, for people.
    """

    low_w: float
    typical_w: float
    high_w: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user says of a study that ran elsewhere; kept in ``study.yaml``.

    Attributes:
        baselines: Figures given by hand.
        baseline_trial: Number of the trial that is the default.
        sampler: Name of the sampler, where the source does not say or says otherwise.
        gpus: GPUs that each trial held, or what share of one; ``None``: not known.
        power: Power of a trial; ``None``: not known.
        pue_inside: PUE that reported energy holds already; ``None``: not known.
        second_j: Energy of the whole study by a second meter, in joules; ``None``: there is none.
        second_meter: What that meter is, for people.
    """

    baselines: tuple[GivenBaseline, ...] = ()
    baseline_trial: int | None = None
    sampler: str | None = None
    gpus: float | None = None
    power: Power | None = None
    pue_inside: float | None = None
    second_j: float | None = None
    second_meter: str = ""
