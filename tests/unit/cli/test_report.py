import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditor.cli import app
from auditor.domain.errors import AuditorError
from auditor.domain.parameters import Parameters
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from blocking import block
from studies import MadeTraining, made_study, made_training
from unit.cli.test_app import Answer

Run = Callable[..., Answer]


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return made_study(tmp_path / "study")


@pytest.fixture
def report(
    study: StudyFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """``auditor report`` on a made-up study, where Ray, torch and MLflow can't be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    block(monkeypatch, "ray", "torch", "mlflow", "optuna", "pytorch_lightning")

    def run(*options: object, folder: Path = study.path) -> Answer:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main(["report", str(folder), *map(str, options)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


def statement(answer: Answer) -> dict[str, Any]:
    assert (answer.code, answer.err) == (0, "")
    read: dict[str, Any] = json.loads(answer.out)
    return read


@pytest.mark.parametrize(
    ("option", "begins"), [("--appendix", "# Search practice: demo"), ("--model-card", "## Energy and emissions")]
)
def test_forms_for_papers_and_hubs(report: Run, tmp_path: Path, option: str, begins: str) -> None:
    answer = report(option, "out.md")
    assert (answer.code, answer.err) == (0, "")
    assert (tmp_path / "out.md").read_text().startswith(begins)
    assert report(option, "-").out == (tmp_path / "out.md").read_text()


def test_the_terminal(report: Run) -> None:
    answer = report()
    assert (answer.code, answer.err) == (0, "")
    assert "demo" in answer.out
    assert "Verdict" in answer.out
    assert "288 J" in answer.out  # 18 s of 16 W


def test_the_folder_is_left_as_it_is(report: Run, study: StudyFolder) -> None:
    before = {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()}
    report("--html", "out.html", "--policy", "direct")
    assert {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()} == before


class TestOutputs:
    def test_json_on_the_terminal_is_json_alone(self, report: Run) -> None:
        read = statement(report("--json", "-"))
        assert read["schema"] == "auditor.statement/1"
        assert read["energy"]["metered_uj"] == 288_000_000
        assert read["energy"]["residual_uj"] == 0

    def test_json_in_a_file(self, report: Run) -> None:
        answer = report("--json", "out.json")
        assert answer.code == 0
        assert json.loads(Path("out.json").read_text()) == statement(report("--json", "-"))
        assert "Verdict" in answer.out

    def test_the_same_books_give_the_same_bytes(self, report: Run) -> None:
        assert report("--json", "-").out == report("--json", "-").out

    def test_html(self, report: Run) -> None:
        assert report("--html", "out.html").code == 0
        assert "<html" in Path("out.html").read_text()[:500].lower()

    def test_markdown(self, report: Run) -> None:
        assert report("--markdown", "out.md").code == 0
        answer = report("--markdown", "-")
        assert answer.out == Path("out.md").read_text()
        assert answer.out.startswith("#")

    def test_several_at_once(self, report: Run) -> None:
        assert report("--markdown", "out.md", "--html", "out.html", "--json", "out.json").code == 0
        assert all(Path(f"out.{kind}").stat().st_size for kind in ("md", "html", "json"))

    @pytest.mark.parametrize("option", ["--json", "--html", "--markdown"])
    def test_a_place_that_cannot_be_written(self, report: Run, option: str) -> None:
        answer = report(option, "no/such/folder/file")
        assert answer.code == 2
        assert answer.complaint == "no/such/folder/file: can't be written (No such file or directory)"


class TestWhatIf:
    def test_policy(self, report: Run) -> None:
        reserved, direct = (statement(report("--json", "-", "--policy", p)) for p in ("reserved", "direct"))
        assert (reserved["energy"]["policy"], direct["energy"]["policy"]) == ("reserved", "direct")
        account = "study/demo/trial/0/1/train"
        assert direct["energy"]["accounts"][account] < reserved["energy"]["accounts"][account]
        assert direct["energy"]["charged_uj"] == reserved["energy"]["charged_uj"]

    def test_the_policy_of_the_study_is_the_default(self, report: Run, tmp_path: Path) -> None:
        other = made_study(tmp_path / "other", config={"metering": {"policy": "direct"}})
        assert statement(report("--json", "-", folder=other.path))["energy"]["policy"] == "direct"

    def test_grid_as_a_figure(self, report: Run) -> None:
        read = statement(report("--json", "-", "--grid", "360"))
        assert read["carbon"]["factor"]["g_per_kwh"] == 360
        assert read["carbon"]["factor"]["source"] == "user"
        assert read["carbon"]["location_based_g"] == pytest.approx(read["carbon"]["kwh"] * 360)

    def test_grid_as_a_country(self, report: Run) -> None:
        read = statement(report("--json", "-", "--grid", "fra"))
        assert read["carbon"]["factor"]["scope"] == "FRA"
        assert 0 < read["carbon"]["factor"]["g_per_kwh"] < 200

    def test_pue_and_price(self, report: Run) -> None:
        plain, priced = (
            statement(report("--json", "-", "--grid", "100", "--price", "0.5", "--pue", pue)) for pue in (1, 1.5)
        )
        assert priced["carbon"]["pue"] == 1.5
        assert priced["carbon"]["location_based_g"] == pytest.approx(1.5 * plain["carbon"]["location_based_g"])
        assert priced["cost"]["energy"] == pytest.approx(1.5 * plain["cost"]["energy"])
        assert priced["energy"] == plain["energy"]  # readings know nothing of it

    def test_without_them_there_is_no_figure(self, report: Run) -> None:
        read = statement(report("--json", "-"))
        assert read["carbon"]["location_based_g"] is None
        assert read["cost"]["energy"] is None

    def test_parameters_of_the_study_are_kept(self, report: Run, tmp_path: Path) -> None:
        other = made_study(tmp_path / "other", parameters={"pue": 1.2, "price_per_kwh": 0.3, "currency": "CHF"})
        read = statement(report("--json", "-", "--grid", "100", folder=other.path))
        assert (read["carbon"]["pue"], read["cost"]["price_per_kwh"], read["cost"]["currency"]) == (1.2, 0.3, "CHF")

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--policy", "fair"], r"^--policy: 'fair' is no policy; expected reserved or direct$"),
            (["--pue", "0.9"], r"^--pue: 0\.9 is not 1 or more"),
            (["--pue", "nan"], r"^--pue: "),
            (["--pue", "inf"], r"^--pue: "),
            (["--price", "-1"], r"^--price: -1 is not 0 or more"),
            (["--price", "inf"], r"^--price: "),
            (["--price", "nan"], r"^--price: "),
            (["--grid", "-1"], r"^--grid: -1 is not 0 or more"),
            (["--grid", "nan"], r"^--grid: "),
            (["--grid", "inf"], r"^--grid: "),
            (["--grid", "Atlantis"], r"^--grid: unknown country 'Atlantis'"),
        ],
    )
    def test_bad_options(self, report: Run, options: list[str], complaint: str) -> None:
        answer = report("--json", "-", *options)
        assert answer.code == 2
        assert re.search(complaint, answer.complaint)
        assert answer.out == ""


class TestNoStudy:
    def test_a_folder_that_is_none(self, report: Run, tmp_path: Path) -> None:
        answer = report(folder=tmp_path)
        assert answer.code == 2
        assert "is no study folder (expected study.yaml in it)" in answer.complaint

    def test_a_file(self, report: Run, study: StudyFolder) -> None:
        answer = report(folder=study.study_yaml)
        assert answer.code == 2
        assert answer.complaint

    def test_a_damaged_study_file(self, report: Run, study: StudyFolder) -> None:
        study.study_yaml.write_text("format: 1\nuuid: [")
        answer = report()
        assert answer.code == 2
        assert "study.yaml: can't be read" in answer.complaint

    def test_another_version(self, report: Run, study: StudyFolder) -> None:
        study.study_yaml.write_text("format: 99\n")
        answer = report()
        assert answer.code == 2
        assert "expected 'format: 1'" in answer.complaint


def test_damaged_journals_are_findings_and_no_end(report: Run, study: StudyFolder) -> None:
    (study.journals / "marks-box-9-9.jsonl").write_text("this is no journal\n")
    [readings] = study.journals.glob("readings-*")
    with readings.open("a") as file:
        file.write('{"k":"reading","t":99')
    read = statement(report("--json", "-"))
    assert {"journal-torn"} <= {finding["code"] for finding in read["findings"]}
    assert read["energy"]["metered_uj"] == 288_000_000


def test_a_study_without_readings_has_no_figures(report: Run, study: StudyFolder) -> None:
    [readings] = study.journals.glob("readings-*")
    readings.unlink()
    read = statement(report("--json", "-"))
    assert read["measurement"]["grade"] == "none"
    assert report().code == 0


def test_books_that_do_not_balance_are_exit_3(report: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.reporting import publish

    honest = publish.close_study

    def cooked(*arguments: Any) -> Any:
        closed = honest(*arguments)
        made = closed.statement
        return replace(closed, statement={**made, "energy": {**made["energy"], "residual_uj": 7}})

    monkeypatch.setattr(publish, "close_study", cooked)
    answer = report("--json", "-")
    assert answer.code == 3
    assert answer.complaint == "the books don't balance: metered less charged is 7 uJ, expected 0"
    assert AuditorError.exit_code == 1


class TestAPublishedStudy:
    @pytest.fixture
    def published(self, study: StudyFolder) -> StudyFolder:
        publish(study, Parameters(), "reserved")
        return study

    def test_as_it_was_published(self, report: Run, published: StudyFolder) -> None:
        read = statement(report("--json", "-", "--policy", "direct", "--pue", "1.5"))
        assert read["measurement"]["grade"] != "contradicted"

    def test_a_changed_journal_contradicts_the_books(self, report: Run, published: StudyFolder) -> None:
        path = next(published.journals.glob("readings-*.jsonl"))
        path.write_text(path.read_text().replace("16000000", "16000001", 1))
        answer = report("--json", "out.json")
        said = f"journal/{path.name} has another SHA-256 than manifest.json lists"
        assert answer.code == 3
        assert answer.complaint.startswith(said)
        assert "contradict each other" in answer.out
        measurement = json.loads(Path("out.json").read_text())["measurement"]
        assert (measurement["grade"], measurement["reasons"][0].startswith(said)) == ("contradicted", True)

    def test_a_missing_journal_contradicts_the_books(self, report: Run, published: StudyFolder) -> None:
        path = next(published.journals.glob("marks-*.jsonl"))
        path.unlink()
        answer = report()
        assert (answer.code, answer.complaint.split(":")[0]) == (3, f"journal/{path.name} is not there")

    def test_a_changed_statement_contradicts_the_books(self, report: Run, published: StudyFolder) -> None:
        text = published.statement.read_text()
        published.statement.write_text(text.replace('"metered_uj": 288000000', '"metered_uj": 188000000'))
        answer = report()
        assert (answer.code, answer.complaint) == (
            3,
            "energy.metered_uj: statement.json says 188000000 uJ, the journals give 288000000 uJ.",
        )
        assert "contradict each other" in answer.out

    def test_a_search_that_went_on_contradicts_nothing(self, report: Run, published: StudyFolder) -> None:
        path = next(published.journals.glob("marks-*.jsonl"))
        (published.journals / "marks-other-1-1.jsonl").write_text(path.read_text().splitlines()[0] + "\n")
        assert report().code == 0

    def test_a_statement_of_another_version_contradicts_nothing(self, report: Run, published: StudyFolder) -> None:
        text = published.statement.read_text().replace('"metered_uj": 288000000', '"metered_uj": 188000000')
        published.statement.write_text(re.sub(r'"auditor": "[^"]+"', '"auditor": "0.0.1"', text))
        assert report().code == 0

    @pytest.mark.parametrize("damage", ["", "[]", "{", '{"sha256": 3}'])
    def test_a_manifest_that_is_none_says_nothing(self, report: Run, published: StudyFolder, damage: str) -> None:
        published.manifest.write_text(damage)
        assert report().code == 0


class TestTraining:
    def test_the_terminal(self, report: Run, tmp_path: Path) -> None:
        answer = report(folder=made_training(tmp_path / "training").path)
        assert (answer.code, answer.err) == (0, "")
        assert "What the training cost" in answer.out
        assert "Verdict" not in answer.out
        assert "272 J" in answer.out  # 17 s of 16 W

    def test_all_outputs(self, report: Run, tmp_path: Path) -> None:
        folder = made_training(tmp_path / "training").path
        assert report("--html", "out.html", "--markdown", "out.md", "--price", "0.3", folder=folder).code == 0
        assert "cost of the training" in Path("out.html").read_text()
        assert Path("out.md").read_text().startswith("# demo: 272 J of energy")

    def test_the_journals_give_its_phases(self, report: Run, tmp_path: Path) -> None:
        read = statement(report("--json", "-", folder=made_training(tmp_path / "training").path))
        assert read["study"]["kind"] == "training"
        energy, [run] = read["energy"], read["trainings"]
        assert energy["metered_uj"] == energy["search_uj"] == 272_000_000
        assert run["energy_uj"] == 272_000_000 - energy["accounts"]["study/demo/audit"] == sum(run["phases"].values())
        assert run["phases"]["other"] == 16_000_000  # its last second
        assert (run["state"], run["wall_s"], run["flops"]) == ("complete", 17.0, 10**12)
        assert read["compute"]["device_s"] == {"cpu": 34.0}

    def test_one_that_was_killed_and_gone_on_with(self, report: Run, tmp_path: Path) -> None:
        made = MadeTraining(tmp_path / "training").train(state="killed").train(carried_uj=5, carried_from=("x",))
        read = statement(report("--json", "-", folder=made.seal().folder.path))
        assert [(run["run"], run["state"], run["carried_uj"]) for run in read["trainings"]] == [
            ("0", "lost", 0),
            ("1", "complete", 5),
        ]
        assert {"training-without-outcome", "energy-carried"} <= {finding["code"] for finding in read["findings"]}

    def test_device_time_is_priced(self, report: Run, tmp_path: Path) -> None:
        folder = made_training(tmp_path / "training", parameters={"price_per_device_hour": 3600.0}).path
        assert statement(report("--json", "-", folder=folder))["cost"]["device_hours"] == pytest.approx(34.0)
