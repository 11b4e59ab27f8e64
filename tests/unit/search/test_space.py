import sys
from pathlib import Path

import pytest

from auditor.domain.errors import InputError, UnknownNameError
from auditor.ports import SearchSpace
from auditor.search.space import load_space
from unit.search import toys

OWN = """
class Mine:
    metric, direction, test_metric, default = "loss", "minimize", None, {"lr": 0.1}
    def suggest(self, trial): return {}
    def module(self, params): ...
    def data(self, params): ...
    def arrays(self): return None
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, as ``auditor`` is started in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != ""])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_a_registered_space() -> None:
    space = load_space("digits_cnn")
    assert isinstance(space, SearchSpace)
    assert space.metric == "val_acc"


def test_an_object_of_a_module() -> None:
    assert load_space("unit.search.toys:toy") is toys.toy


def test_a_class_is_called() -> None:
    assert isinstance(load_space("unit.search.toys:Minimised"), toys.Minimised)


def test_a_module_in_the_current_folder(here: Path) -> None:
    (here / "own_space_here.py").write_text(OWN)
    assert load_space("own_space_here:Mine").metric == "loss"


def test_an_unknown_name_is_told_with_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"^space: unknown space 'digits'\. Did you mean 'digits_cnn'\?"):
        load_space("digits")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_such_module_here:space", "does not import: ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("unit.search.toys:nothing", "module 'unit.search.toys' has no attribute 'nothing'"),
        ("unit.search.toys:", "has no attribute ''"),
        (":toy", "does not import"),
        ("unit.search.toys:Lacking", "is no search space: it lacks test_metric, default, suggest, module, data, arr"),
        ("unit.search.toys:Sideways", "is 'sideways', expected maximize or minimize"),
        ("unit.search.toys:ListDefault", "must be a mapping of parameters"),
    ],
)
def test_what_is_no_space(name: str, complaint: str) -> None:
    with pytest.raises(InputError) as error:
        load_space(name)
    assert str(error.value).startswith("space: ")
    assert complaint in str(error.value)


@pytest.mark.parametrize("text", ["def broken(:\n", "raise RuntimeError('not\\ntoday')\n", "import no_such_thing\n"])
def test_a_module_that_does_not_import_is_said_in_one_line(here: Path, text: str) -> None:
    (here / "broken_space_here.py").write_text(text)
    with pytest.raises(InputError, match=r"^space: 'broken_space_here:x' does not import: ") as error:
        load_space("broken_space_here:x")
    assert "\n" not in str(error.value)


def test_a_class_that_cannot_be_made(here: Path) -> None:
    (here / "choosy_space_here.py").write_text("class Choosy:\n    def __init__(self, folder): ...\n")
    with pytest.raises(InputError, match=r"^space: 'choosy_space_here:Choosy' can't be made without arguments"):
        load_space("choosy_space_here:Choosy")
