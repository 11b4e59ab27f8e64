"""The node agent: meters this node once, for every study on it.

Run as ``python -m auditor.metering.agent``. It takes the lease of the node (and leaves where somebody holds it), starts
the meters, and once an interval writes energy and usage, read at the same instant, into the journal folder of
every study that has a registered process here. It never forks, and leaves when no registered process lives.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from auditor.domain.accounts import audit_account, parse_account
from auditor.domain.errors import AuditorError, JournalError, MeterError
from auditor.metering.activity import make_header, open_journal
from auditor.metering.devices import DeviceTime
from auditor.metering.journal import JournalWriter
from auditor.metering.memory import TreeMemory, node_used_bytes
from auditor.metering.meters import WINDOW_S, Calibration, Metering
from auditor.metering.processes import TreeUsage, busy_ns, process_stat, suspended_ns
from auditor.metering.records import Closed, Gone, NodeRecord, Reading, Record, Seen, StaticRecord, process_key
from auditor.metering.runtime import (
    Lease,
    Registration,
    is_alive,
    keep_static_w,
    known_static_w,
    registrations,
    withdraw,
)
from auditor.metering.slots import cpu_slots, gpu_count

FIRST_READING_S = 5.0
LEAST_INTERVAL_S = 0.05
SILENT_INTERVALS = 2.5
"""After so many intervals without a tick of a meter that sets the pace the agent reads by itself."""

CALIBRATION_STEP_S = 0.1
GRACE_S = 3.0
"""How long the agent stays when no registered process lives."""


class Agent:
    """Writes readings; ``tick`` is called by the thread of a self-paced meter, or else by :meth:`run`."""

    def __init__(self, metering: Metering, interval_s: float, lease: Lease | None = None) -> None:
        self._metering = metering
        self._lease = lease or Lease()
        self._interval_s = interval_s
        self._usage = TreeUsage()
        self._memory = TreeMemory()
        self._devices = DeviceTime(self._usage)
        self._calibration: Calibration | None = None
        self._static: list[StaticRecord] = []
        self._writers: dict[str, JournalWriter] = {}
        self._studies: dict[str, set[str]] = {}  # journal folder -> process keys already introduced there
        self._processes: dict[str, Registration] = {}
        self._begun: dict[str, int] = {}  # when each process was registered first
        self._node = NodeRecord(
            cpu_slots=cpu_slots(),
            gpu_slots=float(gpu_count()),
            interval_s=interval_s,
            meters=metering.asked,
            static_w=metering.static_w,
        )
        stat = process_stat(os.getpid())
        self._me = process_key(os.getpid(), stat.start if stat else 0)
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
        self._metering.start(self.tick, self._interval_s)
        self._calibration = Calibration(self._metering.components, known_static_w())
        self._ready = True
        started_s = due_s = time.monotonic()
        if self._metering.self_paced and self._deferred:
            self.tick()  # the meter ticked while it started, before its components were known
        try:
            while not self._stopped:
                now_s = time.monotonic()
                if self._metering.self_paced:  # its meter calls tick; where it falls silent, somebody has to
                    silent_s = max(SILENT_INTERVALS * self._interval_s, FIRST_READING_S)
                    due_s = self.last_tick_s + silent_s if self.ticked.is_set() else math.inf
                else:
                    due_s = min(due_s, self.last_tick_s + self._interval_s)
                if now_s >= due_s:
                    self.tick()
                    due_s = max(due_s, now_s - self._interval_s) + self._interval_s  # the grid goes on
                wait_s = min(self._interval_s, max(0.0, due_s - time.monotonic()))
                if self._calibration is not None:
                    wait_s = min(wait_s, CALIBRATION_STEP_S)
                    self._calibrate()
                with contextlib.suppress(queue.Empty):
                    self._wake.get(timeout=wait_s)
                if self.fault is not None:
                    raise self.fault
                if self._nudged:
                    self._nudged = False
                    self._read_now()
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

    def _calibrate(self) -> None:
        """Take another sample of power while little runs yet; at the end write down what was found."""
        with self._lock:
            if self._calibration is None:
                return
            if self._calibration.wants_more():
                self._calibration.add(time.monotonic_ns(), self._metering.read())
                return
            calibration, self._calibration = self._calibration, None
            found = calibration.static_w()
            if found:
                keep_static_w(calibration.to_keep())
                detail = f"least power over {WINDOW_S:g} s while the meters started"
                self._static = [StaticRecord(name=n, static_w=w, detail=detail) for n, w in sorted(found.items())]
                for writer in self._writers.values():
                    writer.append(*self._static)

    def stop(self, *_: object) -> None:
        """Leave after the current reading."""
        self._stopped = True
        self._wake.put(None)

    def nudge(self, *_: object) -> None:
        """Take a reading now."""
        self._nudged = True
        self._wake.put(None)

    def _read_now(self) -> None:
        """A reading beside the regular ones; at most one each 50 ms."""
        time.sleep(max(0.0, LEAST_INTERVAL_S - (time.monotonic() - self.last_tick_s)))
        self._metering.sample()
        if not self._metering.self_paced:
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
        known = {_process_of(key): registration for key, registration in self._processes.items()}
        registered = known if self._lease.lost else registrations(known)
        self._welcome(registered)
        energy = self._metering.read()
        t_ns = time.monotonic_ns()
        usage = dict(self._usage.sample())
        reading = Reading(
            t=t_ns,
            e=energy,
            u=usage,
            b=busy_ns(),
            g=self._devices.read(self._metering.process_ns()),
            m=self._held_memory(),
            z=suspended_ns(),
        )
        dead = [key for key, p in self._processes.items() if self._usage.start_ticks(p.pid) != p.start]
        own_ns = time.process_time_ns()
        living = {p.journal_dir for key, p in self._processes.items() if key not in dead} or {
            p.journal_dir for p in self._processes.values()
        }
        for folder in living:  # the agent's own work is shared by the studies it serves
            share = (own_ns - self._own_ns) // len(living)
            self._own_by_study[folder] = self._own_by_study.get(folder, 0) + share
        self._own_ns = own_ns
        for folder in {p.journal_dir for p in self._processes.values()}:
            self._write(folder, reading, dead)
        for key in dead:
            if key in self._processes:
                self._dismiss(key)
        self._dismiss_withdrawn(registered)
        if len(self._processes) > 0:
            self.last_alive_s = time.monotonic()
        self.last_tick_s = time.monotonic()
        self.ticked.set()

    def _welcome(self, registered: Mapping[str, Registration]) -> None:
        for process, registration in registered.items():
            key = process
            if self._begun.get(process, registration.begin_ns) != registration.begin_ns:
                key = f"{process}#{registration.begin_ns}"  # it worked for something else before
            if key not in self._processes:
                if not is_alive(registration) and registration.journal_dir not in self._writers:
                    withdraw(process)  # left behind by an earlier run
                    continue
                self._begun.setdefault(process, registration.begin_ns)
                self._processes[key] = registration
                self._usage.register(key, registration.pid, registration.cpu_ns)

    def _held_memory(self) -> dict[str, int]:
        if not self._metering.wants_memory:
            return {}
        held = self._memory.read({**self._usage.pids(), os.getpid(): self._me})
        return {**held, "": max(0, node_used_bytes() - sum(held.values()))}

    def _write(self, folder: str, reading: Reading, dead: list[str]) -> None:
        records: list[Record] = []
        writer = self._writers.get(folder)
        study = next(p for p in self._processes.values() if p.journal_dir == folder)
        me = self._me
        if writer is None:
            header = make_header("readings", study.study)
            try:
                writer = self._writers[folder] = open_journal(Path(folder), header)
            except JournalError as error:  # its folder is gone: nothing can be metered for it
                print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log
                for key in [key for key, process in self._processes.items() if process.journal_dir == folder]:
                    self._dismiss(key)
                return
            records.append(self._node)
            records += [*self._metering.components, *self._static]
            account = audit_account(parse_account(study.account).name)
            records.append(Seen(key=me, study=study.study, account=account, begin_ns=reading.t))
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
                        gpus=process.gpus,
                        holds_rest=process.holds_rest,
                    )
                )
        mine = self._own_by_study.get(folder, 0)
        held = dict(reading.m)
        if me in held:  # each of the studies it serves bears its part
            others = held[me] - held[me] // len({p.journal_dir for p in self._processes.values()})
            held |= {me: held[me] - others, "": held[""] + others}
        records.append(msgspec.structs.replace(reading, u={**reading.u, me: (mine, mine)}, m=held, a=self._own_ns))
        records += [Gone(key=key, t=reading.t) for key in dead if key in introduced]
        self._append(folder, records)

    def _append(self, folder: str, records: list[Record]) -> None:
        try:
            self._writers[folder].append_or_keep(*records)
            self._writers[folder].sync()
        except JournalError as error:  # one study's folder is gone or full: the others go on, and this one when it can
            print(error, file=sys.stderr, flush=True)  # noqa: T201 - the agent's log

    def _let_go(self, key: str) -> None:
        """Forget a process that lives on; where it comes back it is introduced again."""
        folder = self._processes.pop(key).journal_dir
        self._usage.unregister(key)
        self._studies.get(folder, set()).discard(key)
        if folder in self._writers:
            self._append(folder, [Gone(key=key, t=time.monotonic_ns())])

    def _dismiss_withdrawn(self, registered: Mapping[str, Registration]) -> None:
        """Let go of processes whose registration was taken back, and close the journals nobody needs any more."""
        for key in [key for key, known in self._processes.items() if registered.get(_process_of(key)) is not known]:
            self._let_go(key)
        needed = {process.journal_dir for process in self._processes.values()}
        for folder in self._writers.keys() - needed:
            writer = self._writers.pop(folder)
            writer.append(Closed(t=time.monotonic_ns()))
            writer.close()

    def _dismiss(self, key: str) -> None:
        self._processes.pop(key)
        self._usage.unregister(key)
        withdraw(_process_of(key))


def _process_of(key: str) -> str:
    """The process that a key in the readings stands for."""
    return key.partition("#")[0]


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the agent process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m auditor.metering.agent", description="Meter this node once.")
    parser.add_argument("--meter", action="append", help="name of a meter; may be given several times")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    parser.add_argument("--static", action="append", help="power without load, for example cpu=12.5")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to look at
    lease = Lease()
    if not lease.acquire():
        return 0
    try:
        static_w = {name: float(watts) for name, _, watts in (s.partition("=") for s in options.static or [])}
        agent = Agent(Metering(options.meter or ["auto"], static_w), options.interval, lease)
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
