"""The books of a plain training: one folder, one run for each time something is trained, tested or predicted."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from auditor.domain.accounts import training_account
from auditor.domain.errors import one_line
from auditor.domain.provenance import worst
from auditor.domain.quantities import NS_PER_S, uj_to_j
from auditor.domain.study import TrialState
from auditor.metering.records import RunRecord
from auditor.metering.slots import gpus_held
from auditor.tracking.attached import Attached, attached_run
from auditor.tracking.projection import energy_of_search
from auditor.training.booked import Booked, Place, book_here
from auditor.training.recording import Recording
from auditor.training.summary import summary

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a training used in one study folder, as a checkpoint carries it.

    Attributes:
        folder: The study folder.
        energy_uj: Microjoules by kind of component.
        wall_s: Seconds.
        flops: Floating-point operations; ``None`` where they were not counted.
    """

    folder: str
    energy_uj: Mapping[str, int]
    wall_s: float
    flops: int | None


class Audit(Recording):
    """The books of a training in this process; :func:`audit` makes one, and ``AuditCallback`` has one.

    From :meth:`start` to :meth:`stop` everything that the process and its children use is on the books; both may be
    called again, each time for another run of the same study. Used as a context manager it starts and stops itself.
    One a process is open at a time, and phases belong to the thread that started it.

    Attributes:
        run: Number of the run, counted from 0.
        step: How many optimizer steps were made, for the curve in MLflow; 0 where nobody says.
        carried: What earlier sessions used elsewhere, by study; a training that goes on from a checkpoint has some.
    """

    def __init__(
        self,
        name: str,
        *,
        folder: str | Path | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
        gpus: Sequence[int] | None = None,
        faults: Mapping[str, str] | None = None,
    ) -> None:
        self.run = self.step = 0
        self.carried: dict[str, Spent] = {}
        self._gpus = gpus
        self._thread = 0
        self._started = False
        self._began_ns = 0
        self._flops: int | None = None
        self._uncounted: tuple[str, ...] = ()
        self._attached: Attached | None = None
        self._points: list[tuple[str, float, int, int]] = []
        super().__init__(name, {"kind": "training"}, folder=folder, meters=meters, interval_s=interval_s, faults=faults)

    def __enter__(self) -> Audit:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.stop(state=TrialState.FAILED, error=one_line(error))

    @property
    def place(self) -> Place | None:
        """Where other processes of this training write; ``None`` while nothing is open."""
        if self.folder is None or self.activity is None:
            return None
        return Place(folder=str(self.folder.path), uuid=self.uuid, account=self.account)

    @property
    def account(self) -> str:
        """Account of the run, without a phase."""
        return training_account(self.name, str(self.run))

    @property
    def energy_j(self) -> float | None:
        """Joules used up to the last reading, with those of earlier sessions; ``None`` where nothing was metered."""
        return self.figures().get("energy_j")

    def start(self, *, loggers: Iterable[Any] = (), share: float = 1.0) -> None:
        """Begin a run.

        Args:
            loggers: Loggers of a Trainer: the run of an MLflow logger gets the figures; else the active run does.
            share: Part of this machine's CPU slots that the process holds; a training of several has several.
        """
        if self._started:
            return
        self._started, self.closed = True, None
        self._flops, self._uncounted, self._points = None, (), []
        self._thread, self._began_ns = threading.get_ident(), time.monotonic_ns()
        with self.guarded("opening the books"):
            self._open(self._next_run, gpus=gpus_held(self._gpus), share=share)
        with self.guarded("MLflow"):
            self._attached = attached_run(loggers)
        if self.activity is not None:
            book_here(Booked(marks=self.activity, account=self.account, count=self.count))

    def stop(self, *, state: TrialState = TrialState.COMPLETE, error: str = "") -> None:
        """End the run, close the books, write the report, and say in three lines what it cost."""
        activity = self.activity
        if not self._started or not self.is_own:
            return
        self._started = False
        book_here(None)
        with self.guarded("writing down how it ended"):
            if activity is not None:
                activity.end(0)
            self._record(
                RunRecord(
                    t=time.monotonic_ns(),
                    begin_ns=self._began_ns,
                    kind="training",
                    name=str(self.run),
                    state=state.value,
                    flops=self._flops,
                    uncounted_ops=self._uncounted,
                    error=error,
                    carried_uj=sum(sum(spent.energy_uj.values()) for spent in self.carried.values()),
                    carried_from=tuple(spent.folder for spent in self.carried.values()),
                )
            )
        self._close()
        with self.guarded("the summary"):
            self._say()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book what happens within a block as a phase: ``train``, ``validate``, ``test`` or a name of your own."""
        depth = self.begin(name)
        try:
            yield
        finally:
            self.end(depth)

    def begin(self, phase: str) -> int:
        """Begin a phase within those that are open; returns how many were, for :meth:`end`."""
        activity = self.activity
        if activity is None or threading.get_ident() != self._thread:
            return -1
        depth = activity.depth
        with self.guarded("the begin of a phase"):
            activity.begin(f"{self.account}/{_UNFIT.sub('-', phase) or 'other'}")
        return depth

    def end(self, depth: int) -> None:
        """End the phases that were begun since so many were open."""
        if self.activity is not None and depth >= 0:
            with self.guarded("the end of a phase"):
                self.activity.end(depth)

    def count(self, flops: int | None, uncounted_ops: Iterable[str] = ()) -> None:
        """State the floating-point operations of this run; they replace those stated before."""
        self._flops, self._uncounted = flops, tuple(sorted(uncounted_ops))

    def carry(self, spent: Mapping[str, Spent]) -> None:
        """Take over what earlier sessions used; what lies in this study's folder is on its books already."""
        self.carried = {key: value for key, value in spent.items() if key != self.uuid}

    def spent(self) -> dict[str, Spent]:
        """What was used so far, by study, for a checkpoint."""
        if self.folder is None:
            return dict(self.carried)
        here = Spent(
            folder=str(self.folder.path), energy_uj=self._energy_uj(), wall_s=self._wall_s(), flops=self._all_flops()
        )
        return {**self.carried, self.uuid: here}

    def figures(self) -> dict[str, float]:
        """``energy_j``, ``energy_cpu_j`` and the like, ``wall_s`` and ``flops``, with what earlier sessions used.

        A figure that is not known is not there. While a run is open they go up to the last reading.
        """
        figures: dict[str, float] = {}
        with self.guarded("the figures"):
            figures |= self._figures()
        return figures

    def _figures(self) -> dict[str, float]:
        spent = list(self.spent().values())
        kinds = sorted({kind for part in spent for kind in part.energy_uj})
        by_kind = {kind: sum(part.energy_uj.get(kind, 0) for part in spent) for kind in kinds}
        figures = {"energy_j": uj_to_j(sum(by_kind.values()))} if by_kind else {}
        figures |= {f"energy_{kind}_j": uj_to_j(uj) for kind, uj in by_kind.items()}
        figures["wall_s"] = sum(part.wall_s for part in spent)
        counted = [part.flops for part in spent if part.flops is not None]
        return figures | ({"flops": float(sum(counted))} if counted else {})

    def note_step(self, step: int, figures: Mapping[str, float]) -> None:
        """Keep the figures of now as those of a step, for the curve in MLflow."""
        self.step = step
        if self._attached is not None and "energy_j" in figures:
            self._points.append(("audit/energy_j", figures["energy_j"], time.time_ns() // 1_000_000, step))

    def _next_run(self) -> str:
        self.run = self.sessions - 1
        return self.account

    def _energy_uj(self) -> dict[str, int]:
        return energy_of_search(self.closed.ledger) if self.closed is not None else self.energy_uj()

    def _wall_s(self) -> float:
        if self.closed is not None:
            return sum(((run.end_ns or run.begin_ns) - run.begin_ns) / NS_PER_S for run in self.closed.record.runs)
        earlier_s = sum(((run.end_ns or run.begin_ns) - run.begin_ns) / NS_PER_S for run in self._runs)
        return earlier_s + (time.monotonic_ns() - self._began_ns) / NS_PER_S

    def _all_flops(self) -> int | None:
        runs = [run.flops for run in (self._runs if self.closed is None else self.closed.record.runs)]
        counted = [flops for flops in (*runs, self._flops if self.closed is None else None) if flops is not None]
        return sum(counted) if counted else None

    def _tell(self) -> None:
        """Log the figures to the MLflow run that is there."""
        attached, folder = self._attached, self.folder
        if attached is None or folder is None:
            return
        with self.guarded("MLflow"):
            self.closed = self._read_closed(folder)
            statement, now_ms = self.closed.statement, time.time_ns() // 1_000_000
            final = [(f"audit/{name}", value, now_ms, self.step) for name, value in self.figures().items()]
            points = [*self._points, *final]
            provenance = worst(part.provenance for part in self.closed.record.books.components).value
            tags = {
                "auditor.study": self.name,
                "auditor.provenance": provenance,
                "auditor.measurement": statement["measurement"]["grade"],
                "auditor.folder": str(folder.path),
            }
            attached.log(points, tags, again="MLflow" in self.faults)

    def _say(self) -> None:
        where = ""
        if self._attached is not None and "MLflow" not in self.faults:
            where = f"MLflow run {self._attached.run_id[:8]}: metrics audit/…"
        if self.closed is None or self.folder is None:
            why = next(iter(self.faults.items()), ("", ""))
            text = f"audit · {self.name}: not audited: {why[0]}: {why[1]}"
        else:
            carried_j = sum(uj_to_j(sum(spent.energy_uj.values())) for spent in self.carried.values())
            text = summary(self.closed.statement, self.figures(), self.folder.path, carried_j=carried_j, where=where)
        print(text, flush=True)  # noqa: T201 - the one thing a user of the callback sees


def audit(
    name: str,
    *,
    folder: str | Path | None = None,
    meters: Sequence[str] = ("auto",),
    interval_s: float = 1.0,
    gpus: Sequence[int] | None = None,
) -> Audit:
    """Audit a training without Lightning.

    .. code-block:: python

        with audit("my-training") as a:
            for epoch in range(10):
                with a.phase("train"):
                    train_one_epoch()
                with a.phase("validate"):
                    print(validate(), a.energy_j)

    Args:
        name: Name of the study: letters, digits, dots, dashes, underscores.
        folder: Study folder; one that holds a training of that name is gone on with. Default: the first of
            ``auditor-runs/<name>``, ``auditor-runs/<name>-2``, … that is not there yet.
        meters: Names of the meters (``auditor plugins`` lists them), where no node agent runs yet.
        interval_s: Seconds between readings, likewise.
        gpus: Indices of the GPUs that the training holds, as CUDA counts those that are visible. Default: all that
            ``CUDA_VISIBLE_DEVICES`` names; none where it is not set.

    Raises:
        InputError: the name or the folder can't be used. Whatever fails later is logged and never raised.
    """
    return Audit(name, folder=folder, meters=meters, interval_s=interval_s, gpus=gpus)
