"""The command line on studies that ran elsewhere; tests of other commands have an ``auditor`` of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import optuna_storages
from auditor.cli import app
from blocking import block
from unit.cli.test_app import Answer

Run = Callable[..., Answer]

TABLE = """val_acc,kwh,s,test_acc,seed
0.5,0.001,10,0.4,1
0.7,0.002,20,0.65,1
0.6,0.003,30,0.55,2
0.8,0.004,40,0.75,2
"""


@pytest.fixture
def auditor(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, in a folder with a table; Ray, torch and MLflow can't be imported, nor can Optuna."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "t.csv").write_text(TABLE)

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        with monkeypatch.context() as without:
            block(without, "ray", "torch", "mlflow", "pytorch_lightning", "optuna")
            with pytest.raises(SystemExit) as left:
                app.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


@pytest.fixture
def storage(tmp_path: Path) -> str:
    made, _ = optuna_storages.storage(tmp_path, "rdb")
    optuna_storages.fill(made, "lr")
    made.engine.dispose()
    return "sqlite:///optuna.db"
