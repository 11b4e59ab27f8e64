"""A search on recorded trainings, in simulated time: a study that ran elsewhere, as any imported one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial, Power, Told
from auditor.domain.study import Finding, Severity, TrialState
from auditor.ports import Benchmark

if TYPE_CHECKING:
    import optuna

START_NS = 946_684_800_000_000_000
"""Where simulated time begins: 2000-01-01T00:00:00Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replayed search.

    Attributes:
        study: The study, as an importer would give it; times are simulated.
        truths: How good the configuration of each trial really is, in the order of the trials.
        ends_s: When each trial ended, in seconds of simulated time.
    """

    study: ImportedStudy
    truths: Sequence[float]
    ends_s: Sequence[float]


def replay(
    benchmark: Benchmark, sampler: optuna.samplers.BaseSampler, *, name: str, seed: int, budget_s: float
) -> Replay:
    """Let a sampler search recorded trainings, one after the other, until the next would end after the budget.

    What the sampler itself takes is not simulated. A configuration that is drawn again is trained again, and may then
    show another of its recorded trainings.

    Args:
        benchmark: The recordings.
        sampler: A fresh sampler, seeded with :func:`own_seed`.
        name: The sampler's name.
        seed: The search seed; it chooses among recordings too.
        budget_s: Training time that may be spent, in seconds.

    Raises:
        InputError: not even the first training ends within the budget.
    """
    import numpy as np
    import optuna

    study = optuna.create_study(sampler=sampler, direction=benchmark.direction)
    choices = np.random.default_rng([own_seed(name, seed), 0x7265706C])
    trials: list[ImportedTrial] = []
    truths: list[float] = []
    ends_s: list[float] = []
    now_s = 0.0
    while True:
        asked = study.ask()
        params = dict(benchmark.suggest(asked))
        seen = benchmark.lookup(params, int(choices.integers(2**31)))
        if not seen.seconds > 0.0:
            raise InputError(f"{benchmark.name}: a recorded training took {seen.seconds:g} s; expected more than 0")
        if now_s + seen.seconds > budget_s:
            break
        study.tell(asked, seen.value)
        begin_ns = START_NS + round(now_s * 1e9)
        now_s += seen.seconds
        trials.append(
            ImportedTrial(
                number=len(trials),
                state=TrialState.COMPLETE,
                params=params,
                value=seen.value,
                test_value=seen.test_value,
                begin_ns=begin_ns,
                end_ns=START_NS + round(now_s * 1e9),
                duration_s=seen.seconds,
            )
        )
        truths.append(benchmark.truth(params))
        ends_s.append(now_s)
    if not trials:
        raise InputError(
            f"the first training of {name}, seed {seed}, takes {seen.seconds:,.0f} s, the budget is {budget_s:,.0f} s; "
            "expected a larger budget"
        )
    return Replay(
        study=ImportedStudy(
            name=f"{benchmark.name}-{benchmark.dataset}-{name}",
            metric=benchmark.metric,
            direction=benchmark.direction,
            trials=tuple(trials),
            sampler=name,
            test_metric=benchmark.test_metric,
            source=f"{benchmark.source}, replayed with {name}, seed {seed}",
            findings=(replayed(benchmark),),
            seed=seed,
        ),
        truths=truths,
        ends_s=ends_s,
    )


def own_seed(name: str, seed: int) -> int:
    """Seed of a sampler that it shares with no other under the same search seed.

    Samplers begin with random draws: under the same seed they would be the same ones, and groups not independent.
    """
    import numpy as np

    return int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0]) % 2**31


def replayed(benchmark: Benchmark) -> Finding:
    """What everybody has to know of a replayed search."""
    return Finding(
        code="replayed",
        severity=Severity.INFO,
        message=f"Replayed from {benchmark.source}, in simulated time that begins with the year 2000: nothing was "
        "trained or metered here, and what the sampler itself takes is not in it.",
    )


def told_power(power_w: float) -> Told:
    """What a replay says of energy: recorded seconds times a power that somebody stated."""
    detail = f"recorded training time times {power_w:g} W, stated and not measured"
    return Told(power=Power(low_w=power_w, typical_w=power_w, high_w=power_w, detail=detail))
