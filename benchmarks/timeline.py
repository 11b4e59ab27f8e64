"""Where did each second of a search go? Read off the journals of a study folder.

python benchmarks/timeline.py auditor-runs/glue
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from auditor import open_study
from auditor.domain.accounts import parse_account


def main() -> None:
    """Print what happened when, and the CPU seconds by account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    journals = [[json.loads(line) for line in path.open()] for path in sorted((folder / "journal").glob("*.jsonl"))]
    origin = min(header["started_ns"] for header, *_ in journals if header.get("driver"))
    for t_ns, what in sorted(event for journal in journals for event in events(journal)):
        print(f"{(t_ns - origin) / 1e9:6.2f} s  {what}")
    record, _ = open_study(folder)
    cpu_s: Counter[str] = Counter()
    for name, seconds in record.books.account_cpu_s.items():
        account = parse_account(name)
        cpu_s[f"{account.kind}/{account.phase or account.subject}"] += seconds
    print("\nCPU seconds from the first reading to the seal (processes themselves, without children):")
    for name, seconds in cpu_s.most_common():
        if seconds >= 0.005:
            print(f"{seconds:6.2f} s  {name}")


def events(journal: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """What a journal says happened."""
    header, *records = journal
    who = {"readings": "agent", "search": "coordinator"}.get(header["role"], header.get("account", "").split("/")[-1])
    if header.get("driver"):
        who = "driver"
    elif header.get("cpu_slots"):
        who = f"worker {header['pid']}"
    found = [(header["started_ns"], f"{who}: process started")]
    kinds: dict[str, list[int]] = {}
    for record in records:
        kinds.setdefault(record["k"], []).append(record.get("t", 0))
    names = {"reading": "reading", "outcome": "outcome of a trial"}
    for kind, name in names.items():
        if kind in kinds:
            found += [(kinds[kind][0], f"{who}: first {name}"), (kinds[kind][-1], f"{who}: last {name}")]
    if who.startswith("worker") and "mark" in kinds:
        found += [(kinds["mark"][0], f"{who}: first trial begins, imports done"), (kinds["mark"][-1], f"{who}: idle")]
    return found + [(kinds[kind][0], f"{who}: {kind}") for kind in ("seal", "finished", "closed") if kind in kinds]


if __name__ == "__main__":
    main()
