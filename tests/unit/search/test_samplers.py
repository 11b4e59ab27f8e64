import sys
from pathlib import Path

import optuna
import pytest

from auditor.domain.errors import InputError, UnknownNameError
from auditor.search.samplers import PRUNERS, SAMPLERS, check_name, make_pruner, make_sampler, resolve_path

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def draws(sampler: optuna.samplers.BaseSampler) -> list[float]:
    study = optuna.create_study(sampler=sampler)
    return [study.ask().suggest_float("x", 0, 1) for _ in range(4)]


class TestNames:
    @pytest.mark.parametrize(("name", "cls"), SAMPLERS.items())
    def test_every_sampler_is_one_of_optuna(self, name: str, cls: str) -> None:
        assert issubclass(getattr(optuna.samplers, cls), optuna.samplers.BaseSampler)
        assert check_name("sampler", name, SAMPLERS) == name

    @pytest.mark.parametrize(("name", "cls"), PRUNERS.items())
    def test_every_pruner_is_made(self, name: str, cls: str) -> None:
        assert type(make_pruner(name)) is getattr(optuna.pruners, cls)

    @pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"cmaes"}))
    def test_every_sampler_is_made(self, name: str) -> None:
        assert type(make_sampler(name, 0)).__name__ == SAMPLERS[name]

    def test_class_names_do_too(self) -> None:
        assert isinstance(make_sampler("RandomSampler", 0), optuna.samplers.RandomSampler)
        assert isinstance(make_pruner("NopPruner"), optuna.pruners.NopPruner)

    def test_none_switches_pruning_off(self) -> None:
        assert isinstance(make_pruner("none"), optuna.pruners.NopPruner)

    def test_an_unknown_name_is_told_with_what_there_is(self) -> None:
        with pytest.raises(UnknownNameError, match=r"search\.pruner: unknown pruner 'no'\. .*Available: hyperband, "):
            check_name("pruner", "no", PRUNERS)


class TestSeeds:
    @pytest.mark.parametrize("name", ["random", "tpe", "qmc"])
    def test_a_seed_reaches_the_sampler(self, name: str) -> None:
        assert draws(make_sampler(name, 1)) == draws(make_sampler(name, 1))
        assert draws(make_sampler(name, 1)) != draws(make_sampler(name, 2))

    def test_a_sampler_that_takes_none_is_made_without(self, importable: Path) -> None:
        (importable / "seedless.py").write_text(
            "import optuna\nclass Mine(optuna.samplers.RandomSampler):\n    def __init__(self):\n"
            "        super().__init__()\n"
        )
        assert type(make_sampler("seedless:Mine", 3)).__name__ == "Mine"


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules import."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


class TestImportPaths:
    @pytest.mark.parametrize("name", ["optuna.samplers.RandomSampler", "optuna.samplers:RandomSampler"])
    def test_a_path_is_imported(self, name: str) -> None:
        assert check_name("sampler", name, SAMPLERS) == name
        assert draws(make_sampler(name, 5)) == draws(make_sampler("random", 5))

    def test_known_names_need_no_look_up(self) -> None:
        assert resolve_path("sampler", "tpe", SAMPLERS) is None
        assert resolve_path("pruner", "MedianPruner", PRUNERS) is None

    def test_a_function_may_make_one(self, importable: Path) -> None:
        (importable / "making.py").write_text(
            "import optuna\ndef patient():\n    return optuna.pruners.PatientPruner(None, patience=2)\n"
        )
        assert isinstance(make_pruner("making:patient"), optuna.pruners.PatientPruner)

    @pytest.mark.parametrize("name", ["no_such_module:Sampler", "optuna.samplers.TPESamplr", ".x", "x.", ":", "a:"])
    def test_a_path_that_does_not_import(self, name: str) -> None:
        with pytest.raises(InputError, match=r"^search\.sampler: '.*' does not import"):
            resolve_path("sampler", name, SAMPLERS)

    def test_a_module_that_fails(self, importable: Path) -> None:
        (importable / "failing.py").write_text("raise RuntimeError('not\\ntoday')\n")
        with pytest.raises(InputError, match=r"'failing:Sampler' does not import \(not today\)"):
            resolve_path("sampler", "failing:Sampler", SAMPLERS)

    @pytest.mark.parametrize("name", ["optuna.pruners.MedianPruner", "os.path", "os.sep", "builtins.dict"])
    def test_a_path_to_something_else(self, name: str) -> None:
        with pytest.raises(InputError, match=r"^search\.sampler: '.*' is no sampler of Optuna$"):
            resolve_path("sampler", name, SAMPLERS)

    @pytest.mark.parametrize("name", ["cmaes", "CmaEsSampler"])
    def test_a_package_that_is_missing_is_named(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(InputError, match=rf"^search\.sampler: '{name}' needs the package cmaes: pip "):
            resolve_path("sampler", name, SAMPLERS)
