"""Three lines for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor.domain.parameters import Parameters
from auditor.metering.closing import StudyReader
from auditor.reporting.publish import close_study
from auditor.training.summary import summary
from studies import made_study, made_training


def stated(path: Path, *, search: bool = False) -> dict[str, Any]:
    reader = StudyReader(made_study(path) if search else made_training(path))
    reader.refresh()
    return close_study(reader, Parameters(), "reserved").statement


@pytest.fixture
def training(tmp_path: Path) -> dict[str, Any]:
    return stated(tmp_path / "study")


def lines(statement: dict[str, Any], figures: dict[str, float], tmp_path: Path, **options: Any) -> list[str]:
    return summary(statement, figures, tmp_path / "study", **options).split("\n")


def test_a_training(training: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    figures = {"energy_j": 272.0, "wall_s": 17.0, "flops": 1e12}
    first, second, third = lines(training, figures, tmp_path)
    assert second == "  measured: cpu counter, ram modelled (books limited)"
    assert third == "  report: study/report.html"
    assert first.startswith("audit · demo: 272 J (0.0756 Wh) in 17.0 s · train 58.5 %, validate 23.2 %")
    assert first.endswith("1.00 TFLOP")


def test_a_search(tmp_path: Path) -> None:
    first = lines(stated(tmp_path / "study", search=True), {"energy_j": 1.0, "wall_s": 1.0}, tmp_path)[0]
    assert "4 trials (2 complete, 1 pruned, 1 failed)" in first
    assert "trial " in first


def test_earlier_sessions_and_mlflow(training: dict[str, Any], tmp_path: Path) -> None:
    first, _, third = lines(
        training, {"energy_j": 300.0, "wall_s": 20.0}, tmp_path, carried_j=28.0, where="MLflow run 12345678"
    )
    assert first.endswith("of it 28.0 J in earlier sessions")
    assert third.endswith("report.html · MLflow run 12345678")


def test_what_is_not_known_is_said(training: dict[str, Any], tmp_path: Path) -> None:
    first, *_ = lines(training, {"wall_s": 0.2}, tmp_path)
    assert first.startswith("audit · demo: energy not known: it was over before the meter had given two readings")
    fault = {"code": "auditor-fault", "severity": "warning", "message": "The auditor failed in the last reading."}
    first, second, _ = lines({**training, "findings": [fault]}, {}, tmp_path)
    assert first == "audit · demo: energy not known: The auditor failed in the last reading."
    assert second.endswith("· 1 finding to look at")


def test_names_do_not_act_on_a_terminal(training: dict[str, Any], tmp_path: Path) -> None:
    hostile = {**training, "study": {**training["study"], "name": "a\x1b[31mb\nc"}}
    text = summary(hostile, {"energy_j": 1.0, "wall_s": 1.0}, tmp_path)
    assert "\x1b" not in text
    assert text.count("\n") == 2
