"""``AuditCallback``: the one line that puts an existing Lightning training on the books."""

from __future__ import annotations

import logging
import math
import re
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from auditor.domain.amounts import parse_energy_j
from auditor.domain.errors import AuditorError, InputError, one_line
from auditor.domain.study import TrialState
from auditor.metering.activity import Activity, booked_elsewhere, forget
from auditor.metering.folder import StudyFolder
from auditor.metering.runtime import AgentHandle
from auditor.metering.slots import cpu_slots, gpus_held
from auditor.reporting.figures import energy
from auditor.training.audit import Audit, Spent
from auditor.training.booked import Booked, Place, booked_here
from auditor.training.folders import checked_folder, checked_name
from auditor.training.phases import PhaseCallback, part

if TYPE_CHECKING:
    import pytorch_lightning as pl

logger = logging.getLogger("auditor")

_REFRESH_S = 5.0
_BUDGET_S = 2.0
"""The books are read so often within a training, and so often where a budget has to be kept."""

_IDLE_SHARE = 200
"""Reading the books is left alone for so many times as long as it takes: half a percent of a training at most."""

_BATCHES_AT_MOST = 1000
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


_led: weakref.WeakKeyDictionary[Audit, weakref.ref[pl.Trainer]] = weakref.WeakKeyDictionary()
"""Which Trainer each open set of books follows."""


class AuditCallback(PhaseCallback):
    """Puts a Lightning training on the books: ``Trainer(callbacks=[AuditCallback()])``.

    Starts the node agent of this machine or joins the one that runs, marks phases, counts operations, and at the end
    writes a study folder, says in three lines what the training cost, and logs the same figures as ``audit/…`` to the
    MLflow run of the Trainer's logger, or else the active one. They are in ``trainer.callback_metrics`` too, from the
    first epoch on, so that checkpoints and schedulers can use them. Every call of ``fit``, ``validate``, ``test`` or
    ``predict`` is a run of the same study. Under distributed strategies rank 0 reports for all.

    A training never fails for it: what goes wrong in the auditor is logged once and becomes a finding.

    Args:
        name: Name of the study. Default: the name of the module's class.
        folder: Study folder; one that holds a training of that name is gone on with. Default: the first of
            ``auditor-runs/<name>``, ``auditor-runs/<name>-2``, … that is not there yet.
        budget: Energy after which the training stops in good order, for example ``"0.2 kWh"`` or ``"500 J"``;
            what a checkpoint says was spent before counts too.
        meters: Names of the meters (``auditor plugins`` lists them), where no node agent runs yet.
        interval_s: Seconds between readings, likewise.

    Raises:
        InputError: an argument can't be used.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        folder: str | Path | None = None,
        budget: str | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
    ) -> None:
        super().__init__()
        if name is not None:
            checked_name(name)
        try:
            self._budget_j = None if budget is None else parse_energy_j(budget)
        except ValueError as error:
            raise InputError(f"budget: {error}, got {budget!r}") from None
        self._minds_batches = self._budget_j is not None
        self._name = name
        self._folder = None if folder is None else Path(folder).resolve()
        if name is not None:
            checked_folder(self._folder, name)
        self._meters, self._interval_s = tuple(meters), interval_s
        self._carried: dict[str, Spent] = {}
        self._audit: Audit | None = None
        self._member: Activity | None = None
        self._figures: dict[str, float] = {}
        self._next_look_s = 0.0
        self._next_look_batch = self._batches = 0
        self._began_s = 0.0
        self._together = False
        self._guest: Booked | None = None
        self._agent = AgentHandle(self._meters, interval_s)
        self._stopped = False
        self._faults: dict[str, str] = {}
        try:
            self._agent.ensure()  # it takes a moment, and nothing is lost for it
        except Exception as error:
            self.failed("starting the node agent", error)

    @property
    def figures(self) -> Mapping[str, float]:
        """``energy_j``, ``energy_cpu_j`` and the like, ``wall_s`` and ``flops`` so far, as far as they are known."""
        return dict(self._figures)

    @property
    def study_folder(self) -> Path | None:
        """Where the books lie; ``None`` before the first run."""
        return self._audit.folder.path if self._audit is not None and self._audit.folder is not None else None

    def failed(self, where: str, error: Exception) -> None:
        """Note what failed in a hook; the training goes on."""
        if self._audit is not None:
            self._audit.fault(where, error)
        elif where not in self._faults:
            self._faults[where] = one_line(error)
            logger.warning("nas-auditor failed in %s; what it audits goes on: %s", where, self._faults[where])

    def __getstate__(self) -> dict[str, Any]:
        """A copy, or what is sent to another process, takes the settings along and opens books of its own."""
        settings = {name: value for name, value in self.__dict__.items() if name != "_agent"}
        return {**settings, "_audit": None, "_member": None, "_guest": None, "marks": None}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Open the books, or join those of rank 0."""
        self._begin_counting()
        self._find_host()
        if self._guest is None and trainer.global_rank == 0:
            self._lead(trainer, pl_module)
        self._together = False
        if trainer.world_size > 1:  # every rank takes part, whatever failed on it
            place = trainer.strategy.broadcast(self._audit.place if self._audit is not None else None)
            self._together = place is not None
            if self._guest is None and trainer.global_rank != 0:
                self._join(trainer, place)
        super().setup(trainer, pl_module, stage)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the books once every rank has left them, and report."""
        super().teardown(trainer, pl_module, stage)
        self._leave()
        self._add_up(trainer)
        self._report(trainer, TrialState.COMPLETE, "")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the books of a training that failed, was interrupted or terminated; other ranks are not waited for."""
        super().on_exception(trainer, pl_module, exception)
        self._leave()
        self._report(trainer, TrialState.FAILED, one_line(exception))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the operations of a batch, and stop where the budget is spent."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._budget_j is not None:
            self._mind_budget(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the figures up to date."""
        super().on_train_epoch_end(trainer, pl_module)
        self._look(trainer)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the figures up to date, before checkpoints and early stopping look at them."""
        if not trainer.sanity_checking:
            self._look(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What was spent so far, so that a training that goes on from the checkpoint goes on counting."""
        try:
            spent = self._audit.spent() if self._audit is not None else self._carried
            return {"spent": {key: asdict(value) for key, value in spent.items()}}
        except Exception as error:
            self.failed("state_dict", error)
            return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a checkpoint says was spent."""
        try:
            self._carried = {str(key): msgspec.convert(value, Spent) for key, value in state_dict["spent"].items()}
            if self._audit is not None:
                self._audit.carry(self._carried)
        except Exception as error:
            self.failed("load_state_dict", error)

    @part("opening the books")
    def _lead(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the books of the training, unless the process is on somebody's already, as in a search's worker."""
        if (other := Activity.current()) is not None:
            if other.header.driver:  # a worker of a search is told nothing
                raise AuditorError(
                    f"this process is on the books as {other.header.account} meanwhile, with all it does"
                )
            return
        if booked_elsewhere():
            return
        device = trainer.strategy.root_device
        if self._audit is None:
            self._audit = Audit(
                self._name or _UNFIT.sub("-", type(module).__name__).strip("-._") or "training",
                folder=self._folder,
                meters=self._meters,
                interval_s=self._interval_s,
                gpus=[device.index or 0] if device.type == "cuda" else [],
                faults=self._faults,
            )
        audit = self._audit
        audit.carry(self._carried)
        _led[audit] = weakref.ref(trainer)
        audit.start(loggers=trainer.loggers, share=_share(trainer))
        self.marks, self.account = audit.activity, audit.account
        self._began_s = time.monotonic()
        self._next_look_s, self._next_look_batch, self._batches, self._stopped = 0.0, 0, 0, False

    @part("joining the books")
    def _join(self, trainer: pl.Trainer, place: Place | None) -> None:
        """Work on the books that rank 0 opened."""
        if place is None or Activity.current() is not None or booked_elsewhere():
            return
        device = trainer.strategy.root_device
        gpus = gpus_held([device.index or 0] if device.type == "cuda" else [])
        self._member = Activity(
            StudyFolder(Path(place.folder)).journals,
            place.uuid,
            place.account,
            cpu_slots=cpu_slots() * _share(trainer),
            gpu_slots=float(len(gpus)),
            gpus=gpus,
        )
        self._agent = AgentHandle(self._meters, self._interval_s)
        self._agent.keep()
        self.marks, self.account = self._member, place.account

    @part("looking for open books")
    def _find_host(self) -> None:
        """Whether this thread works on somebody's books already: then the training is marked on those."""
        _close_what_was_left()
        self._guest = booked_here()
        if self._guest is not None:
            self.marks, self.account = self._guest.marks, self._guest.account

    @part("adding up operations")
    def _add_up(self, trainer: pl.Trainer) -> None:
        """The operations of all ranks; when they are known every rank has left the books."""
        if self._together:
            ours = torch.tensor(math.nan if self.flops is None else float(self.flops), dtype=torch.float64)
            summed = float(trainer.strategy.reduce(ours.to(trainer.strategy.root_device), reduce_op="sum"))
            self.flops = None if math.isnan(summed) else int(summed)

    @part("leaving the books")
    def _leave(self) -> None:
        """End the part of this rank."""
        if self._member is not None:
            self._agent.release()
            forget(self._member)
            self._member = None

    @part("the report")
    def _report(self, trainer: pl.Trainer, state: TrialState, error: str) -> None:
        self.marks = None
        if self._guest is not None:
            self._guest.count(self.flops, self.uncounted_ops)
        elif (audit := self._audit) is not None:
            with audit.guarded("counting operations"):
                audit.count(self.flops, self.uncounted_ops)
            audit.step = trainer.global_step
            audit.stop(state=state, error=error)
            self._show(trainer, audit.figures())

    def _mind_budget(self, trainer: pl.Trainer) -> None:
        """Look at the clock, or with several ranks count batches, since all of them have to stop at the same one."""
        self._batches += 1
        if self._batches < self._next_look_batch if self._together else time.monotonic() < self._next_look_s:
            return
        self._look(trainer)
        spent_j = self._figures.get("energy_j", 0.0)
        if self._budget_j is not None and spent_j >= self._budget_j and not self._stopped:
            self._stopped = trainer.should_stop = True
            if trainer.global_rank == 0:
                logger.warning("budget of %s spent (%s): stopping", energy(self._budget_j), energy(spent_j))

    def _look(self, trainer: pl.Trainer) -> None:
        """Bring the figures up to date; on every rank they are those of rank 0."""
        self._refresh(trainer)
        if self._together:
            seen = trainer.strategy.broadcast((self._figures, self._next_look_batch))
            self._figures, self._next_look_batch = seen
        self._show(trainer, self._figures)

    @part("reading the books")
    def _refresh(self, trainer: pl.Trainer) -> None:
        """Read the books, unless that was done a moment ago."""
        audit, began_s = self._audit, time.monotonic()
        if audit is None or audit.activity is None:
            return
        pause_s = _REFRESH_S if self._budget_j is None else min(_REFRESH_S, _BUDGET_S)
        a_look = self._batches * pause_s / max(began_s - self._began_s, pause_s)
        self._next_look_batch = self._batches + min(max(1, int(a_look)), _BATCHES_AT_MOST)
        if began_s < self._next_look_s:
            return
        began_ns = time.thread_time_ns()
        self._add_regular(trainer)
        ranks = trainer.world_size if self._together else 1  # as if they had the same; at the end they are added up
        audit.count(None if self.flops is None else self.flops * ranks, self.uncounted_ops)
        self._figures = audit.figures()
        audit.note_step(trainer.global_step, self._figures)
        self._next_look_s = began_s + max(pause_s, _IDLE_SHARE * (time.monotonic() - began_s))
        audit.activity.audited(time.thread_time_ns() - began_ns)

    @part("callback_metrics")
    def _show(self, trainer: pl.Trainer, figures: Mapping[str, float]) -> None:
        """Put the figures beside the metrics that the training logged."""
        self._figures = dict(figures)
        trainer.callback_metrics.update(
            {f"audit/{name}": torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}
        )


def _close_what_was_left() -> None:
    """Close books whose Trainer ended without a word: another callback failed in its ``on_exception``."""
    for audit, led in list(_led.items()):
        trainer = led()
        if audit.activity is not None and (trainer is None or trainer.state.stopped):
            audit.stop(state=TrialState.FAILED, error="how it ended was not told")


def _share(trainer: pl.Trainer) -> float:
    """Part of a machine's CPU slots that one rank has."""
    return 1.0 / trainer.num_devices if trainer.world_size > 1 else 1.0
