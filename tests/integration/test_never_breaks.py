"""A fault in the auditor never breaks what it audits: the result is that of the same work without it."""

from __future__ import annotations

import inspect
import json
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

import auditor.metering.runtime
import auditor.reporting.publish
import auditor.training.audit
import auditor.training.callback
import auditor.training.optuna
import auditor.training.phases
import auditor.training.recording
import auditor.training.trials
from agents import FAST, stop_agent
from auditor import Audit, AuditCallback, OptunaCallback, TrialBooks, audit
from auditor.metering.activity import Activity
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.live import LiveBooks
from auditor.metering.runtime import AgentHandle
from auditor.metering.stack import Stack
from auditor.training.optuna import BookedSampler
from unit.training.nets import THIRD_PARTY, Data, Net

TESTS = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    *THIRD_PARTY,
    pytest.mark.filterwarnings("ignore:.*will be treated as:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A runtime folder for all these tests, so that they share an agent."""
    folder = tmp_path_factory.mktemp("node")
    yield folder
    stop_agent(folder)


@pytest.fixture(autouse=True)
def runtime_dir(node: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(node))
    return node


@pytest.fixture(autouse=True)
def here(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and an agent whose true figures are known."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for number, handler in kept.items():  # Lightning ignores SIGINT for good after a KeyboardInterrupt
        signal.signal(number, handler)


class BrokenError(Exception):
    """What the auditor's parts raise here."""


PARTS: list[tuple[Any, str]] = [
    (Stack, "begin"),
    (Stack, "end"),
    (Activity, "__init__"),
    (Activity, "_write"),
    (Activity, "record"),
    (Activity, "fault"),
    (Activity, "audited"),
    (Activity, "close"),
    (Activity, "lane"),
    (Activity, "current"),
    (JournalWriter, "__init__"),
    (JournalWriter, "append"),
    (JournalWriter, "append_or_keep"),
    (JournalWriter, "close"),
    (LiveBooks, "__init__"),
    (LiveBooks, "refresh"),
    (LiveBooks, "study_uj"),
    (StudyReader, "__init__"),
    (StudyReader, "refresh"),
    (StudyReader, "wait_for_agents"),
    (StudyFolder, "create"),
    (StudyFolder, "lock"),
    (AgentHandle, "ensure"),
    (AgentHandle, "keep"),
    (AgentHandle, "release"),
    (auditor.metering.runtime, "runtime_dir"),
    (auditor.training.recording, "nudge_agent"),
    (auditor.training.recording, "withdraw_study"),
    (auditor.training.recording, "open_journal"),
    (auditor.training.recording, "cpu_slots"),
    (auditor.training.audit, "attached_run"),
    (auditor.training.audit, "gpus_held"),
    (auditor.training.audit, "summary"),
    (auditor.training.trials, "gpus_held"),
    (auditor.training.trials, "nudge_agent"),
    (auditor.training.trials, "summary"),
    (auditor.training.phases, "flops_of"),
    (auditor.training.phases, "batch_size_of"),
    (auditor.training.callback, "booked_here"),
    (auditor.reporting.publish, "close_study"),
    (auditor.reporting.publish, "write_study"),
    *((Audit, name) for name in ("start", "stop", "count", "carry", "spent", "figures", "note_step", "_tell", "_say")),
    *((TrialBooks, name) for name in ("start", "_lane", "_energy_of", "_counter", "figures")),
    (threading.Timer, "start"),
]
"""Everything that hooks call which may fail."""


def label(part: tuple[Any, str]) -> str:
    return f"{part[0].__name__.rpartition('.')[2]}.{part[1]}"


EVERY = "every part"


class Faults:
    """Makes one part of the auditor raise within one of its hooks; beforehand notes which hooks use which parts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside = threading.local()
        self.used: set[tuple[str, str]] = set()
        self.skip: set[str] = set()
        self.kept: list[AgentHandle] = []
        self.hooks: set[str] = set()
        self.broken: tuple[str, str] | None = None
        self.raised = 0
        self.at_exit: list[Callable[[], None]] = []
        exits = SimpleNamespace(register=self.at_exit.append, unregister=self._unregister)
        monkeypatch.setattr(auditor.training.recording, "atexit", exits)
        for owner, name in PARTS:
            self._watch(monkeypatch, owner, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        kept = inspect.getattr_static(owner, name)
        original = kept.__func__ if isinstance(kept, staticmethod) else kept
        part = label((owner, name))

        def watched(*args: Any, **kwargs: Any) -> Any:
            hook = getattr(self.inside, "hook", "")
            if hook and part not in self.skip:
                self.used.add((hook, part))
                if part == "AgentHandle.keep":
                    self.kept.append(args[0])
                if self.broken in {(hook, part), (hook, EVERY)}:
                    self.raised += 1
                    raise BrokenError(part)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, staticmethod(watched) if isinstance(kept, staticmethod) else watched)

    def hook(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        """What is called within a method is called by that hook."""
        original = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(self.inside, "hook", "")
            self.inside.hook = outer or name
            self.hooks.add(self.inside.hook)
            try:
                return original(*args, **kwargs)
            finally:
                self.inside.hook = outer

        monkeypatch.setattr(owner, name, called)

    def _unregister(self, stop: Callable[[], None]) -> None:
        if stop in self.at_exit:
            self.at_exit.remove(stop)

    def exit(self) -> None:
        """What the end of the program does."""
        for stop in list(self.at_exit):
            stop()

    @contextmanager
    def fault(self, hook: str, part: str) -> Iterator[None]:
        self.broken, self.raised = (hook, part), 0
        try:
            yield
        finally:
            self.broken = None


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    for name in ("_LAST_READING_S", "_FIRST_READING_S", "_AGENT_S"):
        monkeypatch.setattr(auditor.training.recording, name, 0.3)
    monkeypatch.setattr(auditor.training.trials, "_FIRST_READING_S", 0.3)
    faults = Faults(monkeypatch)
    yield faults
    for agent in faults.kept:
        agent.release()  # also where that was broken: its thread would start agents for other tests


def trainer(*callbacks: Any, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "max_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **options,
        }
    )


def implemented(owner: type, base: type) -> list[str]:
    """Methods of a base class that a class has its own of."""
    return [
        name
        for name in dir(base)
        if (
            not name.startswith("_")
            and callable(getattr(base, name))
            and getattr(owner, name) is not getattr(base, name)
        )
    ]


HOOKS = implemented(AuditCallback, pl.Callback)

Result = tuple[dict[str, torch.Tensor], dict[str, float], BaseException | None, torch.Tensor]


class Short(Net):
    """What is trained here."""

    def forward(self, batch: list[torch.Tensor]) -> torch.Tensor:
        output: torch.Tensor = self.net(batch[0])
        return output


def train(stage: str, callbacks: list[Any]) -> Result:
    """A short training with everything a hook of a callback may be called in; what came of it."""
    pl.seed_everything(7, verbose=False)
    net = Short("error" if stage == "exception" else "")
    raised = None
    if stage in {"fit", "resume", "exception"}:
        save = ModelCheckpoint("checkpoints", save_last=True)
        made = trainer(*callbacks, save, enable_checkpointing=True)
        try:
            made.fit(net, Data(), ckpt_path="before.ckpt" if stage == "resume" else None, weights_only=False)
        except ValueError as error:
            raised = error
    else:
        made = trainer(*callbacks)
        getattr(made, stage)(net, Data().test_dataloader(), **({} if stage == "predict" else {"verbose": False}))
    metrics = {k: float(v) for k, v in made.callback_metrics.items() if not k.startswith("audit/")}
    return net.state_dict(), metrics, raised, torch.get_rng_state()


def stage_of(hook: str) -> str:
    if hook == "load_state_dict":
        return "resume"
    if hook == "on_exception":
        return "exception"
    return next((stage for stage in ("test", "predict") if stage in hook), "fit")


def same(one: Result, other: Result) -> bool:
    weights = all(torch.equal(one[0][name], other[0][name]) for name in (*one[0], *other[0]))
    return weights and one[1] == other[1] and repr(one[2]) == repr(other[2]) and torch.equal(one[3], other[3])


def places(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Where the auditor said that it failed."""
    told = [record for record in caplog.records if record.name == "auditor" and record.levelno >= logging.WARNING]
    assert all(record.levelno == logging.WARNING for record in told)
    return [str(record.args[0]) if isinstance(record.args, tuple) else "" for record in told]


def found(folder: Path) -> list[str]:
    """Codes of the findings of a study."""
    return [finding["code"] for finding in json.loads((folder / "statement.json").read_bytes())["findings"]]


def newest() -> Path | None:
    """The study folder that was written last, if it has a statement."""
    statements = list(Path("auditor-runs").glob("*/statement.json"))
    return max(statements, key=lambda path: path.stat().st_mtime_ns).parent if statements else None


UNWRITTEN = {
    "Activity._write",
    "Activity.record",
    "Activity.fault",
    "Activity.close",
    "JournalWriter.append",
    "JournalWriter.append_or_keep",
    "JournalWriter.close",
    "publish.write_study",
    "Audit._say",
    "Audit.stop",
    "audit.summary",
    "trials.summary",
}
"""Where these fail, the journal can't take it any more."""

LATE = {"opening the books", "the report", "the summary", "the figures"}
"""Where nothing is open yet, or all is closed."""

QUIET = {"phases.flops_of"}
"""What fails there is no fault of the auditor: it says which operations it could not count."""


TIMED = {"runtime.runtime_dir", "trials.nudge_agent", "StudyReader.refresh", "LiveBooks.refresh"}
"""What is used less often where a reading comes at once."""


def wrong(part: str, caplog: pytest.LogCaptureFixture) -> str:
    """What is not as it should be after a part failed in a hook; empty: nothing."""
    told = places(caplog)
    if len(told) != len(set(told)):
        return f"said more than once: {told}"
    if not told and part not in QUIET:
        return "said nothing"
    folder = newest()
    if (
        folder is not None
        and told
        and part not in UNWRITTEN
        and not LATE & {*told}
        and "auditor-fault" not in found(folder)
    ):
        return f"no finding: {told}"
    return "" if Activity.current() is None else "an activity is left open"


def every_fault(
    hook: str, faults: Faults, caplog: pytest.LogCaptureFixture, work: Callable[[], Any], same: Callable[[Any], bool]
) -> None:
    """Do some work once for each part of the auditor that a hook uses, with that part broken."""
    assert same(work())
    assert hook in faults.hooks, f"nothing here calls {hook}"
    for _, part in sorted(use for use in faults.used if use[0] == hook):
        shutil.rmtree("auditor-runs", ignore_errors=True)
        caplog.clear()
        with faults.fault(hook, part):
            result = work()
        assert same(result), part
        faults.exit()
        if not faults.raised and part in TIMED:
            continue
        assert faults.raised, part
        assert wrong(part, caplog) == "", part


class TestAtOnce:
    @pytest.mark.parametrize("hook", HOOKS)
    def test_where_all_fails_in_a_hook_the_training_is_the_same(
        self, hook: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage = stage_of(hook) if hook != "load_state_dict" else "fit"
        expected = train(stage, [])
        for name in HOOKS:
            faults.hook(monkeypatch, AuditCallback, name)
        with faults.fault(hook, EVERY):
            callback = AuditCallback(**FAST)
            assert same(train(stage, [callback]), expected)
            callback.load_state_dict(callback.state_dict())
        faults.exit()
        assert Activity.current() is None
        assert hook in faults.hooks


@pytest.mark.slow
class TestEveryHook:
    @pytest.mark.parametrize("hook", HOOKS)
    def test_whatever_fails_in_it_the_training_is_the_same(
        self, hook: str, faults: Faults, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(auditor.training.callback, "_REFRESH_S", 0.0)
        monkeypatch.setattr(auditor.training.callback, "_IDLE_SHARE", 0)
        stage = stage_of(hook)
        if stage == "resume":
            pl.seed_everything(7, verbose=False)
            before = trainer(AuditCallback(**FAST), ModelCheckpoint("before"), enable_checkpointing=True)
            before.fit(Short(), Data())
            before.save_checkpoint("before.ckpt")
        expected = train(stage, [])
        for name in HOOKS:
            faults.hook(monkeypatch, AuditCallback, name)
        every_fault(
            hook,
            faults,
            caplog,
            lambda: train(stage, [AuditCallback(**FAST)]),
            lambda result: same(result, expected),
        )


METHODS = [name for name, method in vars(Audit).items() if callable(method) and not name.startswith("_")]


class TestEveryMethodOfAudit:
    @pytest.mark.parametrize("method", METHODS)
    def test_whatever_fails_in_it_the_work_goes_on(
        self, method: str, faults: Faults, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work() -> list[str]:
            done = []
            with suppress(ValueError), audit("work", **FAST) as a:
                a.carry({})
                with a.phase("train"):
                    depth = a.begin("inner")
                    done.append("trained")
                    a.end(depth)
                a.count(7)
                a.note_step(1, a.figures())
                assert a.energy_j is None or a.energy_j >= 0
                assert isinstance(a.spent(), dict)
                done.append("validated")
                raise ValueError("mine")
            return [*done, "over"]

        for name in METHODS:
            faults.hook(monkeypatch, Audit, name)
        faults.skip |= {f"Audit.{name}" for name in METHODS}
        every_fault(method, faults, caplog, work, lambda done: done == ["trained", "validated", "over"])


SAMPLER = implemented(BookedSampler, optuna.samplers.BaseSampler)


@pytest.mark.slow
class TestEveryMethodOfTheSampler:
    @pytest.mark.parametrize("method", [*SAMPLER, "__init__", "__call__", "close"])
    def test_whatever_fails_in_it_the_study_is_the_same(
        self, method: str, faults: Faults, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def objective(trial: optuna.Trial) -> float:
            if trial.number == 2:
                raise ValueError("mine")
            if trial.number == 3:
                raise optuna.TrialPruned
            return float(trial.suggest_float("x", -1, 1) ** 2)

        def search(*, booked: bool) -> list[tuple[Any, ...]]:
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=3, n_startup_trials=2))
            callback = OptunaCallback(study, **FAST) if booked else None
            study.optimize(objective, n_trials=6, catch=ValueError, callbacks=[callback] if callback else [])
            study.sampler.reseed_rng()
            if callback is not None:
                callback.close()
            return [(trial.state, trial.params, trial.values) for trial in study.trials]

        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        expected = search(booked=False)
        for name in SAMPLER:
            faults.hook(monkeypatch, BookedSampler, name)
        for name in ("__init__", "__call__", "close"):
            faults.hook(monkeypatch, OptunaCallback, name)
        every_fault(method, faults, caplog, lambda: search(booked=True), lambda result: result == expected)
