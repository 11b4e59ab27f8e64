"""A plain training: its cost by run and phase in plain words, and nothing that only a search can have."""

from dataclasses import replace

import pytest

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.study import Run, TrialState
from auditor.statement.build import build_statement
from auditor.statement.trainings import carried
from auditor.statement.usage import usage_of
from auditor.statement.values import duration
from unit.statement import records
from unit.statement.records import T0, TRAINING_ACCOUNTS, J, S, training, training_run

SEARCH_ONLY = {
    "no-baseline", "no-complete-trial", "no-test-figure", "too-few-seeds", "no-alternative", "no-fresh-validation",
    "no-default-energy", "no-test-metric", "no-course", "no-tail-share", "not-computed", "study-unnamed",
    "cost-limit-unchecked",
}  # fmt: skip


def build(*args, parameters=None, **changes):
    return build_statement(training(*args, **changes), parameters or Parameters(), version="1")


def found(statement, code):
    return [(f["severity"], f["message"]) for f in statement["findings"] if f["code"] == code]


def test_its_energy_by_run_and_phase():
    statement = build()
    assert statement["trainings"] == [
        {
            "run": "0",
            "state": "complete",
            "start": "2026-01-01T00:00:00.000000Z",
            "wall_s": 200.0,
            "energy_uj": 950 * J,
            "phases": {"setup": 20 * J, "train": 700 * J, "validate": 200 * J, "other": 30 * J},
            "carried_uj": 0,
            "carried_from": [],
            "flops": 10**12,
            "error": "",
        }
    ]
    assert statement["energy"]["search_uj"] == 1000 * J  # the audit included
    assert statement["energy"]["outside_uj"] == 100 * J


def test_what_is_said_of_it():
    verdict = build()["verdict"]
    assert verdict == {
        "grade": "cannot say",
        "worth": {"gain": 0.0, "cost": None, "currency": "EUR"},
        "sentence": "A training, not a search: it used 1 kJ (about 999 J to 1 kJ, given how it was measured) in "
        "3 min 20 s; 70 % went to train, 20 % to validate.",
        "reasons": ["Nothing was searched: there is no other architecture or setting to compare this one with."],
        "next": "To judge an architecture or its settings, compare it with others: auditor search.",
    }


def test_nothing_of_a_search_is_in_it():
    statement = build(parameters=Parameters(worth_cost=1.0, worth_gain=0.1))
    assert not SEARCH_ONLY & {finding["code"] for finding in statement["findings"]}
    assert statement["study"] == {
        "uuid": "6d0e6a1e-0000-4000-8000-00000000bbbb",
        "name": "demo",
        "kind": "training",
        **dict.fromkeys(("space", "sampler", "metric", "test_metric", "direction")),
        "imported": False,
    }
    assert statement["gain"] is statement["tail_share"] is statement["energy"]["times_default"] is None
    assert statement["incumbents"] == statement["marginal"] == []
    [(severity, message)] = found(statement, "training-only")
    assert severity == "info"
    assert message == (
        "study.space, study.sampler, study.metric, study.test_metric, study.direction, energy.times_default, gain, "
        "tail_share, expected_max, expected_max_basis, random_arm, pareto, hypervolume, proxy, inference, break_even "
        "and alternatives are null, incumbents and marginal are empty: this is a plain training, nothing was searched."
    )
    assert not any("trial" in line for line in statement["energy"]["boundary"]["included"])


def test_a_search_without_trainings_has_none():
    statement = build_statement(records.record(), Parameters(), version="1")
    assert (statement["study"]["kind"], statement["trainings"]) == ("search", [])
    assert not found(statement, "training-only")


def test_trainings_within_a_search_are_listed_and_counted():
    accounts = {**records.ACCOUNTS, "study/demo/training/0/train": 9 * J}
    record = records.record(books=records.books(accounts), runs=(*records.runs(), training_run()))
    statement = build_statement(record, Parameters(), version="1")
    assert statement["trainings"][0]["phases"] == {"train": 9 * J}
    assert statement["energy"]["search_uj"] == 409 * J
    assert statement["verdict"]["sentence"].startswith("Paid:")


class TestRuns:
    def test_a_run_without_a_record_is_lost(self):
        statement = build({**TRAINING_ACCOUNTS, "study/demo/training/1/train": 50 * J})
        lost = statement["trainings"][1]
        assert (lost["run"], lost["state"], lost["energy_uj"]) == ("1", "lost", 50 * J)
        assert lost["start"] is lost["wall_s"] is lost["flops"] is None
        assert found(statement, "training-without-outcome") == [
            (
                "warning",
                (
                    "trainings[].start and trainings[].wall_s are null for run 1: there is energy on the books and no "
                    "record of an end, so it was killed, or still runs; it counts as lost."
                ),
            )
        ]
        assert statement["compute"]["flops_coverage"]["of"] == 2
        # the runs took an unknown time: the whole is named
        assert "in 3 min 21 s" in statement["verdict"]["sentence"]
        assert statement["verdict"]["sentence"].startswith("2 trainings, not a search: they used 1.05 kJ")

    def test_they_come_in_order_of_their_numbers(self):
        accounts = {f"study/demo/training/{n}/train": J for n in (10, 2, 0)}
        assert [run["run"] for run in build(accounts)["trainings"]] == ["0", "2", "10"]

    def test_of_two_records_of_one_run_the_later_counts(self):
        failed = training_run(state=TrialState.FAILED, error="rank 1 died")
        statement = build(None, training_run(), failed)
        assert [(run["run"], run["state"]) for run in statement["trainings"]] == [("0", "failed")]
        assert sum(run["energy_uj"] for run in statement["trainings"]) == 950 * J

    def test_a_failure_is_named(self):
        failed = training_run(state=TrialState.FAILED, error="ValueError: no data\n  at line 3")
        assert found(build(None, failed), "training-failed") == [
            ("warning", "1 of 1 training failed (run 0): ValueError: no data.")
        ]

    def test_a_run_without_energy_has_none_and_limits_the_books(self):
        statement = build(None, training_run(), training_run(1))
        assert statement["trainings"][1]["energy_uj"] is None
        message = "trainings[].energy_uj is null for run 1: marks or readings of it are missing."
        assert found(statement, "training-without-energy") == [("warning", message)]
        assert statement["measurement"] == {"grade": "limited", "reasons": [message]}

    def test_a_phase_of_that_name_joins_what_has_no_phase(self):
        statement = build({"study/demo/training/0": J, "study/demo/training/0/other": 2 * J})
        assert statement["trainings"][0]["phases"] == {"other": 3 * J}
        assert "went to" not in statement["verdict"]["sentence"]

    def test_phases_come_in_the_order_of_a_training(self):
        names = ("zoom", "test", "augment", "train", "setup")
        statement = build({f"study/demo/training/0/{name}": J for name in names})
        assert list(statement["trainings"][0]["phases"]) == ["setup", "train", "test", "augment", "zoom"]

    def test_operations_that_were_not_counted(self):
        assert "compute.flops and trainings[].flops are null: none of 1" in "".join(
            message for _, message in found(build(None, training_run(flops=None)), "flops-not-counted")
        )
        partly = build(None, training_run(), training_run(1, flops=None))
        assert found(partly, "flops-partly-counted") == [
            ("info", "compute.flops covers 1 of 2 trainings; trainings[].flops is null for the others.")
        ]


class TestCarried:
    def test_earlier_sessions_are_added_in_words_alone(self):
        statement = build(None, training_run(carried_uj=24_100 * J, carried_from=("runs/a", "runs/b")))
        assert statement["verdict"]["sentence"].endswith(" With 2 earlier sessions, 25.1 kJ in all.")
        assert statement["energy"]["search_uj"] == 1000 * J
        assert found(statement, "energy-carried") == [
            (
                "info",
                (
                    "24.1 kJ of earlier sessions of run 0 (2 folders: runs/a, runs/b) are not on these books, they are "
                    "added in trainings[].carried_uj."
                ),
            )
        ]

    def test_long_lists_of_folders_are_cut(self):
        run = training_run(carried_uj=J, carried_from=tuple("abcdefg"))
        assert "(7 folders: a, b, c, d, e, …)" in found(build(None, run), "energy-carried")[0][1]

    def test_folders_that_nobody_knows(self):
        statement = build(None, training_run(carried_uj=1000 * J))
        assert statement["verdict"]["sentence"].endswith(" With what earlier sessions used, 2 kJ in all.")

    @pytest.mark.parametrize(
        ("runs", "expected"),
        [
            ([], (0, 0)),
            ([(5, "a")], (5, 1)),
            ([(5, "a"), (7, "a")], (7, 1)),  # two checkpoints of one session
            ([(5, "a"), (9, "ab")], (9, 2)),
            ([(5, "a"), (4, "b")], (9, 2)),
            ([(5, ""), (4, "")], (9, 0)),
        ],
    )
    def test_sessions_are_counted_once(self, runs, expected):
        assert carried(runs) == carried(runs[::-1]) == expected


class TestNext:
    def test_mostly_estimated(self):
        record = training()
        parts = (
            records.component("cpu", 300 * J, Provenance.COUNTER),
            records.component("ram", 800 * J, Provenance.CONSTANT),
        )
        record = replace(record, books=replace(record.books, components=parts))
        assert build_statement(record, Parameters(), version="1")["verdict"]["next"] == (
            "Run auditor doctor: it says what would measure ram better; most of the energy is an estimate."
        )

    def test_unmetered(self):
        statement = build({})
        assert statement["verdict"]["sentence"] == "A training, not a search: what it used was not metered."
        assert statement["verdict"]["next"] == "Run auditor doctor: it says which meters work here."
        assert statement["trainings"][0]["energy_uj"] is None

    def test_contradicted(self):
        record = training()
        record = replace(record, books=replace(record.books, metered_uj=1, components=()))
        verdict = build_statement(record, Parameters(), version="1")["verdict"]
        assert verdict["next"] == "Settle first what contradicts these figures: the findings name it."
        assert "graded 'contradicted'" in verdict["reasons"][1]


def test_money_is_said():
    assert "; it cost 0.0501 EUR; 70 % went to train" in build(parameters=records.PRICED)["verdict"]["sentence"]


def test_one_process_or_several_mark_the_same_run():
    usage = usage_of(training())
    assert usage.by_training == {"0": {"setup": 20 * J, "train": 700 * J, "validate": 200 * J, "": 30 * J}}
    assert usage.search_uj == 1000 * J


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.5, "0.5 s"),
        (45.21, "45.2 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (7199, "2 h"),
        (360_000, "100 h"),
    ],
)
def test_duration(time_s, text):
    assert duration(time_s) == text


def test_a_run_that_was_recorded_needs_no_energy_to_be_listed():
    run = Run(kind="training", name="0", state=TrialState.COMPLETE, begin_ns=T0, end_ns=T0 + S)
    assert build({"study/demo/audit": J}, run)["trainings"][0]["phases"] == {}


class TestBookedFromOutside:
    def test_what_it_does_not_say_is_null(self):
        record = records.record(space="", sampler="")
        statement = build_statement(record, Parameters(), version="1")
        assert (statement["study"]["space"], statement["study"]["sampler"]) == (None, None)
        assert found(statement, "study-unnamed") == [
            ("info", "study.space and study.sampler are null: whoever booked the study did not say.")
        ]

    def test_one_name_alone(self):
        statement = build_statement(records.record(space=""), Parameters(), version="1")
        assert found(statement, "study-unnamed")[0][1].startswith("study.space is null: ")

    def test_a_metric_without_a_name(self):
        record = records.record(metric="", runs=())
        statement = build_statement(record, Parameters(), version="1")
        assert statement["gain"]["metric"] is None
        assert "study.metric and gain.metric are null" in found(statement, "study-unnamed")[0][1]
