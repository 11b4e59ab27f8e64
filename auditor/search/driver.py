"""The driver: starts everything, watches it, and closes the books.

The node agent, the MLflow projector and Ray start side by side. Workers that die are replaced, the agent and the
projector too. What happens after the seal (closing, report, parent run) is not on the books: ``after_seal_s``.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from auditor.domain.accounts import search_account
from auditor.domain.errors import SearchError
from auditor.domain.redaction import redact_url
from auditor.metering.activity import Activity, forget, node_name
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFile
from auditor.metering.processes import boot_id
from auditor.metering.records import Finished, Seal
from auditor.metering.runtime import AgentHandle, nudge_agent, runtime_dir, withdraw_study
from auditor.metering.slots import cpu_slots
from auditor.reporting.publish import preload, publish
from auditor.search.budget import Limits, limits
from auditor.search.jobs import Progress
from auditor.search.plan import Plan
from auditor.search.samplers import PRUNERS
from auditor.tracking.handle import ProjectorHandle

_POLL_S = 0.5
_READING_TIMEOUT_S = 30.0
_LOCK_TIMEOUT_S = 30.0
_AGENTS_TIMEOUT_S = 2.0


class Watcher(Protocol):
    """Who is told how the search goes; the command line shows it."""

    def say(self, text: str) -> None:
        """Something happened."""

    def progress(self, progress: Progress, energy_j: float | None, power_w: float | None) -> None:
        """How far the search is, with energy metered so far and power now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search leaves behind.

    Attributes:
        statement: The statement, as in ``statement.json``.
        folder: The study folder.
        tracking_uri: Where MLflow keeps the runs; ``None`` where tracking failed.
        tracking_error: Why tracking failed; empty where it worked.
        experiment: Name of the MLflow experiment.
        interrupted: Whether somebody stopped it before its budget was spent.
    """

    statement: Mapping[str, Any]
    folder: Path
    tracking_uri: str | None
    tracking_error: str
    experiment: str
    interrupted: bool = False


def run_search(plan: Plan, watcher: Watcher) -> SearchResult:
    """Run a checked search to its end, or go on with it.

    Raises:
        AuditorError: the search can't go on; what was metered is on the books.
    """
    return _Driver(plan, watcher).run()


class _Driver:
    def __init__(self, plan: Plan, watcher: Watcher) -> None:
        self._plan = plan
        self._config = plan.config
        self._watcher = watcher
        self._folder = plan.folder
        self._uuid = plan.folder.read_study().uuid if plan.resumed else str(uuid.uuid4())
        self._workers: dict[Any, str] = {}
        self._actors: dict[str, Any] = {}
        self._keepers: list[Any] = []
        self._answers: dict[Any, Any] = {}
        self._places = [(node_name(), boot_id())]
        self._interrupts = 0
        self._spent_s = 0.0
        self._next_close_s = 0.0

    def run(self) -> SearchResult:
        config, folder = self._config, self._folder
        if not self._plan.resumed:
            folder.create(self._study_file())
        os.close(folder.lock(wait_s=_LOCK_TIMEOUT_S))  # processes of a killed driver live on for some seconds
        if self._plan.resumed:
            folder.write_study(self._study_file())
        self._journal_dir = str(folder.journals.resolve())
        self._reader = StudyReader(folder)
        self._reader.refresh()
        self._spent_s = self._reader.running_s()
        account = search_account(config.study, "orchestration")
        own_ray = config.resources.address is None
        self._activity = Activity(
            folder.journals,
            self._uuid,
            account,
            holds_rest=own_ray,
            driver=True,
            session=self._reader.drivers + 1,
        )
        restore = self._catch_interrupts()
        self._agent = AgentHandle(config.metering.meters, config.metering.interval_s, config.metering.static_w)
        try:
            self._agent.ensure()
            self._agent.keep()
            experiment = config.tracking.experiment or config.study
            self._projector = ProjectorHandle(folder.path, config.tracking.uri, experiment)
            self._start_ray()
            self._supervise()
            self._drain()
        finally:
            restore()
            self._let_go()
        return self._conclude()

    def _study_file(self) -> StudyFile:
        config, space = self._config, self._plan.space
        packages = ("nas-auditor", "optuna", "ray", "torch", "pytorch-lightning", "codecarbon", "mlflow")
        return StudyFile(
            uuid=self._uuid,
            study={
                "name": config.study,
                "space": config.space,
                "sampler": config.search.sampler,
                "metric": space.metric,
                "direction": space.direction,
                "test_metric": space.test_metric,
            },
            config=_redacted(config.model_dump(mode="json")),
            parameters=asdict(self._plan.parameters),
            versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
            hardware={
                "node": platform.node(),
                "machine": platform.machine(),
                "cpu_slots": cpu_slots(),
                "gpus": self._plan.gpus,
            },
        )

    def _start_ray(self) -> None:
        from auditor.search.cluster import as_actor, start_ray
        from auditor.search.coordinator import Coordinator, CoordinatorSettings
        from auditor.search.evaluations import Evaluations
        from auditor.search.nodes import clocks_of, keep_other_nodes
        from auditor.search.worker import Worker, WorkerSettings

        config = self._config
        self._watcher.say("starting")
        own = start_ray(config.resources, cpu_slots(), self._plan.gpus)
        if not own:
            self._keepers = keep_other_nodes(config.metering)
            for clock in clocks_of(self._keepers):
                self._activity.record(clock)
        runtime = (str(runtime_dir().resolve()), boot_id())
        self._worker_settings = WorkerSettings(
            folder=self._folder.path.resolve(),
            study=config.study,
            uuid=self._uuid,
            space=config.space,
            max_epochs=config.training.max_epochs,
            cpus=config.resources.cpus_per_trial,
            gpus=config.resources.gpus_per_trial,
            prunes=PRUNERS.get(config.search.pruner) != "NopPruner",
            import_path=str(Path.cwd()),
            runtime=runtime,
        )
        self._worker_class = as_actor(
            Worker, num_cpus=config.resources.cpus_per_trial, num_gpus=config.resources.gpus_per_trial
        )
        trials = config.budget.trials
        draws = None if trials is None else config.random_draws(trials)
        trials = None if trials is None or draws is None else trials - draws
        self._coordinator = as_actor(Coordinator, num_cpus=0).remote(
            CoordinatorSettings(
                folder=self._folder.path.resolve(),
                study=config.study,
                uuid=self._uuid,
                space=config.space,
                sampler=config.search.sampler,
                pruner=config.search.pruner,
                seed=config.search.seed,
                trials=trials,
                draws=draws,
                random_share=config.random_share,
                retries=config.resources.retries,
                baselines=config.named_baselines,
                evaluations=Evaluations(
                    study=config.study,
                    seed=config.search.seed,
                    seeds=config.evaluation.seeds,
                    inference_s=config.evaluation.inference_s,
                    pruned=config.evaluation.pruned,
                ),
                runtime=runtime,
            )
        )
        for _ in range(config.resources.workers):
            self._start_worker()

    def _start_worker(self) -> None:
        name = f"worker-{len(self._actors)}"
        actor = self._actors[name] = self._worker_class.remote(name, self._worker_settings)
        self._workers[actor.run.remote(self._coordinator)] = name

    def _supervise(self) -> None:
        """Watch until every worker has nothing left to do."""
        import ray
        from ray.exceptions import RayActorError, RayError, RayTaskError

        started_s = time.monotonic()
        deaths = 0
        pending = None
        limit = limits(self._config.budget)
        while self._workers:
            ready, _ = ray.wait(list(self._workers), num_returns=1, timeout=_POLL_S)
            for reference in ready:
                name = self._workers.pop(reference)
                try:
                    ray.get(reference)
                except RayTaskError as error:
                    raise SearchError(f"{name}: {_cause(error)}") from error
                except RayActorError:
                    deaths += 1
                    self._watcher.say(f"{name} died; its training is retried on a new worker")
                    if deaths > max(10, 3 * self._config.resources.workers):
                        raise SearchError(f"{deaths} workers died: something kills them (memory?); giving up") from None
                    ray.get(self._coordinator.lost.remote(name))
                    self._start_worker()
            self._agent.check()
            self._check_other_nodes()
            self._projector.ensure()
            if pending is None:
                pending = self._coordinator.progress.remote()
            elif ray.wait([pending], timeout=0)[0]:
                try:
                    progress = ray.get(pending)
                except RayError as error:
                    raise SearchError(
                        f"the coordinator died: {_cause(error)}; run the command again to go on"
                    ) from error
                pending = None
                self._show(progress)
                if self._interrupts:
                    ray.get(self._coordinator.stop.remote("interrupted", everything=True))
                elif not progress.stopped_by and (reason := self._exhausted(limit, time.monotonic() - started_s)):
                    ray.get(self._coordinator.stop.remote(reason))
                    self._watcher.say(f"budget reached: {reason}")

    def _check_other_nodes(self) -> None:
        """A node that no meter covers would look as if its trials cost nothing."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        for keeper in self._keepers:
            answer = self._answers.setdefault(keeper, keeper.check.remote())
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._answers[keeper]
            try:
                ray.get(answer)
            except RayTaskError as error:
                raise SearchError(_cause(error)) from error
            except RayError:  # a node that died is seen by its workers
                continue

    def _show(self, progress: Progress) -> None:
        self._reader.refresh()
        self._watcher.progress(progress, *self._reader.energy_and_power())

    def _exhausted(self, limit: Limits, elapsed_s: float) -> str:
        books = None
        began_s = time.monotonic()
        if limit.needs_books and began_s >= self._next_close_s:  # closing books costs more the longer a study is
            record, _ = self._reader.close()
            books = record.books
            self._next_close_s = time.monotonic() + max(1.0, 20 * (time.monotonic() - began_s))
        return limit.reached(elapsed_s + self._spent_s, books, self._plan.parameters)

    def _drain(self) -> None:
        """Everything ran: stop Ray's processes, project the last trials, and seal the books at the next reading."""
        import ray

        ray.get(self._coordinator.close.remote())
        self._leave_other_nodes()
        meanwhile = [threading.Thread(target=task) for task in (_shutdown_ray, preload)]
        for thread in meanwhile:
            thread.start()
        self._projector.drain()
        self._seal(time.monotonic_ns())
        for thread in meanwhile:
            thread.join()

    def _seal(self, after_ns: int) -> None:
        until_s = time.monotonic() + _READING_TIMEOUT_S
        nudge_agent()
        while True:
            self._reader.refresh()
            last = self._reader.last_reading
            if last is not None and last.t >= after_ns:
                self._activity.record(Seal(t=last.t))
                return
            if time.monotonic() > until_s:
                raise SearchError("the node agent gives no readings any more; the books stay unsealed")
            self._agent.check()
            time.sleep(0.02)

    def _let_go(self) -> None:
        """Leave no process and no registration behind, whatever happened."""
        self._leave_other_nodes()
        _shutdown_ray()
        self._agent.release()
        withdraw_study(self._journal_dir)
        self._reader.wait_for_agents(self._places, timeout_s=_AGENTS_TIMEOUT_S)
        self._activity.record(Finished(t=time.monotonic_ns()))
        forget(self._activity)

    def _leave_other_nodes(self) -> None:
        """While Ray still reaches them: what their agents wrote later would be missing in the manifest."""
        if self._keepers:
            from auditor.search.nodes import leave_other_nodes

            self._places += leave_other_nodes(self._keepers, self._journal_dir, self._activity.header.key)
            self._keepers = []

    def _conclude(self) -> SearchResult:
        statement = publish(self._folder, self._plan.parameters, self._config.metering.policy)
        self._projector.publish_parent()
        return SearchResult(
            statement=statement,
            folder=self._folder.path,
            tracking_uri=self._projector.tracking_uri,
            tracking_error=self._projector.error,
            experiment=self._projector.experiment,
            interrupted=self._interrupts > 0,
        )

    def _catch_interrupts(self) -> Callable[[], None]:
        """First Ctrl-C or SIGTERM: no new trials, close the books; second: leave at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt
            self._watcher.say(
                "stopping: running trainings are finished, then the books are closed (again to leave at once)"
            )

        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in old.items():
                signal.signal(number, handler)

        return restore


def _shutdown_ray() -> None:
    import ray

    if ray.is_initialized():
        ray.shutdown()


def _cause(error: BaseException) -> str:
    cause = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[:400] or type(cause).__name__


def _redacted(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without passwords in URLs."""
    uri = config["tracking"]["uri"]
    return {**config, "tracking": {**config["tracking"], "uri": redact_url(uri) if uri else uri}}
