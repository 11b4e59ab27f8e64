"""The statement of a study that ran elsewhere: what it says and advises is what its reader can do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from auditor.domain.imported import GivenBaseline, ImportedStudy, Power, Told
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import TrialState
from auditor.importers.record import record_of
from auditor.reporting import render_html, render_markdown, render_terminal
from auditor.statement.build import build_statement
from auditor.statement.schema import load_schema
from unit.importers.test_record import study, trial
from unit.statement.test_build import _explained, _nulls

A100 = Power(low_w=40.0, typical_w=400.0, high_w=400.0, detail="1 x A100")
DEFAULT = GivenBaseline(name="default", value=0.05, test_value=0.04)
TESTED = study(trial(0, test_value=0.02), trial(1, test_value=0.08))
REPORTED = study(
    trial(0, energy_j=100.0),
    trial(1, energy_j=200.0),
    trial(2, energy_j=50.0, state=TrialState.PRUNED, value=None),
    trial(3, state=TrialState.FAILED, value=None, begin_ns=None, end_ns=None),
    energy_source="column e",
)
OBJECTIVES = ImportedStudy(
    name="pareto",
    metric="",
    direction="",
    directions=("maximize", "minimize"),
    trials=tuple(trial(number, value=None, values=(0.5, 1.0)) for number in range(3)),
)
CASES: dict[str, tuple[ImportedStudy, Told]] = {
    "bare": (study(trial(0, begin_ns=None, end_ns=None)), Told()),
    "reported": (REPORTED, Told()),
    "pue": (REPORTED, Told(pue_inside=1.5)),
    "modelled": (study(), Told(power=A100, gpus=1.0)),
    "validated": (REPORTED, Told(baseline_trial=0)),
    "tested": (TESTED, Told(baselines=(DEFAULT, GivenBaseline(name="svc", value=0.2)))),
    "half tested": (TESTED, Told(baselines=(replace(DEFAULT, test_value=None),))),
    "objectives": (OBJECTIVES, Told()),
    "nothing": (study(trial(0, state=TrialState.FAILED, value=None)), Told()),
}
SETTINGS = re.compile(
    r"evaluation\.seeds|`baselines`|cost\.price_per_kwh,|carbon\.g_per|carbon\.country|auditor doctor|reading|seal\b|"
    r"training callback|search space|resume|1 seed "
)
"""What only makes sense for a search that runs here."""


def build(case: str, **parameters: Any) -> dict[str, Any]:
    imported, told = CASES[case]
    return build_statement(record_of(imported, told, "uuid"), Parameters(**parameters), version="1")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("parameters", [{}, {"worth_cost": 1.0, "price_per_kwh": 0.3, "pue": 1.2}])
class TestEveryCase:
    def test_follows_the_schema(self, case: str, parameters: dict[str, Any]) -> None:
        statement = build(case, **parameters)
        jsonschema.validate(statement, load_schema(), cls=jsonschema.Draft202012Validator)
        assert json.loads(json.dumps(statement, allow_nan=False)) == statement
        assert statement["study"]["imported"] is True

    def test_every_null_is_explained(self, case: str, parameters: dict[str, Any]) -> None:
        statement = build(case, **parameters)
        messages = [finding["message"] for finding in statement["findings"]]
        free = {"verdict.worth.cost", "gain.test_metric"}
        assert [path for path in _nulls(statement) if path not in free and not _explained(path, messages)] == []

    def test_nothing_advises_a_setting(self, case: str, parameters: dict[str, Any]) -> None:
        statement = build(case, **parameters)
        said = [f["message"] for f in statement["findings"]] + statement["measurement"]["reasons"]
        said += [*statement["verdict"]["reasons"], statement["verdict"]["sentence"], statement["verdict"]["next"]]
        assert [text for text in said if SETTINGS.search(text)] == []

    def test_is_shown(self, case: str, parameters: dict[str, Any]) -> None:
        statement = build(case, **parameters)
        console = Console(width=100, record=True, quiet=True)
        console.print(render_terminal(statement))
        shown = console.export_text()
        assert "metered in all" not in shown
        assert "from the first reading" not in shown
        assert "All metered" not in shown + render_markdown(statement)
        assert "The study ran elsewhere" in render_html(statement)


class TestMeasurement:
    @pytest.mark.parametrize(
        ("name", "grade", "reason"),
        [
            ("bare", "none", "no energy is on the books"),
            ("reported", "reported", "nothing here can check the energy: it comes from column e (100 % of the"),
            ("modelled", "reported", "the energy of gpu is how long trials ran times a power: 1 x A100"),
        ],
    )
    def test_grades(self, name: str, grade: str, reason: str) -> None:
        measurement = build(name)["measurement"]
        assert measurement["grade"] == grade
        assert any(reason in text for text in measurement["reasons"])

    def test_the_range_is_idle_to_full_power(self) -> None:
        assert build("modelled")["energy"]["range"] | {"basis": ""} == {"low_j": 800.0, "high_j": 8000.0, "basis": ""}

    def test_pue_is_applied_once(self) -> None:
        factor = CarbonFactor(g_per_kwh=100.0, source="user")
        inside, none = build("pue", pue=1.5, factor=factor), build("reported", factor=factor)
        assert inside["carbon"]["location_based_g"] == pytest.approx(none["carbon"]["location_based_g"])
        assert (inside["energy"]["boundary"]["pue_inside"], none["energy"]["boundary"]["pue_inside"]) == (False, None)


class TestGain:
    def test_one_training_each(self) -> None:
        gain = build("tested")["gain"]
        assert (gain["best"]["trial"], gain["best"]["test_value"], gain["baseline"]["test_value"]) == (1, 0.08, 0.04)
        assert (gain["delta_test"], gain["seeds"]) == (pytest.approx(0.04), 1)
        assert gain["ci95"] is gain["p_better"] is gain["detectable"] is gain["optimism"] is None

    def test_the_verdict_says_that_it_is_one(self) -> None:
        verdict = build("tested")["verdict"]
        assert verdict["grade"] == "not shown"
        assert "1 training on a side can't tell that from chance" in verdict["sentence"]
        assert "Train winner and default again on 5 fresh seeds each" in verdict["next"]

    def test_a_trial_that_is_the_default(self) -> None:
        statement = build("validated")
        assert statement["gain"]["baseline"]["value"] == 0.0
        assert statement["gain"]["delta"] == pytest.approx(0.1)
        assert statement["energy"]["times_default"] == pytest.approx(350 / 100)

    def test_a_default_by_hand_has_no_energy(self) -> None:
        statement = build("tested")
        assert statement["energy"]["times_default"] is None
        message = next(f["message"] for f in statement["findings"] if f["code"] == "no-default-energy")
        assert "--baseline-trial names a trial that is the default" in message


@pytest.mark.parametrize(
    ("name", "grade", "next_step"),
    [
        ("nothing", "cannot say", "Import it again when at least 2 trials have completed with a value."),
        ("reported", "cannot say", "Say what you would use without searching: --baseline default=VALUE,TEST"),
        ("validated", "cannot say", "Give the test figures of the trials with --test, and with --baseline default="),
        ("half tested", "cannot say", "Give the default's test figure: --baseline default=VALUE,TEST."),
        ("objectives", "cannot say", "Compare its trials by what they cost"),
    ],
)
def test_what_to_do_next(name: str, grade: str, next_step: str) -> None:
    verdict = build(name)["verdict"]
    assert verdict["grade"] == grade
    assert verdict["next"].startswith(next_step)


def test_several_objectives_have_no_best_trial() -> None:
    statement = build("objectives")
    assert statement["verdict"]["reasons"][0] == "The study has 2 objectives; a verdict needs one."
    messages = {f["code"]: f["message"] for f in statement["findings"]}
    assert "non-finite-value" not in messages
    assert "the study has 2 objectives, so no single trial is the best" in messages["no-complete-trial"]
