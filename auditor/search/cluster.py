"""Ray: our own, closed to others, or one that is already there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from auditor.domain.errors import InputError
from auditor.search.config import ResourcesSection

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
}


def start_ray(resources: ResourcesSection, cpu_slots: float, gpus: int) -> bool:
    """Connect to the cluster that is named, or start a Ray for this search alone.

    A Ray of our own listens on all interfaces whatever it is told, so it demands a token that is made here, handed to
    its processes through the environment and written nowhere.

    Returns:
        Whether Ray is our own: then the search holds the whole node.

    Raises:
        InputError: the cluster can't be reached.
    """
    os.environ.update(_QUIET)
    if resources.address is None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = _token()
        os.environ.pop("RAY_ADDRESS", None)
    import ray

    if resources.address is not None:
        try:
            ray.init(address=resources.address, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise InputError(f"resources.address: no Ray at '{resources.address}' ({text[:200]})") from error
        return False
    with _bare():
        _init_own(resources, cpu_slots, gpus)
    return True


@cache
def _token() -> str:
    """The token of this process; Ray keeps the first one it sees, so that a second Ray has the same."""
    return secrets.token_hex(32)


def _init_own(resources: ResourcesSection, cpu_slots: float, gpus: int) -> None:
    import ray

    ray.init(
        address="local",  # left out, a Ray that somebody started on this machine would be joined
        num_cpus=max(int(cpu_slots), -(-resources.workers * resources.cpus_per_trial // 1)),
        num_gpus=gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        configure_logging=True,
        _node_ip_address="127.0.0.1",
    )


@contextmanager
def _bare() -> Iterator[None]:
    """Keep ``ray.init`` from starting processes that a search on one machine has no use for.

    The API server, without a dashboard, runs nothing but the usage statistics, which ask the metadata services of cloud
    providers over the network where they are, also when statistics are switched off. The autoscaler has no nodes to
    start, and the log monitor sends logs to a driver that does not want them. Each costs most of a second.
    """
    from ray._private.node import Node

    def nothing(*_: object, **__: object) -> None:
        return None

    started = {name: getattr(Node, name) for name in ("start_api_server", "start_monitor", "start_log_monitor")}
    for name in started:
        setattr(Node, name, nothing)
    try:
        yield
    finally:
        for name, start in started.items():
            setattr(Node, name, start)


def as_actor(cls: type, **options: Any) -> Any:
    """A class as a Ray actor class without Ray's hidden retries."""
    import ray

    return ray.remote(cls).options(max_restarts=0, max_task_retries=0, **options)
