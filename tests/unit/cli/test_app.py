"""The command line as people meet it: what they wrote wrong is said in one line, before anything is spent."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditor.cli import app, import_app
from auditor.metering.runtime import runtime_dir
from auditor.plugins import installed
from blocking import block

LEAST: dict[str, Any] = {"study": "mine", "space": "unit.search.toys:toy", "budget": {"trials": 3}}


COMMANDS = ("search", "report", "compare", "replay", "verify", "doctor", "plugins")


@dataclass(frozen=True)
class Answer:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a refusal."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("error: "), self.err
        assert "Traceback" not in self.out + self.err
        return self.err.removeprefix("error: ").rstrip("\n")


Run = Callable[..., Answer]


@pytest.fixture
def auditor(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, in a folder of its own; Ray, torch and MLflow can't be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    block(monkeypatch, "ray", "torch", "mlflow", "pytorch_lightning")

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(LEAST))
    return path


class TestHelp:
    def test_every_command_is_listed(self, auditor: Run) -> None:
        answer = auditor("--help")
        assert (answer.code, answer.err) == (0, "")
        assert all(
            name in answer.out
            for name in (
                *("search", "report", "compare", "replay", "verify", "doctor", "plugins", "import"),
                *("--verbose", "--version"),
            )
        )

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_every_command_has_an_example(self, auditor: Run, command: str, option: str) -> None:
        answer = auditor(command, option)
        assert answer.code == 0
        assert re.search(rf"Examples?\b.*auditor {command}\b", answer.out, re.DOTALL)

    @pytest.mark.parametrize("command", ["optuna", "mlflow", "raytune", "csv"])
    def test_so_has_every_import(self, auditor: Run, command: str) -> None:
        answer = auditor("import", command, "-h")
        assert answer.code == 0
        assert re.search(rf"Examples\b.*auditor import {command} ", answer.out, re.DOTALL)
        assert all(option in answer.out for option in ("--out", "--baseline-trial", "--hardware", "--worth-gain"))

    def test_every_import_is_tested_here(self) -> None:
        names = {command.name or command.callback.__name__ for command in import_app.app.registered_commands
                 if command.callback}  # fmt: skip
        assert names == {"optuna", "mlflow", "raytune", "csv"} == set(installed("importer"))

    def test_every_command_is_tested_here(self) -> None:
        commands = app.app.registered_commands
        assert {command.callback.__name__ for command in commands if command.callback} == set(COMMANDS)

    def test_nothing_asked_for_shows_the_help(self, auditor: Run) -> None:
        answer = auditor()
        assert answer.code == 2
        assert "Usage: auditor" in answer.out
        assert "error:" not in answer.err

    def test_version(self, auditor: Run) -> None:
        answer = auditor("--version")
        assert (answer.code, answer.out, answer.err) == (0, f"nas-auditor {version('nas-auditor')}\n", "")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["sarch"], r"No such command 'sarch'"),
            (["search", "--bogus"], r"No such option: --bogus"),
            (["--bogus"], r"No such option: --bogus"),
            (["report"], r"Missing argument 'DIR\|URL'"),
            (["verify"], r"Missing argument 'DIR'"),
            (["report", "x", "--pue", "much"], r"Invalid value for '--pue'"),
            (["search", "a.yaml", "b.yaml"], r"unexpected extra argument"),
            (["search", "a.yaml", "--set"], r"'--set' requires an argument"),
        ],
    )
    def test_bad_usage(self, auditor: Run, arguments: list[str], complaint: str) -> None:
        answer = auditor(*arguments)
        assert answer.code == 2
        assert re.search(complaint, answer.complaint)


class TestSearch:
    """Nothing below gets as far as Ray: importing it would be an error of another kind."""

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            (["budget.trials=0"], r"budget\.trials: input should be greater than 0"),
            (["budget.trials=null"], r"budget: give at least one limit"),
            (["budget.carbon=100 g"], r"budget\.carbon needs carbon\.g_per_kwh or carbon\.country"),
            (["serach.seed=1"], r"unknown key 'serach'; did you mean 'search'\?"),
            (["study=a/b"], r"study: expected letters"),
            (["search.sampler=foo"], r"search\.sampler: unknown sampler 'foo'\. Available: bruteforce"),
            (["search.sampler=foo.Bar"], r"search\.sampler: 'foo\.Bar' does not import"),
            (["search.pruner=foo"], r"search\.pruner: unknown pruner 'foo'"),
            (["baselines=[foo]"], r"baselines: unknown baseline 'foo'"),
            (["space=foo"], r"space: unknown space 'foo'\. Available: digits_cnn"),
            (["space=nowhere:foo"], r"space: 'nowhere:foo' does not import"),
            (["metering.meters=[foo]"], r"metering\.meters: unknown meter 'foo'\. Available: codecarbon"),
            (["carbon.country=XX"], r"carbon\.country: unknown country 'XX'"),
            (["resources.gpus_per_trial=64"], r"resources\.gpus_per_trial: 2 workers with 64 GPUs each"),
            (["budget"], r"--set budget: expected key\.path=value"),
            (["study.x=1"], r"--set study\.x=1: 'study' is no section"),
        ],
    )
    def test_bad_settings(self, auditor: Run, config: Path, settings: list[str], complaint: str) -> None:
        answer = auditor("search", config, *(part for setting in settings for part in ("--set", setting)))
        assert answer.code == 2
        assert re.search(complaint, answer.complaint)
        assert answer.out == ""
        assert not Path("auditor-runs").exists()

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("study: [", r"search\.yaml: line 1, column 9: is no YAML"),
            ("- study", r"search\.yaml: expected a mapping of settings"),
            ("study: mine", r"search\.yaml: the key 'space' is missing"),
        ],
    )
    def test_bad_files(self, auditor: Run, config: Path, text: str, complaint: str) -> None:
        config.write_text(text)
        answer = auditor("search", config)
        assert answer.code == 2
        assert re.search(complaint, answer.complaint)

    def test_a_file_that_is_not_there(self, auditor: Run) -> None:
        answer = auditor("search", "nothing.yaml")
        assert answer.code == 2
        assert answer.complaint == "nothing.yaml: can't be read (No such file or directory)"

    def test_no_file_at_all(self, auditor: Run) -> None:
        answer = auditor("search")
        assert answer.code == 2
        assert "auditor search --init search.yaml" in answer.complaint

    def test_a_folder_that_holds_something_else(self, auditor: Run, config: Path, tmp_path: Path) -> None:
        answer = auditor("search", config, "--out", tmp_path)
        assert answer.code == 2
        assert "is not empty and holds no study" in answer.complaint

    def test_a_folder_that_cannot_be_made(self, auditor: Run, config: Path) -> None:
        answer = auditor("search", config, "--out", config / "below")
        assert answer.code == 2
        assert "can't be written" in answer.complaint

    def test_nothing_was_started(self, auditor: Run, config: Path, tmp_path: Path) -> None:
        auditor("search", config, "--out", tmp_path)
        assert list((runtime_dir() / "processes").iterdir()) == []
        assert not (runtime_dir() / "lease").exists()


class TestInit:
    def test_it_writes_a_configuration_that_loads(self, auditor: Run) -> None:
        from auditor.search.config import load_config

        answer = auditor("search", "--init", "my search.yaml")
        assert answer.code == 0
        assert answer.out == "my search.yaml is written; run it with: auditor search 'my search.yaml'\n"
        assert load_config(Path("my search.yaml")).space == "digits_cnn"

    def test_it_overwrites_nothing(self, auditor: Run, config: Path) -> None:
        before = config.read_text()
        answer = auditor("search", "--init", config)
        assert answer.code == 2
        assert "File exists" in answer.complaint
        assert config.read_text() == before

    def test_a_place_that_cannot_be_written(self, auditor: Run) -> None:
        answer = auditor("search", "--init", "no/such/folder/search.yaml")
        assert answer.code == 2
        assert "No such file or directory" in answer.complaint


class TestFailures:
    def test_verbose_shows_where(self, auditor: Run) -> None:
        answer = auditor("--verbose", "search", "nothing.yaml")
        assert answer.code == 2
        assert "Traceback (most recent call last)" in answer.err
        assert answer.err.splitlines()[-1] == "error: nothing.yaml: can't be read (No such file or directory)"

    def test_only_when_asked(self, auditor: Run) -> None:
        auditor("--verbose", "search", "nothing.yaml")
        assert "Traceback" not in auditor("search", "nothing.yaml").err

    def test_a_fault_of_our_own_is_said_to_be_one(self, auditor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> None:
            raise ZeroDivisionError("division\nby zero")

        monkeypatch.setattr("auditor.cli.machine.plugins", broken)
        answer = auditor("plugins")
        assert answer.code == 1
        assert answer.complaint.startswith("ZeroDivisionError: division by zero (a fault of nas-auditor")
        verbose = auditor("--verbose", "plugins")
        assert 'raise ZeroDivisionError("division\\nby zero")' in verbose.err

    @pytest.mark.parametrize(
        ("error", "code"), [("AuditorError", 1), ("SearchError", 1), ("InputError", 2), ("IntegrityError", 3)]
    )
    def test_errors_have_their_exit_codes(
        self, auditor: Run, monkeypatch: pytest.MonkeyPatch, error: str, code: int
    ) -> None:
        import auditor.domain.errors as errors

        def broken() -> None:
            raise getattr(errors, error)("something\n  is wrong")

        monkeypatch.setattr("auditor.cli.machine.plugins", broken)
        answer = auditor("plugins")
        assert (answer.code, answer.complaint) == (code, "something is wrong")

    def test_an_interrupt_says_how_to_go_on(self, auditor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("auditor.cli.machine.plugins", interrupted)
        answer = auditor("plugins")
        assert answer.code == 130
        assert answer.err == "interrupted; run the same command again to go on\n"


class TestPlugins:
    def test_they_are_listed_by_kind(self, auditor: Run) -> None:
        answer = auditor("plugins")
        assert answer.code == 0
        rows = [line.split()[:2] for line in answer.out.splitlines()]
        assert ["meter", "codecarbon"] in rows
        assert ["meter", "replay"] in rows
        assert ["space", "digits_cnn"] in rows
        assert f"nas-auditor {version('nas-auditor')}" in answer.out
