"""Node agents on the other nodes of a cluster."""

from __future__ import annotations

from typing import Any

from auditor.metering.runtime import AgentHandle
from auditor.search.cluster import as_actor
from auditor.search.config import MeteringSection


class NodeKeeper:
    """Keeps the agent of its node running; a Ray actor pinned to that node."""

    def __init__(self, metering: MeteringSection) -> None:
        self._agent = AgentHandle(metering.meters, metering.interval_s)
        self._agent.ensure()

    def ensure(self) -> None:
        """Start the agent again where it died."""
        self._agent.ensure()


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
