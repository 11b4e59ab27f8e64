"""``RayTuneCallback``: the one line that puts an existing Ray Tune experiment on the books."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from auditor import NodeBooks, TrialBooks
from auditor.domain.study import TrialState

_ANSWER_S = 5.0
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_PLAIN = (str, int, float, bool, type(None))


@dataclass(slots=True, kw_only=True)
class _Known:
    """A trial of the experiment.

    Attributes:
        number: Its number here: in the order in which trials began.
        attempt: How often it was begun anew.
        worker: Process id and address of the worker that runs it now.
        steps: Results so far.
        stopped: Whether it was stopped from outside, not by itself or by its criteria.
    """

    number: int
    attempt: int = 1
    worker: tuple[str, int] | None = None
    steps: int = 0
    stopped: bool = False


class _Elsewhere:
    """A worker on another machine, marked by an actor there."""

    def __init__(self, books: Any, pid: int) -> None:
        self._books = books
        self._pid = pid
        self._depth = 0

    @property
    def depth(self) -> int:
        """How many accounts are stacked."""
        return self._depth

    def begin(self, account: str) -> None:
        """Work for an account from now on."""
        self._depth += 1
        self._books.begin.remote(self._pid, account)

    def end(self, depth: int | None = None) -> None:
        """Go back to the account before, or down to a depth."""
        self._depth = max(0, self._depth - 1) if depth is None else depth
        self._books.end.remote(self._pid, depth)


class RayTuneCallback(tune.Callback):
    """Books every trial of an experiment: ``tune.RunConfig(callbacks=[RayTuneCallback()])``.

    The worker of a trial is on the books from when it starts until the trial ends, with its children, on whatever
    machine of the cluster it runs; what Tune itself takes has an account of its own. An experiment never fails for it:
    what goes wrong in the auditor is logged once and becomes a finding.

    Args:
        metric: Name of the reported metric that the experiment is about; without it trials have no value.
        mode: ``max`` or ``min``.
        name: Name of the study. Default: the name of the experiment.
        folder: Study folder, visible on every machine. Default: the first of ``auditor-runs/<name>``,
            ``auditor-runs/<name>-2``, … that is not there yet.
        meters: Names of the meters (``auditor plugins`` lists them), where no node agent runs yet.
        interval_s: Seconds between readings, likewise.

    Raises:
        InputError: the name or the folder can't be used.
    """

    def __init__(
        self,
        metric: str | None = None,
        mode: str | None = None,
        *,
        name: str | None = None,
        folder: str | Path | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
    ) -> None:
        self._metric = metric
        self._direction = {"max": "maximize", "min": "minimize"}.get(mode or "", "")
        self._name = name
        self._options: dict[str, Any] = {"folder": folder, "meters": tuple(meters), "interval_s": interval_s}
        self._books: TrialBooks | None = None
        self._trials: dict[str, _Known] = {}
        self._workers: dict[tuple[str, int], Any] = {}
        self._nodes: dict[str, Any] = {}
        self._longest = 0
        if name is not None:
            self._open(name)

    @property
    def study_folder(self) -> Path | None:
        """Where the books lie; ``None`` before the first trial, or where they could not be opened."""
        return None if self._books is None or self._books.folder is None else self._books.folder.path

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker has started, and does nothing yet."""
        books = self._books
        if books is None:
            books = self._open(self._name or _UNFIT.sub("-", trial.experiment_dir_name).strip("-._") or "raytune")
        with books.guarded("the begin of a trial"):
            books.start(holds=False)
            known = self._trials.setdefault(trial.trial_id, _Known(number=len(self._trials)))
            books.suspend_trial(known.number)  # a paused one goes on elsewhere
            known.worker = _worker_of(trial)
            books.begin_trial(
                known.number,
                _plain(trial.config),
                attempt=known.attempt,
                worker=self._attached(books, trial, known.worker),
            )

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Trials that were paused hold their worker no longer."""
        books = self._books
        if books is not None:
            with books.guarded("pauses"):
                for trial in trials:
                    if trial.status == "PAUSED" and trial.trial_id in self._trials:
                        books.suspend_trial(self._trials[trial.trial_id].number)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """It reported."""
        books, known = self._books, self._trials.get(trial.trial_id)
        if books is None or known is None:
            return
        with books.guarded("a report"):
            known.steps = int(result.get("training_iteration", known.steps + 1))
            known.stopped = bool(result.get("done")) and not _met(trial.stopping_criterion, result)
            if (value := self._value(result)) is not None:
                books.report(known.number, known.steps, value)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It ended, by itself or because it was stopped."""
        books, known = self._books, self._trials.get(trial.trial_id)
        if books is None or known is None:
            return
        with books.guarded("the end of a trial"):
            self._longest = max(self._longest, known.steps)
            pruned = known.stopped and known.steps < self._longest
            state = TrialState.PRUNED if pruned else TrialState.COMPLETE
            books.end_trial(known.number, state, value=None if pruned else self._value(trial.last_result or {}))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It failed, and is tried again."""
        self._failed(trial, final=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It failed for good."""
        self._failed(trial, final=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Close the books and say what the experiment cost."""
        books = self._books
        if books is None:
            return
        with books.guarded("leaving other machines"):
            ray.get([node.close.remote() for node in self._nodes.values()], timeout=_ANSWER_S)
            self._nodes.clear()
        books.stop()
        self._workers.clear()

    def __getstate__(self) -> dict[str, Any]:
        """What Tune copies or stores takes the settings along, and opens books of its own."""
        return {**self.__dict__, "_books": None, "_trials": {}, "_workers": {}, "_nodes": {}}

    def _open(self, name: str) -> TrialBooks:
        self._books = TrialBooks(
            name, metric=self._metric or "", direction=self._direction, sampler="Ray Tune", **self._options
        )
        return self._books

    def _failed(self, trial: Any, *, final: bool) -> None:
        books, known = self._books, self._trials.get(trial.trial_id)
        if books is None or known is None:
            return
        with books.guarded("the end of a trial"):
            error = " ".join(str(trial.get_error() or "").split())[-500:]
            books.end_trial(known.number, TrialState.FAILED, error=error, final=final)
            known.attempt += not final

    def _value(self, result: Mapping[str, Any]) -> float | None:
        value = result.get(self._metric) if self._metric else None
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def _attached(self, books: TrialBooks, trial: Any, worker: tuple[str, int]) -> Any:
        """Where a worker is marked; made known to the books when it is met first."""
        if worker in self._workers:
            return self._workers[worker]
        address, pid = worker
        slots = trial.placement_group_factory.required_resources
        gpus = _gpus_of(trial) if slots.get("GPU") else {}
        if address == ray.util.get_node_ip_address():
            marks: Any = books.attach(pid, cpu_slots=float(slots.get("CPU", 0.0)), gpus=gpus)
        else:
            node = self._node(books, address)
            ray.get(node.attach.remote(pid, float(slots.get("CPU", 0.0)), gpus), timeout=_ANSWER_S)
            marks = _Elsewhere(node, pid)
        if marks is None:
            raise LookupError(f"worker {pid} on {address} is not on the books")
        self._workers[worker] = marks
        return marks

    def _node(self, books: TrialBooks, address: str) -> Any:
        """An actor on another machine of the cluster that books processes there."""
        if address not in self._nodes:
            place = books.place
            [node_id, *_] = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeManagerAddress"] == address]
            pinned = NodeAffinitySchedulingStrategy(node_id, soft=False)
            actor = ray.remote(NodeBooks).options(
                num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy=pinned
            )
            self._nodes[address] = actor.remote(place, self._options["meters"], self._options["interval_s"])
        return self._nodes[address]


def _met(criteria: Mapping[str, Any] | None, result: Mapping[str, Any]) -> bool:
    """Whether a result fulfils one of the criteria that end a trial."""
    return any(name in result and result[name] >= limit for name, limit in (criteria or {}).items())


def _worker_of(trial: Any) -> tuple[str, int]:
    """Address and process id of a trial's worker."""
    address, pid = ray.get(trial.temporary_state.ray_actor.get_current_ip_pid.remote(), timeout=_ANSWER_S)
    return str(address), int(pid)


def _gpus_of(trial: Any) -> dict[str, float]:
    """The GPUs of a trial's worker by UUID, where its environment names them so."""
    named = ray.get(
        trial.temporary_state.ray_actor.__ray_call__.remote(lambda _: os.environ.get("CUDA_VISIBLE_DEVICES", "")),
        timeout=_ANSWER_S,
    )
    uuids = [part.strip() for part in named.split(",") if part.strip().startswith("GPU-")]
    return {uuid: trial.placement_group_factory.required_resources["GPU"] / len(uuids) for uuid in uuids}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as a journal holds it."""
    return {str(name): value if isinstance(value, _PLAIN) else repr(value) for name, value in config.items()}
