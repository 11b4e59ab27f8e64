"""A whole audited search on real data, as a person runs it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from auditor.statement.schema import load_schema
from e2e.searches import assert_balanced, assert_verified, auditor, finish, records, statement_of

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"

CONNECT_SHIM = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
static void note(const struct sockaddr *to) {
  char text[INET6_ADDRSTRLEN] = "";
  if (to->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const void *)to;
    if ((ntohl(v4->sin_addr.s_addr) >> 24) == 127) return;
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  } else if (to->sa_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const void *)to;
    if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) return;
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    if (strncmp(text, "::ffff:127.", 11) == 0) return;
  } else return;
  FILE *file = fopen(getenv("CONNECT_LOG"), "a");
  if (file) { fprintf(file, "%s\n", text); fclose(file); }
}
int connect(int fd, const struct sockaddr *to, socklen_t size) {
  static int (*real)(int, const struct sockaddr *, socklen_t);
  if (!real) real = dlsym(RTLD_NEXT, "connect");
  int kind = 0; socklen_t length = sizeof kind;
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &length);
  if (kind == SOCK_STREAM) note(to);   /* connecting a datagram socket sends nothing */
  return real(fd, to, size);
}
ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t size) {
  static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  if (!real) real = dlsym(RTLD_NEXT, "sendto");
  if (to) note(to);
  return real(fd, data, n, flags, to, size);
}
"""


@dataclass(frozen=True)
class Search:
    """A finished search."""

    folder: Path
    output: str
    statement: dict[str, Any]
    contacted: set[str] | None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """One search on the digits, run once for all tests; where it connects to is noted."""
    place = tmp_path_factory.mktemp("search")
    env = {"AUDITOR_RUNTIME_DIR": str(place / "runtime")}
    log = place / "contacted"
    if shutil.which("gcc"):
        (place / "shim.c").write_text(CONNECT_SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "shim.so", place / "shim.c", "-ldl"], check=True)
        env |= {"LD_PRELOAD": str(place / "shim.so"), "CONNECT_LOG": str(log)}
        probe = "import socket; s = socket.socket(); s.settimeout(.1); s.connect_ex(('203.0.113.1', 9))"
        subprocess.run([sys.executable, "-c", probe], env={**os.environ, **env}, check=True)
        assert log.read_text() == "203.0.113.1\n", "the shim must see a connection"
        log.write_text("")
    process = auditor(
        "search",
        str(EXAMPLES / "digits.yaml"),
        *("--set", "budget.trials=8", "--set", "training.max_epochs=3", "--set", "evaluation.seeds=2"),
        *("--set", "baselines=[default, logistic_regression, svc, {random: {share: 0.25}}]"),
        *("--set", "evaluation.inference_s=3", "--set", "evaluation.pruned=1"),
        *("--set", "carbon.country=FRA", "--set", "cost.price_per_kwh=0.25", "--out", "first"),
        cwd=place,
        env=env,
    )
    output = finish(process)
    folder = place / "first"
    own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    seen = {line.removeprefix("::ffff:") for line in log.read_text().split()} if log.exists() else None
    contacted = None if seen is None else seen - own
    return Search(folder, output, statement_of(folder), contacted)


def test_the_books_balance(finished: Search) -> None:
    assert_balanced(finished.statement)
    jsonschema.validate(finished.statement, load_schema())
    trials = finished.statement["trials"]
    assert trials["total"] == 6
    assert trials["complete"] + trials["pruned"] == 6


def test_every_part_of_the_search_is_on_the_books(finished: Search) -> None:
    accounts = finished.statement["energy"]["accounts"]
    for part in (
        "baseline/default/train",
        "baseline/svc/train",
        "evaluation/winner-1000000/test",
        "evaluation/default-1000000/test",
    ):
        assert accounts[f"study/digits-cnn/{part}"] > 0, part
    trained = {name.split("/")[3] for name in accounts if "/trial/" in name and name.endswith("/train")}
    assert trained == {str(number) for number in range(6)}


def test_random_search_is_beside_it(finished: Search) -> None:
    statement = finished.statement
    assert statement["expected_max_basis"] == {
        "source": "the random arm",
        "draws": 2,
        "without_value": 0,
        "start": statement["gain"]["baseline"]["value"],
    }
    first, second = statement["expected_max"]
    assert first["tang"] <= second["tang"]
    drawn_uj = sum(uj for name, uj in statement["energy"]["accounts"].items() if "/baseline/random-" in name)
    assert second["energy_j"] == pytest.approx(drawn_uj / 1e6)
    [arm] = [a for a in statement["gain"]["alternatives_tried"] if a["name"] == "random"]
    assert arm["value"] == pytest.approx(second["tang"])
    assert arm["test_value"] is not None


def test_inference_is_metered_and_may_repay_the_search(finished: Search) -> None:
    rows = finished.statement["inference"]
    assert [row["subject"] for row in rows] == ["default", "winner"]
    for row in rows:
        assert row["energy_j"] > 0
        assert row["blocks"] >= 3
        assert row["ci95"][0] < row["energy_j"] < row["ci95"][1]
        assert row["batch_size"] == 297
        assert row["samples"] % row["batch_size"] == 0
    even = finished.statement["break_even"]
    assert even["inference"]["status"] in {"established", "not-established", "never"}
    assert even["trainings"]["base_j"] > 0
    assert even["reuse"] > 1


def test_pruned_trials_are_trained_to_their_end(finished: Search) -> None:
    pruned = finished.statement["trials"]["pruned"]
    accounts = {
        name.split("/")[3] for name in finished.statement["energy"]["accounts"] if "/evaluation/pruned-" in name
    }
    assert len(accounts) == min(1, pruned)


def test_the_gain_is_judged(finished: Search) -> None:
    gain = finished.statement["gain"]
    assert gain["baseline"]["name"] == "default"
    assert gain["seeds"] == 2
    assert gain["ci95"][0] <= gain["delta_test"] <= gain["ci95"][1]
    assert gain["best_alternative"]["name"] in {"svc", "logistic_regression"}
    assert gain["best_alternative"]["test_value"] > 0.9
    assert finished.statement["verdict"]["grade"] in {"paid", "not paid", "not shown"}
    assert finished.statement["measurement"]["grade"] in {"limited", "good"}


def test_carbon_and_money_follow_from_the_energy(finished: Search) -> None:
    carbon, cost = finished.statement["carbon"], finished.statement["cost"]
    kwh = finished.statement["energy"]["search_uj"] / 3.6e12
    assert carbon["kwh"] == pytest.approx(kwh)
    assert carbon["location_based_g"] == pytest.approx(kwh * carbon["factor"]["g_per_kwh"])
    assert cost["energy"] == pytest.approx(kwh * 0.25)


def test_the_terminal_says_what_matters_and_what_is_next(finished: Search) -> None:
    for text in ("Verdict", "What it cost", "pruned", "What it gained", "report.html", "mlflow ui"):
        assert text in finished.output, text
    assert "Traceback" not in finished.output


def test_nothing_is_sent_beyond_the_machine(finished: Search) -> None:
    if finished.contacted is None:
        pytest.skip("no gcc to build the library that watches connections")
    assert finished.contacted == set()


def test_closing_the_books_again_gives_the_same_figures(finished: Search) -> None:
    output = finish(auditor("report", str(finished.folder), "--json", "-", cwd=finished.folder.parent), 60)
    assert json.loads(output) == finished.statement


def test_the_other_policy_moves_energy_and_keeps_the_sum(finished: Search) -> None:
    command = ("report", str(finished.folder), "--policy", "direct", "--json", "-")
    direct = json.loads(finish(auditor(*command, cwd=finished.folder.parent), 60))
    assert direct["energy"]["metered_uj"] == finished.statement["energy"]["metered_uj"]
    assert direct["energy"]["residual_uj"] == 0
    assert direct["energy"]["search_uj"] < finished.statement["energy"]["search_uj"]


def test_the_folder_holds_what_its_manifest_says(finished: Search) -> None:
    digests = json.loads((finished.folder / "manifest.json").read_text())["sha256"]
    assert {"study.yaml", "statement.json", "report.html", "ledger.parquet", "optuna.journal"} <= set(digests)
    assert any(name.startswith("journal/readings-") for name in digests)
    for name, digest in digests.items():
        assert hashlib.sha256((finished.folder / name).read_bytes()).hexdigest() == digest, name


def test_every_figure_follows_from_the_journals(finished: Search) -> None:
    assert_verified(finished.folder)


def test_the_ledger_sums_to_the_accounts(finished: Search) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(finished.folder / "ledger.parquet").to_pylist()
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["account"]] = sums.get(row["account"], 0) + row["energy_uj"]
    accounts = finished.statement["energy"]["accounts"]
    assert sums == {name: energy for name, energy in accounts.items() if energy}


def test_no_token_is_written_down(finished: Search) -> None:
    token = re.compile(rb"\b[0-9a-f]{64}\b")
    for path in finished.folder.rglob("*"):
        if path.is_file() and path.name not in {"manifest.json", "report.html"}:
            assert not token.search(path.read_bytes()), path


def test_the_runs_are_in_mlflow(finished: Search) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.folder.parent}/mlflow.db")
    experiment = client.get_experiment_by_name("digits-cnn")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert len(children) == 6
    parent = parents[0]
    assert parent.data.tags["auditor.verdict"] == finished.statement["verdict"]["grade"]
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} == {"report.html", "statement.json"}
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in children)
    energy_j = {run.data.tags["auditor.trial"]: run.data.metrics["energy_j"] for run in children}
    booked: dict[str, float] = {}
    for name, energy_uj in finished.statement["energy"]["accounts"].items():
        if "/trial/" in name:
            number = name.split("/")[3]
            booked[number] = booked.get(number, 0.0) + energy_uj / 1e6
    assert energy_j == pytest.approx(booked)
    for run in children:
        assert {"energy_cpu_j", "energy_ram_j", "wall_s", "cpu_s", "flops", "co2e_g", "cost"} <= set(run.data.metrics)
        assert "channels" in run.data.params
        history = client.get_metric_history(run.info.run_id, "val_acc")
        assert [point.step for point in history] == list(range(len(history)))


def test_the_same_command_has_nothing_left_to_do(finished: Search) -> None:
    before = list(records(finished.folder, "marks"))
    process = auditor(
        "search",
        str(EXAMPLES / "digits.yaml"),
        *("--set", "budget.trials=6", "--set", "training.max_epochs=3", "--set", "evaluation.seeds=2"),
        *("--set", "carbon.country=FRA", "--set", "cost.price_per_kwh=0.25", "--out", "first"),
        cwd=finished.folder.parent,
    )
    output = finish(process, 60)
    assert "nothing left to do" in output
    assert_verified(finished.folder)
    assert list(records(finished.folder, "marks")) == before
    assert statement_of(finished.folder) == finished.statement


def test_a_training_of_ones_own(tmp_path: Path) -> None:
    for name in ("own_training.py", "own_training.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    finish(
        auditor("search", "own_training.yaml", "--set", "budget.trials=3", "--set", "evaluation.seeds=2", cwd=tmp_path)
    )
    statement = statement_of(tmp_path / "auditor-runs" / "breast-cancer-mlp")
    assert_balanced(statement)
    gain = statement["gain"]
    assert statement["study"]["direction"] == "minimize"
    assert gain["delta_test"] == pytest.approx(gain["baseline"]["test_value"] - gain["best"]["test_value"])
