"""How long does an audited search take, beside the same search put together by hand?

Times ``auditor search glue.yaml`` and a glue program (Ray Tune, one CodeCarbon tracker per trial, MLflow callback) from
outside, interleaved, and prints medians and their ratio.

    pip install -e '.[bench]'
    python benchmarks/glue.py --glue naive_glue.py --trials 24 96 --repeat 3
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
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run everything and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glue", type=Path, required=True, help="the other program: PROGRAM TRIALS WORKERS EPOCHS")
    parser.add_argument("--trials", type=int, nargs="+", default=[24, 96])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    results = {}
    for trials in options.trials:
        ours, theirs = [], []
        for _ in range(options.repeat):
            theirs.append(timed([sys.executable, str(options.glue.resolve()), str(trials), "2", "3"]))
            ours.append(audited(trials))
            print(f"{trials} trials: glue {theirs[-1]:.1f} s, audited {ours[-1]:.1f} s", flush=True)
        ratio = statistics.median(ours) / statistics.median(theirs)
        results[trials] = {"audited_s": ours, "glue_s": theirs, "ratio": ratio}
        print(
            f"{trials} trials, median of {options.repeat}: audited {statistics.median(ours):.1f} s, "
            f"glue {statistics.median(theirs):.1f} s, ratio {ratio:.2f}"
        )
    print(json.dumps(results))


def audited(trials: int) -> float:
    """Seconds of the whole audited command; its books must balance."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        seconds = timed(
            [
                *(sys.executable, "-m", "auditor.cli.app", "search", "glue.yaml"),
                *("--set", f"budget.trials={trials}", "--out", str(out)),
            ],
            MLFLOW_TRACKING_URI=f"sqlite:///{place}/mlflow.db",
            AUDITOR_RUNTIME_DIR=f"{place}/run",
        )
        statement = json.loads((out / "statement.json").read_text())
        assert statement["energy"]["residual_uj"] == 0
        assert statement["trials"]["complete"] == trials
    return seconds


def timed(command: list[str], **environment: str) -> float:
    """Seconds a command takes, seen from outside."""
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=HERE, env={**os.environ, **environment}, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
