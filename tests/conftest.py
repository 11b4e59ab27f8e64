"""What every test runs under: a node of its own, and no telemetry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor.metering.activity import Activity, forget

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray and MLflow are imported, before any fixture
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

ROOMS = ("property", "unit", "contract", "integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Small tests first, while no thread of Ray or MLflow is in this process (one draws from ``random`` at will)."""
    items.sort(key=lambda item: ROOMS.index(item.path.relative_to(Path(__file__).parent).parts[0]))


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder for this test alone, so that it meets no node agent but its own."""
    folder = tmp_path_factory.mktemp("runtime")
    monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def mlflow_is_left_as_it_was() -> Iterator[None]:
    """MLflow keeps its URI and its experiment in the environment, which the processes of later tests would inherit."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def nothing_left_open(runtime_dir: Path) -> Iterator[None]:
    """The activity of this process ends with its test."""
    yield
    if (activity := Activity.current()) is not None:
        forget(activity)
