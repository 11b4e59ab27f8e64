import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditor.cli import app
from auditor.domain.imported import Told
from auditor.domain.parameters import Parameters
from auditor.importers.folder import write_import
from auditor.metering.folder import StudyFolder
from auditor.reporting.subjects import read_subject
from blocking import block
from studies import made_study, made_training
from unit.cli.test_app import Answer
from unit.statement.searches import STRONG, WEAK, study

Run = Callable[..., Answer]


def folder(path: Path, values: Sequence[float | None], **about: Any) -> Path:
    """A study folder of an imported study."""
    write_import(StudyFolder(path), study(values, **about), Told(), Parameters(), "csv")
    return path


@pytest.fixture
def compare(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``auditor compare`` in a folder with two groups, where Ray, torch, MLflow and Optuna can't be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    block(monkeypatch, "ray", "torch", "mlflow", "optuna", "pytorch_lightning")
    for name, runs in (("rs", WEAK), ("tpe", STRONG)):
        for seed, values in enumerate(runs):
            folder(Path("runs", name, f"seed-{seed}"), values, name=name, sampler=name)

    def run(*options: object) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main(["compare", *map(str, options)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


def read(answer: Answer) -> dict[str, Any]:
    assert (answer.code, answer.err) == (0, "")
    made: dict[str, Any] = json.loads(answer.out)
    return made


def sizes(made: dict[str, Any]) -> dict[str, int]:
    return {group["name"]: len(group["runs"]) for group in made["groups"]}


class TestGroups:
    @pytest.mark.parametrize(
        "options",
        [
            ["runs/rs", "runs/tpe"],
            ["--group", "rs=runs/rs/*", "--group", "tpe=runs/tpe/seed-?"],
            ["--group", "rs=runs/rs", "runs/tpe"],
            ["--group", "rs=runs/rs/seed-0,runs/rs/seed-1,runs/rs/seed-2", "--group", "tpe=runs/tpe"],
            [*(f"--group=rs=runs/rs/seed-{n}" for n in range(3)), "--group", "tpe=runs/tpe"],
        ],
    )
    def test_ways_to_name_them(self, compare: Run, options: list[str]) -> None:
        made = read(compare(*options, "--json", "-"))
        assert sizes(made) == {"rs": 3, "tpe": 3}
        assert made["verdict"]["grade"] == "shown"

    def test_an_absolute_pattern(self, compare: Run, tmp_path: Path) -> None:
        assert sizes(read(compare("--group", f"tpe={tmp_path}/runs/tpe/*", "--json", "-"))) == {"tpe": 3}

    def test_plain_folders_of_one_name_stay_apart(self, compare: Run) -> None:
        made = read(compare("runs/rs/seed-0", "runs/rs/seed-1", "--json", "-"))
        assert sizes(made) == {"rs": 1, "rs (runs/rs/seed-1)": 1}

    def test_labels_are_as_given(self, compare: Run) -> None:
        made = read(compare("runs/rs", "--json", "-"))
        assert [run["label"] for run in made["groups"][0]["runs"]] == [f"runs/rs/seed-{n}" for n in range(3)]


class TestOutputs:
    def test_the_terminal(self, compare: Run) -> None:
        answer = compare("runs/rs", "runs/tpe")
        assert (answer.code, answer.err) == (0, "")
        assert "tpe beats rs at equal energy" in answer.out

    def test_files(self, compare: Run) -> None:
        answer = compare("runs/rs", "runs/tpe", "--html", "c.html", "--json", "c.json", "--markdown", "c.md")
        assert answer.code == 0
        assert "tpe beats rs" in answer.out
        assert "tpe beats rs" in Path("c.md").read_text()
        assert Path("c.html").read_text().startswith("<!doctype html>")
        assert json.loads(Path("c.json").read_text())["schema"] == "auditor.comparison/1"

    def test_the_same_folders_give_the_same_bytes(self, compare: Run) -> None:
        assert compare("runs/rs", "runs/tpe", "--json", "-") == compare("runs/rs", "runs/tpe", "--json", "-")

    def test_a_refused_verdict_is_no_failure(self, compare: Run) -> None:
        folder(Path("other"), [0.5], metric="f1", name="other")
        answer = compare("runs/rs", "other")
        assert answer.code == 0
        assert "No verdict: the metrics differ ('val_acc' and 'f1')" in " ".join(answer.out.split())


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "auditor compare: name study folders, or groups with --group NAME=DIR"),
            (["nowhere"], "nowhere: is no study folder (expected study.yaml in it)"),
            (["--group", "rs"], "--group rs: expected NAME=DIR, for example tpe=runs/tpe-0,runs/tpe-1"),
            (["--group", "=runs"], "--group =runs: expected NAME=DIR, for example tpe=runs/tpe-0,runs/tpe-1"),
            (["--group", "rs=runs/none-*"], "runs/none-*: matches no study folder"),
            (
                ["--group", "a=runs/rs", "--group", "a=runs/rs/seed-1"],
                "--group a: runs/rs/seed-1 is named twice (before by --group a); a study counts once",
            ),
            (
                ["runs/rs", "runs/../runs/rs"],
                "runs/../runs/rs: runs/../runs/rs/seed-0 is named twice (before by runs/rs); a study counts once",
            ),
        ],
    )
    def test_what_is_no_group(self, compare: Run, options: list[str], message: str) -> None:
        answer = compare(*options)
        assert (answer.code, answer.complaint) == (2, message)

    def test_a_copy_is_no_second_run(self, compare: Run, tmp_path: Path) -> None:
        import shutil

        shutil.copytree("runs/rs/seed-0", "copy")
        answer = compare("--group", "a=runs/rs/seed-0,copy")
        assert (answer.code, answer.complaint) == (
            2,
            "copy: holds the same study as runs/rs/seed-0; a study counts once",
        )

    def test_nothing_completed(self, compare: Run) -> None:
        folder(Path("failed"), [None, None])
        answer = compare("runs/rs", "failed")
        assert (answer.code, answer.complaint) == (
            2,
            "failed: no trial completed with a value, there is nothing to compare",
        )

    def test_a_training(self, compare: Run) -> None:
        made_training(Path("training"))
        answer = compare("training")
        assert (answer.code, answer.complaint) == (
            2,
            "training: is a plain training, nothing was searched; expected searches to compare",
        )

    def test_several_objectives_without_values(self, compare: Run) -> None:
        folder(Path("many"), [0.5], directions=("maximize", "minimize"), direction="")
        assert compare("many").complaint == "many: no trial completed with a value, there is nothing to compare"


CONFIG = {
    "search": {"seed": 3, "pruner": "median", "sampler": "tpe"},
    "training": {"max_epochs": 5},
    "evaluation": {"seeds": 2},
    "metering": {"policy": "reserved"},
}


class TestSubjects:
    def test_of_a_study_that_ran_here(self, tmp_path: Path) -> None:
        subject = read_subject(made_study(tmp_path / "s", config=CONFIG).path, "seed-3")
        assert (subject.label, subject.seed, subject.record.space) == ("seed-3", 3, "toy")
        assert subject.protocol == {
            "training.max_epochs": 5,
            "search.pruner": "median",
            "evaluation": "on fresh seeds",
        }

    def test_the_sampler_and_its_seed_are_no_protocol(self, tmp_path: Path) -> None:
        other = {**CONFIG, "search": {"seed": 9, "pruner": "median", "sampler": "random"}}
        one, two = (
            read_subject(made_study(tmp_path / name, config=config).path)
            for name, config in (("a", CONFIG), ("b", other))
        )
        assert one.protocol == two.protocol

    def test_an_old_folder_without_sections(self, tmp_path: Path) -> None:
        path = made_study(tmp_path / "s").path
        text = yaml.safe_load((path / "study.yaml").read_text())
        (path / "study.yaml").write_text(yaml.safe_dump({**text, "config": {"search": "odd"}}))
        assert read_subject(path).seed is None

    def test_of_an_imported_one(self, tmp_path: Path) -> None:
        subject = read_subject(folder(tmp_path / "s", [0.5]))
        assert (dict(subject.protocol), subject.seed) == ({}, None)
