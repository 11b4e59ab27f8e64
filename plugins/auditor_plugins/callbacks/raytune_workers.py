"""Where the workers of Tune's trials run, and how those on other machines are marked."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from auditor import NodeBooks, TrialBooks

_IDLE_S = 2.0
"""An idle worker answers in milliseconds."""

_ACTOR_S = 20.0
"""What an actor may take to start on another machine, while the trial that waits for it does nothing."""

_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The process of a trial.

    Attributes:
        node: Ray's id of the machine it runs on.
        pid: Its process id there.
        visible: Its ``CUDA_VISIBLE_DEVICES``; empty: not known.
    """

    node: str
    pid: int
    visible: str = ""


def worker_of(trial: Any) -> Worker:
    """The worker of a trial that does nothing yet.

    Raises:
        RayError: it does not answer.
    """

    def look(_: Any) -> tuple[str, int, str]:  # sent by value: other machines need not have this package
        import os

        import ray

        return ray.get_runtime_context().get_node_id(), os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "")

    node, pid, visible = ray.get(trial.temporary_state.ray_actor.__ray_call__.remote(look), timeout=_IDLE_S)
    return Worker(node=node, pid=pid, visible=visible)


def worker_that_reported(trial: Any, result: Mapping[str, Any]) -> Worker:
    """The worker of a trial as its result names it.

    Raises:
        LookupError: no living machine has the address in the result.
    """
    address = result.get("node_ip")
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == address]
    here = ray.get_runtime_context().get_node_id()
    if not nodes:
        raise LookupError(f"trial {trial.trial_id} reports from {address}, which is no machine of the cluster")
    return Worker(node=here if here in nodes else nodes[0], pid=int(result["pid"]))


class Nowhere:
    """The marks of a worker that could not be found: the trial is on the books, and its energy is not."""

    depth = 0

    def begin(self, account: str) -> None:
        """Nothing is marked."""

    def end(self, depth: int | None = None) -> None:
        """Nothing is marked."""


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


class Nodes:
    """Actors that book the workers of other machines, one a machine, made when the first trial begins there.

    Args:
        meters: Names of the meters, where no agent runs there yet.
        interval_s: Seconds between readings, likewise.
    """

    def __init__(self, meters: Sequence[str], interval_s: float) -> None:
        self._meters = meters
        self._interval_s = interval_s
        self._actors: dict[str, Any] = {}

    def attach(self, books: TrialBooks, worker: Worker, *, cpu_slots: float, gpu_slots: float) -> _Elsewhere:
        """Where a worker of another machine is marked.

        Raises:
            RayError: the machine does not answer, or can't book it.
            LookupError: no books are open.
        """
        if (place := books.place) is None:
            raise LookupError("no books are open")
        if worker.node not in self._actors:
            pinned = NodeAffinitySchedulingStrategy(worker.node, soft=False)
            made = ray.remote(NodeBooks).options(
                num_cpus=0, max_restarts=0, max_task_retries=0, scheduling_strategy=pinned
            )
            self._actors[worker.node] = made.remote(place, self._meters, self._interval_s)
        actor = self._actors[worker.node]
        held = {"cpu_slots": cpu_slots, "gpu_slots": gpu_slots, "visible": worker.visible}
        ray.get(actor.attach.remote(worker.pid, **held), timeout=_ACTOR_S)
        return _Elsewhere(actor, worker.pid)

    def close(self, books: TrialBooks) -> None:
        """Take leave of the other machines."""
        for actor in self._actors.values():
            with books.guarded("leaving another machine"):
                books.note_clock(functools.partial(_clock_of, actor))
                ray.get(actor.close.remote(), timeout=_CLOSE_S)
                ray.kill(actor)
        self._actors.clear()


def _clock_of(actor: Any) -> tuple[str, str, int]:
    node, boot, mono_ns = ray.get(actor.clock.remote(), timeout=_CLOSE_S)
    return node, boot, mono_ns
