"""Do the books agree with an independent meter, and stay the same however many trials run at once?

Runs one and the same search with 1, 2 and 4 workers, each beside an independent whole-node CodeCarbon tracker in a
process of its own, and compares both over the window from the books' first to last reading (the tracker is
interpolated on its own timestamps). With ``--glue PROGRAM`` it also runs a program that uses one CodeCarbon tracker
per trial, and shows what its trials claim together.

    python benchmarks/agreement.py --trials 12 --repeat 3 --glue naive_glue.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

TRACKER = """
import sys, time
from codecarbon import OfflineEmissionsTracker
from codecarbon.output_methods.base_output import BaseOutput
class Note(BaseOutput):
    def live_out(self, total, delta):
        print(time.time(), total.cpu_energy * 3.6e6, total.ram_energy * 3.6e6, flush=True)
tracker = OfflineEmissionsTracker(country_iso_code="FRA", tracking_mode="machine", measure_power_secs=1,
    api_call_interval=1, output_methods=[], output_handlers=[Note()], allow_multiple_runs=True, log_level="critical")
tracker.start()
sys.stdin.read()
tracker.stop()
"""


def main() -> None:
    """Run everything and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--glue", type=Path, help="program with one tracker per trial: PROGRAM TRIALS WORKERS EPOCHS")
    options = parser.parse_args()
    rows = [
        {"workers": workers, **compare(options.trials, workers), **glue(options.glue, options.trials, workers)}
        for _ in range(options.repeat)
        for workers in options.workers
    ]
    print("workers   books J tracker J   total     cpu     ram  trials J  claimed by one tracker per trial")
    for row in rows:
        claim = f"{row['claimed_j']:9.0f} J" if row["claimed_j"] is not None else "-"
        print(
            f"{row['workers']:7d} {row['books_j']:9.1f} {row['tracker_j']:9.1f} {row['total']:7.2%} {row['cpu']:7.2%} "
            f"{row['ram']:7.2%} {row['trials_j']:9.1f}  {claim}"
        )
    medians = {
        workers: {
            key: statistics.median(abs(r[key]) for r in rows if r["workers"] == workers and r[key] is not None)
            for key in ("total", "cpu", "ram", "trials_j", "claimed_j")
            if any(r[key] is not None for r in rows if r["workers"] == workers)
        }
        for workers in options.workers
    }
    print(json.dumps({"medians": medians, "rows": rows}))


def compare(trials: int, workers: int) -> dict[str, Any]:
    """One search beside an independent tracker; relative differences in total and by component."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tracker = subprocess.Popen(
            [sys.executable, "-c", TRACKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=place
        )
        assert tracker.stdout is not None
        first = tracker.stdout.readline()
        command = [sys.executable, "-m", "auditor.cli.app", "search", "glue.yaml", "--out", str(place / "out")]
        settings = [f"budget.trials={trials}", f"resources.workers={workers}"]
        subprocess.run(
            [*command, *(part for setting in settings for part in ("--set", setting))],
            check=True,
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            env=environment(place),
        )
        time.sleep(2)
        rest, _ = tracker.communicate(timeout=60)
        seen = np.array([line.split() for line in (first + rest).splitlines()], dtype=float)
        statement = json.loads((place / "out" / "statement.json").read_text())
    energy = statement["energy"]
    window = energy["window"][0]
    start, end = (datetime.fromisoformat(window[key]).timestamp() for key in ("start", "end"))
    at = np.array([start, end])
    cpu_j, ram_j = (float(np.diff(np.interp(at, seen[:, 0], seen[:, column]))[0]) for column in (1, 2))
    books = {part["component"]: part["metered_uj"] / 1e6 for part in energy["components"]}
    trial_j = sum(uj for name, uj in energy["accounts"].items() if "/trial/" in name) / 1e6
    total_j = sum(books.values())
    return {
        "books_j": total_j,
        "tracker_j": cpu_j + ram_j,
        "trials_j": trial_j,
        "total": total_j / (cpu_j + ram_j) - 1,
        "cpu": books["cpu"] / cpu_j - 1,
        "ram": books["ram"] / ram_j - 1,
    }


def glue(program: Path | None, trials: int, workers: int) -> dict[str, Any]:
    """What trials claim together that have a tracker each."""
    if program is None:
        return {"claimed_j": None, "claimed_node_j": None}
    output = subprocess.run(
        [sys.executable, str(program.resolve()), str(trials), str(workers), "3"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
    ).stdout
    result = json.loads(output.strip().splitlines()[-1])
    return {"claimed_j": result["sum_trials_j"], "claimed_node_j": result["node_j"]}


def environment(place: Path) -> dict[str, str]:
    """Runs are tracked beside the study, and forgotten with it."""
    uri = f"sqlite:///{place}/mlflow.db"
    return {**os.environ, "MLFLOW_TRACKING_URI": uri, "AUDITOR_RUNTIME_DIR": str(place / "run")}


if __name__ == "__main__":
    main()
