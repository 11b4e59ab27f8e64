"""A node agent for tests whose true figures are known, read ten times a second; see :mod:`linear_meter`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

METER = "linear_meter:LinearMeter"
FAST: dict[str, Any] = {"meters": (METER,), "interval_s": 0.1}
"""Options of everything that may start an agent."""


def agent_pid(runtime_dir: Path) -> int | None:
    """Process id of the node agent; ``None`` where none runs."""
    try:
        pid = int((runtime_dir / "lease").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def stop_agent(runtime_dir: Path) -> None:
    """Withdraw every registration and kill the agent."""
    for registered in (runtime_dir / "processes").glob("*.json"):
        registered.unlink()
    if (pid := agent_pid(runtime_dir)) is not None:
        os.kill(pid, signal.SIGKILL)
