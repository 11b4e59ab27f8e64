"""GPUs, memory, the auditor's share, and both policies: splits that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditor.accounting.allocate import Charges, Policy, allocate
from auditor.accounting.trace import ActivityTrace, ComponentTrace
from unit.accounting.traces import FOREIGN, IDLE, UNEXPLAINED, J, S, activity, component, joules, ns, sums, trace

T0, T1, MAIN = "study/s/trial/0/1", "study/s/trial/1/1", "study/s/search/orchestration"
A, B = "gpu:A", "gpu:B"


def gpu(
    name: str, joules: list[float], static_w: float | None = 0.0, others_s: list[float] | None = None
) -> ComponentTrace:
    made = component(name, joules, static_w)
    if others_s is None:
        return made
    return replace(made, others_ns=ns(others_s), used_known=np.ones(len(joules) - 1, dtype=bool))


def on(key: str, account: str, gpus: dict[str, float], device_s: dict[str, list[float]] | None = None) -> ActivityTrace:
    made = activity(key, [0, 0], account=account, gpus=sum(gpus.values()))
    return replace(made, gpus=gpus, device_ns={name: ns(s) for name, s in (device_s or {}).items()})


def test_two_halves_of_a_gpu_are_split_by_device_time_and_never_doubled() -> None:
    one = on("p", T0, {A: 0.5}, {A: [0, 0.6]})
    two = on("q", T1, {A: 0.5}, {A: [0, 0.2]})
    node = trace([0, 1], gpu(A, [0, 100], 20, [0, 0]), one, two, gpus=1)
    assert joules(node) == {T0: 10 + 60, T1: 10 + 20}
    assert joules(node, Policy.DIRECT) == {IDLE: 20, T0: 60, T1: 20}


def test_where_the_driver_does_not_tell_they_are_split_by_lease_and_that_is_noted() -> None:
    node = trace([0, 1], gpu(A, [0, 100], 20), on("p", T0, {A: 0.5}), on("q", T1, {A: 0.25}), gpus=1)
    charges = allocate(node)
    assert {k: v / J for k, v in sums(charges).items()} == pytest.approx({T0: 10 + 160 / 3, T1: 5 + 80 / 3, IDLE: 5})
    assert charges.shared_by_lease_uj == {A: 80 * J}


def test_a_gpu_held_by_one_is_not_noted() -> None:
    assert allocate(trace([0, 1], gpu(A, [0, 100], 20), on("p", T0, {A: 1}), gpus=1)).shared_by_lease_uj == {}


def test_idle_gpus_go_to_idle_also_where_the_job_holds_the_node() -> None:
    driver = activity("d", [0, 0], account=MAIN, rest=True)
    node = trace([0, 1], gpu(A, [0, 100], 20), gpu(B, [0, 30], 20), driver, on("p", T0, {A: 1}), gpus=2)
    assert joules(node) == {T0: 100, IDLE: 30}


def test_a_gpu_given_back_is_held_by_the_job_that_reserved_it() -> None:
    driver = activity("d", [0, 0, 0], account=MAIN, rest=True)
    worker = replace(on("p", T0, {A: 1}), end_ns=S, tree_ns=ns([0, 0, 0]), own_ns=ns([0, 0, 0]))
    node = trace([0, 1, 2], gpu(A, [0, 50, 70], 20), gpu(B, [0, 20, 40], 20), driver, worker, gpus=2)
    assert joules(node) == {T0: 50, MAIN: 20, IDLE: 40}


def test_searches_at_one_time_each_hold_their_own_gpus() -> None:
    searches = [activity(a, [0, 0, 0], account=a, rest=True) for a in (MAIN, FOREIGN)]
    workers = [replace(on(k, a, {g: 1}), end_ns=S) for k, a, g in (("p", T0, A), ("q", FOREIGN, B))]
    node = trace([0, 1, 2], gpu(A, [0, 20, 40], 20), gpu(B, [0, 30, 60], 30), *searches, *workers, gpus=2)
    assert joules(node) == {T0: 20, MAIN: 20, FOREIGN: 60}


def test_searches_at_one_time_share_a_gpu_that_both_had() -> None:
    searches = [activity(a, [0, 0, 0], account=a, rest=True) for a in (MAIN, FOREIGN)]
    workers = [replace(on(k, a, {A: 1}), begin_ns=b, end_ns=b + S) for k, a, b in (("p", T0, 0), ("q", FOREIGN, S))]
    node = trace([0, 1, 2, 3], gpu(A, [0, 20, 40, 60], 20), *searches, *workers, gpus=1)
    assert joules(node) == {T0: 20, MAIN: 10, FOREIGN: 20 + 10}


def test_a_gpu_given_back_is_held_beside_others() -> None:
    driver = activity("d", [0, 0, 0], account=MAIN, rest=True)
    mine, other = replace(on("p", T0, {A: 0.5}), end_ns=S), on("q", FOREIGN, {A: 0.5})
    node = trace([0, 1, 2], gpu(A, [0, 20, 40], 20), driver, mine, other, gpus=1)
    assert joules(node) == {T0: 10, MAIN: 10, FOREIGN: 20}


def test_a_stranger_on_a_gpu_pays_for_itself() -> None:
    node = trace([0, 1], gpu(A, [0, 100], 20, [0, 0.6]), on("p", T0, {A: 1}, {A: [0, 0.2]}), gpus=1)
    assert joules(node) == {T0: 20 + 20, "node/n/foreign": 60}


def test_a_gpu_that_nobody_computes_on_is_its_holders() -> None:
    assert joules(trace([0, 1], gpu(A, [0, 30], 20, [0, 0]), on("p", T0, {A: 1}), gpus=1)) == {T0: 30}


def test_mig_instances_are_unexplained() -> None:
    split = replace(gpu(A, [0, 100], 20), attributable=False)
    assert joules(trace([0, 1], split, on("p", T0, {A: 1}), gpus=1)) == {UNEXPLAINED: 100}


def test_phases_on_a_gpu_are_split_by_time_where_nothing_tells_their_power_and_that_is_noted() -> None:
    worker = on("p", f"{T0}/setup", {A: 1}, {A: [0, 1]})
    worker = replace(worker, mark_ns=ns([0.25]), mark_cpu_ns=ns([0]), mark_account=(f"{T0}/train",))
    charges = allocate(trace([0, 1], gpu(A, [0, 100], 0, [0, 0]), worker, gpus=1))
    assert {k: v / J for k, v in sums(charges).items()} == {f"{T0}/setup": 25, f"{T0}/train": 75}
    assert charges.phases_fitted_uj == {A: 100 * J}


def of_interval(charges: Charges, interval: int) -> dict[str, float]:
    rows = zip(charges.interval.tolist(), charges.account.tolist(), charges.energy_uj.tolist(), strict=True)
    return {charges.accounts[account]: energy / J for i, account, energy in rows if i == interval}


@pytest.mark.parametrize("tells", [True, False], ids=["usage", "lease"])
def test_phases_on_a_gpu_are_split_by_the_power_that_their_mixtures_tell(tells: bool) -> None:
    """Validation takes 10 to 70 % of an interval of a second at 20 W, training the rest at 220 W."""
    shares = [0.1, 0.5, 0.3, 0.7, 0.2, 0.6, 0.4, 0.1]
    energy = np.cumsum([0.0, *(20 * v + 220 * (1 - v) for v in shares)]).tolist()
    times = list(range(len(energy)))
    worker = on("p", f"{T0}/train", {A: 1}, {A: times} if tells else None)
    marks = [(second + 1 - v, "validate") for second, v in enumerate(shares)]
    marks += [(float(second), "train") for second in times[1:-1]]
    marks.sort()
    worker = replace(
        worker,
        tree_ns=ns([0] * len(times)),
        own_ns=ns([0] * len(times)),
        mark_ns=ns([t for t, _ in marks]),
        mark_cpu_ns=ns([0] * len(marks)),
        mark_account=tuple(f"{T0}/{phase}" for _, phase in marks),
    )
    node = trace(times, gpu(A, energy, 0, [0] * len(times) if tells else None), worker, gpus=1)
    charges = allocate(node)
    assert of_interval(charges, 7) == pytest.approx({f"{T0}/train": 198, f"{T0}/validate": 2}, rel=0.01)
    by_time = {f"{T0}/train": 180, f"{T0}/validate": 20}  # one interval tells nothing
    assert of_interval(charges, 0) == pytest.approx(by_time)
    assert charges.phases_fitted_uj == {A: round(energy[-1] * J)}


def test_memory_goes_by_resident_bytes_and_its_static_part_by_slots() -> None:
    gib = 1 << 30
    held = [np.array([a, b], dtype=np.int64) * gib for a, b in ((2, 4), (1, 1))]
    one = replace(activity("p", [0, 0], account=T0, cpus=1), resident_bytes=held[0])
    two = replace(activity("q", [0, 0], account=T1, cpus=1), resident_bytes=held[1])
    node = trace([0, 1], component("ram", [0, 12], 4), one, two)
    node = replace(node, others_bytes=np.array([4, 4], dtype=np.int64) * gib)
    assert joules(node) == {T0: 2 + 3, T1: 2 + 1, "node/n/foreign": 4}


def test_the_auditors_own_time_is_the_audits() -> None:
    worker = activity("p", [0, 1], account=T0, cpus=2, marks=[(0, 0, f"{T0}/train"), (1, 1, f"{T0}/test")])
    audited = replace(worker, audit_account="study/s/audit", mark_audit_ns=ns([0, 0.1]))
    node = trace([0, 1], component("cpu", [0, 20], 10), audited, busy_s=[0, 1])
    assert joules(node) == pytest.approx({f"{T0}/train": 18, "study/s/audit": 2})
    assert (
        dict(zip(*(lambda c: (c.accounts, c.cpu_us.tolist()))(allocate(node)), strict=True))["study/s/audit"] == 100_000
    )


def test_an_activity_that_came_late_is_charged_from_then_on() -> None:
    early = activity("p", [0, 1, 2], account=T0)
    late = replace(activity("q", [0.5, 1.5], account=T1, begin_s=0.5), first=1)
    node = trace([0, 1, 2], component("cpu", [0, 15, 35], 0), early, late, busy_s=[0, 1.5, 3.5])
    assert joules(node) == {T0: 20, T1: 15}


def test_both_policies_are_summed_whatever_is_asked_for() -> None:
    node = trace([0, 1], component("cpu", [0, 20], 10), activity("p", [0, 1], account=T0, cpus=1), busy_s=[0, 1])
    for asked in Policy:
        charges = allocate(node, asked)
        for policy in Policy:
            found = {a: e / J for a, e in zip(charges.accounts, charges.by_policy[policy].tolist(), strict=True) if e}
            assert found == joules(node, policy)
