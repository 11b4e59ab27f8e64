"""The statement as a whole: its shape, its balance, and that no figure is missing without a reason."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import jsonschema
import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import Finding, Severity, TrialState, Window
from auditor.statement.build import build_statement
from auditor.statement.objections import NOT_COMPUTED
from auditor.statement.schema import load_schema
from unit.statement import records
from unit.statement.records import COMPLETE, T0, J, S

FAILED = replace(records.evaluations("winner", [None])[0], state=TrialState.FAILED, error="out of memory\nat x")
RECORDS = {
    "full": records.record(),
    "empty": records.empty(),
    "minimised": records.minimised(),
    "imported": records.imported(),
    "failed evaluations": records.record(runs=(records.baseline("default", 0.95), FAILED)),
    "unsealed": records.record(books=records.books(sealed=False, after_seal_s=None)),
    "running": records.record(
        trials=(*records.TRIALS, records.trial(4, state=TrialState.RUNNING)),
        books=records.books({**records.ACCOUNTS, "study/demo/trial/4/1/train": 7 * J}),
    ),
    "nothing complete": records.record(trials=records.TRIALS[2:3]),
    "odd numbers": records.record(
        trials=(records.trial(0, math.nan), records.trial(1, math.inf), records.trial(2, 0.5)),
        runs=(records.baseline("default", math.nan), records.baseline("svc", math.inf, math.nan)),
        books=records.books(cpu_s=math.nan, coverage=math.nan),
    ),
    "two nodes": records.record(
        books=records.books(
            windows=(
                Window(node="a", start_ns=T0, end_ns=T0 + 5 * S + 123_456_789),
                Window(node="b", start_ns=T0, end_ns=T0 + 4 * S),
            )
        )
    ),
    "training": records.training(),
    "killed training": records.training(
        {**records.TRAINING_ACCOUNTS, "study/demo/training/1/train": 5 * J},
        records.training_run(carried_uj=7 * J, carried_from=("a", "b"), flops=None),
    ),
    "unmetered training": records.training({}),
    "training without energy": records.training(None, records.training_run(), records.training_run(1)),
    "booked from outside": records.record(
        space="", sampler="", metric="", direction="", test_metric=None, runs=(), trials=records.TRIALS
    ),
    "random arm": records.with_arm(),
    "random arm of one": records.with_arm(((0.9, 1),)),
    "random arm that failed": records.with_arm(((None, 10), (None, 10))),
    "random arm, no default": replace(records.with_arm(), runs=records.with_arm().runs[1:]),
    "random sampler": records.record(sampler="random"),
    "several objectives": records.several_objectives(),
    "pruned": records.pruned(),
    "constant": records.record(trials=tuple(records.trial(n, 0.5) for n in range(4))),
    "one trial": records.record(trials=(records.trial(0, 0.5),)),
    "tested trials": records.record(
        runs=(), trials=tuple(replace(records.trial(n, 0.5 + n / 10), test_value=0.5 + n / 20) for n in range(4))
    ),
    "one seed": records.record(runs=records.runs(winner=[0.98], default=[0.95])),
}
PARAMETERS = {
    "plain": Parameters(),
    "priced": records.PRICED,
    "limited": Parameters(worth_gain=0.1, worth_cost=1.0),
}


@pytest.fixture(params=RECORDS)
def record(request):
    return RECORDS[request.param]


@pytest.fixture(params=PARAMETERS)
def statement(request, record):
    return build_statement(record, PARAMETERS[request.param], version="0.1.0")


def test_follows_the_schema(statement):
    jsonschema.validate(statement, load_schema(), cls=jsonschema.Draft202012Validator)


def test_survives_json_unchanged(statement):
    assert json.loads(json.dumps(statement, allow_nan=False)) == statement


def test_the_four_purposes_sum_to_what_was_charged(statement):
    energy = statement["energy"]
    assert energy["charged_uj"] == sum(energy["accounts"].values())
    assert energy["metered_uj"] == energy["charged_uj"] + energy["residual_uj"]
    parts = [energy[key] for key in ("search_uj", "baselines_uj", "evaluation_uj", "outside_uj")]
    if energy["charged_uj"]:
        assert sum(parts) == energy["charged_uj"]
        trials_uj = sum(uj for name, uj in energy["accounts"].items() if "/trial/" in name)
        assert sum(energy["by_state"].values()) == trials_uj
    else:
        assert parts == [None] * 4


def _nulls(value, path=""):
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nulls(item, f"{path}.{key}" if path else key)
    elif path == "trainings":
        for item in value:
            yield from _nulls(item, f"{path}[]")


def _explained(path, messages):
    """Whether a message names the figure, or what it is part of; a plain word must be said to be null."""
    names = [path]
    while "." in names[-1]:
        names.append(names[-1].rpartition(".")[0])
    patterns = [
        rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)"
        + ("" if "." in name or "_" in name else r"(?:(?:, and |, | and )[\w.]+)* (?:is|are) null")
        for name in names
    ]
    return any(re.search(pattern, message) for pattern in patterns for message in messages)


def test_every_null_figure_is_named_by_a_finding(statement):
    parameters = {"verdict.worth.cost"}
    messages = [finding["message"] for finding in statement["findings"]]
    silent = [path for path in _nulls(statement) if path not in parameters and not _explained(path, messages)]
    assert silent == []


def test_the_same_record_gives_the_same_statement(record):
    first = build_statement(record, records.PRICED, version="1")
    assert json.dumps(first) == json.dumps(build_statement(record, records.PRICED, version="1"))


def test_has_every_key_of_the_contract():
    statement = build_statement(records.record(), Parameters(), version="0.1.0")
    assert list(statement) == list(load_schema()["properties"])
    items = load_schema()["properties"]["trainings"]["items"]["properties"]
    assert list(build_statement(records.training(), Parameters(), version="1")["trainings"][0]) == list(items)
    for section in ("study", "verdict", "energy", "compute", "trials", "gain", "carbon", "cost"):
        assert list(statement[section]) == list(load_schema()["properties"][section]["properties"])


def test_every_key_of_the_schema_says_what_it_is_and_nothing_else_is_let_in():
    def walk(node):
        if "properties" in node:
            assert node["additionalProperties"] is False
            assert set(node["required"]) == set(node["properties"])
            for part in node["properties"].values():
                assert part["description"]
                walk(part)
        if isinstance(node.get("items"), dict):
            walk(node["items"])

    schema = load_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    walk(schema)


def test_says_who_made_it_and_when_the_books_closed():
    statement = build_statement(RECORDS["two nodes"], Parameters(), version="9.9")
    assert statement["generated"] == {"auditor": "9.9", "books_closed_at": "2026-01-01T00:00:05.123456Z"}
    assert statement["energy"]["window"][1] == {
        "node": "b",
        "start": "2026-01-01T00:00:00.000000Z",
        "end": "2026-01-01T00:00:04.000000Z",
    }


def test_what_is_not_computed_is_null_and_said_once_each():
    statement = build_statement(records.record(), Parameters(), version="1")
    assert statement["alternatives"] is None
    assert statement["break_even"]["tasks"] is None
    said = [f["message"].split()[0] for f in statement["findings"] if f["code"] == "not-computed"]
    assert said == list(NOT_COMPUTED)


def test_findings_of_the_record_come_along_worst_first_and_once():
    gap = Finding(code="meter-gap", severity=Severity.WARNING, message="A gap.")
    bad = Finding(code="journal-unreadable", severity=Severity.ERROR, message="Unreadable.")
    record = records.record(findings=(gap, bad), books=records.books(findings=(gap,)))
    findings = build_statement(record, Parameters(), version="1")["findings"]
    assert findings[0] == {"code": "journal-unreadable", "severity": "error", "message": "Unreadable."}
    assert [f["code"] for f in findings].count("meter-gap") == 1
    order = ["error", "warning", "info"]
    assert [f["severity"] for f in findings] == sorted((f["severity"] for f in findings), key=order.index)


def test_parameters_that_json_does_not_know_become_strings():
    params = {
        "lr": 0.1,
        "layers": 2,
        "wide": True,
        "none": None,
        "sizes": (1, 2.5),
        "nested": {"a": [Provenance.COUNTER]},
        "odd": 1 + 2j,
        "endless": math.inf,
    }
    record = records.record(trials=(records.trial(0, 0.1), records.trial(3, 0.9, params=params)))
    statement = build_statement(record, Parameters(), version="1")
    assert statement["gain"]["best"]["params"] == {
        **params,
        "sizes": [1, 2.5],
        "nested": {"a": ["counter"]},
        "odd": "(1+2j)",
        "endless": "inf",
    }
    json.dumps(statement, allow_nan=False)


def test_the_empty_study_has_no_invented_zero():
    statement = build_statement(records.empty(), records.PRICED, version="1")
    assert statement["carbon"]["kwh"] is None
    assert statement["cost"]["total"] is None
    assert statement["compute"]["wall_s"] is None
    assert set(statement["energy"]["by_state"].values()) == {None}
    assert statement["verdict"]["grade"] == "cannot say"
    assert statement["measurement"]["grade"] == "none"


def test_building_imports_no_heavy_library():
    code = (
        "import sys, auditor.statement.build;"
        "print([m for m in ('scipy', 'pandas', 'torch', 'ray', 'mlflow', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_attempts_that_complete_are_counted_once():
    statement = build_statement(records.record(), Parameters(), version="1")
    assert statement["trials"] == {
        "total": 4,
        "complete": 3,
        "pruned": 1,
        "failed": 0,
        "lost": 0,
        "running": 0,
        "attempts": 5,
        "duplicates": 0,
    }
    assert COMPLETE.value in statement["energy"]["by_state"]
