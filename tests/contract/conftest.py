from __future__ import annotations

from pathlib import Path

import pytest

import mlflow_store


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real database of MLflow, made once."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow_store.make(path)
    return path
