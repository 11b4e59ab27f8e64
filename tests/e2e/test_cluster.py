"""A search on a Ray that is already there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.searches import SLOW_CONFIG, SLOW_SPACE, assert_balanced, assert_verified, auditor, finish, statement_of

pytestmark = pytest.mark.slow

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def test_a_search_on_two_nodes(tmp_path: Path) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        settings = ("--set", f"resources.address={address}", "--set", "evaluation.seeds=0")
        finish(auditor("search", "slow.yaml", *settings, cwd=tmp_path))
    finally:
        cluster.communicate(timeout=60)
    assert_verified(tmp_path / "auditor-runs" / "slow")
    statement = statement_of(tmp_path / "auditor-runs" / "slow")
    assert_balanced(statement)
    assert statement["trials"]["complete"] == 4
    accounts = statement["energy"]["accounts"]
    node = next(name.split("/")[1] for name in accounts if name.startswith("node/"))
    assert accounts[f"node/{node}/foreign"] > 0  # a shared cluster's own processes are not the study's


def test_no_cluster_at_the_address(tmp_path: Path) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    process = auditor("search", "slow.yaml", "--set", "resources.address=127.0.0.1:1", cwd=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "resources.address" in output.strip().splitlines()[-1]
