import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditor.cli import app, repeat
from auditor.metering.folder import StudyFolder
from auditor.reporting.publish import publish
from auditor.search.driver import SearchResult
from auditor.search.plan import Plan
from studies import MadeStudy, MadeTrial
from unit.cli.test_app import LEAST, Answer, Run


class Searches:
    """Stands for the driver: leaves a finished study in each folder; remembers which seeds ran."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.stop_at: int | None = None
        self.values: Callable[[int], float | None] = lambda seed: 0.5 + seed / 100

    def __call__(self, plan: Plan, watcher: Any) -> SearchResult:
        seed = plan.config.search.seed
        self.seeds.append(seed)
        value = self.values(seed)
        trial = MadeTrial(steps=(), states=("failed",)) if value is None else MadeTrial(steps=(value,))
        trials = [trial] * (1 if seed == self.stop_at else 3)
        if plan.resumed:
            shutil.rmtree(plan.folder.path)
        sections = plan.config.model_dump(mode="json")
        made = MadeStudy(plan.folder.path, name=plan.config.study, config=sections)
        made.add(*trials).baseline(0.25).seal()
        statement = publish(plan.folder, plan.parameters, "reserved")
        return SearchResult(
            statement=statement,
            folder=plan.folder.path,
            tracking_uri=None,
            tracking_error="",
            experiment="",
            interrupted=seed == self.stop_at,
        )


@pytest.fixture
def auditor(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

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
    path.write_text(yaml.safe_dump({**LEAST, "baselines": [], "evaluation": {"seeds": 0}}))
    return path


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    stand_in = Searches()
    monkeypatch.setattr("auditor.search.driver.run_search", stand_in)
    return stand_in


def test_each_seed_has_its_folder_and_they_end_as_one_group(auditor: Run, config: Path, searches: Searches) -> None:
    answer = auditor("search", config, "--repeat", 3, "--set", "search.seed=7")
    assert (answer.code, answer.err) == (0, "")
    assert searches.seeds == [7, 8, 9]
    out = Path("auditor-runs/mine")
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.html",
        "comparison.json",
        "seed-7",
        "seed-8",
        "seed-9",
    ]
    assert "1/3 · search seed 7: best 0.570 in 3 trials" in answer.out
    made = json.loads((out / "comparison.json").read_text())
    assert made["verdict"]["grade"] == "one group"
    assert [(run["label"], run["seed"], round(run["best"], 9)) for run in made["groups"][0]["runs"]] == [
        ("seed-7", 7, 0.57),
        ("seed-8", 8, 0.58),
        ("seed-9", 9, 0.59),
    ]
    assert "mine: 3 runs" in answer.out


def test_finished_ones_are_closed_again_and_the_next_goes_on(auditor: Run, config: Path, searches: Searches) -> None:
    options = ["search", config, "--out", "runs"]
    searches.stop_at = 1
    first = auditor(*options, "--repeat", 3)
    assert first.code == 130
    assert searches.seeds == [0, 1]
    assert not Path("runs/comparison.json").exists()
    searches.stop_at = None
    assert auditor(*options, "--repeat", 3).code == 0
    assert searches.seeds == [0, 1, 1, 2]
    assert auditor(*options, "--repeat", 4).code == 0  # more of them, later
    assert searches.seeds == [0, 1, 1, 2, 3]
    assert len(json.loads(Path("runs/comparison.json").read_text())["groups"][0]["runs"]) == 4


def test_a_run_without_a_result_is_left_out(auditor: Run, config: Path, searches: Searches) -> None:
    searches.values = lambda seed: None if seed == 1 else 0.5 + seed / 10
    answer = auditor("search", config, "--repeat", 3)
    assert answer.code == 0
    assert "left out: auditor-runs/mine/seed-1: no trial completed with a value" in answer.out
    assert len(json.loads(Path("auditor-runs/mine/comparison.json").read_text())["groups"][0]["runs"]) == 2


def test_no_result_at_all_is_a_failure(auditor: Run, config: Path, searches: Searches) -> None:
    searches.values = lambda seed: None
    answer = auditor("search", config, "--repeat", 2)
    assert answer.code == 1
    assert "no trial of any run completed with a value" in answer.complaint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeat", "1"], "--repeat: 1 is no repetition; expected 2 or more search seeds"),
        (["--repeat", "-3"], "--repeat: -3 is no repetition; expected 2 or more search seeds"),
        (
            ["--repeat", "2", "--set", "search.seed=2147483647"],
            "--repeat: the last search seed would be 2147483648; expected at most 2147483647",
        ),
        (["--repeat", "2", "--set", "search.sampler=nothing"], "unknown sampler 'nothing'"),
        (["--repeat", "x"], "should be a valid integer"),
    ],
)
def test_bad_input_is_refused_before_anything_is_spent(
    auditor: Run, config: Path, searches: Searches, options: list[str], message: str
) -> None:
    answer = auditor("search", config, *options)
    assert answer.code == 2
    assert message in answer.complaint
    assert not Path("auditor-runs").exists()
    assert searches.seeds == []


def test_a_later_folder_that_is_taken_is_seen_before_the_first_run(
    auditor: Run, config: Path, searches: Searches
) -> None:
    Path("runs/seed-1").mkdir(parents=True)
    Path("runs/seed-1/notes.txt").touch()
    answer = auditor("search", config, "--repeat", 2, "--out", "runs")
    assert answer.code == 2
    assert answer.complaint.startswith("runs/seed-1: is not empty and holds no study")
    assert searches.seeds == []


def test_a_single_study_is_not_mixed_with_repeated_ones(auditor: Run, config: Path, searches: Searches) -> None:
    MadeStudy(Path("runs")).seal()
    answer = auditor("search", config, "--repeat", 2, "--out", "runs")
    assert (answer.code, answer.complaint) == (2, "runs: holds a single study; name another folder with --out")


def test_without_a_configuration(auditor: Run) -> None:
    assert auditor("search", "--repeat", 2).complaint == "auditor search --repeat: name a configuration"


def test_seeds_stay_within_what_a_configuration_takes() -> None:
    assert repeat.MOST_SEED == 2**31 - 1
    assert not StudyFolder(Path("nowhere")).exists()
