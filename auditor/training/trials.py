"""The books of a search that somebody else's program runs: one trial after the other, or several at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.domain.accounts import search_account, trial_account
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import TrialState
from auditor.metering.activity import Activity
from auditor.metering.records import AttemptRecord, OutcomeRecord
from auditor.metering.runtime import nudge_agent
from auditor.metering.slots import gpus_held
from auditor.metering.stack import Stack
from auditor.training.recording import Booked, Recording, book_here
from auditor.training.summary import summary

_WAIT_S = 0.3
_WORTH_WAITING_S = 3.0
"""A trial that took so long waits some hundredths of a second for the reading at its end."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """A trial that runs."""

    begin_ns: int
    marks: Stack
    depth: int
    params: Mapping[str, Any]
    flops: int | None = None
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnergy:
    """What a trial used, as far as it is known the moment it ends.

    Attributes:
        energy_j: Joules; ``None`` where no meter has told anything yet.
        basis: ``metered``: read at its end; ``estimated``: what came after the last reading by the power before it.
    """

    energy_j: float | None
    basis: str


class TrialBooks(Recording):
    """Books a search from within the program that runs it: Optuna, Ray Tune, or a loop of one's own.

    A trial belongs to the thread that begins it, or to another process of this machine that is named with it. Several
    may be open at once. Safe for several threads.

    Args:
        name: Name of the study.
        metric: Name of what is searched for; empty: it has none.
        direction: ``maximize``, ``minimize``, or empty.
        sampler: What draws the trials, for people.
        folder: Study folder; see :class:`~auditor.training.recording.Recording`.
        meters: Names of the meters, likewise.
        interval_s: Seconds between readings, likewise.
        gpus: Indices of the GPUs that this process holds, as CUDA counts those that are visible.
    """

    def __init__(
        self,
        name: str,
        *,
        metric: str = "",
        direction: str = "",
        sampler: str = "",
        folder: str | Path | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
        gpus: Sequence[int] | None = None,
    ) -> None:
        study = {"kind": "search", "space": None, "sampler": sampler or None, "metric": metric or None}
        self._gpus = gpus
        self._trials: dict[int, _Open] = {}
        self._lanes: dict[int, Stack] = {}
        self._others: dict[int, Activity] = {}
        super().__init__(
            name,
            {**study, "direction": direction or None, "test_metric": None},
            folder=folder,
            meters=meters,
            interval_s=interval_s,
        )

    def start(self, *, holds: bool = True) -> None:
        """Begin to book.

        Args:
            holds: Whether the trials run in this process, so that it holds this machine's CPU slots.
        """
        if self.activity is not None:
            return
        with self.guarded("opening the books"):
            self._open(
                lambda: search_account(self.name, "orchestration"),
                gpus=gpus_held(self._gpus) if holds else {},
                share=float(holds),
            )

    def stop(self) -> None:
        """End the search, close its books, write the report, and say in three lines what it cost."""
        if self.activity is None or not self.is_own:
            return
        for number in list(self._trials):
            self.end_trial(number, TrialState.FAILED, error="the search ended before it did")
        for pid in list(self._others):
            self.release(pid)
        self._close()
        self._lanes.clear()
        with self.guarded("the summary"):
            if self.closed is not None and self.folder is not None:
                print(summary(self.closed.statement, self.figures(), self.folder.path), flush=True)  # noqa: T201

    def begin_trial(self, number: int, params: Mapping[str, Any] | None = None, *, pid: int | None = None) -> None:
        """A trial begins in this thread, or in another process of this machine that :meth:`attach` named."""
        with self.guarded("the begin of a trial"):
            marks = self._lane() if pid is None else self._others.get(pid)
            if marks is None:
                return
            begin_ns = time.monotonic_ns()
            account = trial_account(self.name, number, 1)
            trial = _Open(begin_ns=begin_ns, marks=marks, depth=marks.depth, params=dict(params or {}))
            with self._lock:
                self._trials[number] = trial
            self._record(AttemptRecord(t=begin_ns, trial=number, attempt=1, params=dict(trial.params)))
            marks.begin(account)
            if pid is None:
                book_here(Booked(marks=marks, account=account, count=self._counter(number)))

    def end_trial(
        self,
        number: int,
        state: TrialState,
        *,
        value: float | None = None,
        params: Mapping[str, Any] | None = None,
        error: str = "",
    ) -> None:
        """A trial ended; called by the thread that began it, or by any for a trial of another process."""
        with self.guarded("the end of a trial"):
            with self._lock:
                trial = self._trials.pop(number, None)
            if trial is None:
                return
            if not isinstance(trial.marks, Activity):
                book_here(None)
            trial.marks.end(trial.depth)
            self._record(
                AttemptRecord(t=trial.begin_ns, trial=number, attempt=1, params=dict(params or trial.params)),
                OutcomeRecord(
                    t=time.monotonic_ns(),
                    trial=number,
                    attempt=1,
                    state=state.value,
                    value=value if value is not None and math.isfinite(value) else None,
                    flops=trial.flops,
                    uncounted_ops=trial.uncounted,
                    error=error,
                ),
            )

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Book what happens within a block in this thread as the sampler's work."""
        lane, depth = None, 0
        with self.guarded("the sampler's mark"):
            lane = self._lane()
            depth = lane.depth if lane is not None else 0
            if lane is not None:
                lane.begin(search_account(self.name, "sampler"))
        try:
            yield
        finally:
            with self.guarded("the sampler's mark"):
                if lane is not None:
                    lane.end(depth)
'''
