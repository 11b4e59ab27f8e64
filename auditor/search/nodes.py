"""Node agents on the other nodes of a cluster."""

from __future__ import annotations

import time
from typing import Any

from auditor.domain.errors import MeterError
from auditor.metering.activity import node_name
from auditor.metering.processes import boot_id
from auditor.metering.records import ClockRecord
from auditor.metering.runtime import AgentHandle, withdraw_study
from auditor.search.cluster import as_actor
from auditor.search.config import MeteringSection

_ANSWER_S = 5.0


class NodeKeeper:
    """Keeps the agent of its node running; a Ray actor pinned to that node."""

    def __init__(self, metering: MeteringSection) -> None:
        self._agent = AgentHandle(metering.meters, metering.interval_s, metering.static_w)
        self._agent.ensure()
        self._agent.keep()

    def check(self) -> None:
        """Whether this node is metered.

        Raises:
            MeterError: no meter works here; the message names the node.
        """
        try:
            self._agent.check()
        except MeterError as error:
            raise MeterError(f"node {node_name()}: {error}") from None

    def let_go(self, journal_dir: str, driver: str) -> tuple[str, str]:
        """Withdraw the registrations of a study here, but not that of its driver; name and boot of this node."""
        self._agent.release()
        withdraw_study(journal_dir, but=driver)
        return node_name(), boot_id()

    def clock(self) -> tuple[str, str, int]:
        """Name, boot and CLOCK_MONOTONIC of this node."""
        return node_name(), boot_id(), time.monotonic_ns()


def keep_other_nodes(metering: MeteringSection) -> list[Any]:
    """A keeper on every living node but this one."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    keepers = []
    for node in ray.nodes():
        if node["Alive"] and node["NodeID"] != here:
            pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            keepers.append(as_actor(NodeKeeper, num_cpus=0, scheduling_strategy=pinned).remote(metering))
    return keepers


def clocks_of(keepers: list[Any]) -> list[ClockRecord]:
    """The clocks of other nodes against ours: half of a question's way is the error (Cristian 1989)."""
    import ray
    from ray.exceptions import RayError

    clocks = []
    for keeper in keepers:
        try:
            ray.get(keeper.clock.remote())  # the first answer waits for the actor to start
            asked_ns = time.monotonic_ns()
            node, boot, mono_ns = ray.get(keeper.clock.remote())
        except RayError:  # a node that died is seen by its workers
            continue
        half_ns = (time.monotonic_ns() - asked_ns) // 2
        clocks.append(ClockRecord(t=asked_ns + half_ns, node=node, boot=boot, mono_ns=mono_ns, within_ns=half_ns))
    return clocks


def leave_other_nodes(keepers: list[Any], journal_dir: str, driver: str) -> list[tuple[str, str]]:
    """Have the agents of other nodes close their journals; name and boot of the nodes that could be asked.

    Args:
        keepers: From :func:`keep_other_nodes`.
        journal_dir: The study's journal folder.
        driver: Process key of its driver, which is still needed where a keeper is on the driver's machine.
    """
    import ray
    from ray.exceptions import RayError

    places = []
    for answer in [keeper.let_go.remote(journal_dir, driver) for keeper in keepers]:
        try:
            places.append(ray.get(answer, timeout=_ANSWER_S))
        except RayError:  # a node that died writes nothing any more
            continue
    return places
