"""What a search did: trials, baselines and evaluations, from the coordinators' journals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from auditor.domain.study import Attempt, InferenceBlock, Run, Trial, TrialState
from auditor.metering.parts import SearchLog
from auditor.metering.records import AttemptRecord, OutcomeRecord, RunRecord, StepRecord
from auditor.metering.timeline import Timeline


def trials_of(logs: Sequence[SearchLog], timeline: Timeline) -> tuple[Trial, ...]:
    """The trials so far, by number; later records of an attempt count."""
    attempts: dict[int, dict[int, Attempt]] = defaultdict(dict)
    params: dict[int, dict[str, object]] = {}
    steps: dict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
    final: dict[int, tuple[TrialState, float | None]] = {}
    for part, offset in _in_order(logs, timeline):
        for record in part.records:
            match record:
                case AttemptRecord():
                    params[record.trial] = record.params
                    attempts[record.trial][record.attempt] = Attempt(
                        number=record.attempt, state=TrialState.RUNNING, begin_ns=record.t + offset
                    )
                case StepRecord():
                    reported = math.nan if record.value is None else record.value
                    steps[record.trial].setdefault(record.step, (reported, record.t + offset))
                case OutcomeRecord():
                    begun = attempts[record.trial].get(record.attempt)
                    attempts[record.trial][record.attempt] = Attempt(
                        number=record.attempt,
                        state=TrialState(record.state),
                        begin_ns=begun.begin_ns if begun else record.t + offset,
                        end_ns=record.t + offset,
                        flops=record.flops,
                        uncounted_ops=record.uncounted_ops,
                        error=record.error,
                    )
                    if record.final:
                        final[record.trial] = (TrialState(record.state), record.value)
                case RunRecord():
                    pass
    trials = []
    for number, tried in sorted(attempts.items()):
        state, value = final.get(number, (TrialState.RUNNING, None))
        trials.append(
            Trial(
                number=number,
                params=params.get(number, {}),
                state=state,
                value=value if state is TrialState.COMPLETE else None,
                intermediate={step: v for step, (v, _) in sorted(steps[number].items())},
                intermediate_ns={step: t for step, (_, t) in sorted(steps[number].items())},
                attempts=tuple(attempt for _, attempt in sorted(tried.items())),
            )
        )
    return tuple(trials)


def runs_of(logs: Sequence[SearchLog], timeline: Timeline) -> tuple[Run, ...]:
    """Baselines and evaluations, in the order in which they ended."""
    runs = []
    for part, offset in _in_order(logs, timeline):
        for record in part.records:
            if isinstance(record, RunRecord):
                runs.append(
                    Run(
                        kind=record.kind,
                        name=record.name,
                        state=TrialState(record.state),
                        seed=record.seed,
                        trial=record.trial,
                        draw=record.draw,
                        value=record.value,
                        test_value=record.test_value,
                        begin_ns=record.begin_ns + offset,
                        end_ns=record.t + offset,
                        flops=record.flops,
                        uncounted_ops=record.uncounted_ops,
                        error=record.error,
                        carried_uj=record.carried_uj,
                        carried_from=record.carried_from,
                        scores=record.scores,
                        inference=tuple(
                            InferenceBlock(number=b.number, samples=b.samples, batch_size=b.batch_size)
                            for b in record.inference
                        ),
                        inference_error=record.inference_error,
                        account=record.account,
                    )
                )
    return tuple(runs)


def _in_order(logs: Sequence[SearchLog], timeline: Timeline) -> list[tuple[SearchLog, int]]:
    """Logs as they were written, each with its offset to UTC."""
    placed = [(log, timeline.offset_ns(log.header)) for log in logs]
    return sorted(placed, key=lambda p: (p[0].header.mono_ns + p[1], p[0].header.key))
