import numpy as np
import pytest

from auditor.accounting.allocate import Policy, accounts_cut, allocate
from auditor.accounting.reservations import reserved_slot_s
from auditor.accounting.trace import NodeTrace
from unit.accounting.traces import FOREIGN, IDLE, UNEXPLAINED, J, activity, component, joules, sums, trace

T0, T1, MAIN = "study/s/trial/0/1", "study/s/trial/1/1", "study/s/search/orchestration"


def test_an_idle_node_charges_nothing_to_trials() -> None:
    gone = activity("p", [5, 5], account=T0, begin_s=-9, end_s=-1, cpus=1)
    node = trace([0, 1], component("cpu", [0, 10], 10), component("ram", [0, 20], 20), gone, busy_s=[5, 5])
    assert joules(node) == {IDLE: 30}


def test_two_equal_trials_on_two_slots_get_equal_shares() -> None:
    workers = [activity(a, [0, 0.5], account=a, cpus=1) for a in (T0, T1)]
    node = trace([0, 1], component("cpu", [0, 30], 10), component("ram", [0, 20], 20), *workers, busy_s=[0, 1])
    assert joules(node) == {T0: 25, T1: 25}


def test_a_trial_that_sleeps_gets_no_dynamic_energy() -> None:
    asleep = activity("p", [3, 3], account=T0, cpus=1)
    awake = activity("q", [0, 1], account=T1, cpus=1)
    node = trace([0, 1], component("cpu", [0, 30], 10), asleep, awake, busy_s=[0, 1])
    assert joules(node) == {T0: 5, T1: 25}


def test_static_energy_is_shared_by_slots_reserved() -> None:
    small, large = activity("p", [0, 0], account=T0, cpus=1), activity("q", [0, 0], account=T1, cpus=2)
    node = trace([0, 1], component("cpu", [0, 8], 8), small, large, cpus=8, busy_s=[0, 0])
    assert joules(node) == {T0: 1, T1: 2, IDLE: 5}


def test_a_reservation_counts_for_as_long_as_it_is_held() -> None:
    worker = activity("p", [0, 0], account=T0, cpus=2, begin_s=0.25, end_s=0.75)
    node = trace([0, 1], component("cpu", [0, 8], 8), worker, busy_s=[0, 0])
    assert joules(node) == {T0: 4, IDLE: 4}


def test_oversubscribed_slots_are_divided_by_their_sum() -> None:
    workers = [activity(a, [0, 0], account=a, cpus=c) for a, c in ((T0, 1), (T1, 3))]
    node = trace([0, 1], component("cpu", [0, 8], 8), *workers, cpus=2, busy_s=[0, 0])
    assert joules(node) == {T0: 2, T1: 6}


def test_what_nobody_reserves_goes_to_the_holder_of_the_node() -> None:
    driver = activity("d", [0, 0], account=MAIN, rest=True)
    worker = activity("p", [0, 0], account=T0, cpus=1)
    node = trace([0, 1], component("cpu", [0, 8], 8), component("ram", [0, 4], 4), driver, worker, busy_s=[0, 0])
    assert joules(node) == {T0: 6, MAIN: 6}


def test_a_holder_holds_the_rest_only_while_it_lives() -> None:
    driver = activity("d", [0, 0, 0], account=MAIN, rest=True, begin_s=0.25, end_s=1.0)
    node = trace([0, 1, 2], component("cpu", [0, 8, 16], 8), driver, busy_s=[0, 0, 0])
    assert joules(node) == {MAIN: 6, IDLE: 10}


def test_holders_after_one_another_each_hold_all_of_the_rest() -> None:
    killed = activity("d", [0, 0, 0], account=MAIN, rest=True, end_s=1)
    resumed = activity("e", [0, 0, 0], account=MAIN, rest=True, begin_s=1)
    node = trace([0, 1, 2], component("cpu", [0, 8, 16], 8), killed, resumed, busy_s=[0, 0, 0])
    assert joules(node) == {MAIN: 16}


def test_holders_at_one_time_share_the_rest() -> None:
    holders = [activity(a, [0, 0], account=a, rest=True) for a in (T0, T1)]
    node = trace([0, 1], component("cpu", [0, 8], 8), *holders, busy_s=[0, 0])
    assert joules(node) == {T0: 4, T1: 4}


def test_a_search_of_somebody_else_shares_the_rest() -> None:
    mine, other = (activity(a, [0, 0], account=a, rest=True) for a in (MAIN, FOREIGN))
    worker = activity("p", [0, 0], account=T0, cpus=1)
    assert joules(trace([0, 1], component("cpu", [0, 8], 8), mine, other, worker, busy_s=[0, 0])) == {
        T0: 4,
        MAIN: 2,
        FOREIGN: 2,
    }


def test_policy_direct_puts_static_energy_to_idle() -> None:
    driver = activity("d", [0, 0], account=MAIN, rest=True)
    worker = activity("p", [0, 1], account=T0, cpus=1)
    parts = component("cpu", [0, 30], 10), component("ram", [0, 20], 20), driver, worker
    assert joules(trace([0, 1], *parts, busy_s=[0, 1]), Policy.DIRECT) == {IDLE: 30, T0: 20}


def test_foreign_processes_get_their_share() -> None:
    worker = activity("p", [0, 0.5], account=T0)
    node = trace([0, 1], component("cpu", [0, 20]), worker, busy_s=[100, 102])
    assert joules(node) == {T0: 5, FOREIGN: 15}


def test_less_busy_than_used_means_nobody_else() -> None:
    # /proc/stat counts in ticks of 10 ms and may lag behind the process's own clock
    worker = activity("p", [0, 0.505], account=T0)
    assert joules(trace([0, 1], component("cpu", [0, 20]), worker, busy_s=[0, 0.5])) == {T0: 20}


def test_dynamic_energy_without_known_usage_is_unexplained() -> None:
    worker = activity("p", [0, 0], account=T0, cpus=1)
    assert joules(trace([0, 1], component("cpu", [0, 20], 10), worker)) == {T0: 5, IDLE: 5, UNEXPLAINED: 10}


def test_without_static_power_all_is_dynamic() -> None:
    worker = activity("p", [0, 1], account=T0, cpus=1)
    assert joules(trace([0, 1], component("cpu", [0, 20]), worker, busy_s=[0, 1])) == {T0: 20}


def test_static_energy_is_at_most_what_was_metered() -> None:
    worker = activity("p", [0, 1], account=T0, cpus=1)
    assert joules(trace([0, 1], component("cpu", [0, 6], 10), worker, busy_s=[0, 1])) == {T0: 3, IDLE: 3}


def test_gpus_go_by_lease() -> None:
    holder = activity("p", [0, 0], account=T0, cpus=1, gpus=1)
    half = activity("q", [0, 1], account=T1, cpus=1, gpus=0.5)
    node = trace([0, 1], component("gpu", [0, 200], 40), holder, half, gpus=2, busy_s=[0, 1])
    # 40 J without load by slots: 20, 10 and 10 idle; an idle GPU has no part in the 160 J above that
    assert joules(node) == pytest.approx({T0: 20 + 160 / 1.5, T1: 10 + 80 / 1.5, IDLE: 10})


def test_a_named_gpu_goes_by_lease_too() -> None:
    holder = activity("p", [0, 0], account=T0, gpus=1)
    assert joules(trace([0, 1], component("gpu:GPU-1", [0, 200]), holder, gpus=1)) == {T0: 200}


def test_a_gpu_that_nobody_leases_is_idle() -> None:
    assert joules(trace([0, 1], component("gpu", [0, 200]), activity("p", [0, 1], cpus=1), gpus=1)) == {IDLE: 200}


def test_an_activity_that_dies_pays_for_what_it_used() -> None:
    dead = activity("p", [0, 0.5, 0.5], account=T0, own_s=[0, None, None], cpus=1, end_s=0.5)
    node = trace([0, 1, 2], component("cpu", [0, 20, 30], 10), dead, busy_s=[0, 0.5, 0.5])
    assert joules(node) == {T0: 12.5, IDLE: 17.5}


def test_phases_are_split_by_own_cpu_time() -> None:
    # Half of the time in each phase, a quarter of the CPU time in the first.
    worker = activity("p", [0, 1], account=MAIN, marks=[(0, 0, f"{T0}/train"), (0.5, 0.25, f"{T0}/validate")])
    node = trace([0, 1], component("cpu", [0, 40]), worker, busy_s=[0, 1])
    assert joules(node) == {f"{T0}/train": 10, f"{T0}/validate": 30}


def test_static_energy_of_phases_goes_by_time() -> None:
    worker = activity("p", [0, 1], account=MAIN, cpus=2, marks=[(0, 0, f"{T0}/train"), (0.5, 0.25, f"{T0}/test")])
    node = trace([0, 1], component("ram", [0, 40]), worker, busy_s=[0, 1])
    assert joules(node) == {f"{T0}/train": 20, f"{T0}/test": 20}


def test_phases_are_split_by_time_where_the_process_used_no_cpu_itself() -> None:
    worker = activity("p", [0, 1], own_s=[7, 7], marks=[(0, 7, f"{T0}/train"), (0.75, 7, f"{T0}/test")])
    node = trace([0, 1], component("cpu", [0, 40]), worker, busy_s=[0, 1])
    assert joules(node) == {f"{T0}/train": 30, f"{T0}/test": 10}


def test_cpu_time_seen_outside_its_life_goes_to_what_it_last_worked_for() -> None:
    # It gave its slots back at 1 s and its children were still counted in the second interval.
    closed = activity("p", [0, 1, 2, 3], account=MAIN, end_s=1, marks=[(0.5, 0.5, T0)])
    node = trace([0, 1, 2, 3], component("cpu", [0, 20, 40, 60]), closed, busy_s=[0, 1, 2, 3])
    assert joules(node) == {MAIN: 10, T0: 30, "node/n/foreign": 20}  # long after its end nothing is late any more


def test_an_activity_unknown_at_some_readings_is_not_counted_twice() -> None:
    lost = activity("p", [None, 1, None, 2], account=T0)
    other = activity("q", [0, 1, 2, 3], account=T1)
    node = trace([0, 1, 2, 3], component("cpu", [0, 20, 40, 60]), lost, other)
    assert joules(node) == pytest.approx({T0: 20, T1: 40}, abs=1e-4)


def test_energy_between_readings_at_one_instant_is_charged() -> None:
    worker = activity("p", [0, 1, 1], account=T0, cpus=1)
    node = trace([0, 1, 1], component("ram", [0, 10, 13], 5), component("cpu", [0, 10, 12], 5), worker)
    assert joules(node) == {T0: 12.5, IDLE: 5 + 2.5 + 3, UNEXPLAINED: 2}


def test_odd_microjoules_are_not_lost() -> None:
    workers = [activity(a, [0, 1], account=a, cpus=1) for a in ("a", "b", "c")]
    node = trace([0, 1], component("cpu", [0, 10 / J]), component("ram", [0, 11 / J]), *workers, cpus=3)
    assert sums(allocate(node)) == {"a": 8, "b": 7, "c": 6}


def test_charges_name_interval_component_and_account() -> None:
    worker = activity("p", [0, 1, 1], account=T0, cpus=2)
    parts = component("cpu", [0, 10, 10]), component("ram", [0, 3, 5])
    charges = allocate(trace([0, 1, 2], *parts, worker))
    rows = zip(
        charges.interval.tolist(),
        charges.component.tolist(),
        [charges.accounts[a] for a in charges.account.tolist()],
        charges.energy_uj.tolist(),
        strict=True,
    )
    assert sorted(rows) == [(0, 0, T0, 10 * J), (0, 1, T0, 3 * J), (1, 1, T0, 2 * J)]


def test_own_cpu_time_is_counted_by_account() -> None:
    worker = activity("p", [0, 3], account=MAIN, own_s=[0, 1], marks=[(0.5, 0.25, T0)])
    charges = allocate(trace([0, 1], component("cpu", [0, 1]), worker))
    used = dict(zip(charges.accounts, (charges.cpu_us / 1e6).tolist(), strict=True))
    assert used[MAIN] == pytest.approx(0.25)
    assert used[T0] == pytest.approx(0.75)


@pytest.mark.parametrize("times", [[0.0], []])
def test_without_an_interval_nothing_is_charged(times: list[float]) -> None:
    assert joules(trace(times, component("cpu", times), activity("p", times))) == {}


def test_decreasing_energy_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu on n: cumulative energy decreases"):
        allocate(trace([0, 1], component("cpu", [5, 4])))


def slot_s(node: NodeTrace) -> dict[str, float]:
    return {kind: sum(by_account.values()) for kind, by_account in reserved_slot_s(node, accounts_cut(node)).items()}


def test_reserved_slot_seconds() -> None:
    first = activity("p", [0, 0, 0], cpus=1, gpus=0.5, end_s=1.5)
    second = activity("q", [0, 0, 0], cpus=1, begin_s=0.5)
    node = trace([0, 1, 2], component("cpu", [0, 1, 2]), first, second, gpus=1)
    assert slot_s(node) == {"cpu": 3.0, "gpu": 0.75}


def test_reserved_slot_seconds_are_at_most_what_the_node_has() -> None:
    greedy = activity("p", [0, 0], cpus=5)
    assert slot_s(trace([0, 1], component("cpu", [0, 1]), greedy)) == {"cpu": 2.0}


def test_reserved_slot_seconds_are_known_by_account() -> None:
    worker = activity("p", [0, 0], account=MAIN, cpus=1, marks=[(1, 0, T0), (3, 0, T1)])
    node = trace([0, 4], component("cpu", [0, 1]), worker)
    assert reserved_slot_s(node, accounts_cut(node)) == {"cpu": {MAIN: 1.0, T0: 2.0, T1: 1.0}}


def test_what_others_reserve_is_not_the_studys() -> None:
    mine, other = activity("p", [0, 0], account=T0, cpus=1), activity("q", [0, 0], account=FOREIGN, cpus=1, gpus=7)
    assert slot_s(trace([0, 1], component("cpu", [0, 1]), mine, other, gpus=8)) == {"cpu": 1.0}


def test_slots_reserved_twice_are_divided_between_the_study_and_others() -> None:
    mine = activity("p", [0, 0, 0], account=T0, cpus=1)
    other = activity("q", [0, 0, 0], account=FOREIGN, cpus=3, end_s=1)
    assert slot_s(trace([0, 1, 2], component("cpu", [0, 1, 2]), mine, other)) == {"cpu": 0.5 + 1.0}


def test_no_reservation_holds_no_device() -> None:
    assert slot_s(trace([0, 1], component("cpu", [0, 1]), activity("p", [0, 0]))) == {}


def test_the_same_trace_gives_the_same_bytes() -> None:
    workers = [activity(a, [0, 0.3, 0.7], account=a, cpus=0.7) for a in ("b", "a", "c")]
    node = trace([0, 0.9, 2.1], component("cpu", [0, 17, 31], 3), *workers, busy_s=[0, 1, 3])
    one, two = allocate(node), allocate(node)
    assert np.array_equal(one.energy_uj, two.energy_uj)
    assert np.array_equal(one.account, two.account)
