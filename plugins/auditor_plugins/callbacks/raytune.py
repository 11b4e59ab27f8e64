"""``RayTuneCallback``: the one line that puts an existing Ray Tune experiment on the books."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import tune

from auditor import TrialBooks
from auditor.domain.errors import one_line
from auditor.domain.study import TrialState
from auditor_plugins.callbacks.raytune_told import Told, flat, number_of, plain, told
from auditor_plugins.callbacks.raytune_workers import Nodes, Nowhere, Worker, worker_of, worker_that_reported

logger = logging.getLogger("auditor")

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_OPENING = "opening the books"
_Hook = TypeVar("_Hook", bound=Callable[..., None])


@dataclass(slots=True, kw_only=True)
class _Known:
    """A trial of the experiment.

    Attributes:
        number: Its number here: in the order in which trials began.
        running: Tune's trial while an attempt of it is open; ``None`` before and after.
        found: Whether its worker was looked for where it reports, once it was not found at its start.
        said_done: Whether its last result was to be its last.
        steps: Results so far.
    """

    number: int
    running: Any = None
    found: bool = True
    said_done: bool = False
    steps: int = 0


def _hook(call: _Hook) -> _Hook:
    """A hook that notes what fails in it: Tune would end the experiment."""

    @functools.wraps(call)
    def guarded(self: RayTuneCallback, *args: Any, **kwargs: Any) -> None:
        try:
            call(self, *args, **kwargs)
        except Exception as error:
            self._fault(call.__name__, error)

    return guarded  # type: ignore[return-value]


class RayTuneCallback(tune.Callback):
    """Books every trial of an experiment: ``tune.RunConfig(callbacks=[RayTuneCallback()])``.

    The worker of a trial is on the books from when it starts until the trial ends, with its children, on whatever
    machine of the cluster it runs; what Tune itself takes has an account of its own. An experiment that is restored
    goes on in its study folder. An experiment never fails for it: what goes wrong in the auditor is logged once and
    becomes a finding.

    Args:
        metric: Name of the reported metric that the experiment is about. Default: what Tune was told.
        mode: ``max`` or ``min``. Default: likewise.
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
        self._told = self._given = Told(metric=metric or "", mode=mode or "")
        self._name = name
        self._options: dict[str, Any] = {"folder": folder, "meters": tuple(meters), "interval_s": interval_s}
        self._books: TrialBooks | None = None
        self._trials: dict[str, _Known] = {}
        self._nodes = Nodes(tuple(meters), interval_s)
        self._faults: dict[str, str] = {}
        self._folder: Path | None = None
        self._waited = False
        if name is not None:
            TrialBooks.check(name, folder)

    @property
    def study_folder(self) -> Path | None:
        """Where the books lie; ``None`` before the first trial, or where they could not be opened."""
        return self._folder

    @_hook
    def setup(self, *args: Any, **info: Any) -> None:
        """The experiment begins, or goes on."""
        self._told = told(self._given)

    @_hook
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Open the books while the first worker starts."""
        self._begin(trials)

    @_hook
    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Trials that were paused hold their worker no longer, and who was stopped with the experiment is told here."""
        books = self._begin(trials)
        for known in [known for known in self._trials.values() if known.running is not None]:
            if known.running.status == "PAUSED" and books is not None:
                books.suspend_trial(known.number)
            elif known.running.status == "TERMINATED":
                self._end(known, TrialState.PRUNED)

    @_hook
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker has started, and does nothing yet."""
        if (books := self._begin([trial])) is None:
            return
        known = self._known(books, trial)
        books.suspend_trial(known.number)  # a paused one goes on elsewhere
        marks: Any = None
        with books.guarded("finding a worker"):
            marks = self._marks(books, trial, worker_of(trial))
        known.found, known.said_done = marks is not None, False
        self._mark(books, known, trial, marks or Nowhere())

    @_hook
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """It reported."""
        books, known = self._books, self._trials.get(trial.trial_id)
        if books is None or known is None:
            return
        known.steps = int(result.get("training_iteration", known.steps + 1))
        known.said_done = bool(result.get("done"))
        if not known.found:
            known.found = True
            if (marks := self._marks(books, trial, worker_that_reported(trial, result))) is not None:
                self._mark(books, known, trial, marks)
        if (value := number_of(flat(result).get(self._told.metric))) is not None:
            books.report(known.number, known.steps, value)

    @_hook
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It ended, by itself or because it was stopped."""
        if (known := self._trials.get(trial.trial_id)) is None or known.running is None:
            return
        last = flat(trial.last_result or {})
        cut = self._told.cut(known.said_done, last, trial.stopping_criterion or {})
        value = None if cut else number_of(last.get(self._told.metric))
        self._end(known, TrialState.PRUNED if cut else TrialState.COMPLETE, value=value)

    @_hook
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It failed, and is tried again."""
        self._failed(trial, final=False)

    @_hook
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It failed for good."""
        self._failed(trial, final=True)

    @_hook
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Close the books and say what the experiment cost."""
        books, self._books = self._books, None
        if books is not None:
            self._nodes.close(books)
            books.stop()
        self._trials.clear()
        self._waited = False

    def get_state(self) -> dict[str, Any] | None:
        """What an experiment that is restored needs to go on in its folder."""
        if self._folder is None:
            return None
        return {"folder": str(self._folder), "numbers": {key: known.number for key, known in self._trials.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on in the folder of an experiment that is restored, where it is still there."""
        if Path(state["folder"], "study.yaml").is_file():
            self._options["folder"] = state["folder"]
            self._trials = {key: _Known(number=number) for key, number in state["numbers"].items()}

    def __getstate__(self) -> dict[str, Any]:
        """What Tune copies or stores takes the settings along, and opens books of its own."""
        fresh: dict[str, Any] = {"_books": None, "_trials": {}, "_faults": {}, "_folder": None, "_waited": False}
        nodes = Nodes(self._options["meters"], self._options["interval_s"])
        return {**self.__dict__, **fresh, "_nodes": nodes, "_told": self._given}

    def _begin(self, trials: Sequence[Any]) -> TrialBooks | None:
        """The books, opened once there is a trial, which knows the name of the experiment."""
        if self._books is None and trials and _OPENING not in self._faults:
            name = self._name or _UNFIT.sub("-", trials[0].experiment_dir_name).strip("-._") or "raytune"
            try:
                self._open(name)
            except Exception as error:
                self._fault(_OPENING, error)
        return self._books

    def _open(self, name: str) -> None:
        direction = {"max": "maximize", "min": "minimize"}.get(self._told.mode, "")
        self._books = books = TrialBooks(
            name, metric=self._told.metric, direction=direction, sampler=self._told.sampler, **self._options
        )
        books.start(holds=False)
        self._folder = None if books.folder is None else books.folder.path
        for where, message in self._faults.items():
            books.fault(where, message)

    def _known(self, books: TrialBooks, trial: Any) -> _Known:
        if trial.trial_id not in self._trials:
            taken = [*books.attempts, *(known.number for known in self._trials.values())]
            self._trials[trial.trial_id] = _Known(number=max(taken, default=-1) + 1)
        return self._trials[trial.trial_id]

    def _mark(self, books: TrialBooks, known: _Known, trial: Any, marks: Any) -> None:
        """The trial works there from now on; a new attempt unless one of it is open."""
        if not self._waited:
            self._waited = True
            books.wait_for_meter()  # its worker does nothing yet
        begun = books.attempts.get(known.number, 0)
        attempt = begun if known.running is not None else begun + 1
        known.running = trial
        books.begin_trial(known.number, plain(trial.config), attempt=attempt, worker=marks)

    def _marks(self, books: TrialBooks, trial: Any, worker: Worker) -> Any:
        """Where a worker is marked; ``None`` where that failed."""
        reserved = trial.placement_group_factory.required_resources
        cpu_slots, gpu_slots = float(reserved.get("CPU", 0.0)), float(reserved.get("GPU", 0.0))
        if worker.node == ray.get_runtime_context().get_node_id():
            return books.attach(worker.pid, cpu_slots=cpu_slots, gpu_slots=gpu_slots, visible=worker.visible)
        return self._nodes.attach(books, worker, cpu_slots=cpu_slots, gpu_slots=gpu_slots)

    def _end(self, known: _Known, state: TrialState, **how: Any) -> None:
        trial, known.running = known.running, None
        if self._books is not None:
            self._books.end_trial(known.number, state, params=plain(trial.config), **how)

    def _failed(self, trial: Any, *, final: bool) -> None:
        if (books := self._begin([trial])) is None:
            return
        known = self._known(books, trial)
        if known.running is None:  # its worker died before the trial could begin
            self._mark(books, known, trial, Nowhere())
        error = " ".join(str(trial.get_error() or "").split())[-500:]
        self._end(known, TrialState.FAILED, error=error, final=final)

    def _fault(self, where: str, error: Exception) -> None:
        if self._books is not None:
            self._books.fault(where, error)
        elif where not in self._faults:  # told to the books when they open
            self._faults[where] = one_line(error)
            logger.warning("nas-auditor failed in %s; what it audits goes on: %s", where, one_line(error))
