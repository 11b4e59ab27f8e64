"""The protocols that plugins fulfil, in one visible place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from auditor.domain.benchmark import Recorded
from auditor.domain.imported import ImportedStudy
from auditor.domain.provenance import Provenance

if TYPE_CHECKING:  # heavy, and only needed for annotations
    import numpy as np
    import optuna
    import pytorch_lightning as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A separately metered part of a node, as a meter describes it.

    Attributes:
        name: ``cpu``, ``ram``, ``platform`` (the rest of a machine), ``gpu`` (the sum of all) or ``gpu:<uuid>``;
            components of one meter are disjoint.
        provenance: How its energy is measured.
        static_w: Power without load in watts, where the meter's model states one.
        low_w: Least power the component could really draw, in watts; ``None``: no bound known.
        high_w: Most power it could draw, in watts; ``None``: no bound known.
        detail: What exactly is read, for people.
        counter: Identity of the hardware counter whose absolute value the readings are (to its wrap), the same for
            every meter of this boot that reads it; so another meter can go on where this one stopped. Empty where
            the readings only mean something within one run of the meter.
        wrap_uj: Where that counter begins again at 0; ``None``: it never does.
        attributable: Whether it can be known which process used it; MIG instances of a GPU share one energy figure.
    """

    name: str
    provenance: Provenance
    static_w: float | None = None
    low_w: float | None = None
    high_w: float | None = None
    detail: str = ""
    counter: str = ""
    wrap_uj: int | None = None
    attributable: bool = True


@runtime_checkable
class Meter(Protocol):
    """Gives cumulative energy per component of this node, never deltas.

    A meter is used by one thread. ``auditor.testing.MeterContract`` is the suite a meter must pass.

    Attributes:
        name: The name it is registered under.
        self_paced: Whether it calls ``tick`` itself whenever it has a new sample. Then ``read`` is only called from
            within ``tick``, so that energy and process usage are read at the same instant. Other meters can be
            read at any time and never call ``tick``.
    """

    name: str
    self_paced: bool

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin metering at about one sample each ``interval_s`` seconds; return what is metered.

        Raises:
            MeterError: the meter does not work here; the message says why and what would help.
        """

    def read(self) -> Mapping[str, int]:
        """Cumulative energy in microjoules by component name; never decreases."""

    def sample(self) -> None:
        """Take a sample now, so that the next reading is of this instant; a self-paced meter calls ``tick`` for it."""

    def stop(self) -> None:
        """Stop metering; may be called twice."""


@runtime_checkable
class ProcessUsage(Protocol):
    """What a meter may know beside energy: who used its devices. Optional; a :class:`Meter` has it or has not."""

    def process_ns(self) -> Mapping[str, Mapping[int, int]]:
        """Nanoseconds of whole devices that processes used since the meter started, cumulative, never decreasing.

        By component, then by process id (half of a GPU's multiprocessors for a second: 5e8). A component is left out
        while its driver can't tell.
        """


@runtime_checkable
class Importer(Protocol):
    """Reads studies that ran elsewhere; ``auditor.testing.ImporterContract`` is the suite an importer must pass.

    It writes nothing at the source, unpickles nothing, and asks nothing of other machines but the source.

    Attributes:
        name: The name it is registered under.
        options: What it can be told beside the source, each with one sentence for people.
    """

    name: str
    options: Mapping[str, str]

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """The study at a source.

        Args:
            source: A path or a URL.
            options: Values by the names in :attr:`options`; those not given are left out.

        Raises:
            InputError: there is nothing to read, not what was expected, or more than one study to choose from; the
                message names what is there.
        """


@runtime_checkable
class SeveralStudies(Protocol):
    """What an importer may do beside: read all studies of a source at once. Optional."""

    def read_each(self, source: str, options: Mapping[str, str]) -> Sequence[ImportedStudy]:
        """Every study at a source, in its order.

        Raises:
            InputError: as :meth:`Importer.read`, but for several studies.
        """


@runtime_checkable
class Benchmark(Protocol):
    """Recorded trainings of every configuration of a space; made from the name of a data set.

    Attributes:
        name: The name it is registered under.
        dataset: The data set that was trained on; its class names those there are as ``datasets``.
        metric: What a search sees of a training, with the data set in its name.
        test_metric: What judges the training that a search chose.
        direction: ``maximize`` or ``minimize``.
        source: Where the recordings come from, for people.
    """

    name: str
    dataset: str
    metric: str
    test_metric: str
    direction: Literal["maximize", "minimize"]
    source: str

    def suggest(self, trial: optuna.Trial) -> Mapping[str, Any]:
        """Draw the parameters of a trial (define by run)."""

    def configurations(self) -> Iterator[Mapping[str, Any]]:
        """The parameters of every configuration."""

    def lookup(self, params: Mapping[str, Any], seed: int) -> Recorded:
        """A recorded training; the seed chooses where there are several."""

    def truth(self, params: Mapping[str, Any]) -> float:
        """How good a configuration really is: the mean over all its recorded trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareProfile:
    """Power of one device, for energy worked out from durations.

    Attributes:
        name: For people, for example ``NVIDIA A100 SXM4 40 GB``.
        idle_w: Power without load, in watts.
        full_w: Power at full load (the board's limit), in watts.
        source: Who says so.
    """

    name: str
    idle_w: float
    full_w: float
    source: str


class Clock(Protocol):
    """Time as the metering sees it."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@runtime_checkable
class SearchSpace(Protocol):
    """What is searched: how to draw parameters, and the training they stand for.

    Attributes:
        metric: Name under which the module logs its validation metric.
        direction: ``maximize`` or ``minimize``.
        test_metric: Name under which the module logs its metric on the test set; ``None``: no test set.
        default: Parameters a practitioner would use without searching: the baseline.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    test_metric: str | None
    default: Mapping[str, Any]

    def suggest(self, trial: optuna.Trial) -> Mapping[str, Any]:
        """Draw the parameters of a trial (define by run)."""

    def module(self, params: Mapping[str, Any]) -> pl.LightningModule:
        """The model for some parameters."""

    def data(self, params: Mapping[str, Any]) -> pl.LightningDataModule:
        """The data for some parameters (batch size and the like)."""

    def arrays(self) -> Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] | None:
        """Features and labels of ``train``, ``validation`` and ``test`` for classical baselines.

        Shapes are ``(n, d)`` and ``(n,)``. ``None``: classical models don't apply.
        """
