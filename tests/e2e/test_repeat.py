"""One search under two search seeds, for real."""

import json
from pathlib import Path

import pytest

from e2e.searches import SLOW_CONFIG, SLOW_SPACE, assert_balanced, assert_verified, auditor, finish, statement_of

pytestmark = pytest.mark.slow


def test_two_seeds_end_as_one_group(tmp_path: Path) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    settings = ("budget.trials=2", "evaluation.seeds=0", "training.max_epochs=1", "baselines=[]")
    options = [part for setting in settings for part in ("--set", setting)]
    command = ("search", "slow.yaml", "--repeat", "2", "--out", "runs", *options)

    output = finish(auditor(*command, cwd=tmp_path))
    assert "slow: 2 runs" in output
    runs = [tmp_path / "runs" / f"seed-{seed}" for seed in (0, 1)]
    for run in runs:
        assert_balanced(statement_of(run))
        assert_verified(run)
    made = json.loads((tmp_path / "runs" / "comparison.json").read_text())
    (group,) = made["groups"]
    assert [run["seed"] for run in group["runs"]] == [0, 1]
    assert [run["best"] for run in group["runs"]] == [statement_of(run)["gain"]["best"]["value"] for run in runs]
    assert group["runs"][0]["best"] != group["runs"][1]["best"]

    again = finish(auditor("compare", "runs", "--json", "-", cwd=tmp_path))
    assert json.loads(again)["groups"][0]["best"] == group["best"]
