"""The coordinator: sole owner of the Optuna study.

Workers pull jobs from it. What happens is written to its journal first and told to Optuna afterwards; on resume the
journal is right, and Optuna's storage is brought up to it.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState as OptunaState

from auditor.domain.accounts import (
    baseline_account,
    evaluated,
    evaluation_account,
    parse_account,
    search_account,
    trial_account,
)
from auditor.domain.study import StudyRecord, TrialState
from auditor.metering.activity import Activity, journal_path, make_header
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.records import AttemptRecord, BlockRecord, OutcomeRecord, RunRecord, StepRecord
from auditor.metering.runtime import share_runtime_dir
from auditor.ports import SearchSpace
from auditor.search.arm import RandomArm
from auditor.search.evaluations import Evaluations, outstanding, unused
from auditor.search.jobs import Job, Progress, Wait
from auditor.search.samplers import make_pruner, make_sampler, seed_after
from auditor.search.space import load_space
from auditor.training.result import TrainingResult

_OPTUNA = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
    TrialState.LOST: OptunaState.FAIL,
}
_DIED = "the worker died"
_SEARCH_ENDED = "the search ended before it did"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """What the coordinator needs to know.

    Attributes:
        folder: The study folder.
        study: Name of the study.
        uuid: Its identity.
        space: Name or ``module:attribute`` of the space.
        sampler: Name of the sampler.
        pruner: Name of the pruner.
        seed: Seed of the search.
        trials: Trials the budget allows the search itself; ``None``: no such limit.
        draws: Draws it allows the random arm; ``None``: no such limit.
        random_share: Share of the random arm in all trainings; 0: there is none.
        retries: How often a lost trial is tried again.
        baselines: Names of the baselines.
        evaluations: What is trained after the search.
        runtime: Runtime folder of the driver's machine, and its boot id.
    """

    folder: Path
    study: str
    uuid: str
    space: str
    sampler: str
    pruner: str
    seed: int
    trials: int | None
    retries: int
    baselines: tuple[str, ...]
    evaluations: Evaluations
    draws: int | None = None
    random_share: float = 0.0
    runtime: tuple[str, str] = ("", "")


class Coordinator:
    """Hands out trainings, asks the sampler, answers the pruner and writes the search journal.

    Not safe for several threads: as a Ray actor it serves one call at a time.
    """

    def __init__(self, settings: CoordinatorSettings) -> None:
        """Lock the study folder and take up where an earlier search left it.

        Raises:
            JournalError: another search works on the folder.
            InputError: the space does not load.
        """
        self._settings = settings
        share_runtime_dir(*settings.runtime)
        folder = StudyFolder(settings.folder)
        self._lock = folder.lock(wait_s=30)
        self._activity = Activity(folder.journals, settings.uuid, search_account(settings.study, "sampler"))
        self._space: SearchSpace = load_space(settings.space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            storage=_journal_storage(folder.optuna_journal),
            sampler=make_sampler(settings.sampler, settings.seed),
            pruner=make_pruner(settings.pruner),
            study_name=settings.study,
            direction=self._space.direction,
            load_if_exists=True,
        )
        if begun := len(self._study.get_trials(deepcopy=False)):
            self._study.sampler = make_sampler(settings.sampler, seed_after(settings.seed, begun))
        self._trials: dict[int, optuna.Trial] = {}
        self._attempts: dict[int, int] = {}
        self._steps: dict[int, set[int]] = {}
        self._states: dict[int, TrialState] = {}
        self._values: dict[int, float] = {}
        self._params: dict[int, Mapping[str, Any]] = {}
        self._retry: deque[int] = deque()
        self._running: dict[str, tuple[Job, int]] = {}
        self._runs: deque[Job] | None = None
        self._evaluations: deque[Job] | None = None
        self._runs_done = 0
        self._stopped_by = ""
        self._stopped = False
        self._last_error = ""
        reader = StudyReader(folder)
        reader.refresh()
        record, _ = reader.close()
        header = make_header("search", settings.uuid)
        self._journal = JournalWriter(journal_path(folder.journals, header), header)
        self._done_runs = {(r.kind, r.name, r.seed, r.trial) for r in record.runs if r.state is TrialState.COMPLETE}
        self._arm = RandomArm(
            settings.study,
            settings.seed,
            settings.random_share,
            settings.draws,
            done=[run.draw for run in record.runs if run.draw is not None and run.state is not TrialState.LOST],
        )
        self._evaluated = _evaluation_accounts(settings.study, record)
        self._recover(record)
        self._lose_baselines(record)

    def exchange(self, worker: str, result: TrainingResult | None) -> Job | Wait | None:
        """Take the result of a worker's training, where there is one, and hand out the next in the same call."""
        if result is not None:
            self.finish(worker, result)
        return self.next(worker)

    def next(self, worker: str) -> Job | Wait | None:
        """The next training for a worker; ``None``: the search is over."""
        job = self._next()
        if isinstance(job, Job):
            self._running[worker] = (job, time.monotonic_ns())
        return job

    def report(self, trial: int, attempt: int, step: int, value: float) -> bool:
        """Take the metric of a trial at a step; answers whether to prune it."""
        if self._attempts.get(trial) != attempt or trial in self._states:
            return False  # a worker that was given up is still running
        finite = value if math.isfinite(value) else None
        self._journal.append(StepRecord(t=time.monotonic_ns(), trial=trial, attempt=attempt, step=step, value=finite))
        handle = self._handle(trial)
        if step not in self._steps.setdefault(trial, set()):
            self._steps[trial].add(step)
            handle.report(value, step)
        return handle.should_prune()

    def finish(self, worker: str, result: TrainingResult) -> None:
        """Take the result of a worker's training."""
        if worker not in self._running:
            return
        job, begin_ns = self._running.pop(worker)
        if result.error:
            self._last_error = f"{job.kind} {job.name}: {result.error}"
        if job.kind == "trial" and job.trial is not None:
            self._settle(job.trial, job.attempt, result)
        else:
            self._count_run(job)
            self._write_run(job, begin_ns, result)

    def lost(self, worker: str) -> None:
        """A worker died: close its attempt, and hand its training out again where retries are left."""
        if worker not in self._running:
            return
        job, begin_ns = self._running.pop(worker)
        if job.kind == "trial" and job.trial is not None:
            self._lose(job.trial, job.attempt)
            return
        again = self._runs if job.kind == "baseline" else self._evaluations
        retries = self._settings.retries
        self._write_run(job, begin_ns, TrainingResult(state=TrialState.LOST, error=_DIED))
        if job.draw is not None:
            self._arm.lost(job, retries)
        elif again is not None and job.attempt < retries:
            again.appendleft(replace(job, attempt=job.attempt + 1))
        else:
            self._runs_done += 1

    def stop(self, reason: str, *, everything: bool = False) -> None:
        """Hand out no new trials; those running are finished, baselines and evaluation follow.

        Args:
            reason: What ended the search, for people.
            everything: Also hand out no retries, baselines or evaluations: they wait for the next search on the folder.
        """
        self._stopped_by = self._stopped_by or reason
        self._stopped = self._stopped or everything

    def progress(self) -> Progress:
        """How far the search is."""
        best = self._best_trial()
        states: dict[str, int] = {}
        for state in self._states.values():
            states[state.value] = states.get(state.value, 0) + 1
        searching = self._searching() or any(job.kind == "trial" for job, _ in self._running.values())
        pending = [*(self._runs or ()), *(self._evaluations or ())]
        stage = "search" if searching else "baselines" if self._evaluations is None else "evaluation"
        if not searching and not pending and not self._running and self._evaluations is not None:
            stage = "done"
        return Progress(
            stage=stage,
            started=len(self._attempts),
            finished=len(self._states),
            states=states,
            trials_limit=self._settings.trials,
            best=None if best is None else self._values[best],
            best_trial=best,
            runs_done=self._runs_done + self._arm.done,
            runs_total=len(self._settings.baselines)
            + self._arm.total
            + self._settings.evaluations.total(
                self._space, winner=searching or best is not None, pruned=len(self._pruned())
            ),
            stopped_by=self._stopped_by,
            last_error=self._last_error,
        )

    def close(self) -> None:
        """Close the journals and let go of the folder."""
        self._activity.close()
        self._journal.close()
        os.close(self._lock)

    def _next(self) -> Job | Wait | None:
        if self._stopped:
            return None
        if self._retry:
            return self._begin_attempt(self._retry.popleft())
        trials = len(self._attempts) if self._searching() else None
        if (job := self._arm.job(self._space, trials, stopped=bool(self._stopped_by))) is not None:
            return job
        if trials is not None:
            return self._begin_attempt(self._ask())
        if self._runs is None:
            self._runs = deque(self._baseline_jobs())
        if self._runs:
            return self._runs.popleft()
        if any(job.kind == "trial" for job, _ in self._running.values()):
            return Wait()  # the winner is not known yet, and a lost trial may come back
        if self._evaluations is None:
            self._evaluations = deque(self._evaluation_jobs())
        if self._evaluations:
            job = self._evaluations.popleft()
            job = replace(job, account=unused(job.account, self._evaluated))
            self._evaluated.add(job.account)
            return job
        return Wait() if self._running else None

    def _searching(self) -> bool:
        limit = self._settings.trials
        return bool(self._retry) or (not self._stopped_by and (limit is None or len(self._attempts) < limit))

    def _ask(self) -> int:
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number

    def _begin_attempt(self, number: int) -> Job:
        attempt = self._attempts.get(number, 0) + 1
        params = self._params.get(number)
        if params is None:
            params = self._params[number] = dict(self._space.suggest(self._handle(number)))
        self._attempts[number] = attempt
        self._journal.append(AttemptRecord(t=time.monotonic_ns(), trial=number, attempt=attempt, params=dict(params)))
        return Job(
            kind="trial",
            name=str(number),
            account=trial_account(self._settings.study, number, attempt),
            params=params,
            seed=self._settings.seed + number,
            trial=number,
            attempt=attempt,
        )

    def _settle(self, number: int, attempt: int, result: TrainingResult) -> None:
        if self._attempts.get(number) != attempt or number in self._states:
            return
        self._journal.append(
            OutcomeRecord(
                t=time.monotonic_ns(),
                trial=number,
                attempt=attempt,
                state=result.state.value,
                value=result.value,
                flops=result.flops,
                uncounted_ops=result.uncounted_ops,
                error=result.error,
            )
        )
        self._tell(number, result.state, result.value)

    def _count_run(self, job: Job) -> None:
        if job.draw is not None:
            self._arm.done += 1
        else:
            self._runs_done += 1

    def _write_run(self, job: Job, begin_ns: int, result: TrainingResult) -> None:
        self._journal.append(
            RunRecord(
                t=time.monotonic_ns(),
                begin_ns=begin_ns,
                kind=job.kind,
                name=job.name,
                state=result.state.value,
                seed=job.seed if job.kind == "evaluation" else None,
                trial=job.trial,
                draw=job.draw,
                value=result.value,
                test_value=result.test_value,
                flops=result.flops,
                uncounted_ops=result.uncounted_ops,
                error=result.error,
                scores=result.scores if job.kind == "evaluation" else (),
                inference=tuple(
                    BlockRecord(number=b.number, samples=b.samples, batch_size=b.batch_size) for b in result.inference
                ),
                inference_error=result.inference_error,
                account=parse_account(job.account).subject if job.kind == "evaluation" else "",
            )
        )

    def _lose(self, number: int, attempt: int, end_ns: int | None = None) -> None:
        final = attempt > self._settings.retries
        self._journal.append(
            OutcomeRecord(
                t=time.monotonic_ns() if end_ns is None else end_ns,
                trial=number,
                attempt=attempt,
                state=TrialState.LOST.value,
                final=final,
                error=_DIED,
            )
        )
        if final:
            self._tell(number, TrialState.LOST, None)
        else:
            self._retry.append(number)

    def _tell(self, number: int, state: TrialState, value: float | None) -> None:
        self._states[number] = state
        if value is not None:
            self._values[number] = value
        self._study.tell(
            number, values=value if state is TrialState.COMPLETE else None, state=_OPTUNA[state], skip_if_finished=True
        )

    def _handle(self, number: int) -> optuna.Trial:
        """A live trial; one of an earlier search is taken up by its number, with its stored parameters."""
        if number not in self._trials:
            frozen = next(t for t in self._study.get_trials(deepcopy=False) if t.number == number)
            self._trials[number] = optuna.Trial(self._study, frozen._trial_id)
        return self._trials[number]

    def _recover(self, record: StudyRecord) -> None:
        """Bring Optuna's storage up to the journal; run again what was lost."""
        stored = {t.number: t for t in self._study.get_trials(deepcopy=False)}
        for trial in record.trials:
            self._attempts[trial.number] = len(trial.attempts)
            self._params[trial.number] = trial.params
            self._steps[trial.number] = (
                set(stored[trial.number].intermediate_values) if trial.number in stored else set()
            )
            if trial.state is not TrialState.RUNNING:
                self._states[trial.number] = trial.state
                if trial.value is not None:
                    self._values[trial.number] = trial.value
                if trial.number in stored and not stored[trial.number].state.is_finished():
                    self._tell(trial.number, trial.state, trial.value)
            elif trial.attempts[-1].state is TrialState.RUNNING:
                self._lose(trial.number, trial.attempts[-1].number, _last_seen_ns(record))
            else:
                self._retry.append(trial.number)
        for number, frozen in stored.items():
            if number not in self._attempts and not frozen.state.is_finished():
                self._retry.append(number)  # asked for, and the search died before it was handed out

    def _lose_baselines(self, record: StudyRecord) -> None:
        """Baselines that ended with the earlier search: their energy is on the books, and they are trained again."""
        known = {run.name for run in record.runs if run.kind == "baseline"}
        begun = {name.subject for name in map(parse_account, record.books.accounts) if name.kind == "baseline"}
        for name in self._settings.baselines:
            if name in begun and name not in known:
                t = _last_seen_ns(record) or time.monotonic_ns()
                lost = TrialState.LOST.value
                self._journal.append(
                    RunRecord(t=t, begin_ns=t, kind="baseline", name=name, state=lost, error=_SEARCH_ENDED)
                )

    def _baseline_jobs(self) -> list[Job]:
        jobs = []
        for name in self._settings.baselines:
            if ("baseline", name, None, None) in self._done_runs:
                self._runs_done += 1
                continue
            jobs.append(
                Job(
                    kind="baseline",
                    name=name,
                    account=baseline_account(self._settings.study, name),
                    params=self._space.default,
                    seed=self._settings.seed,
                )
            )
        return jobs

    def _pruned(self) -> dict[int, Mapping[str, Any]]:
        return {n: self._params[n] for n, state in self._states.items() if state is TrialState.PRUNED}

    def _evaluation_jobs(self) -> list[Job]:
        best = self._best_trial()
        winner = None if best is None else (best, self._params[best])
        jobs = self._settings.evaluations.jobs(self._space, winner, self._pruned())
        left = outstanding(jobs, self._done_runs)
        self._runs_done += len(jobs) - len(left)
        return left

    def _best_trial(self) -> int | None:
        complete = [n for n, state in self._states.items() if state is TrialState.COMPLETE and n in self._values]
        sign = 1 if self._space.direction == "maximize" else -1
        return max(complete, key=lambda n: (sign * self._values[n], -n), default=None)


def _evaluation_accounts(study: str, record: StudyRecord) -> set[str]:
    """Accounts of evaluations that an earlier search began, without a phase, whether they ended or not."""
    names = [parse_account(account) for account in record.books.accounts]
    subjects = [name.subject for name in names if name.kind == "evaluation" and name.name == study]
    runs = [run.account or evaluated(run.name, run.seed or 0) for run in record.runs if run.kind == "evaluation"]
    return {evaluation_account(study, subject) for subject in (*subjects, *runs)}


def _last_seen_ns(record: StudyRecord) -> int | None:
    """When the earlier search was last metered, as CLOCK_MONOTONIC; ``None`` where it was not, or before a reboot."""
    end_ns = max((window.end_ns for window in record.books.windows), default=0)
    seen_ns = end_ns - (time.time_ns() - time.monotonic_ns())
    return seen_ns if 0 < seen_ns < time.monotonic_ns() else None


def _journal_storage(path: Path) -> JournalStorage:
    """Optuna's storage in the study folder, repaired where a crash tore its last line or left its lock."""
    if path.exists():
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            with path.open("r+b") as file:
                file.truncate(end)
    for orphan in path.parent.glob(f"{path.name}.lock*"):
        orphan.unlink(missing_ok=True)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
