"""The coordinator as a plain object: a crash is its lock let go while nothing else is closed."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from auditor.domain.errors import JournalError
from auditor.domain.study import InferenceBlock, StudyRecord, TrialState
from auditor.metering.activity import _here
from auditor.metering.closing import StudyReader, read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.search.coordinator import Coordinator, CoordinatorSettings
from auditor.search.evaluations import Evaluations
from auditor.search.jobs import Job, Wait
from auditor.training.result import TrainingResult

UUID = "6d0e6a1e-0000-4000-8000-00000000bbbb"


def complete(value: float, test_value: float | None = None) -> TrainingResult:
    return TrainingResult(state=TrialState.COMPLETE, value=value, test_value=test_value, flops=100)


def failed(error: str = "ValueError: no") -> TrainingResult:
    return TrainingResult(state=TrialState.FAILED, error=error)


PRUNED = TrainingResult(state=TrialState.PRUNED)


_EVALUATIONS = {"evaluation_seeds": "seeds", "inference_s": "inference_s", "pruned": "pruned"}


class Search:
    """A study folder with one coordinator at a time."""

    def __init__(self, path: Path) -> None:
        self.folder = StudyFolder(path)
        empty: dict[str, Any] = {}
        study = {"name": "s", "space": "toy", "sampler": "random", "metric": "score", "direction": "maximize"}
        self.folder.create(
            StudyFile(uuid=UUID, study=study, config=empty, parameters=empty, versions=empty, hardware=empty)
        )
        self.made: Coordinator | None = None
        self._crashes = 0

    def start(self, **changes: Any) -> Coordinator:
        settings: dict[str, Any] = {
            "folder": self.folder.path,
            "study": "s",
            "uuid": UUID,
            "space": "unit.search.toys:toy",
            "sampler": "random",
            "pruner": "none",
            "seed": 0,
            "trials": 2,
            "retries": 1,
            "baselines": (),
            **{key: value for key, value in changes.items() if key not in _EVALUATIONS},
        }
        asked = {_EVALUATIONS[key]: changes[key] for key in _EVALUATIONS.keys() & changes.keys()}
        settings["evaluations"] = Evaluations(study="s", seed=settings["seed"], **{"seeds": 0, **asked})
        self.made = Coordinator(CoordinatorSettings(**settings))
        return self.made

    def crash(self) -> None:
        """What a SIGKILL leaves: the lock is free, nothing is closed. The next process has another identity."""
        assert self.made is not None
        os.close(self.made._lock)
        _here.renew()
        self.made = None
        self._aside()

    def stop(self) -> None:
        if self.made is not None:
            self.made.close()
            self.made = None
            self._aside()

    def record(self) -> StudyRecord:
        return read_study(self.folder.path)[0]

    def optuna(self) -> list[optuna.trial.FrozenTrial]:
        """The trials as Optuna's storage has them."""
        backend = optuna.storages.journal.JournalFileBackend(str(self.folder.optuna_journal))
        storage = optuna.storages.JournalStorage(backend)
        return optuna.load_study(study_name="s", storage=storage).get_trials()

    def _aside(self) -> None:
        self._crashes += 1
        for path in self.folder.journals.glob("[ms]*.jsonl"):
            if not path.name.endswith("-before.jsonl"):
                path.rename(path.with_name(f"{path.stem}-{self._crashes}-before.jsonl"))


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    made = Search(tmp_path / "study")
    yield made
    with suppress(OSError):
        made.stop()


def book(monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    """Let an account have energy on the books of every study."""
    closed = StudyReader.close

    def close(reader: StudyReader, *policy: Any) -> tuple[StudyRecord, Any]:
        record, ledger = closed(reader, *policy)
        return replace(record, books=replace(record.books, accounts={account: 7})), ledger

    monkeypatch.setattr(StudyReader, "close", close)


def job(coordinator: Coordinator, worker: str = "w") -> Job:
    given = coordinator.next(worker)
    assert isinstance(given, Job), given
    return given


def run_all(coordinator: Coordinator, value: Callable[[Job], TrainingResult], limit: int = 100) -> list[Job]:
    """Run everything there is on one worker."""
    done: list[Job] = []
    while (given := coordinator.next("w")) is not None:
        assert isinstance(given, Job)
        done.append(given)
        coordinator.finish("w", value(given))
        assert len(done) < limit
    return done


def by_x(given: Job) -> TrainingResult:
    return complete(given.params["x"], given.params["x"])


class TestTrials:
    def test_as_many_as_the_budget_allows(self, search: Search) -> None:
        coordinator = search.start(trials=3)
        jobs = run_all(coordinator, by_x)
        assert [(j.kind, j.trial, j.attempt) for j in jobs] == [("trial", 0, 1), ("trial", 1, 1), ("trial", 2, 1)]
        assert coordinator.next("w") is None

    def test_what_a_job_says(self, search: Search) -> None:
        coordinator = search.start(seed=40)
        job(coordinator)
        second = job(coordinator, "v")
        assert second.account == "study/s/trial/1/1"
        assert second.seed == 41
        assert set(second.params) == {"x"}
        assert not second.test

    def test_trials_of_one_seed_are_the_same(self, search: Search, tmp_path: Path) -> None:
        first = [j.params for j in run_all(search.start(seed=3), by_x)]
        search.stop()
        for seed, same in ((3, True), (4, False)):
            other = Search(tmp_path / f"study-{seed}")
            assert ([j.params for j in run_all(other.start(seed=seed), by_x)] == first) is same
            other.stop()

    def test_results_reach_journal_and_optuna(self, search: Search) -> None:
        coordinator = search.start(trials=3)
        results = iter([complete(0.5), PRUNED, failed("ValueError: no")])
        run_all(coordinator, lambda _: next(results))
        trials = search.record().trials
        assert [t.state for t in trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED]
        assert [t.value for t in trials] == [0.5, None, None]
        assert trials[0].attempts[0].flops == 100
        assert trials[2].attempts[0].error == "ValueError: no"
        assert [t.state for t in search.optuna()] == [OptunaState.COMPLETE, OptunaState.PRUNED, OptunaState.FAIL]
        assert search.optuna()[0].value == 0.5
        assert [t.params for t in search.optuna()] == [dict(t.params) for t in trials]

    def test_progress(self, search: Search) -> None:
        coordinator = search.start(trials=3)
        first = job(coordinator)
        assert coordinator.progress().started == 1
        assert coordinator.progress().stage == "search"
        coordinator.finish("w", complete(0.5))
        job(coordinator)
        coordinator.finish("w", failed("ValueError: no"))
        progress = coordinator.progress()
        assert (progress.started, progress.finished, progress.trials_limit) == (2, 2, 3)
        assert progress.states == {"complete": 1, "failed": 1}
        assert (progress.best, progress.best_trial) == (0.5, first.trial)
        assert progress.last_error == "trial 1: ValueError: no"

    def test_a_result_nobody_waits_for_is_dropped(self, search: Search) -> None:
        coordinator = search.start()
        coordinator.finish("stranger", complete(1.0))
        coordinator.lost("stranger")
        assert coordinator.progress().finished == 0
        assert search.record().trials == ()

    def test_an_attempt_is_written_before_it_is_handed_out(self, search: Search) -> None:
        given = job(search.start())
        trial = search.record().trials[0]
        assert trial.state is TrialState.RUNNING
        assert dict(trial.params) == dict(given.params)


class TestLostTrials:
    def test_a_lost_trial_is_a_new_attempt_with_the_same_parameters(self, search: Search) -> None:
        coordinator = search.start()
        first = job(coordinator)
        coordinator.lost("w")
        again = job(coordinator, "v")
        assert (again.trial, again.attempt) == (first.trial, 2)
        assert again.params == first.params
        assert again.seed == first.seed
        assert again.account == "study/s/trial/0/2"

    def test_optuna_is_not_told_while_retries_are_left(self, search: Search) -> None:
        coordinator = search.start()
        job(coordinator)
        coordinator.lost("w")
        assert search.optuna()[0].state is OptunaState.RUNNING
        job(coordinator)
        coordinator.finish("w", complete(0.5))
        assert search.optuna()[0].state is OptunaState.COMPLETE
        trial = search.record().trials[0]
        assert [a.state for a in trial.attempts] == [TrialState.LOST, TrialState.COMPLETE]
        assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)

    @pytest.mark.parametrize("retries", [0, 2])
    def test_spent_retries_fail_the_trial(self, search: Search, retries: int) -> None:
        coordinator = search.start(trials=1, retries=retries)
        for attempt in range(retries + 1):
            assert job(coordinator).attempt == attempt + 1
            coordinator.lost("w")
        assert coordinator.next("w") is None
        assert search.optuna()[0].state is OptunaState.FAIL
        trial = search.record().trials[0]
        assert trial.state is TrialState.LOST
        assert len(trial.attempts) == retries + 1
        assert trial.attempts[-1].error == "the worker died"

    def test_a_worker_given_up_has_no_say(self, search: Search) -> None:
        coordinator = search.start(trials=1)
        first = job(coordinator)
        assert first.trial is not None
        coordinator.lost("w")
        job(coordinator, "v")
        assert not coordinator.report(first.trial, 1, 0, 0.1)
        coordinator.finish("w", complete(0.1))
        coordinator.finish("v", complete(0.9))
        trial = search.record().trials[0]
        assert trial.value == 0.9
        assert trial.intermediate == {}


class TestReports:
    def test_the_pruner_answers(self, search: Search) -> None:
        coordinator = search.start(trials=10, pruner="median")
        for _ in range(5):
            good = job(coordinator)
            assert not coordinator.report(good.trial or 0, 1, 0, 0.9)
            coordinator.finish("w", complete(0.9))
        bad = job(coordinator)
        assert bad.trial is not None
        assert coordinator.report(bad.trial, 1, 0, 0.1)

    def test_without_a_pruner_nothing_is_pruned(self, search: Search) -> None:
        coordinator = search.start(trials=10, pruner="none")
        for number in range(6):
            given = job(coordinator)
            assert not coordinator.report(given.trial or 0, 1, 0, 0.9 if number < 5 else 0.0)
            coordinator.finish("w", complete(0.9))

    def test_steps_are_kept(self, search: Search) -> None:
        coordinator = search.start()
        job(coordinator)
        coordinator.report(0, 1, 0, 0.25)
        coordinator.report(0, 1, 1, 0.5)
        assert dict(search.record().trials[0].intermediate) == {0: 0.25, 1: 0.5}
        assert search.optuna()[0].intermediate_values == {0: 0.25, 1: 0.5}

    def test_a_retry_does_not_report_a_step_twice(self, search: Search, recwarn: pytest.WarningsRecorder) -> None:
        coordinator = search.start()
        job(coordinator)
        coordinator.report(0, 1, 0, 0.25)
        coordinator.lost("w")
        job(coordinator)
        coordinator.report(0, 2, 0, 0.75)
        coordinator.report(0, 2, 1, 0.5)
        assert search.optuna()[0].intermediate_values == {0: 0.25, 1: 0.5}
        assert dict(search.record().trials[0].intermediate) == {0: 0.25, 1: 0.5}
        assert not [w for w in recwarn if "reported" in str(w.message)]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_what_is_no_number_is_taken_as_none(self, search: Search, value: float) -> None:
        coordinator = search.start(pruner="median")
        job(coordinator)
        assert coordinator.report(0, 1, 0, value) is False
        reported = search.record().trials[0].intermediate[0]
        assert reported != reported
        [journal] = search.folder.journals.glob("search-*")
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [line["value"] for line in lines if line["k"] == "step"] == [None]

    def test_reports_after_the_end_are_dropped(self, search: Search) -> None:
        coordinator = search.start()
        job(coordinator)
        coordinator.finish("w", complete(0.5))
        assert not coordinator.report(0, 1, 5, 0.1)
        assert search.optuna()[0].intermediate_values == {}


class TestStop:
    def test_no_new_trials(self, search: Search) -> None:
        coordinator = search.start(trials=None, baselines=("default",))
        job(coordinator)
        coordinator.stop("time (60 s)")
        coordinator.stop("energy (1 J)")
        coordinator.finish("w", complete(0.5))
        assert job(coordinator).kind == "baseline"
        assert coordinator.progress().stopped_by == "time (60 s)"

    def test_a_lost_trial_is_still_retried(self, search: Search) -> None:
        coordinator = search.start(trials=None)
        job(coordinator)
        coordinator.stop("interrupted")
        coordinator.lost("w")
        assert job(coordinator).attempt == 2

    def test_an_endless_budget_goes_on(self, search: Search) -> None:
        coordinator = search.start(trials=None)
        for number in range(5):
            assert job(coordinator).trial == number
            coordinator.finish("w", complete(0.5))


class TestPrunedToTheirEnd:
    def test_some_are_trained_again_as_they_were(self, search: Search) -> None:
        coordinator = search.start(trials=6, pruned=2)
        results = iter([complete(0.5), PRUNED, PRUNED, PRUNED, PRUNED, complete(0.6)])
        jobs = run_all(coordinator, lambda job: next(results) if job.kind == "trial" else complete(0.7))
        again = [job for job in jobs if job.kind == "evaluation"]
        assert len(again) == 2
        trials = {job.trial: job for job in jobs if job.kind == "trial"}
        for job in again:
            assert (job.name, job.account) == ("pruned", f"study/s/evaluation/pruned-{job.trial}")
            assert job.trial in {1, 2, 3, 4}
            assert (job.params, job.seed) == (trials[job.trial].params, trials[job.trial].seed)
            assert not job.test
        assert [(run.name, run.trial, run.value) for run in search.record().runs] == [
            ("pruned", job.trial, 0.7) for job in again
        ]
        progress = coordinator.progress()
        assert (progress.runs_done, progress.runs_total, progress.stage) == (2, 2, "done")

    def test_the_same_are_chosen_when_the_search_goes_on(self, search: Search) -> None:
        coordinator = search.start(trials=4, pruned=2)
        for _ in range(4):
            job(coordinator)
            coordinator.finish("w", PRUNED)
        first = job(coordinator)
        coordinator.finish("w", complete(0.7))
        search.stop()
        rest = run_all(search.start(trials=4, pruned=2), lambda _: complete(0.7))
        assert len(rest) == 1
        assert rest[0].trial != first.trial

    def test_none_without_any_pruned(self, search: Search) -> None:
        assert [j.kind for j in run_all(search.start(trials=2, pruned=3), by_x)] == ["trial", "trial"]


class TestInference:
    def test_is_measured_after_the_first_retraining_of_each(self, search: Search) -> None:
        jobs = run_all(search.start(trials=1, evaluation_seeds=2, inference_s=7.0), by_x)
        assert [(j.name, j.inference_s) for j in jobs if j.kind == "evaluation"] == [
            ("default", 7.0),
            ("winner", 7.0),
            ("default", 0.0),
            ("winner", 0.0),
        ]

    def test_blocks_are_on_record(self, search: Search) -> None:
        blocks = tuple(InferenceBlock(number=n, samples=100 + n, batch_size=10) for n in range(3))
        result = TrainingResult(state=TrialState.COMPLETE, value=0.5, test_value=0.5, inference=blocks)
        failed = TrainingResult(state=TrialState.COMPLETE, value=0.5, test_value=0.5, inference_error="TypeError: no")
        results = {"default": result, "winner": failed}
        run_all(search.start(trials=1, evaluation_seeds=1), lambda job: results.get(job.name, complete(0.5)))
        default, winner = search.record().runs
        assert default.inference == blocks
        assert (winner.inference, winner.inference_error) == ((), "TypeError: no")


class TestRandomArm:
    def test_takes_its_share_evenly(self, search: Search) -> None:
        jobs = run_all(search.start(trials=6, draws=2, random_share=0.25), by_x)
        kinds = "".join("r" if job.draw is not None else "t" for job in jobs)
        assert kinds == "rtttrttt"
        draws = [job for job in jobs if job.draw is not None]
        assert [(d.name, d.account, d.test) for d in draws] == [
            ("random", "study/s/baseline/random-0", True),
            ("random", "study/s/baseline/random-1", True),
        ]
        assert draws[0].params != draws[1].params

    def test_a_draw_is_known_by_its_number(self, search: Search) -> None:
        first = job(search.start(trials=3, draws=1, random_share=0.25))
        search.crash()
        again = job(search.start(trials=3, draws=1, random_share=0.25))
        assert (again.draw, again.params, again.seed) == (first.draw, first.params, first.seed)

    def test_goes_on_where_it_was(self, search: Search) -> None:
        coordinator = search.start(trials=2, draws=2, random_share=0.5)
        given = job(coordinator)
        coordinator.finish("w", complete(0.5, 0.25))
        search.stop()
        coordinator = search.start(trials=2, draws=2, random_share=0.5)
        assert coordinator.progress().runs_done == 1
        jobs = run_all(coordinator, by_x)
        assert [j.draw for j in jobs if j.draw is not None] == [1]
        runs = search.record().runs
        assert [(run.kind, run.name, run.draw) for run in runs] == [
            ("baseline", "random", 0),
            ("baseline", "random", 1),
        ]
        assert (runs[0].value, runs[0].test_value) == (0.5, 0.25)
        assert given.draw == 0

    def test_a_smaller_budget_ends_it(self, search: Search) -> None:
        run_all(search.start(trials=3, draws=3, random_share=0.5), by_x)
        search.stop()
        assert run_all(search.start(trials=2, draws=2, random_share=0.5), by_x) == []

    def test_its_trials_are_none_of_the_samplers(self, search: Search) -> None:
        run_all(search.start(trials=3, draws=3, random_share=0.5), by_x)
        assert len(search.optuna()) == len(search.record().trials) == 3

    @pytest.mark.parametrize("retries", [0, 1])
    def test_a_lost_draw_is_retried(self, search: Search, retries: int) -> None:
        coordinator = search.start(trials=0, draws=1, random_share=0.5, retries=retries)
        first = job(coordinator)
        coordinator.lost("w")
        if retries:
            again = job(coordinator)
            assert (again.draw, again.attempt, again.params) == (0, 2, first.params)
            coordinator.finish("w", complete(0.5))
        assert coordinator.next("w") is None
        assert [run.state for run in search.record().runs] == [TrialState.LOST, TrialState.COMPLETE][: retries + 1]
        assert coordinator.progress().runs_done == coordinator.progress().runs_total == 1

    def test_a_spent_budget_ends_it(self, search: Search) -> None:
        coordinator = search.start(trials=None, random_share=0.5)
        for _ in range(4):
            job(coordinator)
            coordinator.finish("w", complete(0.5))
        coordinator.stop("energy")
        assert coordinator.next("w") is None
        assert (len(search.record().trials), len(search.record().runs)) == (2, 2)


class TestBaselinesAndEvaluation:
    def test_order_and_accounts(self, search: Search) -> None:
        coordinator = search.start(trials=1, baselines=("default", "svc"), evaluation_seeds=2)
        jobs = run_all(coordinator, by_x_or(0.5))
        assert [(j.kind, j.name, j.account) for j in jobs[1:]] == [
            ("baseline", "default", "study/s/baseline/default"),
            ("baseline", "svc", "study/s/baseline/svc"),
            ("evaluation", "default", "study/s/evaluation/default-1000000"),
            ("evaluation", "winner", "study/s/evaluation/winner-1000000"),
            ("evaluation", "default", "study/s/evaluation/default-1000001"),
            ("evaluation", "winner", "study/s/evaluation/winner-1000001"),
        ]
        assert all(j.test for j in jobs if j.kind == "evaluation")
        assert [j.params for j in jobs if j.name == "default"] == [{"x": 0.5}] * 3

    def test_seeds_of_the_evaluation_are_fresh_and_paired(self, search: Search) -> None:
        jobs = run_all(search.start(trials=3, evaluation_seeds=2), by_x)
        used = {j.seed for j in jobs if j.kind == "trial"}
        winner = [j.seed for j in jobs if j.name == "winner"]
        default = [j.seed for j in jobs if j.name == "default"]
        assert winner == default
        assert len(set(winner)) == 2
        assert not used & set(winner)

    @pytest.mark.parametrize(("space", "best"), [("toy", max), ("minimised", min)])
    def test_the_winner_is_the_best_by_direction(self, search: Search, space: str, best: Callable[..., Job]) -> None:
        coordinator = search.start(space=f"unit.search.toys:{space}", trials=5, evaluation_seeds=1)
        jobs = run_all(coordinator, by_x)
        expected = best((j for j in jobs if j.kind == "trial"), key=lambda j: j.params["x"])
        [winner] = [j for j in jobs if j.name == "winner"]
        assert (winner.trial, winner.params) == (expected.trial, expected.params)
        assert coordinator.progress().best_trial == expected.trial

    def test_the_first_of_equals_wins(self, search: Search) -> None:
        jobs = run_all(search.start(trials=3, evaluation_seeds=1), lambda _: complete(0.5, 0.5))
        assert [j.trial for j in jobs if j.name == "winner"] == [0]

    def test_only_complete_trials_win(self, search: Search) -> None:
        results = iter([PRUNED, failed(), complete(0.1)])
        jobs = run_all(
            search.start(trials=3, evaluation_seeds=1),
            lambda j: next(results) if j.kind == "trial" else complete(0.5, 0.5),
        )
        assert [j.trial for j in jobs if j.name == "winner"] == [2]

    def test_without_a_winner_the_default_alone_is_evaluated(self, search: Search) -> None:
        coordinator = search.start(trials=1, evaluation_seeds=2)
        jobs = run_all(coordinator, lambda _: failed())
        assert [j.name for j in jobs] == ["0", "default", "default"]
        progress = coordinator.progress()
        assert (progress.runs_done, progress.runs_total, progress.stage) == (2, 2, "done")

    def test_without_a_test_set_nothing_is_evaluated(self, search: Search) -> None:
        coordinator = search.start(
            space="unit.search.toys:untested", trials=1, baselines=("default",), evaluation_seeds=3
        )
        assert coordinator.progress().runs_total == 1
        assert [j.kind for j in run_all(coordinator, by_x)] == ["trial", "baseline"]
        progress = coordinator.progress()
        assert (progress.runs_done, progress.runs_total, progress.stage) == (1, 1, "done")

    def test_the_evaluation_waits_for_running_trials(self, search: Search) -> None:
        coordinator = search.start(trials=2, evaluation_seeds=1)
        job(coordinator, "slow")
        job(coordinator)
        coordinator.finish("w", complete(0.1))
        assert isinstance(coordinator.next("w"), Wait)
        coordinator.finish("slow", complete(0.9))
        names = {job(coordinator, worker).name for worker in ("slow", "w")}
        assert names == {"default", "winner"}
        assert isinstance(coordinator.next("third"), Wait)

    def test_results_are_runs_of_the_record(self, search: Search) -> None:
        run_all(search.start(trials=1, baselines=("svc",), evaluation_seeds=1), by_x_or(0.4))
        svc, default, winner = search.record().runs
        assert (svc.kind, svc.name, svc.seed, svc.trial, svc.value) == ("baseline", "svc", None, None, 0.4)
        assert (default.kind, default.name, default.trial) == ("evaluation", "default", None)
        assert (winner.name, winner.trial, winner.seed) == ("winner", 0, default.seed)
        assert winner.end_ns is not None
        assert winner.begin_ns <= winner.end_ns

    @pytest.mark.parametrize("retries", [0, 1])
    def test_a_lost_baseline_is_retried(self, search: Search, retries: int) -> None:
        coordinator = search.start(trials=0, baselines=("default",), retries=retries)
        job(coordinator)
        coordinator.lost("w")
        if retries:
            again = job(coordinator)
            assert (again.name, again.attempt) == ("default", 1)
            coordinator.finish("w", complete(0.5))
        assert coordinator.next("w") is None
        states = [run.state for run in search.record().runs]
        assert states == [TrialState.LOST, TrialState.COMPLETE][: retries + 1]
        assert coordinator.progress().runs_done == coordinator.progress().runs_total == 1

    def test_a_lost_evaluation_is_retried_on_its_seed(self, search: Search) -> None:
        coordinator = search.start(trials=0, evaluation_seeds=1)
        first = job(coordinator)
        coordinator.lost("w")
        again = job(coordinator)
        assert (again.kind, again.seed, again.params) == (first.kind, first.seed, first.params)

    def test_a_retry_has_an_account_of_its_own(self, search: Search) -> None:
        coordinator = search.start(trials=0, evaluation_seeds=1)
        first = job(coordinator)
        coordinator.lost("w")
        again = job(coordinator)
        coordinator.finish("w", complete(0.5, 0.5))
        assert first.account == "study/s/evaluation/default-1000000"
        assert again.account == "study/s/evaluation/default-1000000-2"
        runs = [(run.state.value, run.account) for run in search.record().runs]
        assert runs == [("lost", "default-1000000"), ("complete", "default-1000000-2")]

    def test_an_evaluation_that_a_crash_ended_keeps_its_account(
        self, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = job(search.start(trials=0, evaluation_seeds=1))
        search.crash()
        book(monkeypatch, f"{first.account}/train")
        assert job(search.start(trials=0, evaluation_seeds=1)).account == f"{first.account}-2"

    def test_a_baseline_that_a_crash_ended_is_lost(self, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
        first = job(search.start(trials=0, baselines=("default",)))
        search.crash()
        book(monkeypatch, f"{first.account}/train")
        for _ in range(2):  # on record it is once
            assert job(search.start(trials=0, baselines=("default",))).account == first.account
            search.crash()
        [run] = search.record().runs
        assert (run.kind, run.name, run.state) == ("baseline", "default", TrialState.LOST)
        assert run.error == "the search ended before it did"

    def test_a_failing_baseline_ends_nothing(self, search: Search) -> None:
        coordinator = search.start(trials=0, baselines=("default", "svc"))
        run_all(coordinator, lambda j: failed() if j.name == "default" else complete(0.5))
        assert [r.state for r in search.record().runs] == [TrialState.FAILED, TrialState.COMPLETE]
        assert coordinator.progress().last_error == "baseline default: ValueError: no"


def by_x_or(other: float) -> Callable[[Job], TrainingResult]:
    return lambda given: complete(given.params["x"]) if given.kind == "trial" else complete(other, other)


class TestResume:
    def test_a_running_trial_is_run_again_by_number(self, search: Search) -> None:
        first = job(search.start(trials=2))
        search.crash()
        coordinator = search.start(trials=2)
        again = job(coordinator)
        assert (again.trial, again.attempt, again.params) == (first.trial, 2, first.params)
        coordinator.finish("w", complete(0.5))
        assert job(coordinator).trial == 1
        assert [a.state for a in search.record().trials[0].attempts] == [TrialState.LOST, TrialState.COMPLETE]
        assert search.optuna()[0].value == 0.5

    def test_what_is_done_is_not_done_again(self, search: Search) -> None:
        coordinator = search.start(trials=3)
        job(coordinator)
        coordinator.finish("w", complete(0.9))
        job(coordinator)
        coordinator.finish("w", failed())
        search.crash()
        coordinator = search.start(trials=3)
        assert coordinator.progress().finished == 2
        assert (coordinator.progress().best, coordinator.progress().best_trial) == (0.9, 0)
        assert [j.trial for j in run_all(coordinator, by_x)] == [2]

    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_what_was_drawn_is_not_drawn_again(self, search: Search, sampler: str) -> None:
        drawn = [j.params["x"] for j in run_all(search.start(trials=3, sampler=sampler), by_x)]
        search.stop()
        drawn += [j.params["x"] for j in run_all(search.start(trials=6, sampler=sampler), by_x)]
        search.stop()
        drawn += [j.params["x"] for j in run_all(search.start(trials=8, sampler=sampler), by_x)]
        assert len(set(drawn)) == 8

    def test_a_larger_budget_goes_on(self, search: Search) -> None:
        run_all(search.start(trials=1), by_x)
        search.stop()
        assert [j.trial for j in run_all(search.start(trials=3), by_x)] == [1, 2]

    def test_retries_are_counted_over_crashes(self, search: Search) -> None:
        for attempt in (1, 2):
            assert job(search.start(trials=1, retries=1)).attempt == attempt
            search.crash()
        coordinator = search.start(trials=1, retries=1)
        assert coordinator.next("w") is None
        assert search.record().trials[0].state is TrialState.LOST
        assert search.optuna()[0].state is OptunaState.FAIL

    def test_a_trial_lost_before_the_crash_is_retried(self, search: Search) -> None:
        coordinator = search.start(trials=1)
        job(coordinator)
        coordinator.lost("w")
        search.crash()
        again = job(search.start(trials=1))
        assert (again.trial, again.attempt) == (0, 2)

    def test_steps_are_not_reported_twice(self, search: Search, recwarn: pytest.WarningsRecorder) -> None:
        coordinator = search.start()
        job(coordinator)
        coordinator.report(0, 1, 0, 0.25)
        search.crash()
        coordinator = search.start()
        assert job(coordinator).trial == 0
        coordinator.report(0, 2, 0, 0.75)
        coordinator.report(0, 2, 1, 0.5)
        assert search.optuna()[0].intermediate_values == {0: 0.25, 1: 0.5}
        assert not [w for w in recwarn if "reported" in str(w.message)]

    def test_optuna_is_brought_up_to_the_journal(self, search: Search) -> None:
        coordinator = search.start(trials=1)
        job(coordinator)
        before = search.folder.optuna_journal.read_bytes()
        coordinator.finish("w", complete(0.5))
        search.crash()
        search.folder.optuna_journal.write_bytes(before)  # the journal knows the end, Optuna was not told
        assert search.optuna()[0].state is OptunaState.RUNNING
        coordinator = search.start(trials=1)
        assert coordinator.next("w") is None
        assert search.optuna()[0].state is OptunaState.COMPLETE
        assert search.optuna()[0].value == 0.5

    def test_a_trial_that_was_asked_for_and_never_handed_out_is(self, search: Search) -> None:
        job(search.start(trials=3))
        search.crash()
        study = optuna.load_study(study_name="s", storage=_storage(search))
        study.ask()
        coordinator = search.start(trials=3)
        jobs = [job(coordinator, f"w{i}") for i in range(3)]
        assert sorted(j.trial or 0 for j in jobs) == [0, 1, 2]
        assert all("x" in j.params for j in jobs)
        assert isinstance(coordinator.next("more"), Wait)
        for i in range(3):
            coordinator.finish(f"w{i}", complete(0.1 * i))
        assert {t.state for t in search.optuna()} == {OptunaState.COMPLETE}

    def test_a_torn_line_of_optuna_is_dropped(self, search: Search) -> None:
        run_all(search.start(trials=1), by_x)
        search.crash()
        with search.folder.optuna_journal.open("ab") as file:
            file.write(b'{"op_code": 4, "worker_id": "x", "tri')
        coordinator = search.start(trials=2)
        assert [j.trial for j in run_all(coordinator, by_x)] == [1]
        assert [t.number for t in search.optuna()] == [0, 1]

    def test_a_torn_line_of_its_own_journal_is_dropped(self, search: Search) -> None:
        run_all(search.start(trials=1), by_x)
        search.crash()
        [path] = search.folder.journals.glob("search-*")
        with path.open("ab") as file:
            file.write(b'{"k":"attempt","t":1,"tri')
        assert [j.trial for j in run_all(search.start(trials=2), by_x)] == [1]

    def test_an_orphaned_lock_of_optuna_is_removed(self, search: Search) -> None:
        run_all(search.start(trials=1), by_x)
        search.crash()
        lock = search.folder.path / "optuna.journal.lock"
        lock.touch()
        assert [j.trial for j in run_all(search.start(trials=2), by_x)] == [1]  # Optuna would wait for 30 s
        assert not lock.exists()

    def test_baselines_and_evaluations_are_not_repeated(self, search: Search) -> None:
        options: dict[str, Any] = {"trials": 1, "baselines": ("default", "svc"), "evaluation_seeds": 2}
        coordinator = search.start(**options)
        done = [job(coordinator) for _ in range(4) if coordinator.finish("w", complete(0.5, 0.5)) is None]
        coordinator.finish("w", complete(0.5, 0.5))
        assert [j.name for j in done] == ["0", "default", "svc", "default"]
        search.crash()
        coordinator = search.start(**options)
        rest = run_all(coordinator, lambda _: complete(0.5, 0.5))
        assert [(j.kind, j.name) for j in rest] == [
            ("evaluation", "winner"),
            ("evaluation", "default"),
            ("evaluation", "winner"),
        ]
        progress = coordinator.progress()
        assert (progress.runs_done, progress.runs_total, progress.stage) == (6, 6, "done")
        search.stop()
        assert run_all(search.start(**options), by_x) == []

    def test_a_new_winner_is_evaluated_the_default_is_not(self, search: Search) -> None:
        run_all(search.start(trials=1, evaluation_seeds=1), lambda j: complete(0.1, 0.1))
        search.stop()
        jobs = run_all(search.start(trials=2, evaluation_seeds=1), lambda j: complete(0.9, 0.9))
        assert [(j.kind, j.name, j.trial) for j in jobs] == [("trial", "1", 1), ("evaluation", "winner", 1)]
        assert jobs[1].account == "study/s/evaluation/winner-1000000-2"  # the first winner's energy is on the other one

    def test_a_failed_baseline_is_tried_again(self, search: Search) -> None:
        run_all(search.start(trials=0, baselines=("svc",)), lambda _: failed())
        search.stop()
        assert [j.name for j in run_all(search.start(trials=0, baselines=("svc",)), by_x_or(0.5))] == ["svc"]


def _storage(search: Search) -> optuna.storages.JournalStorage:
    backend = optuna.storages.journal.JournalFileBackend(str(search.folder.optuna_journal))
    return optuna.storages.JournalStorage(backend)


class TestLock:
    def test_a_second_coordinator_is_refused(self, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
        search.start()
        lock = StudyFolder.lock
        monkeypatch.setattr(StudyFolder, "lock", lambda folder, wait_s: lock(folder, min(wait_s, 0.2)))
        with pytest.raises(JournalError, match="another search works on this folder"):
            search.start()

    def test_closing_lets_go(self, search: Search) -> None:
        search.start()
        with pytest.raises(JournalError):
            search.folder.lock(wait_s=0)
        search.stop()
        os.close(search.folder.lock(wait_s=0))

    def test_the_folder_is_waited_for(self, search: Search) -> None:
        """Processes of a killed driver live on for some seconds."""
        held = search.folder.lock(wait_s=0)
        threading.Timer(0.3, os.close, [held]).start()
        assert job(search.start()).trial == 0
