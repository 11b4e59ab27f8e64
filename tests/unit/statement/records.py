"""Small study records for the tests of the statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import (
    Attempt,
    Books,
    ComponentBook,
    Run,
    StudyRecord,
    Trial,
    TrialState,
    Window,
)

J = 1_000_000
S = 1_000_000_000
T0 = 1_767_225_600 * S
"""2026-01-01T00:00:00Z."""

COMPLETE = TrialState.COMPLETE
WINNER_TESTS = (0.980, 0.982, 0.981, 0.979, 0.983)
DEFAULT_TESTS = (0.945, 0.948, 0.947, 0.946, 0.949)
ACCOUNTS = {
    "study/demo/trial/0/1/train": 100 * J,
    "study/demo/trial/1/1/setup": 10 * J,
    "study/demo/trial/1/1/train": 90 * J,
    "study/demo/trial/2/1/train": 40 * J,
    "study/demo/trial/3/1/train": 20 * J,
    "study/demo/trial/3/2/train": 100 * J,
    "study/demo/search/sampler": 10 * J,
    "study/demo/search/orchestration": 20 * J,
    "study/demo/audit": 10 * J,
    "study/demo/baseline/default/train": 50 * J,
    "study/demo/baseline/svc/train": 5 * J,
    **{f"study/demo/evaluation/winner-{seed}/train": (14 + seed % 100) * J for seed in range(100, 105)},
    **{f"study/demo/evaluation/default-{seed}/train": (18 + seed % 100) * J for seed in range(100, 105)},
    "study/demo/evaluation/winner-100/test": 20 * J,
    "node/box/idle": 45 * J,
}


def trial(
    number: int,
    value: float | None = None,
    *,
    state: TrialState = COMPLETE,
    params: Mapping[str, Any] | None = None,
    attempts: Sequence[TrialState] | None = None,
) -> Trial:
    """A trial of 10 s a number, attempts one after the other."""
    states = [state] if attempts is None else attempts
    step = 10 * S // max(1, len(states))
    begin = T0 + 10 * S * number
    return Trial(
        number=number,
        params={"lr": 0.1 * (number + 1)} if params is None else params,
        state=state,
        value=value,
        attempts=tuple(
            Attempt(
                number=i + 1,
                state=s,
                begin_ns=begin + i * step,
                end_ns=None if s is TrialState.RUNNING else begin + (i + 1) * step,
                flops=1000,
            )
            for i, s in enumerate(states)
        ),
    )


def evaluations(name: str, tests: Sequence[float | None], values: Sequence[float] = ()) -> tuple[Run, ...]:
    """Completed evaluations of a subject on fresh seeds."""
    return tuple(
        Run(
            kind="evaluation",
            name=name,
            state=COMPLETE,
            seed=100 + i,
            trial=3 if name == "winner" else None,
            value=values[i] if i < len(values) else None,
            test_value=test,
        )
        for i, test in enumerate(tests)
    )


def baseline(name: str, value: float | None, test_value: float | None = None, **changes: Any) -> Run:
    """A completed baseline."""
    run = Run(kind="baseline", name=name, state=COMPLETE, value=value, test_value=test_value)
    return replace(run, **changes)


def runs(
    *,
    winner: Sequence[float | None] = WINNER_TESTS,
    default: Sequence[float | None] = DEFAULT_TESTS,
    alternatives: Sequence[Run] = (),
) -> tuple[Run, ...]:
    """The default as baseline, alternatives, and evaluations of winner and default."""
    return (
        baseline("default", 0.95),
        *alternatives,
        *evaluations("winner", winner, [0.984] * len(winner)),
        *evaluations("default", default),
    )


def component(name: str, energy_uj: int, provenance: Provenance = Provenance.COUNTER, **bounds: int) -> ComponentBook:
    """A component of the node ``box``."""
    return ComponentBook(
        node="box",
        component=name,
        meter="fake",
        provenance=provenance,
        metered_uj=energy_uj,
        static_w=1.0,
        low_uj=bounds.get("low_uj"),
        high_uj=bounds.get("high_uj"),
        detail="made up",
    )


def books(accounts: Mapping[str, int] | None = None, **changes: Any) -> Books:
    """Balanced, sealed, fully covered books of 100 s, measured by a counter; 5 J of search a second."""
    held = ACCOUNTS if accounts is None else accounts
    total = sum(held.values())
    whole = Books(
        policy="reserved",
        accounts=held,
        metered_uj=total,
        components=(component("cpu", total, low_uj=total - J, high_uj=total + J),),
        windows=(Window(node="box", start_ns=T0, end_ns=T0 + 100 * S),),
        coverage=1.0,
        unmetered_start_s=0.5,
        after_seal_s=1.0,
        sealed=True,
        wall_s=100.0,
        cpu_s=90.0,
        device_s={"cpu": 250.0},
        search_device_s={"cpu": 200.0},
        cumulative_ns=tuple(T0 + i * S for i in range(101)),
        cumulative_uj=tuple(min(i * 10, 400) * J for i in range(101)),
    )
    return replace(whole, **changes)


TRIALS = (
    trial(0, 0.91),
    trial(1, 0.96),
    trial(2, state=TrialState.PRUNED),
    trial(3, 0.985, attempts=(TrialState.LOST, COMPLETE)),
)


def record(**changes: Any) -> StudyRecord:
    """A study whose winner (trial 3) clearly beats the default; every figure that can be had is there."""
    whole = StudyRecord(
        uuid="6d0e6a1e-0000-4000-8000-000000000000",
        name="demo",
        space="digits",
        sampler="tpe",
        metric="val_acc",
        test_metric="test_acc",
        direction="maximize",
        trials=TRIALS,
        runs=runs(alternatives=(baseline("svc", 0.96, 0.955),)),
        books=books(),
    )
    return replace(whole, **changes)


def empty() -> StudyRecord:
    """A study that never began, under no meter."""
    return record(trials=(), runs=(), test_metric=None, books=Books(policy="reserved", accounts={}, metered_uj=0))


def minimised() -> StudyRecord:
    """The same study on error instead of accuracy."""

    def flip(value: float | None) -> float | None:
        return None if value is None else 1.0 - value

    whole = record()
    return replace(
        whole,
        direction="minimize",
        metric="val_err",
        test_metric="test_err",
        trials=tuple(replace(t, value=flip(t.value)) for t in whole.trials),
        runs=tuple(replace(r, value=flip(r.value), test_value=flip(r.test_value)) for r in whole.runs),
    )


ARM = ((0.90, 30), (0.94, 40), (None, 10), (0.93, 20))
"""Draws of a random arm: validation value, ``None`` for one that failed, and joules."""


def with_arm(draws: Sequence[tuple[float | None, int]] = ARM, **changes: Any) -> StudyRecord:
    """The study with a random arm beside it."""
    arm = tuple(
        Run(
            kind="baseline",
            name="random",
            draw=number,
            state=TrialState.FAILED if value is None else COMPLETE,
            value=value,
            test_value=None if value is None else value - 0.01,
        )
        for number, (value, _) in enumerate(draws)
    )
    accounts = {f"study/demo/baseline/random-{n}/train": energy * J for n, (_, energy) in enumerate(draws)}
    return record(runs=(*runs(), *arm), books=books({**ACCOUNTS, **accounts}), **changes)


def several_objectives() -> StudyRecord:
    """A study of accuracy and latency."""
    values = ((0.9, 5.0), (0.96, 9.0), (), (0.95, 9.5))
    trials = tuple(replace(t, value=None, values=v) for t, v in zip(TRIALS, values, strict=True))
    return record(trials=trials, direction="", directions=("maximize", "minimize"), runs=())


def pruned() -> StudyRecord:
    """A study whose pruner looked at step 1: ten trials were stopped there, twelve went on."""
    stopped = [replace(trial(n, state=TrialState.PRUNED), intermediate={0: 0.1, 1: 0.2 + n / 100}) for n in range(10)]
    ended = [
        replace(trial(10 + n, 0.5 + n / 100), intermediate={0: 0.1, 1: 0.4 + (n ^ 1) / 100, 2: 0.5 + n / 100})
        for n in range(12)
    ]
    return record(trials=(*stopped, *ended))


def imported() -> StudyRecord:
    """A study compiled from what somebody else logged: energies of trials, no readings."""
    accounts = {name: energy for name, energy in ACCOUNTS.items() if "/trial/" in name}
    compiled = Books(policy="reserved", accounts=accounts, metered_uj=sum(accounts.values()))
    return record(imported=True, runs=(), books=compiled)


TRAINING_ACCOUNTS = {
    "study/demo/training/0/setup": 20 * J,
    "study/demo/training/0/train": 700 * J,
    "study/demo/training/0/validate": 200 * J,
    "study/demo/training/0": 30 * J,
    "study/demo/audit": 50 * J,
    "node/box/idle": 100 * J,
}


def training_run(number: int = 0, **changes: Any) -> Run:
    """A plain training of 200 s."""
    run = Run(kind="training", name=str(number), state=COMPLETE, begin_ns=T0, end_ns=T0 + 200 * S, flops=10**12)
    return replace(run, **changes)


def training(accounts: Mapping[str, int] | None = None, *runs: Run, **changes: Any) -> StudyRecord:
    """A plain training of one run, unless others are given: 1 kJ, of it 700 J to train; 200 s."""
    held = books(TRAINING_ACCOUNTS if accounts is None else accounts, wall_s=201.0)
    whole = StudyRecord(
        uuid="6d0e6a1e-0000-4000-8000-00000000bbbb",
        name="demo",
        space="",
        sampler="",
        metric="",
        direction="",
        kind="training",
        runs=runs or (training_run(),),
        books=held,
    )
    return replace(whole, **changes)


PRICED = Parameters(
    pue=1.5,
    factor=CarbonFactor(g_per_kwh=100.0, source="a table", year=2023, scope="FRA"),
    price_per_kwh=0.3,
    price_per_device_hour=0.9,
)
