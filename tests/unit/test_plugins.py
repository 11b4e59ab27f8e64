import os
from pathlib import Path

import pytest

from auditor.domain.errors import InputError, UnknownNameError
from auditor.plugins import GROUPS, installed, load
from auditor.ports import HardwareProfile, Meter
from auditor.testing import ReplayMeter


def test_what_ships_is_installed() -> None:
    assert {"codecarbon", "replay"} <= set(installed("meter"))
    assert "digits_cnn" in installed("space")
    assert {"csv", "mlflow", "optuna", "raytune"} <= set(installed("importer"))
    assert {"a100", "h100", "v100", "t4", "p100", "tpuv2"} <= set(installed("hardware"))


@pytest.mark.parametrize("name", sorted(installed("hardware")))
def test_every_profile_of_hardware_says_who_says_so(name: str) -> None:
    profile = load("hardware", name)
    assert isinstance(profile, HardwareProfile)
    assert 0 < profile.idle_w < profile.full_w <= 1000
    assert profile.name
    assert "data sheet" in profile.source or "documentation" in profile.source or "et al." in profile.source
    if profile.idle_w == pytest.approx(0.1 * profile.full_w):
        assert "is assumed" in profile.source


@pytest.mark.parametrize("name", sorted(installed("importer")))
def test_every_importer_loads_and_says_its_name(name: str) -> None:
    assert load("importer", name).name == name


@pytest.mark.parametrize("kind", GROUPS)
def test_names_are_sorted(kind: str) -> None:
    assert list(installed(kind)) == sorted(installed(kind))


@pytest.mark.parametrize("name", ["codecarbon", "replay"])
def test_every_meter_loads_and_says_its_name(name: str) -> None:
    assert load("meter", name).name == name


def test_a_meter_by_its_import_path() -> None:
    assert load("meter", "auditor.testing:ReplayMeter") is ReplayMeter
    assert isinstance(ReplayMeter([(0, {"cpu": 0}), (1, {"cpu": 1})]), Meter)


def test_attributes_of_attributes() -> None:
    assert load("space", "os:path.join") is os.path.join


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"^metering\.meters: unknown meter 'codecarbn'\. Did you mean"):
        load("meter", "codecarbn", where="metering.meters")
    with pytest.raises(UnknownNameError, match=r"Available: codecarbon, .*replay"):
        load("meter", "zzz")


@pytest.mark.parametrize("attribute", ["nothing", "path.nothing", ""])
def test_a_missing_attribute_is_refused(attribute: str) -> None:
    with pytest.raises(InputError, match="module 'os' has no attribute"):
        load("space", f"os:{attribute}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("def", "SyntaxError"),
        ("raise KeyError", "KeyError "),
    ],
)
def test_a_module_that_does_not_import_is_refused_in_one_line(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as caught:
        load("space", f"{name}:space", where="space")
    text = str(caught.value)
    assert text.startswith("space: ")
    assert f"'{name}:space' does not import: {message}" in text
    assert "\n" not in text


def test_the_current_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_space.py").write_text("space = 7\n")
    monkeypatch.chdir(tmp_path)
    assert load("space", "my_own_space:space") == 7


def test_an_entry_point_that_does_not_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint(name="broken", value="nowhere_at_all:Meter", group="auditor.meters")
    monkeypatch.setattr("auditor.plugins.entry_points", lambda group: [point])
    with pytest.raises(InputError, match="'broken' does not import: ModuleNotFoundError"):
        load("meter", "broken")
