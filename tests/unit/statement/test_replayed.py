import pytest

from auditor.analysis.mean import mean_interval
from auditor.statement.replayed import modelled, replay_section
from unit.importers.test_replay import searched
from unit.importers.toy import Costs, Toy


def section(benchmark=None, seeds=3, budget_s=800.0):
    benchmark = benchmark or Toy()
    runs = {"random": [searched(benchmark, seed=seed, budget_s=budget_s) for seed in range(seeds)]}
    return replay_section(benchmark, runs, budget_s=budget_s, power_w=250.0), runs["random"]


def test_the_truth_is_that_of_every_configuration():
    made, _ = section()
    assert (made["configurations"], made["optimum"]) == (9, 4.0)
    assert section(Costs())[0]["optimum"] == 0.0


def test_regret_is_the_truth_about_the_choice():
    made, runs = section()
    (line,) = made["regret"]
    assert [cell["budget_s"] for cell in line["at"]] == [100.0, 200.0, 400.0, 800.0]
    assert [cell["trials"] for cell in line["at"]] == [1.0, 2.0, 4.0, 8.0]
    first = mean_interval([4.0 - run.truths[0] for run in runs])
    assert line["at"][0]["mean"] == pytest.approx(first.mean)
    assert line["at"][0]["ci95"] == pytest.approx([first.low, first.high])
    chosen = [max(zip((t.value for t in run.study.trials), run.truths, strict=True))[1] for run in runs]
    assert line["at"][-1]["mean"] == pytest.approx(4.0 - sum(chosen) / 3)


@pytest.mark.parametrize("benchmark", [Toy(), Costs()])
def test_regret_is_never_negative(benchmark):
    made, _ = section(benchmark, seeds=5)
    assert all(cell["mean"] >= 0.0 for cell in made["regret"][0]["at"])


def test_one_run_has_no_interval():
    assert section(seeds=1)[0]["regret"][0]["at"][0]["ci95"] is None


def test_a_budget_before_the_first_training_ends():
    assert section(budget_s=400.0)[0]["regret"][0]["at"][0] == {
        "budget_s": 50.0,
        "trials": 0.0,
        "mean": None,
        "ci95": None,
    }


def test_energy_is_called_modelled():
    assert "times 250 W, which was stated and not measured" in modelled(250.0).message
