"""Threads of one process that work for accounts of their own."""

from dataclasses import replace

import numpy as np
import pytest

from auditor.accounting.allocate import Policy
from auditor.accounting.books import close_books
from auditor.accounting.reservations import reserved_slot_s
from auditor.accounting.segments import cut
from auditor.accounting.trace import ActivityTrace
from unit.accounting.traces import IDLE, J, S, activity, component, joules, ns, trace

CPU = component("cpu", [0, 100, 200])
T0, T1 = "study/s/trial/0/1/train", "study/s/trial/1/1/train"


def pieces(worker: ActivityTrace) -> dict[tuple[int, str], tuple[int, int]]:
    """Milliseconds, and milliseconds of own CPU time, by interval and account."""
    found = cut(trace([0, 1, 2], CPU, worker))
    sums: dict[tuple[int, str], tuple[int, int]] = {}
    for i, a, d, o in zip(found.interval, found.account, found.duration_us, found.own_us, strict=True):
        key = int(i), found.accounts[a]
        before = sums.get(key, (0, 0))
        sums[key] = before[0] + int(d), before[1] + int(o)
    return {key: (d // 1000, o // 1000) for key, (d, o) in sums.items() if d or o}


def test_while_no_lane_has_an_account_the_process_works_for_its_own() -> None:
    worker = activity("p", [0, 0.5, 1.0], lanes=[[(0.5, 0, T0), (1.0, 0.25, "")]])
    assert pieces(worker) == {(0, "p"): (500, 250), (0, T0): (500, 250), (1, "p"): (1000, 500)}


def test_time_is_shared_equally_and_cpu_time_by_the_threads_clocks() -> None:
    lanes = [[(0.0, 0, T0), (1.0, 0.3, "")], [(0.0, 5, T1), (1.0, 5.1, "")]]
    worker = activity("p", [0, 0.8, 0.8], lanes=lanes)  # threads without a lane used as much as these
    assert pieces(worker) == {(0, T0): (500, 600), (0, T1): (500, 200), (1, "p"): (1000, 0)}


def test_only_lanes_with_an_account_share() -> None:
    lanes = [[(0.0, 0, T0), (2.0, 1.0, "")], [(1.0, 0, T1), (1.5, 0.25, ""), (1.75, 0.25, T1), (2.0, 0.375, "")]]
    assert pieces(activity("p", [0, 0.5, 1.5], lanes=lanes)) == {
        (0, T0): (1000, 500),
        (1, T0): (250 + 250 + 125, 250 + 250 + 125),
        (1, T1): (250 + 125, 250 + 125),
    }


def test_where_no_thread_used_anything_cpu_time_is_shared_equally() -> None:
    lanes = [[(0.0, 1, T0), (1.0, 1, "")], [(0.0, 2, T1), (1.0, 2, "")]]
    assert pieces(activity("p", [0, 0.5, 0.5], lanes=lanes))[0, T0] == (500, 250)


def test_a_thread_whose_cpu_time_is_not_known_counts_as_the_mean_of_the_others() -> None:
    lanes = [[(0.0, 0, T0), (1.0, 0.4, "")], [(0.0, 0, T1)]]
    assert pieces(activity("p", [0, 0.8, 1.6], lanes=lanes)) == {
        (0, T0): (500, 400),
        (0, T1): (500, 400),
        (1, T1): (1000, 800),
    }


def test_cpu_time_of_a_thread_is_linear_between_its_marks() -> None:
    lanes = [[(0.0, 0, T0), (2.0, 1.0, "")], [(0.0, 0, T1), (1.0, 0.25, T1), (2.0, 1.0, "")]]
    worker = activity("p", [0, 0.75, 2.0], lanes=lanes)
    assert pieces(worker)[0, T0] == (500, 500)  # 0.5 against 0.25
    assert pieces(worker)[1, T0] == (500, 500)  # 0.5 against 0.75


def test_marks_before_the_readings_and_after_the_end_count() -> None:
    lanes = [[(-3.0, 0, T0), (-2.0, 0.1, ""), (-1.0, 0.1, T1), (9.0, 4.0, "")], [(5.0, 0, T0)], []]
    worker = activity("p", [0, 0.5, 0.75], begin_s=-5, end_s=1.5, lanes=lanes)
    assert pieces(worker) == {(0, T1): (1000, 500), (1, T1): (500, 125)}


def test_odd_microseconds_are_lost_nowhere() -> None:
    third = [[(0.0, 0, f"study/s/trial/{n}/1/train")] for n in range(3)]
    found = cut(trace([0, 1, 2], CPU, activity("p", [0, 0.1, 0.2], lanes=third)))
    assert found.duration_us.sum() == 2_000_000
    assert found.own_us.sum() == 200_000
    assert sorted(found.duration_us.tolist()) == [333_333] * 4 + [333_334] * 2


def test_cpu_energy_follows_the_threads_and_reserved_slots_their_time() -> None:
    lanes = [[(0.0, 0, T0), (2.0, 1.5, "")], [(0.0, 0, T1), (2.0, 0.5, "")]]
    worker = activity("p", [0, 1, 2], cpus=2, lanes=lanes)
    node = trace([0, 1, 2], component("cpu", [0, 100, 200], static_w=60), worker, busy_s=[0, 1, 2])
    assert joules(node) == {T0: 60 + 60, T1: 60 + 20}  # static 120 J by time, dynamic 80 J as 3:1
    assert joules(node, Policy.DIRECT) == {IDLE: 120, T0: 60, T1: 20}
    assert reserved_slot_s(node, cut(node)) == {"cpu": {T0: 2.0, T1: 2.0}}


def test_gpu_energy_goes_by_time() -> None:
    lanes = [[(0.0, 0, T0), (1.0, 0.9, T0), (2.0, 0.9, "")], [(0.0, 0, T1), (2.0, 0.1, "")]]
    worker = activity("p", [0, 1, 2], gpus=1, lanes=lanes)
    assert joules(trace([0, 1, 2], component("gpu", [0, 50, 100]), worker, gpus=1)) == {T0: 50, T1: 50}


def test_what_the_auditor_took_is_taken_out_first() -> None:
    lanes = [[(0.0, 0, T0), (1.0, 0.45, "")], [(0.0, 0, T1), (1.0, 0.45, "")]]
    worker = activity("p", [0, 1, 2], marks=[(0.0, 0, "p"), (1.0, 1.0, "p")], lanes=lanes)
    worker = replace(worker, mark_audit_ns=ns([0, 0.1]), audit_account="study/s/audit")
    assert pieces(worker)[0, "study/s/audit"] == (100, 100)
    assert pieces(worker)[0, T0] == (450, 450)


def test_what_a_lane_marks_after_the_seal_changes_nothing() -> None:
    def books(*later: tuple[float, float, str]) -> dict[str, int]:
        lanes = [[(0.0, 0, T0), (1.0, 0.75, T0), *later], [(0.0, 0, T1), (1.0, 0.25, T1)]]
        worker = activity("p", [0, 1, 2], account="study/s/search/orchestration", lanes=lanes)
        accounts = close_books([trace([0, 1, 2], CPU, worker)], seal_ns=2 * S)[0].accounts
        return {name: energy // J for name, energy in accounts.items() if energy}

    assert books() == books((2.5, 0.76, "")) == {T0: 75 + 50, T1: 25 + 50}


@pytest.mark.parametrize("lanes", [(), ([],), ([(0.5, 0.0, "")], [])])
def test_lanes_without_an_account_change_nothing(lanes: list[list[tuple[float, float, str]]]) -> None:
    worker = activity("p", [0, 0.5, 1.25], marks=[(0.25, 0.1, "b"), (0.5, 0.2, "p")], lanes=lanes)
    plain = cut(trace([0, 1, 2], CPU, replace(worker, lanes=())))
    found = cut(trace([0, 1, 2], CPU, worker))
    assert found.accounts == plain.accounts
    assert all(
        np.array_equal(getattr(found, name), getattr(plain, name))
        for name in ("activity", "interval", "account", "duration_us", "own_us")
    )
