"""How much CPU and memory does the node agent take, beside one bare CodeCarbon tracker?

The agent meters this machine once a second for many registered processes that sleep, in a runtime folder of its own.
Agent and tracker take turns, so that neither disturbs the other and both see the same noise; each is given some seconds
to start before its CPU time counts.

    python benchmarks/agent.py --processes 64 --seconds 30 --repeat 3
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from auditor.metering.processes import start_ticks
from auditor.metering.runtime import ENVIRONMENT, Registration, register

UUID = "6d0e6a1e-0000-4000-8000-00000000aaaa"
TARGET_SHARE = 0.005
TARGET_MIB = 200.0

TRACKER = """
import sys
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(country_iso_code="FRA", tracking_mode="machine", measure_power_secs=1,
    output_methods=[], allow_multiple_runs=True, log_level="critical")
tracker.start()
print(flush=True)
sys.stdin.read()
"""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--settle", type=float, default=8.0, help="seconds that do not count")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    contestants = {"agent": lambda: agent(options.processes), "tracker": tracker}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for turn in range(options.repeat):
        for name, start in sorted(contestants.items(), reverse=turn % 2 == 1):
            with start() as pid:
                time.sleep(options.settle)
                found[name].append(watch(pid, options.seconds))
    print("| process | CPU share of a core | RSS MiB |")
    print("|---|---|---|")
    for name, rows in found.items():
        shares, sizes = zip(*rows, strict=True)
        print(
            f"| {name} | {statistics.median(shares):.2%} ({min(shares):.2%}-{max(shares):.2%}) "
            f"| {statistics.median(sizes):.0f} ({min(sizes):.0f}-{max(sizes):.0f}) |"
        )
    share, rss_mib = (statistics.median(column) for column in zip(*found["agent"], strict=True))
    print(
        f"\nAgent with {options.processes} processes: {share:.2%} of a core (target {TARGET_SHARE:.1%}), "
        f"{rss_mib:.0f} MiB (target {TARGET_MIB:g} MiB): "
        f"{'met' if share <= TARGET_SHARE and rss_mib <= TARGET_MIB else 'missed'}"
    )


@contextlib.contextmanager
def agent(processes: int) -> Iterator[int]:
    """A node agent with so many registered processes; gives its process id."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        os.environ[ENVIRONMENT] = str(Path(place) / "runtime")
        journals = Path(place) / "journal"
        journals.mkdir()
        for _ in range(processes):
            sleeper = stack.enter_context(running(["sleep", "infinity"]))
            register(
                Registration(
                    journal_dir=str(journals),
                    study=UUID,
                    account="study/bench/search/orchestration",
                    pid=sleeper.pid,
                    start=start_ticks(sleeper.pid) or 0,
                    begin_ns=time.monotonic_ns(),
                    cpu_ns=0,
                )
            )
        command = [sys.executable, "-m", "auditor.metering.agent", "--interval", "1"]
        process = stack.enter_context(running(command))
        while not any(b'"k":"reading"' in path.read_bytes() for path in journals.iterdir()):
            if process.poll() is not None:
                raise SystemExit("the agent ended before its first reading; auditor doctor says what is missing")
            time.sleep(0.1)
        yield process.pid
        [journal] = journals.iterdir()
        readings = [line for line in journal.read_bytes().splitlines() if b'"k":"reading"' in line]
        if readings[-1].count(b"-") < processes:
            raise SystemExit("the agent did not read every registered process")


@contextlib.contextmanager
def tracker() -> Iterator[int]:
    """One CodeCarbon tracker; gives its process id."""
    with (
        tempfile.TemporaryDirectory() as place,
        running([sys.executable, "-c", TRACKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    with subprocess.Popen(command, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def watch(pid: int, seconds: float) -> tuple[float, float]:
    """CPU share of one core over some seconds, and resident MiB at their end."""
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3): CPU time of a whole process in nanoseconds, ended threads too
    used_s, began_s = time.clock_gettime(clock), time.monotonic()
    time.sleep(seconds)
    share = (time.clock_gettime(clock) - used_s) / (time.monotonic() - began_s)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return share, next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    main()
