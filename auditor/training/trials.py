"""The books of a search that somebody else's program runs: one trial after the other, or several at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.domain.accounts import search_account, trial_account
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import TrialState
from auditor.metering.closing import StudyReader
from auditor.metering.live import LiveBooks
from auditor.metering.records import AttemptRecord, ClockRecord, OutcomeRecord, StepRecord
from auditor.metering.runtime import nudge_agent
from auditor.metering.slots import gpus_held
from auditor.metering.stack import Stack
from auditor.tracking.projection import energy_of_search
from auditor.training.booked import Booked, Marks, Place, book_here
from auditor.training.folders import checked_folder, checked_name
from auditor.training.recording import Recording
from auditor.training.summary import summary
from auditor.training.workers import Workers

_FIRST_READING_S = 2.0
_IDLE_S = 5.0
_WAIT_S = 0.3
_WORTH_WAITING_S = 3.0
"""A trial that took so long waits some hundredths of a second for the reading at its end."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """A trial that runs."""

    attempt: int
    begin_ns: int
    marks: Marks
    depth: int
    params: Mapping[str, Any]
    flops: int | None = None
    uncounted: tuple[str, ...] = ()
    rests: bool = False


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
        self._holds = True
        self._timer: threading.Timer | None = None
        self._trials: dict[int, _Open] = {}
        self._lanes: dict[int, Stack] = {}
        self._attempts: dict[int, int] = {}
        self._others: Workers | None = None
        super().__init__(
            name,
            {**study, "direction": direction or None, "test_metric": None},
            folder=folder,
            meters=meters,
            interval_s=interval_s,
        )

    @staticmethod
    def check(name: str, folder: str | Path | None = None) -> None:
        """Whether a study of some name can be booked, in some folder.

        Raises:
            InputError: the name or the folder can't be used.
        """
        checked_folder(folder, checked_name(name))

    def start(self, *, holds: bool = True) -> None:
        """Begin to book.

        Args:
            holds: Whether the trials run in this process, so that it holds this machine's CPU slots.
        """
        if self.activity is not None:
            return
        self._holds = holds
        with self.guarded("opening the books"):
            self._open(
                lambda: search_account(self.name, "orchestration"),
                gpus=gpus_held(self._gpus) if holds else {},
                share=float(holds),
            )
            if (place := self.place) is not None and self.folder is not None:
                self._others = Workers(place)
                reader = StudyReader(self.folder)
                reader.refresh()
                self._attempts = {trial.number: len(trial.attempts) for trial in reader.trials()}

    @property
    def attempts(self) -> Mapping[int, int]:
        """How many attempts each trial has had, those of earlier sessions included."""
        return dict(self._attempts)

    def wait_for_meter(self) -> None:
        """Wait a moment for the first reading, so that the first trial is metered from its begin."""
        with self.guarded("the first reading"):
            until_s = time.monotonic() + _FIRST_READING_S
            while self._live is not None and self._live.t_ns is None and time.monotonic() < until_s:
                time.sleep(0.01)
                self._live.refresh()

    def stop(self) -> None:
        """End the search, close its books, write the report, and say in three lines what it cost."""
        with self._lock:
            self._stop()

    def stop_when_idle(self) -> None:
        """Stop where no trial begins in a while; one that begins later begins another session."""
        with self._lock:
            self._forget_timer()
            with self.guarded("the idle timer"):
                if not self._trials and self.activity is not None:
                    self._timer = threading.Timer(_IDLE_S, self._stop_if_idle)
                    self._timer.daemon = True
                    self._timer.start()

    def _stop_if_idle(self) -> None:
        with self._lock:
            if not self._trials:
                self._stop()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop(self) -> None:
        if self.activity is None or not self.is_own:
            return
        self._forget_timer()
        for number in list(self._trials):
            self.end_trial(number, TrialState.FAILED, error="the search ended before it did")
        with self.guarded("the workers"):
            if self._others is not None:
                self._others.close()
        self._others = None
        self._close()
        self._lanes.clear()
        with self.guarded("the summary"):
            if self.closed is not None and self.folder is not None:
                print(summary(self.closed.statement, self.figures(), self.folder.path), flush=True)  # noqa: T201

    def begin_trial(
        self,
        number: int,
        params: Mapping[str, Any] | None = None,
        *,
        attempt: int = 1,
        worker: Marks | None = None,
    ) -> None:
        """A trial begins in this thread, or in another process.

        Args:
            number: Its number, from 0.
            params: What it was drawn; may be told at its end.
            attempt: Counted from 1; a retry is the next.
            worker: Where the other process is marked: from :meth:`attach`, or something of that kind.
        """
        with self.guarded("the begin of a trial"), self._lock:
            self._forget_timer()
            self.start(holds=self._holds)
            marks = self._lane() if worker is None else worker
            if marks is None:
                return
            rested = self._trials.get(number)
            begin_ns = rested.begin_ns if rested is not None else time.monotonic_ns()
            account = trial_account(self.name, number, attempt)
            trial = _Open(attempt=attempt, begin_ns=begin_ns, marks=marks, depth=marks.depth, params=dict(params or {}))
            self._trials[number] = trial
            self._attempts[number] = max(attempt, self._attempts.get(number, 0))
            self._record(AttemptRecord(t=begin_ns, trial=number, attempt=attempt, params=dict(trial.params)))
            marks.begin(account)
            if worker is None:
                book_here(Booked(marks=marks, account=account, count=self._counter(number)))

    def end_trial(
        self,
        number: int,
        state: TrialState,
        *,
        value: float | None = None,
        params: Mapping[str, Any] | None = None,
        error: str = "",
        final: bool = True,
    ) -> None:
        """A trial ended; called by the thread that began it, or by any for a trial of another process.

        Args:
            number: Its number.
            state: How it ended.
            value: Final value of the metric.
            params: What it was drawn, where that was not told at its begin.
            error: Why it failed.
            final: Whether it is over, and not tried again.
        """
        with self.guarded("the end of a trial"):
            with self._lock:
                trial = self._trials.pop(number, None)
            if trial is None:
                return
            if trial.marks is self._lanes.get(threading.get_ident()):
                book_here(None)
            if not trial.rests:
                trial.marks.end(trial.depth)
            self._record(
                AttemptRecord(
                    t=trial.begin_ns, trial=number, attempt=trial.attempt, params=dict(params or trial.params)
                ),
                OutcomeRecord(
                    t=time.monotonic_ns(),
                    trial=number,
                    attempt=trial.attempt,
                    state=state.value,
                    final=final,
                    value=value if value is not None and math.isfinite(value) else None,
                    flops=trial.flops,
                    uncounted_ops=trial.uncounted,
                    error=error,
                ),
            )

    def suspend_trial(self, number: int) -> None:
        """A trial rests: its worker is free for others until it begins again, as the same attempt."""
        with self.guarded("a pause"), self._lock:
            if (trial := self._trials.get(number)) is not None and not trial.rests:
                trial.rests = True
                trial.marks.end(trial.depth)

    def report(self, number: int, step: int, value: float) -> None:
        """A trial that runs reported its metric."""
        with self.guarded("a report"):
            if (trial := self._trials.get(number)) is not None:
                finite = value if math.isfinite(value) else None
                now_ns = time.monotonic_ns()
                self._record(StepRecord(t=now_ns, trial=number, attempt=trial.attempt, step=step, value=finite))

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

    def attach(self, pid: int, *, cpu_slots: float, gpu_slots: float = 0.0, visible: str = "") -> Marks | None:
        """Book another process of this machine, whose trials are begun with what this returns; ``None`` on failure.

        It stays on the books until it ends, or the search does.

        Args:
            pid: Its process id.
            cpu_slots: CPU slots it holds.
            gpu_slots: GPU slots it holds.
            visible: Its ``CUDA_VISIBLE_DEVICES``; which GPUs it holds is not known where it is empty.
        """
        with self.guarded("a worker"):
            if self._others is not None:
                return self._others.attach(pid, cpu_slots=cpu_slots, gpu_slots=gpu_slots, visible=visible)
        return None

    def note_clock(self, ask: Callable[[], tuple[str, str, int]]) -> None:
        """Hold the clock of another machine against ours: half of a question's way is the error (Cristian 1989).

        Args:
            ask: Asks the other machine for its name, boot and CLOCK_MONOTONIC.
        """
        with self.guarded("the clock of another machine"):
            asked_ns = time.monotonic_ns()
            node, boot, mono_ns = ask()
            half_ns = (time.monotonic_ns() - asked_ns) // 2
            if self.activity is not None:
                self.activity.record(
                    ClockRecord(t=asked_ns + half_ns, node=node, boot=boot, mono_ns=mono_ns, within_ns=half_ns)
                )

    @property
    def place(self) -> Place | None:
        """Where other processes of this search are booked; ``None`` while nothing is open."""
        if self.folder is None or self.activity is None:
            return None
        account = search_account(self.name, "orchestration")
        return Place(folder=str(self.folder.path), uuid=self.uuid, account=account)

    def trial_energy(self, number: int) -> TrialEnergy:
        """What a trial that is about to end used.

        One that took seconds waits for a reading; a shorter one would be slowed by it, and what it used since the last
        reading is estimated. With several trials at once in one process either is provisional: the statement, which
        knows how much each thread computed, has the last word.
        """
        found = TrialEnergy(energy_j=None, basis="unknown")
        with self.guarded("the energy of a trial"), self._lock:
            trial, live = self._trials.get(number), self._live
            if trial is not None and live is not None:
                found = self._energy_of(number, trial, live)
        return found

    def figures(self) -> dict[str, float]:
        """``energy_j``, ``energy_cpu_j`` and the like, and ``wall_s``; a figure that is not known is not there."""
        figures: dict[str, float] = {}
        with self.guarded("the figures"), self._lock:
            figures |= self._figures()
        return figures

    def _figures(self) -> dict[str, float]:
        by_kind = energy_of_search(self.closed.ledger) if self.closed is not None else self.energy_uj()
        figures = {"energy_j": uj_to_j(sum(by_kind.values()))} if by_kind else {}
        figures |= {f"energy_{kind}_j": uj_to_j(uj) for kind, uj in by_kind.items()}
        if self.closed is not None and (wall_s := self.closed.statement["compute"]["wall_s"]) is not None:
            figures["wall_s"] = wall_s
        return figures

    def _energy_of(self, number: int, trial: _Open, live: LiveBooks) -> TrialEnergy:
        now_ns = time.monotonic_ns()
        live.refresh()
        if now_ns - trial.begin_ns >= _WORTH_WAITING_S * NS_PER_S or not live.metered:
            nudge_agent()
            while (live.t_ns or 0) < now_ns and time.monotonic_ns() < now_ns + _WAIT_S * NS_PER_S:
                time.sleep(0.005)
                live.refresh()
        if not live.metered or live.t_ns is None:
            return TrialEnergy(energy_j=None, basis="unknown")
        energy_j = uj_to_j(live.trial_uj(number))
        if live.t_ns >= now_ns:
            return TrialEnergy(energy_j=energy_j, basis="metered")
        since_s = (now_ns - max(live.t_ns, trial.begin_ns)) / NS_PER_S
        return TrialEnergy(energy_j=energy_j + live.power_w * since_s / len(self._trials), basis="estimated")

    def _lane(self) -> Stack | None:
        """The lane of this thread."""
        activity, thread = self.activity, threading.get_ident()
        if activity is not None and thread not in self._lanes:
            self._lanes[thread] = activity.lane()
        return self._lanes.get(thread)

    def _counter(self, number: int) -> Callable[[int | None, Iterable[str]], None]:
        def count(flops: int | None, uncounted_ops: Iterable[str]) -> None:
            if (trial := self._trials.get(number)) is not None:
                trial.flops = flops if trial.flops is None or flops is None else trial.flops + flops
                trial.uncounted = tuple(sorted({*trial.uncounted, *uncounted_ops}))

        return count
