"""What the documents say is what the program does."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
import typer
import yaml

from auditor.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def test_there_are_documents() -> None:
    assert {path.name for path in DOCUMENTS} >= {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "books.md"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(path: Path) -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    for block in blocks(path, ""):
        for line in re.findall(r"^auditor (.*)$", block, re.MULTILINE):
            name, *rest = line.partition("#")[0].split()
            assert name in command.commands, line
            named = command.commands[name]
            if isinstance(named, typer.core.TyperGroup):
                assert rest[0] in named.commands, line
                named = named.commands[rest[0]]
            options = {option for p in named.params for option in p.opts}
            assert {word for word in rest if word.startswith("--")} <= options, line


@pytest.mark.parametrize("path", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda path: path.name)
def test_named_scripts_exist(path: Path) -> None:
    for script in re.findall(r"\bscripts/[a-z]+\b", path.read_text()):
        assert (ROOT / script).exists(), script


def test_the_documented_configuration_is_the_packaged_one() -> None:
    packaged = files("auditor.search").joinpath("example.yaml").read_text()
    assert blocks(ROOT / "docs" / "configuration.md", "yaml") == [packaged]
    assert yaml.safe_load(packaged) == yaml.safe_load((ROOT / "examples" / "digits.yaml").read_text())


def test_the_readme_example_makes_a_space() -> None:
    from auditor import LightningSpace

    _, block = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {"Classifier": dict, "BreastCancer": dict}
    exec(block, names)
    assert isinstance(names["space"], LightningSpace)


WRAPPED = ("wrap-your-training.md", "audit-optuna.md")
GIVEN = """
import logging, os, sys, warnings
warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
import torch
from own_training import BreastCancer, Classifier
torch.set_num_threads(1)
model, data = Classifier(), BreastCancer()
def burn():
    import time
    until = time.process_time() + 0.3
    while time.process_time() < until: pass
train_one_epoch = validate = burn
def objective(trial):
    burn()
    return trial.suggest_float("x", 0, 1)
"""
"""What the pages take for granted: a model, data, and an objective."""


@pytest.mark.slow
@pytest.mark.parametrize("page", WRAPPED)
def test_the_examples_of_wrapping_run(page: str, tmp_path: Path, runtime_dir: Path) -> None:
    import os
    import subprocess
    import sys

    from agents import stop_agent

    shown = blocks(ROOT / "docs" / page, "python")
    assert len(shown) >= 4
    (tmp_path / "program.py").write_text(GIVEN + "\n".join(shown))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")
    }  # of other tests
    environment |= {"PYTHONPATH": str(ROOT / "examples"), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    command = [sys.executable, "program.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    stop_agent(runtime_dir)
    assert done.returncode == 0, done.stderr
    assert "nas-auditor failed" not in done.stderr
    said = done.stdout.count("audit ·")
    assert said == done.stdout.count("  report: ") >= len(shown) - 1  # one example only prints
    assert "not audited" not in done.stdout


def test_the_importer_of_the_page_passes_its_suite(tmp_path: Path) -> None:
    import subprocess
    import sys

    (block,) = blocks(ROOT / "docs" / "import.md", "python")
    (tmp_path / "test_example.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_own_plugins_pass_their_suites(number: int, tmp_path: Path) -> None:
    import shutil
    import subprocess
    import sys

    shutil.copy(ROOT / "examples" / "own_training.py", tmp_path)
    (tmp_path / "test_example.py").write_text(blocks(ROOT / "docs" / "own-training.md", "python")[number])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
