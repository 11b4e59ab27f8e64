"""``auditor import`` and ``auditor report URL`` as people meet them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import optuna_storages
import tune_folder
from auditor.statement.schema import load_schema
from unit.cli.conftest import TABLE
from unit.cli.test_app import LEAST, Answer

Run = Callable[..., Answer]

ENERGY = ("--energy", "kwh", "--energy-unit", "kWh")


def csv(auditor: Run, *options: object, code: int = 0) -> Answer:
    answer = auditor("import", "csv", "t.csv", "--value", "val_acc", *options)
    assert answer.code == code, answer.err
    return answer


def statement(folder: str | Path = "auditor-runs/t") -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "statement.json").read_text())
    jsonschema.validate(read, load_schema(), cls=jsonschema.Draft202012Validator)
    return read


def files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


class TestATable:
    def test_it_becomes_a_study_folder(self, auditor: Run) -> None:
        answer = csv(auditor, *ENERGY)
        assert answer.err == ""
        assert answer.out.splitlines()[0] == "t · metric val_acc (higher is better)"
        assert "Verdict: cannot say" in answer.out
        assert answer.out.splitlines()[-2:] == ["Study    auditor-runs/t", "Report   auditor-runs/t/report.html"]
        assert sorted(path.name for path in Path("auditor-runs/t").iterdir()) == [
            *("manifest.json", "report.html", "statement.json", "study.yaml", "trials.parquet"),
        ]
        assert statement()["energy"]["search_uj"] == 36_000_000_000

    def test_it_verifies_and_is_reported_on_again(self, auditor: Run) -> None:
        csv(auditor, *ENERGY, "--price", "0.3", "--worth-gain", "0.1", "--worth-cost", "5", "--pue-inside", "1.25")
        answer = auditor("verify", "auditor-runs/t")
        assert answer.code == 0
        assert answer.out.startswith("verified: t, 28.8 kJ on the books; 4 files as in the manifest; 4 trials give the")
        assert "can make up its trials" in answer.out
        answer = auditor("report", "auditor-runs/t", "--json", "-", "--price", "0.6")
        assert json.loads(answer.out)["cost"]["energy"] == pytest.approx(2 * statement()["cost"]["energy"])

    def test_the_same_import_again_gives_the_same(self, auditor: Run) -> None:
        csv(auditor, *ENERGY)
        before = {name: Path(name).read_bytes() for name in files()}
        csv(auditor, *ENERGY)
        assert {name: Path(name).read_bytes() for name in files()} == before

    def test_with_a_baseline_it_is_judged(self, auditor: Run) -> None:
        csv(auditor, *ENERGY, "--test", "test_acc", "--baseline", "default=0.5,0.5", "--baseline", "svc=0.9,0.8")
        read = statement()
        assert (read["verdict"]["grade"], read["gain"]["delta_test"]) == ("not shown", pytest.approx(0.25))
        assert [a["name"] for a in read["gain"]["alternatives_tried"]] == ["svc"]

    def test_a_trial_that_is_the_default(self, auditor: Run) -> None:
        csv(auditor, *ENERGY, "--baseline-trial", 0, "--test", "test_acc", "--sampler", "random")
        read = statement()
        assert read["energy"]["times_default"] == pytest.approx(10.0)
        assert (read["gain"]["baseline"]["test_value"], read["study"]["sampler"]) == (0.4, "random")

    def test_a_folder_of_ones_own_and_studies_by_a_column(self, auditor: Run) -> None:
        answer = csv(auditor, *ENERGY, "--run", "seed", "--out", "runs")
        assert [line.split()[:3] for line in answer.out.splitlines()[:3]] == [
            ["study", "folder", "trials"],
            ["runs/1", "2", "0.700"],
            ["runs/2", "2", "0.800"],
        ]
        assert "Reports  runs/*/report.html" in answer.out
        assert statement("runs/2")["energy"]["search_uj"] == 25_200_000_000


class TestEnergy:
    def test_of_durations_is_a_range(self, auditor: Run) -> None:
        options = ("--duration", "s", "--gpus", 2, "--hardware", "a100", "--price-per-device-hour", "3.6")
        csv(auditor, *options)
        read = statement()
        assert read["energy"]["search_uj"] == 100 * 800 * 10**6
        assert (read["energy"]["range"]["low_j"], read["energy"]["range"]["high_j"]) == (8000.0, 80000.0)
        assert read["energy"]["provenance"] == {"gpu": "modelled"}
        assert (read["compute"]["device_s"], read["cost"]["device_hours"]) == ({"gpu": 200.0}, pytest.approx(0.2))
        assert "2 x NVIDIA A100 SXM4 at 400 W" in read["energy"]["components"][0]["detail"]

    def test_of_a_power_has_no_range(self, auditor: Run) -> None:
        csv(auditor, "--duration", "s", "--power-w", 100)
        assert statement()["energy"]["range"]["low_j"] == statement()["energy"]["range"]["high_j"] == 10_000.0

    def test_none_at_all_is_null(self, auditor: Run) -> None:
        csv(auditor, "--duration", "s")
        read = statement()
        assert read["energy"]["search_uj"] is None
        assert read["carbon"]["kwh"] is None
        assert read["measurement"]["grade"] == "none"
        assert "no-energy" in {finding["code"] for finding in read["findings"]}

    def test_pue_inside_is_applied_once(self, auditor: Run) -> None:
        csv(auditor, *ENERGY, "--grid", 100, "--pue-inside", 1.25)
        inside = statement()
        assert (inside["carbon"]["kwh"], inside["carbon"]["pue"]) == (pytest.approx(0.008), 1.25)
        assert inside["carbon"]["location_based_g"] == pytest.approx(1.0)
        csv(auditor, *ENERGY, "--grid", 100, "--pue-inside", 1.25, "--pue", 1.5)
        assert statement()["carbon"]["location_based_g"] == pytest.approx(1.2)

    @pytest.mark.parametrize(("joules", "grade"), [(40_000, "reported"), (10_000, "contradicted")])
    def test_slurm_is_a_second_meter(self, auditor: Run, joules: int, grade: str) -> None:
        Path("sacct.csv").write_text(f"JobID|ConsumedEnergyRaw\n1|{joules}\n1.batch|{joules}\n")
        csv(auditor, *ENERGY, "--slurm", "sacct.csv")
        read = statement()
        assert read["measurement"]["grade"] == grade
        said = [f["message"] for f in read["findings"] if f["code"] in ("second-meter", "meters-disagree")]
        assert said[0].startswith(f"Slurm (sacct, 1 job) says {joules:,.4g} J")


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--baseline", "0.5"], r"^--baseline: '0\.5' is no baseline; expected NAME=VALUE or NAME=VALUE,TEST"),
            (["--baseline", "default="], r"^--baseline: "),
            (["--baseline", "default=1,2,3"], r"^--baseline: "),
            (["--baseline", "default=nan"], r"^--baseline: "),
            (["--baseline", "=1"], r"^--baseline: "),
            (
                ["--baseline", "default=1", "--baseline", "default=2"],
                r"^--baseline: 'default' is given 2 times; expected each name once$",
            ),
            (["--baseline-trial", "9"], r"^--baseline-trial 9: there is no such trial"),
            (["--power-w", "0"], r"^--power-w: 0 is not above 0; expected the watts"),
            (["--power-w", "nan"], r"^--power-w: "),
            (["--gpus", "-1"], r"^--gpus: -1 is not above 0"),
            (["--hardware", "a100"], r"^--hardware a100: say with --gpus how many each trial held"),
            (["--hardware", "a1000", "--gpus", "1"], r"^--hardware: unknown hardware 'a1000'\. Did you mean"),
            (["--hardware", "a100", "--gpus", "1", "--power-w", "5"], r"^--hardware, --power-w: both say"),
            (["--pue-inside", "0.5"], r"^--pue-inside: 0\.5 is not at least 1"),
            (["--pue-inside", "1.5"], r"^--pue-inside: the study reports no energy that could hold it"),
            (["--pue", "0.5"], r"^--pue: 0\.5 is not 1 or more"),
            (["--grid", "Atlantis"], r"^--grid: unknown country 'Atlantis'"),
            (["--price-per-device-hour", "2"], r"^--price-per-device-hour: say with --gpus"),
            (["--worth-cost", "-1"], r"^--worth-cost: -1 is not at least 0"),
            (["--slurm", "t.csv"], r"^--slurm t\.csv: has no column JobID"),
            (["--energy", "kwh", "--energy-unit", "kWh", "--power-w", "5"], r"the study reports energy already"),
            (["--energy", "joules"], r"^--energy joules: no such column"),
            (["--test", "x"], r"^--test x: no such column"),
        ],
    )
    def test_in_one_line_and_nothing_is_written(self, auditor: Run, options: list[str], complaint: str) -> None:
        answer = csv(auditor, *options, code=2)
        assert re.search(complaint, answer.complaint)
        assert answer.out == ""
        assert files() == ["t.csv"]

    def test_a_source_that_is_not_there(self, auditor: Run) -> None:
        assert auditor("import", "csv", "u.csv", "--value", "x").complaint.startswith("u.csv: is no file")
        assert "u.db: there is no such database" in auditor("import", "optuna", "sqlite:///u.db").complaint
        assert auditor("import", "raytune", "u").complaint.startswith("u: is no folder")
        assert files() == ["t.csv"]

    def test_a_folder_of_something_else(self, auditor: Run) -> None:
        Path("runs").mkdir()
        Path("runs/x").touch()
        assert "runs: is not empty and holds no study" in csv(auditor, "--out", "runs", code=2).complaint
        csv(auditor, "--out", "mine")
        Path("u.csv").write_text(TABLE)
        answer = auditor("import", "csv", "u.csv", "--value", "val_acc", "--out", "mine")
        assert "mine: holds another study" in answer.complaint

    def test_of_several_all_or_none_are_written(self, auditor: Run) -> None:
        Path("runs/2").mkdir(parents=True)
        Path("runs/2/x").touch()
        assert "runs/2: is not empty" in csv(auditor, "--run", "seed", "--out", "runs", code=2).complaint
        assert not Path("runs/1").exists()

    def test_a_search_does_not_go_on_with_it(self, auditor: Run) -> None:
        csv(auditor)
        Path("search.yaml").write_text(yaml.safe_dump(LEAST))
        answer = auditor("search", "search.yaml", "--out", "auditor-runs/t")
        assert answer.code == 2
        assert "holds a study that ran elsewhere" in answer.complaint


class TestTamperedWith:
    @pytest.mark.parametrize("name", ["trials.parquet", "study.yaml", "statement.json", "report.html"])
    def test_is_found(self, auditor: Run, name: str) -> None:
        csv(auditor, *ENERGY)
        path = Path("auditor-runs/t") / name
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        answer = auditor("verify", "auditor-runs/t")
        assert answer.code == 3
        assert answer.complaint.startswith(name)

    def test_a_report_says_so(self, auditor: Run) -> None:
        csv(auditor, *ENERGY)
        origin = Path("auditor-runs/t/trials.parquet").read_bytes()
        Path("t.csv").write_text(TABLE.replace("0.001", "0.009"))
        csv(auditor, *ENERGY, "--out", "other")
        Path("other/trials.parquet").write_bytes(origin)
        answer = auditor("report", "other")
        assert answer.code == 3
        assert answer.complaint.startswith("trials.parquet has another SHA-256 than manifest.json lists")

    def test_an_import_that_did_not_end(self, auditor: Run) -> None:
        csv(auditor)
        for name in ("statement.json", "manifest.json"):
            Path("auditor-runs/t", name).unlink()
        assert "its import did not end; run it again" in auditor("verify", "auditor-runs/t").complaint


class TestOtherSources:
    def test_optuna(self, auditor: Run, storage: str) -> None:
        answer = auditor("import", "optuna", storage, "--study", "lr", "--test", "test_acc")
        assert answer.code == 0, answer.err
        read = statement("auditor-runs/lr")
        assert read["trials"] | {"attempts": 5} == {
            "total": 5,
            "complete": 2,
            "pruned": 1,
            "failed": 1,
            "lost": 0,
            "running": 1,
            "attempts": 5,
            "duplicates": 0,
        }
        assert read["energy"]["search_uj"] == 510_000_000
        assert auditor("verify", "auditor-runs/lr").code == 0

    def test_raytune(self, auditor: Run, tmp_path: Path) -> None:
        tune_folder.usual(tmp_path / "exp")
        answer = auditor("import", "raytune", "exp", "--gpus", 0.5)
        assert answer.code == 0, answer.err
        assert statement("auditor-runs/exp")["compute"]["device_s"] == {"gpu": pytest.approx(0.5 * 80)}

    def test_names_of_any_kind(self, auditor: Run, tmp_path: Path) -> None:
        weird = "</script>/../<b>|`\u202e%\n"
        made, source = optuna_storages.storage(tmp_path, "journal")
        optuna_storages.fill(made, weird)
        answer = auditor("import", "optuna", source)
        assert answer.code == 0, answer.err
        (folder,) = Path("auditor-runs").iterdir()
        assert re.fullmatch(r"script_\.\._b-[0-9a-f]{6}", folder.name)
        assert statement(folder)["study"]["name"] == weird
        assert "\u202e" not in answer.out
        page = (folder / "report.html").read_text()
        assert "</script>/.." not in page
        assert "\u202e" not in page
        assert auditor("verify", folder).code == 0
