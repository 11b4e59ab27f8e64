import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.cli import app
from auditor.statement.schema import load_comparison_schema
from unit.cli.test_app import Answer, Run

TOY = "unit.importers.toy:Toy"


@pytest.fixture
def replay(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``auditor replay`` of a toy, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*options: object, command: str = "replay", benchmark: str = TOY) -> Answer:
        capfd.readouterr()
        given = [command, *([benchmark] if command == "replay" else []), *map(str, options)]
        with pytest.raises(SystemExit) as left:
            app.main(given)
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, out, err)

    return run


SMALL = ("--dataset", "small", "--samplers", "random,tpe", "--budget", "10 min", "--seeds", "3")


def read(answer: Answer) -> dict[str, Any]:
    assert (answer.code, answer.err) == (0, "")
    made: dict[str, Any] = json.loads(answer.out)
    Draft202012Validator(load_comparison_schema()).validate(made)
    return made


def test_samplers_are_compared_as_groups(replay: Run) -> None:
    made = read(replay(*SMALL, "--json", "-"))
    assert [(group["name"], len(group["runs"])) for group in made["groups"]] == [("random", 3), ("tpe", 3)]
    assert made["groups"][0]["energy_j"]["mean"] == 600 * 250.0
    assert made["comparable"]
    assert made["replay"]["optimum"] == 4.0
    assert [finding["code"] for finding in made["findings"]][:2] == ["modelled-energy", "replayed"]


def test_the_terminal_shows_regret_and_how_energy_is_known(replay: Run) -> None:
    answer = replay(*SMALL, "--power-w", "100")
    assert (answer.code, answer.err) == (0, "")
    assert "Regret: by how much the best configuration there is betters the chosen one" in answer.out
    assert "times 100 W, which was stated and not measured" in answer.out
    assert "a toy: the best of 9 configurations has 4.00" in answer.out


def test_the_same_command_gives_the_same_figures(replay: Run) -> None:
    assert replay(*SMALL, "--json", "-").out == replay(*SMALL, "--json", "-").out


def test_studies_are_kept_as_folders_that_other_commands_read(replay: Run) -> None:
    assert replay(*SMALL, "--seeds", 2, "--out", "kept").code == 0
    folders = [f"{sampler}/seed-{seed}" for sampler in ("random", "tpe") for seed in range(2)]
    assert all(Path("kept", folder, "report.html").is_file() for folder in folders)
    assert "Regret against the recorded truth" in Path("kept/comparison.html").read_text()
    kept = json.loads(Path("kept/comparison.json").read_text())
    assert replay("kept/tpe/seed-1", command="verify").code == 0
    again = read(replay("kept/random", "kept/tpe", "--json", "-", command="compare"))
    assert [g["best"] for g in again["groups"]] == [g["best"] for g in kept["groups"]]
    assert [g["runs"][1]["seed"] for g in again["groups"]] == [1, 1]
    assert replay(*SMALL, "--seeds", 2, "--out", "kept").code == 0  # made anew


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samplers", ","], "--samplers: is empty; expected names such as random,tpe"),
        (["--samplers", "random,random"], "--samplers: 'random' is named twice"),
        (["--samplers", "randm"], "--samplers: unknown sampler 'randm'. Did you mean 'random'?"),
        (["--budget", "soon"], "--budget: expected a duration such as '30 min' or '2h'"),
        (["--budget", "50 s"], "the first training of random, seed 0, takes 100 s, the budget is 50 s"),
        (["--seeds", "0"], "--seeds: 0 is not between 1 and 1,000"),
        (["--power-w", "0"], "--power-w: 0 is not above 0; expected the watts of a training"),
        (["--power-w", "nan"], "--power-w: nan is not above 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(replay: Run, options: list[str], message: str) -> None:
    answer = replay("--dataset", "small", *options)
    assert answer.code == 2
    assert message in answer.complaint


def test_an_unknown_benchmark_lists_what_there_is(replay: Run) -> None:
    answer = replay(benchmark="nasbench202")
    assert answer.code == 2
    assert "auditor replay: unknown benchmark 'nasbench202'. Did you mean 'nasbench201'?" in answer.complaint


def test_a_folder_that_holds_something_else_is_left_alone(replay: Run) -> None:
    Path("kept/random/seed-0").mkdir(parents=True)
    Path("kept/random/seed-0/notes.txt").touch()
    answer = replay(*SMALL, "--out", "kept")
    assert (answer.code, answer.complaint) == (
        2,
        "kept/random/seed-0: holds something else; name another folder with --out",
    )
    assert not Path("kept/comparison.json").exists()


def test_a_place_that_is_no_folder(replay: Run) -> None:
    Path("file").touch()
    assert replay(*SMALL, "--out", "file/kept").code == 2
