"""The node agent: meters this node once, for every study on it.

Run as ``python -m auditor.metering.agent``. It takes the lease of the node (and leaves where somebody holds it), starts
the meters, and once an interval writes energy and usage, read at the same instant, into the journal folder of
every study that has a registered process here. It never forks, and leaves when no registered process lives.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from auditor.domain.accounts import audit_account, parse_account
from auditor.domain.errors import AuditorError, JournalError, MeterError
from auditor.metering.activity import journal_path, make_header
from auditor.metering.journal import JournalWriter
from auditor.metering.processes import TreeUsage, busy_ns, process_stat
from auditor.metering.records import Closed, ComponentRecord, Gone, NodeRecord, Reading, Record, Seen
from auditor.metering.runtime import Lease, Registration, is_alive, registrations, withdraw
from auditor.metering.slots import cpu_slots, gpu_count
from auditor.plugins import load
from auditor.ports import Component, Meter

AUTO = ("codecarbon",)
"""Meters that ``auto`` stands for."""

FIRST_READING_S = 5.0
LEAST_INTERVAL_S = 0.05
GRACE_S = 3.0
"""How long the agent stays when no registered process lives."""


class Metering:
    """Several meters as one, with disjoint components.

    Raises:
        MeterError: a meter does not start, or two meter the same component.
    """

    def __init__(self, names: list[str]) -> None:
        wanted = [name for given in names for name in (AUTO if given == "auto" else (given,))]
        self._meters: list[Meter] = []
        for name in dict.fromkeys(wanted):
            made: Any = load("meter", name, where="metering.meters")
            self._meters.append(made() if isinstance(made, type) else made)
        if sum(meter.self_paced for meter in self._meters) > 1:
            raise MeterError(f"at most one of {', '.join(wanted)} can set the pace of the readings; name one of them")
        self.components: list[tuple[str, Component]] = []

    def start(self, tick: Callable[[], None], interval_s: float) -> bool:
        """Start all; return whether one of them calls ``tick`` by itself."""
        found: list[tuple[str, Component]] = []
        for meter in sorted(self._meters, key=lambda m: m.self_paced):  # who sets the pace starts last
            found += [(meter.name, c) for c in meter.start(tick, interval_s)]
            names = [c.name for _, c in found]
            if len(set(names)) < len(names):
                raise MeterError(f"metering.meters: two meters cover the same component ({', '.join(names)})")
            self.components = found
        if not found:
            raise MeterError("no meter covers any component of this machine; 'auditor doctor' says what is missing")
        return any(meter.self_paced for meter in self._meters)

    def read(self) -> dict[str, int]:
        """Cumulative microjoules by component."""
        return {name: energy for meter in self._meters for name, energy in meter.read().items()}

    def sample(self) -> None:
        """Take a sample of every meter now."""
        for meter in self._meters:
            meter.sample()

    def stop(self) -> None:
        """Stop all."""
        for meter in self._meters:
            meter.stop()


class Agent:
    """Writes readings; ``tick`` is called by the thread of a self-paced meter, or else by :meth:`run`."""

    def __init__(self, metering: Metering, interval_s: float) -> None:
        self._metering = metering
        self._interval_s = interval_s
        self._usage = TreeUsage()
        self._writers: dict[str, JournalWriter] = {}
        self._studies: dict[str, set[str]] = {}  # journal folder -> process keys already introduced there
        self._processes: dict[str, Registration] = {}
        self._slots = NodeRecord(cpu_slots=cpu_slots(), gpu_slots=float(gpu_count()))
        stat = process_stat(os.getpid())
        self._start = stat.start if stat else 0
        self._own_ns = time.process_time_ns()
        self._own_by_study: dict[str, int] = {}
        self._ready = False
        self._deferred = False
        self._stopped = False
        self._nudged = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, safe within a signal handler
        self._lock = threading.Lock()
        self.ticked = threading.Event()
        self.last_tick_s = time.monotonic()
        self.last_alive_s = time.monotonic()
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Meter until no registered process lives, or until a signal.

        Raises:
            MeterError: no meter works, or none gave a reading within five seconds.
        """
        self_paced = self._metering.start(self.tick, self._interval_s)
        self._ready = True
        started_s = time.monotonic()
        if self_paced and self._deferred:
            self.tick()  # the meter ticked while it started, before its components were known
        due_s = started_s
        try:
            while not self._stopped:
                if not self_paced and time.monotonic() >= due_s:
                    self.tick()
                    due_s += self._interval_s
                wait_s = max(0.0, due_s - time.monotonic()) if not self_paced else self._interval_s
                with contextlib.suppress(queue.Empty):
                    self._wake.get(timeout=wait_s)
                if self.fault is not None:
                    raise self.fault
                if self._nudged:
                    self._nudged = False
                    self._read_now(self_paced)
                    with self._lock:
                        self._dismiss_withdrawn()
                    continue
                now_s = time.monotonic()
                if not self.ticked.is_set() and now_s - started_s > FIRST_READING_S:
                    raise MeterError(f"the meter gave no reading within {FIRST_READING_S:g} s of its start")
                if now_s - self.last_alive_s > GRACE_S and not any(map(is_alive, registrations().values())):
                    return
        finally:
            self._metering.stop()
            for writer in self._writers.values():
                writer.close()

    def stop(self, *_: object) -> None:
        """Leave after the current reading."""
        self._stopped = True
        self._wake.put(None)

    def nudge(self, *_: object) -> None:
        """Take a reading and look for withdrawn registrations now."""
        self._nudged = True
        self._wake.put(None)

    def _read_now(self, self_paced: bool) -> None:
        """A reading beside the regular ones; at most one each 50 ms."""
        time.sleep(max(0.0, LEAST_INTERVAL_S - (time.monotonic() - self.last_tick_s)))
        self._metering.sample()
        if not self_paced:
            self.tick()

    def tick(self) -> None:
        """Read energy and usage now and write them down for every study."""
        if not self._ready:
            self._deferred = True
            return
        try:
            with self._lock:
                self._tick()
        except BaseException as error:  # a meter's thread would swallow it
            self.fault = error
            self.stop()

    def _tick(self) -> None:
        self._welcome(registrations())
        energy = self._metering.read()
        t_ns = time.monotonic_ns()
        usage = dict(self._usage.sample())
        busy = busy_ns()
        dead = [key for key, process in self._processes.items() if not is_alive(process)]
        own_ns = time.process_time_ns()
        living = {p.journal_dir for key, p in self._processes.items() if key not in dead} or {
            p.journal_dir for p in self._processes.values()
        }
        for folder in living:  # the agent's own work is shared by the studies it serves
            share = (own_ns - self._own_ns) // len(living)
            self._own_by_study[folder] = self._own_by_study.get(folder, 0) + share
        self._own_ns = own_ns
        for folder in {p.journal_dir for p in self._processes.values()}:
            self._write(folder, t_ns, energy, usage, busy, dead)
        for key in dead:
            if key in self._processes:
                self._dismiss(key)
        if len(self._processes) > 0:
            self.last_alive_s = time.monotonic()
        self.last_tick_s = time.monotonic()
        self.ticked.set()

    def _welcome(self, registered: Mapping[str, Registration]) -> None:
        for key, registration in registered.items():
            if key not in self._processes:
                if not is_alive(registration) and registration.journal_dir not in self._writers:
                    withdraw(key)  # left behind by an earlier run
                    continue
                self._processes[key] = registration
                self._usage.register(key, registration.pid, registration.cpu_ns)

    def _write(
        self,
        folder: str,
        t_ns: int,
        energy: dict[str, int],
        usage: dict[str, tuple[int, int]],
        busy: int,
        dead: list[str],
    ) -> None:
        records: list[Record] = []
        writer = self._writers.get(folder)
        study = next(p for p in self._processes.values() if p.journal_dir == folder)
        me = f"{os.getpid()}-{self._start}"
        if writer is None:
            header = make_header("readings", study.study)
            path = journal_path(Path(folder), header)
            while path.exists():  # this agent served the study before
                path = path.with_name(f"{path.stem}+.jsonl")
            try:
                writer = self._writers[folder] = JournalWriter(path, header)
            except JournalError as error:  # its folder is gone: nothing can be metered for it
                print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log
                for key in [key for key, process in self._processes.items() if process.journal_dir == folder]:
                    self._dismiss(key)
                return
            records.append(self._slots)
            records += [_component_record(meter, c) for meter, c in self._metering.components]
            account = audit_account(parse_account(study.account).name)
            records.append(Seen(key=me, study=study.study, account=account, begin_ns=t_ns))
            self._studies[folder] = set()
        introduced = self._studies[folder]
        for key, process in self._processes.items():
            if key not in introduced:
                introduced.add(key)
                records.append(
                    Seen(
                        key=key,
                        study=process.study,
                        account=process.account,
                        begin_ns=process.begin_ns,
                        cpu_slots=process.cpu_slots,
                        gpu_slots=process.gpu_slots,
                        holds_rest=process.holds_rest,
                    )
                )
        mine = self._own_by_study.get(folder, 0)
        records.append(Reading(t=t_ns, e=energy, u={**usage, me: (mine, mine)}, b=busy))
        records += [Gone(key=key, t=t_ns) for key in dead if key in introduced]
        try:
            writer.append(*records)
            writer.sync()
        except JournalError as error:  # one study's folder is gone or full: the others go on
            print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log
            writer.close()

    def _dismiss_withdrawn(self) -> None:
        """Let go of processes whose registration was taken back, and close the journals nobody needs any more."""
        registered = registrations()
        for key in [key for key in self._processes if key not in registered]:
            self._dismiss(key)
        needed = {process.journal_dir for process in self._processes.values()}
        for folder in self._writers.keys() - needed:
            writer = self._writers.pop(folder)
            writer.append(Closed(t=time.monotonic_ns()))
            writer.close()

    def _dismiss(self, key: str) -> None:
        self._processes.pop(key)
        self._usage.unregister(key)
        withdraw(key)


def _component_record(meter: str, component: Component) -> ComponentRecord:
    return ComponentRecord(
        name=component.name,
        meter=meter,
        provenance=component.provenance.value,
        static_w=component.static_w,
        low_w=component.low_w,
        high_w=component.high_w,
        detail=component.detail,
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the agent process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m auditor.metering.agent", description="Meter this node once.")
    parser.add_argument("--meter", action="append", help="name of a meter; may be given several times")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to look at
    lease = Lease()
    if not lease.acquire():
        return 0
    try:
        agent = Agent(Metering(options.meter or ["auto"]), options.interval)
        signal.signal(signal.SIGTERM, agent.stop)
        signal.signal(signal.SIGUSR1, agent.nudge)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the search
        agent.run()
    except AuditorError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log
        return MeterError.exit_code
    finally:
        lease.release()
    return 0


if __name__ == "__main__":
    code = main()
    # leave without waiting for a meter's threads, which may sleep for seconds
    sys.stderr.flush()
    os._exit(code)
