"""100,000 trials are imported and reported on in half a minute and 1.5 GiB."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import optuna_storages
from auditor.metering.folder import StudyFolder

TRIALS = 100_000
MOST_S = 30.0
MOST_MIB = 1536

MEASURED = """
import resource, sys
from auditor.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as left:
    assert left.code == 0, left.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""

pytestmark = pytest.mark.slow


def drawn() -> Iterator[tuple[int, dict[str, float], float]]:
    """Number, parameters as storages keep them, and value of each trial."""
    source = random.Random(0)
    for number in range(TRIALS):
        params = {"lr": source.random(), "layers": source.randint(1, 8), "<b>|*": source.randint(0, 4)}
        yield number, params, source.random()


def table(place: Path) -> list[str]:
    with (place / "big.csv").open("w") as file:
        file.write("acc,kwh,params_lr,params_layers\n")
        for _, params, value in drawn():
            file.write(f"{value},{value / 100},{params['lr']},{params['layers']}\n")
    return ["csv", "big.csv", "--value", "acc", "--energy", "kwh", "--energy-unit", "kWh"]


def database(place: Path) -> list[str]:
    made, _ = optuna_storages.storage(place, "rdb")
    optuna_storages.fill(made, "big")
    made.engine.dispose()
    connection = sqlite3.connect(place / "optuna.db")
    connection.execute("DELETE FROM trials WHERE number > 0")
    for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"):
        connection.execute(f"DELETE FROM {table} WHERE trial_id > 1")
    known = dict(connection.execute("SELECT param_name, distribution_json FROM trial_params"))
    rows: dict[str, list[tuple[Any, ...]]] = {"trials": [], "params": [], "values": [], "steps": []}
    for number, params, value in drawn():
        trial, minute = number + 10, f"2024-01-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
        rows["trials"].append((trial, number + 1, 1, "COMPLETE", f"{minute}.000000", f"{minute}.900000"))
        rows["params"] += [(trial, name, drawn_, known[name]) for name, drawn_ in params.items()]
        rows["values"].append((trial, 0, value, "FINITE"))
        rows["steps"] += [(trial, step, value, "FINITE") for step in range(2)]
    for name, columns in {
        "trials": "trials (trial_id, number, study_id, state, datetime_start, datetime_complete)",
        "params": "trial_params (trial_id, param_name, param_value, distribution_json)",
        "values": "trial_values (trial_id, objective, value, value_type)",
        "steps": "trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)",
    }.items():
        marks = ", ".join("?" * (columns.count(",") + 1))
        connection.executemany(f"INSERT INTO {columns} VALUES ({marks})", rows[name])
    connection.commit()
    connection.close()
    return ["optuna", "sqlite:///optuna.db"]


def journal(place: Path) -> list[str]:
    made, source = optuna_storages.storage(place, "journal")
    optuna_storages.fill(made, "big")
    path = Path(source)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    distributions = {line["param_name"]: line["distribution"] for line in lines if line["op_code"] == 5}
    moment = "2024-01-01T00:00:0{}+00:00"
    first = sum(line["op_code"] == 4 for line in lines)  # trials that are there already

    def records() -> Iterator[dict[str, Any]]:
        for number, params, value in drawn():
            trial = {"worker_id": "w", "trial_id": first + number}
            yield {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": moment.format(0)}
            for name, internal in params.items():
                about = {"param_name": name, "param_value_internal": internal, "distribution": distributions[name]}
                yield {"op_code": 5, **trial, **about}
            for step in range(2):
                yield {"op_code": 7, **trial, "step": step, "intermediate_value": value}
            yield {"op_code": 6, **trial, "state": 1, "values": [value], "datetime_complete": moment.format(9)}

    with path.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records())
    return ["optuna", "optuna.journal"]


@pytest.mark.parametrize("make", [table, database, journal])
def test_a_hundred_thousand_trials(make: Any, tmp_path: Path) -> None:
    arguments = make(tmp_path)
    command = [sys.executable, "-c", MEASURED, "import", *arguments, "--out", "study"]
    began_s = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    took_s = time.monotonic() - began_s
    assert done.returncode == 0, done.stderr
    most_mib = int(done.stderr.split()[-1]) / 1024
    statement = json.loads(StudyFolder(tmp_path / "study").statement.read_text())
    assert statement["trials"]["total"] >= TRIALS
    assert took_s < MOST_S, f"took {took_s:.1f} s"
    assert most_mib < MOST_MIB, f"took {most_mib:.0f} MiB"
