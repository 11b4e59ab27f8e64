import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from auditor import LightningSpace
from auditor.ports import SearchSpace
from unit.training import nets
from unit.training.nets import space


def test_it_is_a_search_space() -> None:
    made = space()
    assert isinstance(made, SearchSpace)
    assert (made.direction, made.scorer, made.arrays()) == ("maximize", "accuracy", None)


def test_drawing() -> None:
    made = space(suggest=lambda trial: {"lr": trial.suggest_float("lr", 0.1, 1.0)})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert 0.1 <= made.suggest(study.ask())["lr"] <= 1.0


class TestParameters:
    def test_each_takes_those_it_has_arguments_for(self) -> None:
        made = space()
        params = {"value": 0.1, "batch_size": 2, "other": None}
        module, data = made.module(params), made.data(params)
        assert isinstance(module, nets.Net)
        assert isinstance(data, nets.Data)
        assert (module.value, data.batch_size) == (0.1, 2)

    def test_missing_ones_keep_their_defaults(self) -> None:
        module = space().module({})
        assert isinstance(module, nets.Net)
        assert module.value == 0.5

    def test_keyword_arguments_take_all(self) -> None:
        taken: dict[str, Any] = {}

        def make(**params: Any) -> Any:
            taken.update(params)

        space(module_class=make).module({"a": 1, "b": 2})
        assert taken == {"a": 1, "b": 2}

    def test_parameters_are_not_changed(self) -> None:
        params = {"value": 0.1, "batch_size": 2}
        space().module(params)
        assert params == {"value": 0.1, "batch_size": 2}


class TestNames:
    @pytest.fixture
    def named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LightningSpace:
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        (tmp_path / "lazy_space_module.py").write_text(
            "class Net:\n    def __init__(self, width=1): self.width = width\n"
            "class Data: ...\n"
            "def arrays(): return {'train': (1, 2)}\n"
        )
        where = "lazy_space_module"
        return space(module_class=f"{where}:Net", data_class=f"{where}:Data", arrays_from=f"{where}:arrays")

    def test_they_are_imported_when_used(self, named: LightningSpace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "lazy_space_module", raising=False)
        assert named.metric == "val_acc"
        assert "lazy_space_module" not in sys.modules
        module: Any = named.module({"width": 3})
        assert "lazy_space_module" in sys.modules
        assert module.width == 3

    def test_all_parts_may_be_named(self, named: LightningSpace) -> None:
        assert type(named.data({})).__name__ == "Data"
        assert named.arrays() == {"train": (1, 2)}

    def test_a_name_that_does_not_import_says_so(self) -> None:
        with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
            space(module_class="nowhere_at_all:Net").module({})
