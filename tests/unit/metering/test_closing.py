import math
import time
from pathlib import Path

import pytest

from auditor.accounting.allocate import Policy
from auditor.domain.errors import InputError
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import Severity, Trial, TrialState
from auditor.metering.activity import make_header, node_name
from auditor.metering.closing import StudyReader, read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.processes import boot_id
from auditor.metering.records import (
    AttemptRecord,
    Closed,
    Fault,
    Finished,
    Gone,
    Mark,
    OutcomeRecord,
    Record,
    RunRecord,
    Seal,
    Seen,
    StepRecord,
)
from unit.metering.journals import MAIN, J, agent, at, header, reading, study, utc, write

HERE = (node_name(), boot_id())
T0 = "study/u/trial/0/1/train"
IDLE, FOREIGN = "node/node-a/idle", "node/node-a/foreign"


def seen(
    pid: int, begin_s: float = 0.0, *, study: str = "u", account: str = MAIN, cpus: float = 0.0, rest: bool = False
) -> Seen:
    return Seen(key=f"{pid}-7", study=study, account=account, begin_ns=at(begin_s), cpu_slots=cpus, holds_rest=rest)


def accounts(folder: StudyFolder, policy: Policy = Policy.RESERVED) -> dict[str, float]:
    """Joules by account, accounts without charge left out."""
    record, _ = read_study(folder.path, policy)
    assert record.books.residual_uj == 0
    return {name: energy / J for name, energy in record.books.accounts.items() if energy}


def findings(folder: StudyFolder) -> list[str]:
    record, _ = read_study(folder.path)
    return [f.code for f in (*record.findings, *record.books.findings)]


def test_what_is_no_study_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no study folder"):
        StudyReader(StudyFolder(tmp_path))


def test_a_study_without_journals_has_empty_books(tmp_path: Path) -> None:
    folder = study(tmp_path)
    record, ledger = read_study(folder.path)
    assert (record.uuid, record.name, record.space, record.metric) == ("u", "demo", "digits", "accuracy")
    assert record.books.metered_uj == 0
    assert record.trials == ()
    assert len(ledger.energy_uj) == 0


def test_readings_and_marks_become_accounts(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(
            seen(100),
            reading(0, 0, {"100-7": (0, 0)}, busy_s=0),
            reading(1, 20, {"100-7": (1, 1)}, busy_s=1),
            reading(2, 60, {"100-7": (2, 2)}, busy_s=3),
        ),
        marks=[header(account=MAIN), Mark(t=at(0.5), c=round(0.75e9), a=T0), Mark(t=at(1), c=10**9, a=MAIN)],
    )
    assert accounts(folder) == {MAIN: 15 + 20, T0: 5, FOREIGN: 20}


def test_cpu_time_before_the_first_mark_is_the_base_accounts(tmp_path: Path) -> None:
    # Registered with 3 s used; 0.6 s of work before the mark, 0.2 s after it, all within one interval.
    folder = study(
        tmp_path,
        readings=agent(
            reading(0, 0, busy_s=0), seen(100, 0.1), reading(1, 8, {"100-7": (0.8, 3.8)}, busy_s=0.8), begin_s=0
        ),
        marks=[header(account=MAIN, begin_s=0.1, cpu_ns=3 * 10**9), Mark(t=at(0.7), c=round(3.6e9), a=T0)],
    )
    assert accounts(folder) == {MAIN: 6, T0: 2}


def test_processes_of_another_study_are_foreign(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(
            seen(100, cpus=1),
            seen(200, study="other", account="study/other/audit", cpus=1),
            reading(0, 0, {"100-7": (0, 0), "200-7": (0, 0)}, busy_s=0),
            reading(1, 30, {"100-7": (0.25, 0.25), "200-7": (0.75, 0.75)}, busy_s=1),
            static_w=10,
        ),
        marks=[header(account=MAIN)],
    )
    assert accounts(folder) == {MAIN: 5 + 5, FOREIGN: 5 + 15}


def test_two_searches_on_a_node_share_what_nobody_reserved(tmp_path: Path) -> None:
    searches = [seen(100, rest=True), seen(200, study="v", account="study/v/search/orchestration", rest=True)]
    both, one = {"100-7": (0.0, 0.0), "200-7": (0.0, 0.0)}, {"100-7": (0.0, 0.0)}
    times = [reading(0, 0, both, busy_s=0), reading(1, 10, both, busy_s=0), reading(2, 20, one, busy_s=0)]
    folder = study(tmp_path, readings=agent(*searches, *times, static_w=10), marks=[header(account=MAIN)])
    assert accounts(folder) == {MAIN: 5 + 10, FOREIGN: 5}


def test_what_another_studys_process_marks_is_not_ours(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(
            seen(100, study="other"), reading(0, 0, {"100-7": (0, 0)}), reading(1, 8, {"100-7": (1, 1)}, busy_s=1)
        ),
        marks=[header(study="other"), Mark(t=at(0), c=0, a=T0)],
    )
    assert set(accounts(folder)) <= {FOREIGN, "node/node-a/unexplained"}


def test_a_process_that_died_holds_its_slots_until_it_was_found_dead(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(
            seen(100, cpus=2),
            reading(0, 0, {"100-7": (0, 0)}),
            reading(1, 10, {"100-7": (0, -1)}),
            Gone(key="100-7", t=at(1)),
            reading(2, 20),
            static_w=10,
        ),
        marks=[header(account=MAIN, cpu_slots=2.0)],
    )
    assert accounts(folder) == {MAIN: 10, IDLE: 10}


def test_slots_given_back_are_idle(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(
            seen(100, cpus=2),
            reading(0, 0, {"100-7": (0, 0)}),
            reading(2, 20, {"100-7": (0, 0)}),
            static_w=10,
        ),
        marks=[header(account=MAIN), Closed(t=at(0.5))],
    )
    assert accounts(folder) == {MAIN: 5, IDLE: 15}


def test_the_policy_is_passed_on(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        readings=agent(seen(100, cpus=2), reading(0, 0), reading(1, 10), static_w=10),
        marks=[header(account=MAIN)],
    )
    assert accounts(folder) == {MAIN: 10}
    assert accounts(folder, Policy.DIRECT) == {IDLE: 10}


def test_a_component_that_lacks_a_reading_is_carried_on(tmp_path: Path) -> None:
    lost = reading(1, 5)
    lost.e.clear()
    folder = study(tmp_path, readings=agent(reading(0, 5), lost, reading(2, 9), static_w=0))
    record, _ = read_study(folder.path)
    assert record.books.metered_uj == 4 * J


def test_times_are_utc_by_the_first_header_of_the_boot(tmp_path: Path) -> None:
    # The wall clock was set back by an hour while the study ran; the journals keep their order.
    late = header("readings", pid=51, begin_s=10, wall_ns=utc(10) - 3600 * 10**9)
    folder = study(
        tmp_path, a=agent(reading(0, 0), reading(1, 1)), b=[late, *agent(reading(10, 0), reading(11, 1))[1:]]
    )
    record, _ = read_study(folder.path)
    assert [(w.start_ns, w.end_ns) for w in record.books.windows] == [(utc(0), utc(1)), (utc(10), utc(11))]


def test_a_takeover_leaves_a_gap_that_is_found(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        a=agent(reading(0, 0), reading(1, 5)),
        b=agent(reading(3, 0), reading(4, 5), pid=51, begin_s=3),
        marks=[header(account=MAIN, driver=True), Closed(t=at(4))],
    )
    record, _ = read_study(folder.path)
    assert [f.code for f in record.books.findings] == ["meter-gap", "unexplained-energy"]
    assert record.books.coverage == pytest.approx(0.5)
    assert record.books.metered_uj == 10 * J


def test_unmetered_start_counts_from_the_drivers_start(tmp_path: Path) -> None:
    folder = study(
        tmp_path, a=agent(reading(2, 0), reading(3, 5)), marks=[header(driver=True, begin_s=1.5), Closed(t=at(3))]
    )
    record, _ = read_study(folder.path)
    assert record.books.unmetered_start_s == pytest.approx(1.5)  # it was started one second before its header


def test_a_study_without_seal_is_open(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5)), marks=[header(driver=True)])
    reader = StudyReader(folder)
    reader.refresh()
    assert not reader.sealed
    record, _ = reader.close()
    assert not record.books.sealed
    assert record.books.after_seal_s is None


def test_the_seal_closes_the_books(tmp_path: Path) -> None:
    driver: list[Record] = [header(driver=True), Seal(t=at(1)), Finished(t=at(2.5)), Closed(t=at(3))]
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5), reading(2, 9)), marks=driver)
    record, _ = read_study(folder.path)
    assert record.books.sealed
    assert record.books.metered_uj == 5 * J
    assert record.books.after_seal_s == pytest.approx(1.5)
    assert record.books.coverage == 1.0


def test_a_resumed_study_is_open_until_its_last_driver_seals(tmp_path: Path) -> None:
    readings = agent(reading(0, 0), reading(1, 5), reading(9, 9), reading(10, 12))
    first: list[Record] = [header(driver=True), Seal(t=at(1))]
    folder = study(tmp_path, a=readings, m1=first, m2=[header(pid=101, begin_s=8, driver=True)])
    record, _ = read_study(folder.path)
    assert not record.books.sealed
    assert record.books.metered_uj == 12 * J
    with (folder.journals / "m2.jsonl").open("ab") as file:
        file.write(b'{"k":"seal","t":%d}\n' % at(9))
    record, _ = read_study(folder.path)
    assert record.books.metered_uj == 9 * J


def test_a_killed_driver_is_seen_until_its_last_reading(tmp_path: Path) -> None:
    # It lived at 4 s at least, and no meter ran from 4 s on, until the study was resumed.
    folder = study(
        tmp_path,
        a=agent(
            seen(100), reading(0, 0, {"100-7": (0, 0)}), reading(4, 9, {"100-7": (1, 1)}), reading(5, 9), static_w=1
        ),
        b=agent(reading(60, 0), reading(61, 5), pid=51, begin_s=60),
        m1=[header(driver=True, account=MAIN)],
        m2=[header(pid=101, driver=True, begin_s=60), Closed(t=at(61))],
    )
    record, _ = read_study(folder.path)
    assert [f.code for f in record.books.findings] == ["unexplained-energy"]
    assert record.books.coverage == 1.0


# Trials and runs.


def search(*records: Record) -> list[Record]:
    return [header("search", pid=100), *records]


def attempt(trial: int, number: int, seconds: float, **params: object) -> AttemptRecord:
    return AttemptRecord(t=at(seconds), trial=trial, attempt=number, params=dict(params))


def outcome(trial: int, number: int, seconds: float, state: str, **more: object) -> OutcomeRecord:
    return OutcomeRecord(t=at(seconds), trial=trial, attempt=number, state=state, **more)


def trials(folder: StudyFolder) -> dict[int, Trial]:
    return {t.number: t for t in read_study(folder.path)[0].trials}


def test_a_complete_trial(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        search=search(
            attempt(0, 1, 1, lr=0.1),
            StepRecord(t=at(2), trial=0, attempt=1, step=0, value=0.5),
            StepRecord(t=at(3), trial=0, attempt=1, step=1, value=None),
            outcome(0, 1, 4, "complete", value=0.75, flops=10, uncounted_ops=("x",)),
        ),
    )
    (trial,) = trials(folder).values()
    assert (trial.state, trial.value, trial.params) == (TrialState.COMPLETE, 0.75, {"lr": 0.1})
    assert trial.intermediate[0] == 0.5
    assert math.isnan(trial.intermediate[1])
    assert trial.intermediate_ns == {0: utc(2), 1: utc(3)}
    (only,) = trial.attempts
    assert (only.begin_ns, only.end_ns, only.flops, only.uncounted_ops) == (utc(1), utc(4), 10, ("x",))
    assert trial.end_ns == utc(4)


def test_a_pruned_trial_has_no_value(tmp_path: Path) -> None:
    folder = study(tmp_path, search=search(attempt(0, 1, 1), outcome(0, 1, 2, "pruned", value=0.9)))
    assert (trials(folder)[0].state, trials(folder)[0].value) == (TrialState.PRUNED, None)


def test_a_lost_attempt_is_run_again(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        search=search(
            attempt(0, 1, 1),
            outcome(0, 1, 2, "lost", final=False, error="worker died"),
            attempt(0, 2, 3),
            outcome(0, 2, 5, "complete", value=1.0),
        ),
    )
    trial = trials(folder)[0]
    assert trial.state is TrialState.COMPLETE
    assert [(a.number, a.state) for a in trial.attempts] == [(1, TrialState.LOST), (2, TrialState.COMPLETE)]
    assert trial.attempts[0].error == "worker died"


def test_a_trial_whose_retries_are_spent_has_failed(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        search=search(
            attempt(0, 1, 1),
            outcome(0, 1, 2, "lost", final=False),
            attempt(0, 2, 3),
            outcome(0, 2, 4, "failed", error="ValueError"),
        ),
    )
    assert trials(folder)[0].state is TrialState.FAILED
    assert [a.state for a in trials(folder)[0].attempts] == [TrialState.LOST, TrialState.FAILED]


def test_a_trial_under_way_is_running(tmp_path: Path) -> None:
    folder = study(tmp_path, search=search(attempt(3, 1, 1, lr=1)))
    trial = trials(folder)[3]
    assert (trial.state, trial.value, trial.end_ns) == (TrialState.RUNNING, None, None)


def test_an_outcome_whose_attempt_is_not_written_down_counts(tmp_path: Path) -> None:
    folder = study(tmp_path, search=search(outcome(0, 1, 2, "complete", value=1.0)))
    assert trials(folder)[0].attempts[0].begin_ns == utc(2)


def test_a_resumed_search_goes_on_in_another_journal(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        b_first=search(attempt(0, 1, 1, lr=1), StepRecord(t=at(2), trial=0, attempt=1, step=0, value=0.1)),
        a_second=[
            header("search", pid=101, begin_s=10),
            outcome(0, 1, 11, "lost", final=False),
            attempt(0, 2, 12, lr=1),
            StepRecord(t=at(13), trial=0, attempt=2, step=0, value=0.2),
            outcome(0, 2, 14, "complete", value=0.3),
        ],
    )
    trial = trials(folder)[0]
    assert [a.state for a in trial.attempts] == [TrialState.LOST, TrialState.COMPLETE]
    assert trial.intermediate == {0: 0.1}  # a step reported is not reported again
    assert trial.value == 0.3


def test_runs_come_back(tmp_path: Path) -> None:
    folder = study(
        tmp_path,
        search=search(
            RunRecord(
                t=at(5), begin_ns=at(2), kind="baseline", name="svc", state="complete", value=0.5, test_value=0.4
            ),
            RunRecord(t=at(9), begin_ns=at(6), kind="evaluation", name="winner", state="failed", seed=3, trial=7),
        ),
    )
    svc, winner = read_study(folder.path)[0].runs
    assert (svc.kind, svc.name, svc.value, svc.test_value, svc.begin_ns, svc.end_ns) == (
        "baseline",
        "svc",
        0.5,
        0.4,
        utc(2),
        utc(5),
    )
    assert (winner.state, winner.seed, winner.trial) == (TrialState.FAILED, 3, 7)


# Damaged journals.


def test_a_torn_journal_is_a_finding_once_sealed(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5)), marks=[header(driver=True)])
    with (folder.journals / "a.jsonl").open("ab") as file:
        file.write(b'{"k":"reading","t":1')
    assert findings(folder) == ["unexplained-energy"]  # its writer may still be writing
    with (folder.journals / "marks.jsonl").open("ab") as file:
        file.write(b'{"k":"seal","t":%d}\n' % at(1))
    assert findings(folder) == ["journal-torn", "unexplained-energy"]


def test_unknown_records_are_a_finding(tmp_path: Path) -> None:
    folder = study(tmp_path, marks=[header()])
    with (folder.journals / "marks.jsonl").open("ab") as file:
        file.write(b'{"k":"omen"}\n{"k":"omen"}\n')
    record, _ = read_study(folder.path)
    (finding,) = record.findings
    assert finding.code == "journal-records-skipped"
    assert "2 lines of journal marks.jsonl" in finding.message


def test_each_fault_of_the_auditor_is_a_finding_once(tmp_path: Path) -> None:
    faults = [
        Fault(t=at(t), where=w, message=m)
        for t, w, m in (
            (1, "on_train_end", "OSError: disk full"),
            (2, "MLflow", "no answer."),
            (3, "MLflow", "no answer."),
        )
    ]
    folder = study(
        tmp_path,
        a=agent(seen(100), seen(101), reading(0, 0), reading(1, 5)),
        m=[header(account=MAIN), *faults],
        n=[header(pid=101, account=MAIN), faults[0]],
    )
    record, _ = read_study(folder.path)
    assert [(f.code, f.severity, f.message) for f in record.findings] == [
        (
            "auditor-fault",
            Severity.WARNING,
            "The auditor failed in on_train_end and the training went on: OSError: disk full.",
        ),
        ("auditor-fault", Severity.WARNING, "The auditor failed in MLflow and the training went on: no answer."),
    ]


def test_an_unreadable_journal_is_a_finding_and_the_others_count(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5)))
    (folder.journals / "b.jsonl").write_bytes(b'{"k":"closed","t":1}\n')
    reader = StudyReader(folder)
    reader.refresh()
    reader.refresh()
    record, _ = reader.close()
    assert [(f.code, f.severity) for f in record.findings] == [("journal-unreadable", Severity.ERROR)]
    assert record.books.metered_uj == 5 * J


def test_an_empty_journal_is_waited_for(tmp_path: Path) -> None:
    folder = study(tmp_path)
    (folder.journals / "a.jsonl").touch()
    assert findings(folder) == []


# Reading while the study runs.


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    folder = study(tmp_path)
    first, *rest = agent(reading(0, 0), reading(1, 5))
    reader = StudyReader(folder)
    with JournalWriter(folder.journals / "a.jsonl", first) as writer:
        writer.append(*rest)
        reader.refresh()
        assert reader.energy_and_power() == (5.0, 5.0)
        writer.append(reading(3, 25))
        reader.refresh()
        assert reader.energy_and_power() == (25.0, 10.0)
        assert reader.close()[0].books.metered_uj == 25 * J


def test_energy_and_power_before_there_are_any(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 7)))
    reader = StudyReader(folder)
    assert reader.energy_and_power() == (None, None)
    reader.refresh()
    assert reader.energy_and_power() == (None, None)


def test_an_agent_that_left_draws_no_power(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5), Closed(t=at(2))))
    reader = StudyReader(folder)
    reader.refresh()
    assert reader.energy_and_power() == (5.0, None)


def test_waiting_for_the_agent_of_this_node(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0)))  # another node's: not waited for
    reader = StudyReader(folder)
    assert reader.wait_for_agents([HERE], 0)
    with JournalWriter(folder.journals / "here.jsonl", make_header("readings", "u")) as writer:
        begun = time.monotonic()
        assert not reader.wait_for_agents([HERE], 0.05)
        assert 0.04 < time.monotonic() - begun < 2
        writer.append(Closed(t=1))
        assert reader.wait_for_agents([HERE], 0)


def test_parameters_come_back(tmp_path: Path) -> None:
    folder = study(tmp_path)
    factor = {"g_per_kwh": 50.0, "source": "user", "year": None, "kind": "average", "scope": "FRA"}
    file = folder.read_study()
    about = {"uuid": "u", "config": {}, "versions": {}, "hardware": {}, "study": file.study}
    folder.write_study(StudyFile(parameters={"pue": 1.2, "factor": factor}, **about))
    expected = Parameters(pue=1.2, factor=CarbonFactor(g_per_kwh=50.0, source="user", scope="FRA"))
    assert StudyReader(folder).parameters == expected
    folder.write_study(StudyFile(parameters={}, **about))
    assert StudyReader(folder).parameters == Parameters()


def test_journals_may_be_added_while_it_runs(tmp_path: Path) -> None:
    folder = study(tmp_path, a=agent(reading(0, 0), reading(1, 5)))
    reader = StudyReader(folder)
    reader.refresh()
    write(folder.journals / "b.jsonl", agent(reading(2, 0), reading(3, 4), pid=51, begin_s=2))
    reader.refresh()
    assert reader.close()[0].books.metered_uj == 9 * J
