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
            options = {option for p in command.commands[name].params for option in p.opts}
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

    (block,) = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {"Classifier": dict, "BreastCancer": dict}
    exec(block, names)
    assert isinstance(names["space"], LightningSpace)


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
