"""How long does closing the books take, and how much memory, as they grow?

Writes the journals of made-up searches with the project's own writers: eight workers on a node that is read every
second, trials of a minute with setup, training, validation and checkpoints, a sampler, a driver and the agent itself.
Each study is read and closed in a process of its own.

    python benchmarks/closing.py --charges 10000 100000 1000000 --repeat 3
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from auditor.domain.accounts import Phase, audit_account, baseline_account, search_account, trial_account
from auditor.metering.activity import journal_path
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.records import (
    AttemptRecord,
    Closed,
    ComponentRecord,
    Finished,
    Header,
    Mark,
    NodeRecord,
    OutcomeRecord,
    Reading,
    RunRecord,
    Seal,
    Seen,
    StepRecord,
)

S = 1_000_000_000
MS = 1_000_000
START_NS = 1_767_225_600 * S
STUDY = "made-up"
UUID = "6d0e6a1e-0000-4000-8000-00000000aaaa"
WORKERS = 8
SLOTS = 10.0
TRIAL_S = 60
EPOCH_S = 10
TARGET_S = 5.0
TARGET_MIB = 1024.0


def main() -> None:
    """Print a Markdown table, and how the time grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--charges", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--close", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.close is not None:
        print(json.dumps(close(options.close)))
        return
    rows = [measure(charges, options.repeat) for charges in options.charges]
    print("| charges | readings | journals MiB | reading s | closing s | statement s | peak RSS MiB | us a charge |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        total_s = row["reading_s"] + row["closing_s"]
        print(
            f"| {row['charges']:,} | {row['readings']:,} | {row['journals_mib']:.1f} | {row['reading_s']:.2f} "
            f"| {row['closing_s']:.2f} | {row['statement_s']:.2f} | {row['peak_mib']:.0f} "
            f"| {total_s / row['charges'] * 1e6:.2f} |"
        )
    last = rows[-1]
    total_s = last["reading_s"] + last["closing_s"]
    print(
        f"\n{last['charges']:,} charges: {total_s:.2f} s (target {TARGET_S:g} s), {last['peak_mib']:.0f} MiB, of it "
        f"{last['imports_mib']:.0f} MiB imports (target {TARGET_MIB:g} MiB): "
        f"{'met' if total_s <= TARGET_S and last['peak_mib'] <= TARGET_MIB else 'missed'}"
    )


def measure(charges: int, repeat: int) -> dict[str, float]:
    """Medians over fresh processes, on a study of about as many charges."""
    with tempfile.TemporaryDirectory() as place:
        probe = Path(place) / "probe"
        write_study(probe, 10 * TRIAL_S)
        seconds = round(charges * 10 * TRIAL_S / closed_apart(probe)["charges"])
        folder = Path(place) / "study"
        write_study(folder, max(2 * TRIAL_S, seconds))
        runs = [closed_apart(folder) for _ in range(repeat)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def closed_apart(folder: Path) -> dict[str, Any]:
    """Close a study in a fresh process."""
    command = [sys.executable, __file__, "--close", str(folder)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def close(folder: Path) -> dict[str, float]:
    """Read and close a study here: seconds, and the most memory this process ever held."""
    from auditor.domain.parameters import Parameters
    from auditor.metering.closing import StudyReader
    from auditor.statement.build import build_statement

    imports_mib = peak_mib()
    began_s = time.perf_counter()
    reader = StudyReader(StudyFolder(folder))
    reader.refresh()
    read_s = time.perf_counter()
    record, ledger = reader.close()
    closed_s = time.perf_counter()
    peak = peak_mib()
    statement = build_statement(record, Parameters(), version="0")
    stated_s = time.perf_counter()
    assert statement["energy"]["residual_uj"] == 0
    return {
        "charges": len(ledger.energy_uj),
        "readings": len(record.books.cumulative_ns),
        "journals_mib": sum(path.stat().st_size for path in (folder / "journal").iterdir()) / 2**20,
        "reading_s": read_s - began_s,
        "closing_s": closed_s - read_s,
        "statement_s": stated_s - closed_s,
        "peak_mib": peak,
        "imports_mib": imports_mib,
    }


def peak_mib() -> float:
    """The most memory this process held so far; ``getrusage`` would count what its parent held too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def write_study(path: Path, seconds: int) -> None:
    """Journals of a sealed search of so many seconds on one node."""
    folder = StudyFolder(path)
    folder.create(
        StudyFile(
            uuid=UUID,
            study={
                "name": STUDY,
                "space": "toy",
                "sampler": "tpe",
                "metric": "val_acc",
                "direction": "maximize",
                "test_metric": None,
            },
            config={"metering": {"policy": "reserved"}},
            parameters={},
            versions={},
            hardware={},
        )
    )
    rest = search_account(STUDY, "orchestration")
    headers = {
        "agent": header("readings", 100),
        "driver": header("marks", 101, account=rest, holds_rest=True, driver=True),
        "sampler": header("marks", 102, account=search_account(STUDY, "sampler")),
        "search": header("search", 103),
        **{f"worker {i}": header("marks", 200 + i, account=rest, cpu_slots=1.0) for i in range(WORKERS)},
    }
    writers = {who: JournalWriter(journal_path(folder.journals, head), head) for who, head in headers.items()}
    write_marks(writers, headers, seconds)
    write_readings(writers["agent"], headers, seconds)
    end = seconds * S
    for i in range(WORKERS):
        writers[f"worker {i}"].append(Closed(t=end))
    writers["sampler"].append(Closed(t=end))
    writers["driver"].append(Seal(t=end), Closed(t=end), Finished(t=end + S // 2))
    for writer in writers.values():
        writer.close()


def write_marks(writers: dict[str, JournalWriter], headers: dict[str, Header], seconds: int) -> None:
    """What workers and sampler say they do, trial by trial; the first minute trains the default."""
    chance = random.Random(0)
    number = 0
    for begin_s in range(0, seconds - TRIAL_S + 1, TRIAL_S):
        for worker in range(WORKERS):
            who, begin = f"worker {worker}", begin_s * S + worker * 137 * MS
            if begin_s == 0 and worker == 0:
                account = f"{baseline_account(STUDY, 'default')}/{Phase.TRAIN.value}"
                writers[who].append(Mark(t=begin, c=begin, a=account), Mark(t=50 * S, c=50 * S, a=headers[who].account))
                run = RunRecord(t=50 * S, begin_ns=begin, kind="baseline", name="default", state="complete", value=0.5)
                writers["search"].append(run)
                continue
            writers["sampler"].append(Mark(t=begin, c=begin // 1000, a=search_account(STUDY, "sampler")))
            account = trial_account(STUDY, number, 1)
            params = {"lr": chance.random(), "depth": chance.randrange(1, 9)}
            writers["search"].append(AttemptRecord(t=begin, trial=number, attempt=1, params=params))
            marks = [Mark(t=begin, c=begin, a=f"{account}/{Phase.SETUP.value}")]
            t = begin + 800 * MS
            value = 0.0
            for epoch in range(5):
                lengths = ((Phase.TRAIN, (EPOCH_S - 2) * S), (Phase.VALIDATE, S), (Phase.CHECKPOINT, S // 5))
                for phase, length in lengths:
                    marks.append(Mark(t=t, c=t, a=f"{account}/{phase.value}", o=20_000))
                    t += length
                value = 0.5 + 0.1 * epoch * chance.random()
                writers["search"].append(StepRecord(t=t, trial=number, attempt=1, step=epoch, value=value))
            marks += [
                Mark(t=t, c=t, a=f"{account}/{Phase.TEARDOWN.value}"),
                Mark(t=t + S, c=t + S, a=headers[who].account),
            ]
            writers[who].append(*marks)
            outcome = OutcomeRecord(t=t + S, trial=number, attempt=1, state="complete", value=value, flops=10**12)
            writers["search"].append(outcome)
            number += 1


def write_readings(writer: JournalWriter, headers: dict[str, Header], seconds: int) -> None:
    """Energy and usage once a second: 10 W of the CPU are static, the rest follows the load."""
    chance = random.Random(1)
    writer.append(
        NodeRecord(cpu_slots=SLOTS, gpu_slots=0.0),
        ComponentRecord(name="cpu", meter="made-up", provenance="counter", static_w=10.0),
        ComponentRecord(name="ram", meter="made-up", provenance="modelled", static_w=6.0),
    )
    keys = {head.key: head for who, head in headers.items() if who not in ("agent", "search")}
    for key, head in keys.items():
        writer.append(
            Seen(
                key=key,
                study=UUID,
                account=head.account,
                begin_ns=0,
                cpu_slots=head.cpu_slots,
                holds_rest=head.holds_rest,
            )
        )
    agent = headers["agent"].key
    writer.append(Seen(key=agent, study=UUID, account=audit_account(STUDY), begin_ns=0))
    used_ns = dict.fromkeys([*keys, agent], 0)
    busy_ns, cpu_uj = 0, 0
    for second in range(seconds + 1):
        writer.append(
            Reading(
                t=second * S,
                e={"cpu": cpu_uj, "ram": 6_000_000 * second},
                u={key: (ns, ns) for key, ns in used_ns.items()},
                b=busy_ns,
                m={**{key: (200 + i) << 20 for i, key in enumerate(used_ns)}, "": 2 << 30},
            )
        )
        for key in used_ns:
            most = 0.95 if key in keys and keys[key].cpu_slots else 0.02
            used_ns[key] += int(most * (0.8 + 0.2 * chance.random()) * S)
        busy_ns = sum(used_ns.values()) + second * S // 10
        cpu_uj += 10_000_000 + sum(5_000_000 + chance.randrange(1_000_000) for _ in range(WORKERS))


def header(
    role: str, pid: int, *, account: str = "", cpu_slots: float = 0.0, holds_rest: bool = False, driver: bool = False
) -> Header:
    """The header of a journal of the made-up node."""
    return Header(
        role=role,
        study=UUID,
        node="box",
        boot="boot",
        pidns="pidns",
        pid=pid,
        start=1,
        wall_ns=START_NS,
        mono_ns=0,
        started_ns=0,
        cpu_ns=0,
        account=account,
        cpu_slots=cpu_slots,
        holds_rest=holds_rest,
        driver=driver,
        session=int(driver),
    )


if __name__ == "__main__":
    main()
