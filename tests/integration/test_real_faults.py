"""Real faults around real trainings: the agent dies, folders go, the disk is full, nobody listens."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import auditor.tracking.attached
import auditor.training.recording
from agents import FAST, agent_pid, stop_agent
from auditor import AuditCallback, audit
from auditor.metering.activity import Activity
from auditor.metering.folder import StudyFolder
from auditor.search.verify import verify
from unit.training.nets import THIRD_PARTY, Data, Net

TESTS = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    *THIRD_PARTY,
    pytest.mark.filterwarnings("ignore:.*will be treated as:FutureWarning"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and an agent whose true figures are known."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if runtime_dir.is_dir():
        stop_agent(runtime_dir)


class Busy(Net):
    """A net whose steps take some milliseconds; one of them does something else too."""

    def __init__(self, step: int = -1, act: Callable[[], None] = lambda: None, step_s: float = 0.03) -> None:
        super().__init__()
        self.step, self.act, self.step_s = step, act, step_s

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        if not loss.is_meta:
            if self.global_step == self.step:
                self.act()
            until_s = time.process_time() + self.step_s
            while time.process_time() < until_s:
                pass
        return loss


def fit(module: pl.LightningModule, *callbacks: Any, **options: Any) -> pl.Trainer:
    """Train ten epochs of two batches."""
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    made = pl.Trainer(
        **{
            "max_epochs": 10,
            "accelerator": "cpu",
            **dict.fromkeys(quiet, False),
            "callbacks": list(callbacks) or [AuditCallback(**FAST)],
            **options,
        }
    )
    made.fit(module, Data())
    return made


def statement(name: str = "Busy", *, checked: bool = True) -> dict[str, Any]:
    """The statement of a study; an agent that lost its folder may write one reading more after it was checked."""
    folder = Path("auditor-runs", name)
    if checked:
        verify(StudyFolder(folder))
    found: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    return found


def findings(found: dict[str, Any]) -> dict[str, str]:
    return {finding["code"]: finding["message"] for finding in found["findings"]}


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "auditor"]


class TestTheAgent:
    def test_another_takes_over_where_it_is_killed(self, runtime_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
        def kill() -> None:
            pid = agent_pid(runtime_dir)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

        assert fit(Busy(4, kill, 0.1)).global_step == 20
        found = statement()
        assert len(list(Path("auditor-runs/Busy/journal").glob("readings-*"))) == 2
        assert found["trainings"][0]["state"] == "complete"
        assert found["energy"]["search_uj"] > 0
        assert warned(caplog) == []

    def test_its_folder_goes(self, runtime_dir: Path) -> None:
        assert fit(Busy(4, lambda: shutil.rmtree(runtime_dir), 0.1)).global_step == 20
        assert statement(checked=False)["trainings"][0]["state"] == "complete"

    def test_its_folder_can_not_be_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("AUDITOR_RUNTIME_DIR", str(tmp_path / "file"))
        assert fit(Busy(step_s=0)).global_step == 20
        assert len(warned(caplog)) == len(set(warned(caplog))) == 2
        assert "can't be written (File exists); set AUDITOR_RUNTIME_DIR" in warned(caplog)[0]

    def test_no_such_meter(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit(Busy(), AuditCallback(meters=["nonsense"])).global_step == 20
        [warning] = warned(caplog)
        assert "unknown meter 'nonsense'. Available: " in warning
        assert "unknown meter 'nonsense'" in findings(statement())["auditor-fault"]
        assert "energy not known: The auditor failed" in capsys.readouterr().out


class TestTheStudyFolder:
    def test_it_is_deleted(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auditor.training.recording, "_LAST_READING_S", 0.3)
        assert fit(Busy(4, lambda: shutil.rmtree("auditor-runs"))).global_step == 20
        assert len(warned(caplog)) == len(set(warned(caplog))) > 0
        assert Activity.current() is None
        assert fit(Busy()).global_step == 20
        assert statement()["trainings"][0]["state"] == "complete"

    def test_the_working_directory_is_deleted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        with audit("work", **FAST) as books, books.phase("train"):
            pass
        assert "opening the books" in books.faults

    def test_the_disk_is_full_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        full = threading.Event()
        write = os.write

        def guarded(fd: int, data: Any) -> int:
            if full.is_set():
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(fd, data)

        monkeypatch.setattr(os, "write", guarded)
        end = pl.callbacks.LambdaCallback(on_train_end=lambda *_: full.clear())
        assert fit(Busy(4, full.set), AuditCallback(**FAST), end).global_step == 20
        assert warned(caplog) == []
        assert {"train", "validate"} <= set(statement()["trainings"][0]["phases"])

    def test_the_disk_stays_full(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        def no_space(fd: int, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        assert fit(Busy(4, lambda: monkeypatch.setattr(os, "write", no_space))).global_step == 20
        assert len(warned(caplog)) == len(set(warned(caplog))) > 0
        assert all("No space left" in warning for warning in warned(caplog))
        assert Activity.current() is None
        monkeypatch.undo()


class TestTheProcess:
    def test_a_thread_that_is_not_the_main_one(self) -> None:
        made: list[pl.Trainer] = []
        thread = threading.Thread(target=lambda: made.append(fit(Busy())))
        thread.start()
        thread.join()
        assert made[0].global_step == 20
        assert {"train", "validate"} <= set(statement()["trainings"][0]["phases"])

    def test_two_threads_train_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """The process is on the books of the first; the other is told so."""
        second: list[pl.Trainer] = []
        thread = threading.Thread(target=lambda: second.append(fit(Busy(), AuditCallback("second", **FAST))))
        assert fit(Busy(4, thread.start, 0.05), AuditCallback("first", **FAST)).global_step == 20
        thread.join()
        assert second[0].global_step == 20
        assert statement("first")["trainings"][0]["state"] == "complete"
        [warning] = warned(caplog)
        assert "this process is on the books as study/first/training/0 meanwhile" in warning

    def test_a_training_within_a_training(self) -> None:
        def within() -> None:
            assert fit(Busy(), AuditCallback("inner", **FAST), max_epochs=1).global_step == 2

        assert fit(Busy(4, within)).global_step == 20
        assert [path.name for path in Path("auditor-runs").iterdir()] == ["Busy"]
        assert statement()["trainings"][0]["state"] == "complete"

    def test_a_step_forks(self, capfd: pytest.CaptureFixture[str]) -> None:
        def fork() -> None:
            if (pid := os.fork()) == 0:
                os._exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3

        assert fit(Busy(4, fork)).global_step == 20
        assert statement()["trainings"][0]["state"] == "complete"
        assert capfd.readouterr().out.count("audit · ") == 1

    @pytest.mark.parametrize("fails_in", ["setup", "teardown", "on_exception"])
    def test_another_callback_fails(self, fails_in: str) -> None:
        class Fails(pl.Callback):
            def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                if fails_in == "on_exception":
                    raise ValueError("first")

        error = KeyError("mine")

        def fail(*_: Any, **__: Any) -> None:
            raise error

        setattr(Fails, fails_in, fail)
        books = AuditCallback(**FAST)
        for callbacks in ([Fails(), books], [books, Fails()], [Fails(), AuditCallback(**FAST)]):
            with pytest.raises(KeyError) as caught:
                fit(Busy(step_s=0), *callbacks)
            assert caught.value is error
        assert fit(Busy(), books).global_step == 20
        assert Activity.current() is None
        states = [run["state"] for run in statement()["trainings"]]
        assert states[-1] == "complete"
        assert fails_in == "teardown" or set(states[:-1]) <= {"failed"}

    def test_interrupted_while_it_closes_its_books(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        books = audit("work", **FAST)
        books.start()
        with monkeypatch.context() as patch:
            patch.setattr("auditor.metering.closing.StudyReader.wait_for_agents", interrupt)
            with pytest.raises(KeyboardInterrupt):
                books.stop()
        assert Activity.current() is None
        with audit("work", folder="auditor-runs/work", **FAST) as again:
            time.sleep(0.2)
        assert again.closed is not None


class MLFlowLogger:
    """As Lightning's: the run of a server that is gone."""

    run_id = "0" * 32

    def __init__(self) -> None:
        self.experiment = pytest.importorskip("mlflow").MlflowClient("http://127.0.0.1:9")  # nobody listens there


class TestOthers:
    @pytest.mark.slow
    def test_a_tracking_server_that_is_gone_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(auditor.tracking.attached, "_PATIENCE_S", 1.0)
        monkeypatch.setattr(auditor.tracking.attached, "_PATIENCE_AGAIN_S", 0.1)
        books = audit("work", **FAST)
        took_s = []
        for _ in range(2):
            books.start(loggers=[MLFlowLogger()])
            time.sleep(0.2)
            began_s = time.monotonic()
            books.stop()
            took_s.append(time.monotonic() - began_s)
        assert 1 < took_s[0] < 10
        assert took_s[1] < took_s[0] - 0.5
        assert "auditor-fault" in findings(statement("work"))
        [warning] = [text for text in warned(caplog) if "MLflow" in text]
        assert "no answer within 1 s" in warning

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    @pytest.mark.parametrize("output", ["full", "closed", "none"])
    def test_nobody_reads_the_summary(
        self, output: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        stream = None if output == "none" else open("/dev/full", "w")  # noqa: SIM115 - closed below
        if stream is not None and output == "closed":
            stream.close()
        monkeypatch.setattr(sys, "stdout", stream)
        with audit("work", **FAST):
            time.sleep(0.2)
        if output == "none":
            assert warned(caplog) == []
        else:
            [warning] = warned(caplog)
            assert "failed in the summary" in warning
        assert statement("work")["trainings"][0]["state"] == "complete"
        if stream is not None and not stream.closed:
            with pytest.raises(OSError, match="No space"):
                stream.close()


def program(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


BEGIN = """
import os, signal, sys, time
from agents import FAST
from auditor import audit
"""


NOTEBOOK = """
import code

CELLS = [
    '''
import os, signal, warnings
warnings.simplefilter("ignore")
from agents import FAST
from auditor import AuditCallback
from unit.training.nets import Data, Net
import pytorch_lightning as pl

class Slow(Net):
    def training_step(self, batch, number):
        if self.current_epoch == 3 and not batch[0].is_meta:
            os.kill(os.getpid(), signal.SIGINT)
        return super().training_step(batch, number)

quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
options = {"max_epochs": 9, "accelerator": "cpu", **dict.fromkeys(quiet, False)}
trainer = pl.Trainer(callbacks=[AuditCallback(**FAST)], **options)
module, data = Slow(), Data()
''',
    "trainer.fit(module, data)",
    "trainer.test(module, data, verbose=False)",
    "print('step', trainer.global_step, 'test_acc' in trainer.callback_metrics)",
]

shell = code.InteractiveInterpreter()
for cell in CELLS:
    try:
        shell.runcode(compile(cell, "cell", "exec"))
    except SystemExit as end:
        print("exit", end.code, flush=True)
"""


class TestHowAProgramEnds:
    @pytest.mark.parametrize(
        ("ends", "code", "error"),
        [
            ("sys.exit(7)", 7, "SystemExit: 7"),
            ("raise ValueError('mine')", 1, "ValueError: mine"),
            ("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", -signal.SIGINT, "KeyboardInterrupt"),
        ],
    )
    def test_within_the_block(self, ends: str, code: int, error: str, tmp_path: Path) -> None:
        done = program(
            tmp_path,
            f"{BEGIN}\nwith audit('work', **FAST) as a:\n  with a.phase('train'):\n    time.sleep(0.3); {ends}",
        )
        assert done.returncode == code
        [run] = statement("work")["trainings"]
        assert (run["state"], run["error"]) == ("failed", error)
        assert run["phases"]["train"] > 0
        assert done.stderr == "" or done.stderr.splitlines()[-1] in error.replace(
            "KeyboardInterrupt", "KeyboardInterrupt"
        )

    def test_without_a_stop(self, tmp_path: Path) -> None:
        done = program(tmp_path, f"{BEGIN}\na = audit('work', **FAST); a.start(); a.begin('train'); time.sleep(0.3)")
        assert (done.returncode, done.stderr) == (0, "")
        assert statement("work")["trainings"][0]["phases"]["train"] > 0
        assert "audit · work: " in done.stdout

    @pytest.mark.slow
    def test_a_notebook_goes_on_after_an_interrupted_cell(self, tmp_path: Path) -> None:
        done = program(tmp_path, NOTEBOOK)
        assert done.returncode == 0, done.stderr
        assert "exit 1" in done.stdout, done.stderr
        assert "step 6 True" in done.stdout, done.stderr
        assert [run["state"] for run in statement("Slow")["trainings"]] == ["failed", "complete"]
