"""Study folders made up for tests: journals by the project's own writers, on a clock of their own.

One node with two CPU slots, read every second: 10 W of CPU (half of it static) and 6 W of RAM. A driver holds the rest,
one worker holds one slot and runs a trial every four seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from auditor.domain.accounts import training_account
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
    Record,
    RunRecord,
    Seal,
    Seen,
    StepRecord,
)

S = 1_000_000_000
START_NS = 1_767_225_600 * S
"""UTC of the first reading: 2026-01-01T00:00:00Z."""

UUID = "6d0e6a1e-0000-4000-8000-00000000aaaa"
SLOT_S = 4
"""Seconds from the beginning of one trial to that of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTrial:
    """A trial of a made-up study.

    Attributes:
        params: Its parameters.
        states: How each attempt ended; ``running``: it has no end yet.
        steps: Metric by epoch, reported half a second apart by the last attempt.
        value: Final metric; the last step where it is not given.
        error: Error of the last attempt.
    """

    params: Mapping[str, Any] = field(default_factory=lambda: {"lr": 0.01})
    states: Sequence[str] = ("complete",)
    steps: Sequence[float] = (0.5, 0.75)
    value: float | None = None
    error: str = ""


TRIALS = (
    MadeTrial(params={"lr": 0.01, "depth": 2}, steps=(0.5, 0.75)),
    MadeTrial(params={"lr": 0.1, "depth": 1}, steps=(0.25,), states=("pruned",)),
    MadeTrial(params={"lr": 1.0, "depth": 3}, steps=(), states=("failed",), error="ValueError: too deep"),
    MadeTrial(params={"lr": 0.02, "depth": 2}, steps=(0.625, 0.875), states=("lost", "complete")),
)
"""One complete trial, one pruned, one failed, and one that was lost once."""


class _Made:
    """A study folder whose journals grow second by second.

    Args:
        path: The folder; made by this.
        study: What ``study.yaml`` says of the study.
        config: Sections that it keeps.
        parameters: Parameters of the statement.

    Attributes:
        slower: By process, the part of one core that it uses, as a divisor.
    """

    slower: ClassVar[Mapping[str, int]]

    def __init__(
        self,
        path: Path,
        study: Mapping[str, Any],
        config: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None,
    ) -> None:
        self.folder = StudyFolder(path)
        self.name: str = study["name"]
        self.second = 0
        self.folder.create(
            StudyFile(
                uuid=UUID,
                study=dict(study),
                config=dict(config or {"metering": {"policy": "reserved"}}),
                parameters=dict(parameters or {}),
                versions={"python": "3.11"},
                hardware={"node": "box"},
            )
        )

    def _begin(self, headers: Mapping[str, Header]) -> None:
        """Begin the journals of the agent, of the processes in ``slower``, and others."""
        self._headers = dict(headers)
        self._writers = {
            who: JournalWriter(journal_path(self.folder.journals, header), header)
            for who, header in self._headers.items()
        }
        self._write("agent", NodeRecord(cpu_slots=2.0, gpu_slots=0.0))
        self._write("agent", ComponentRecord(name="cpu", meter="fake", provenance="counter", static_w=5.0))
        self._write("agent", ComponentRecord(name="ram", meter="fake", provenance="modelled", static_w=6.0))
        for who in self.slower:
            header = self._headers[who]
            self._write(
                "agent",
                Seen(
                    key=header.key,
                    study=UUID,
                    account=header.account,
                    begin_ns=0,
                    cpu_slots=header.cpu_slots,
                    holds_rest=header.holds_rest,
                ),
            )
        self._read()

    def close(self) -> None:
        """Close the journals."""
        for writer in self._writers.values():
            writer.close()

    def _pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second += 1
            self._read()

    def _read(self) -> None:
        t = self.second * S
        self._write(
            "agent",
            Reading(
                t=t,
                e={"cpu": 10_000_000 * self.second, "ram": 6_000_000 * self.second},
                u={self._headers[who].key: (t // slower, t // slower) for who, slower in self.slower.items()},
                b=t + t // 100,
            ),
        )

    def _header(
        self,
        role: str,
        pid: int,
        *,
        account: str = "",
        cpu_slots: float = 0.0,
        holds_rest: bool = False,
        driver: bool = False,
    ) -> Header:
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
        )

    def _write(self, who: str, *records: Record) -> None:
        self._writers[who].append(*records)


class MadeStudy(_Made):
    """A search whose journals grow second by second.

    Args:
        path: The folder; made by this.
        name: Name of the study.
        metric: Name of its metric.
        config: Sections that ``study.yaml`` keeps.
        parameters: Parameters of the statement.
    """

    slower: ClassVar = {"worker": 1, "driver": 100}

    def __init__(
        self,
        path: Path,
        *,
        name: str = "demo",
        metric: str = "val_acc",
        config: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        study = {
            "name": name,
            "space": "toy",
            "sampler": "tpe",
            "metric": metric,
            "direction": "maximize",
            "test_metric": None,
        }
        super().__init__(path, study, config, parameters)
        self.trials = 0
        rest = f"study/{name}/search/orchestration"
        self._begin(
            {
                "agent": self._header("readings", 100),
                "driver": self._header("marks", 101, account=rest, holds_rest=True, driver=True),
                "worker": self._header("marks", 102, account=rest, cpu_slots=1.0),
                "search": self._header("search", 103),
            }
        )

    def add(self, *trials: MadeTrial) -> MadeStudy:
        """Run trials one after the other."""
        for trial in trials:
            begin = self.second * S
            number, self.trials = self.trials, self.trials + 1
            length = SLOT_S * S // len(trial.states)
            for position, state in enumerate(trial.states):
                last = position == len(trial.states) - 1
                self._attempt(number, position + 1, trial, state, begin + position * length, length * 3 // 4, last=last)
            self._pass(SLOT_S)
        return self

    def baseline(self, value: float, test_value: float | None = None, name: str = "default") -> MadeStudy:
        """Run a baseline for a second."""
        begin = self.second * S
        self._write("worker", Mark(t=begin, c=begin, a=f"study/{self.name}/baseline/{name}/train"))
        self._pass(1)
        end = self.second * S
        self._write("worker", Mark(t=end, c=end, a=self._headers["worker"].account))
        self._write(
            "search",
            RunRecord(
                t=end, begin_ns=begin, kind="baseline", name=name, state="complete", value=value, test_value=test_value
            ),
        )
        return self

    def evaluation(self, subject: str, value: float, *, trial: int | None = None, seed: int = 1_000_000) -> MadeStudy:
        """Train the winner or the default again for a second."""
        begin = self.second * S
        account = f"{subject}-{seed}"
        self._write("worker", Mark(t=begin, c=begin, a=f"study/{self.name}/evaluation/{account}/train"))
        self._pass(1)
        end = self.second * S
        self._write("worker", Mark(t=end, c=end, a=self._headers["worker"].account))
        record = RunRecord(
            t=end,
            begin_ns=begin,
            kind="evaluation",
            name=subject,
            state="complete",
            seed=seed,
            trial=trial,
            value=value,
            test_value=value,
            account=account,
        )
        self._write("search", record)
        return self

    def seal(self) -> MadeStudy:
        """Let a second pass and close the study at its reading."""
        self._pass(1)
        end = self.second * S
        self._write("worker", Closed(t=end))
        self._write("driver", Seal(t=end), Closed(t=end), Finished(t=end + S // 2))
        self.close()
        return self

    def _attempt(
        self, number: int, attempt: int, trial: MadeTrial, state: str, begin: int, length: int, *, last: bool
    ) -> None:
        account = f"study/{self.name}/trial/{number}/{attempt}"
        self._write("search", AttemptRecord(t=begin, trial=number, attempt=attempt, params=dict(trial.params)))
        self._write("worker", Mark(t=begin, c=begin, a=f"{account}/train"))
        steps = trial.steps if last else ()
        for step, value in enumerate(steps):
            self._write(
                "search",
                StepRecord(t=begin + (step + 1) * S // 2, trial=number, attempt=attempt, step=step, value=value),
            )
        end = begin + length
        self._write("worker", Mark(t=end, c=end, a=self._headers["worker"].account))
        if state == "running":
            return
        value = trial.value if trial.value is not None else next(iter(reversed(steps)), None)
        self._write(
            "search",
            OutcomeRecord(
                t=end,
                trial=number,
                attempt=attempt,
                state=state,
                final=last,
                value=value if state == "complete" else None,
                flops=1000 if state == "complete" else None,
                error=trial.error if last else "the worker died",
            ),
        )


def made_study(path: Path, **options: Any) -> StudyFolder:
    """A sealed study of :data:`TRIALS` with its default as baseline; the options are those of :class:`MadeStudy`."""
    return MadeStudy(path, **options).add(*TRIALS).baseline(0.5).seal().folder


PHASES = (("setup", 1), ("train", 5), ("validate", 2), ("train", 5), ("validate", 2), ("teardown", 1))
"""Phases of a training with their seconds."""


class MadeTraining(_Made):
    """A plain training in two processes, each on one slot, whose journals grow second by second.

    The second process marks the same runs as the first; what neither marks is the run that its journal begins with.

    Args:
        path: The folder; made by this.
        name: Name of the study.
        config: Sections that ``study.yaml`` keeps.
        parameters: Parameters of the statement.
    """

    slower: ClassVar = {"trainer": 1, "second": 2}

    def __init__(
        self,
        path: Path,
        *,
        name: str = "demo",
        config: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, {"name": name, "kind": "training"}, config, parameters)
        self.runs = 0
        account = training_account(name, "0")
        self._begin(
            {
                "agent": self._header("readings", 100),
                "trainer": self._header("marks", 101, account=account, cpu_slots=1.0, driver=True),
                "second": self._header("marks", 102, account=account, cpu_slots=1.0),
                "search": self._header("search", 103),
            }
        )

    def train(self, phases: Sequence[tuple[str, int]] = PHASES, *, state: str = "complete", **record: Any) -> Self:
        """Train through phases, a second of no phase after them; ``state`` ``killed``: no record says how it ended."""
        run, self.runs = str(self.runs), self.runs + 1
        account = training_account(self.name, run)
        begin = self.second * S
        for phase, seconds in (*phases, ("", 1)):
            t = self.second * S
            for who in self.slower:
                audit = 50_000_000 if who == "trainer" and phase != "setup" else 0
                self._write(who, Mark(t=t, c=t // self.slower[who], a=f"{account}/{phase}".rstrip("/"), o=audit))
            self._pass(seconds)
        if state != "killed":
            end = self.second * S
            self._write("search", RunRecord(t=end, begin_ns=begin, kind="training", name=run, state=state, **record))
        return self

    def seal(self) -> Self:
        """Close the study at its last reading."""
        end = self.second * S
        self._write("second", Closed(t=end))
        self._write("trainer", Seal(t=end), Closed(t=end), Finished(t=end + S // 2))
        self.close()
        return self


def made_training(path: Path, **options: Any) -> StudyFolder:
    """A sealed training of one complete run; the options are those of :class:`MadeTraining`."""
    return MadeTraining(path, **options).train(flops=10**12).seal().folder
