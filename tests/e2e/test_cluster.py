"""A search on a Ray that is already there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.searches import (
    SLOW_CONFIG,
    SLOW_SPACE,
    assert_balanced,
    assert_verified,
    auditor,
    finish,
    statement_of,
    wait_until,
)

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
        alone = ("--out", "alone", "--set", "budget.trials=1", "--set", "evaluation.seeds=0")
        finish(auditor("search", "slow.yaml", *alone, cwd=tmp_path))  # it was not told of the cluster: a Ray of its own
    finally:
        cluster.communicate(timeout=60)
    assert statement_of(tmp_path / "alone")["trials"]["complete"] == 1
    assert_verified(tmp_path / "auditor-runs" / "slow")
    statement = statement_of(tmp_path / "auditor-runs" / "slow")
    assert_balanced(statement)
    assert statement["trials"]["complete"] == 4
    accounts = statement["energy"]["accounts"]
    node = next(name.split("/")[1] for name in accounts if name.startswith("node/"))
    assert accounts[f"node/{node}/foreign"] > 0  # a shared cluster's own processes are not the study's


SECOND_HOST = """
hostname other && mount --bind "$2" /proc/sys/kernel/random/boot_id &&
exec ray start --address="$1" --num-cpus=1 --block
"""
HEAD = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def two_hosts(place: Path) -> Iterator[str]:
    """The address of a cluster whose second host is a Ray node with a host name, boot and runtime folder of its own."""
    boot = place / "boot_id"
    boot.write_text("00000000-0000-4000-8000-000000000002\n")
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=place,
    )
    assert head.stdout is not None
    address = head.stdout.readline().strip()
    second = subprocess.Popen(
        ["unshare", "--uts", "--mount", "sh", "-c", SECOND_HOST, "sh", address, str(boot)],
        env={**os.environ, **tools, "AUDITOR_RUNTIME_DIR": str(place / "runtime-of-other")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=place,
        start_new_session=True,
    )
    try:
        wait_until(lambda: nodes_of(address) == 2, "the second host to join")
        yield address
    finally:
        os.killpg(second.pid, signal.SIGTERM)
        second.wait(timeout=60)
        head.communicate(timeout=60)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a process another host name")
def test_a_search_on_two_hosts_has_two_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    folder = tmp_path / "auditor-runs" / "slow"
    with two_hosts(tmp_path) as address:
        settings = ("--set", f"resources.address={address}", "--set", "evaluation.seeds=0")
        finish(auditor("search", "slow.yaml", *settings, cwd=tmp_path))
        assert_verified(folder)
        journals = {path.name: path.read_text() for path in folder.glob("journal/readings-*.jsonl")}
        assert {name.split("-")[1] for name in journals} == {socket.gethostname(), "other"}
        last = {name: text.splitlines()[-1] for name, text in journals.items()}
        assert all('"k":"closed"' in line for line in last.values()), last
        time.sleep(2)  # an agent that went on would write meanwhile
        assert_verified(folder)
        (tmp_path / "power.csv").write_text("t_s,cpu_w\n0,10\n1000,10\n")
        monkeypatch.setenv("AUDITOR_REPLAY", str(tmp_path / "power.csv"))  # the other host knows nothing of it
        unmetered = ("--out", "unmetered", "--set", "metering.meters=[replay]")
        process = auditor("search", "slow.yaml", *settings, *unmetered, cwd=tmp_path)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 1, output
        assert "node other: replay: set AUDITOR_REPLAY" in output.splitlines()[-1]
    statement = statement_of(folder)
    assert_balanced(statement)
    assert statement["trials"]["complete"] == 4
    assert {window["node"] for window in statement["energy"]["window"]} == {socket.gethostname(), "other"}
    assert not [finding for finding in statement["findings"] if finding["code"] in {"meter-gap", "clock-skew"}]


def nodes_of(address: str) -> int:
    """How many living nodes a cluster has."""
    program = f"import ray; ray.init('{address}', log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stdout.split()
    return int(found[-1]) if found else 0


def test_no_cluster_at_the_address(tmp_path: Path) -> None:
    (tmp_path / "slow_space.py").write_text(SLOW_SPACE)
    (tmp_path / "slow.yaml").write_text(SLOW_CONFIG)
    process = auditor("search", "slow.yaml", "--set", "resources.address=127.0.0.1:1", cwd=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "resources.address" in output.strip().splitlines()[-1]
