from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditor.accounting.allocate import Charges, Policy, allocate
from auditor.testing import SyntheticNode, attribution_error
from auditor.testing.nodes import MeasuredNode

PROMISED = 0.02
SEEDS = range(5)
VIOLATIONS = {
    "lag": {"lag_s": 0.5},
    "watts": {"phase_watts": (1.0, 1.2)},
    "cubic": {"cubic": True},
    "children": {"children": 0.5},
    "bytes": {"phase_bytes": (1.0, 2.0)},
    "noise": {"noise": 0.05},
}


def mean_error(node: SyntheticNode, component: str | None = None) -> float:
    """Error per account of dynamic energy, mean over seeds."""
    of = [attribution_error(replace(node, seed=s), policy=Policy.DIRECT, component=component) for s in SEEDS]
    return float(np.mean([error.account for error in of]))


def rows(charges: Charges) -> list[tuple[int, int, str, int]]:
    """Interval, component, account and energy of every charge, in order."""
    account = [charges.accounts[a] for a in charges.account.tolist()]
    return sorted(
        zip(charges.interval.tolist(), charges.component.tolist(), account, charges.energy_uj.tolist(), strict=True)
    )


def drawn(seed: int) -> SyntheticNode:
    """A node that keeps every assumption, otherwise as it falls."""
    rng = np.random.default_rng(seed)
    activities = int(rng.integers(1, 7))
    return SyntheticNode(
        seed=seed,
        duration_s=60.0,
        interval_s=float(rng.uniform(0.2, 5.0)),
        phase_s=float(rng.uniform(0.05, 20.0)),
        activities=activities,
        cpu_slots=activities + float(rng.integers(2, 9)),
        cpu_rate=(float(rng.uniform(0.1, 1.0)), float(rng.uniform(0.1, 1.0))),
        foreign_slots=float(rng.uniform(0.0, 1.0)),
    )


class TestTheNode:
    def test_the_same_seed_gives_the_same_node(self) -> None:
        one, same, other = (SyntheticNode(seed=s, gpus=1, noise=0.1).measure() for s in (1, 1, 2))
        for a, b, c in zip(one.trace.components, same.trace.components, other.trace.components, strict=True):
            assert (a.energy_uj == b.energy_uj).all()
            assert (a.energy_uj != c.energy_uj).any()
        assert one.true_uj() == same.true_uj() != other.true_uj()

    @pytest.mark.parametrize("policy", Policy)
    @pytest.mark.parametrize("change", [{}, {"cubic": True}, {"phase_watts": (1.0, 2.0)}, {"lag_s": 1.0}])
    def test_the_truth_is_all_that_was_metered(self, policy: Policy, change: dict[str, object]) -> None:
        measured = replace(SyntheticNode(gpus=2), **change).measure()
        for component in measured.trace.components:
            assert sum(measured.true_uj(policy, component.name).values()) == pytest.approx(
                int(component.energy_uj[-1]), rel=1e-6
            )

    def test_linear_power_by_hand(self) -> None:
        node = SyntheticNode(activities=1, cpu_slots=2, foreign_slots=0.0)
        measured = node.measure()
        cpu_s = int(np.diff(measured.trace.activities[0].tree_ns).sum()) / 1e9
        dynamic_j = sum(measured.dynamic_uj["cpu"].values()) / 1e6
        assert dynamic_j == pytest.approx(12.0 * cpu_s, rel=1e-6)
        static_w = measured.trace.components[0].static_w
        assert static_w == pytest.approx(0.1 * (12.0 * 2 + static_w))  # a tenth of the TDP
        idle_uj = measured.reserved_uj["cpu"]["node/synthetic/idle"]
        assert idle_uj == pytest.approx(0.5 * static_w * node.duration_s * 1e6)

    def test_a_full_node_draws_its_tdp_under_either_model(self) -> None:
        full = SyntheticNode(activities=4, foreign_slots=0.0, cpu_rate=(1.0, 1.0))
        linear, cubic = (replace(full, cubic=c).measure().trace.components[0].energy_uj[-1] for c in (False, True))
        low = replace(full, cpu_rate=(0.2, 0.2))
        low_linear, low_cubic = (replace(low, cubic=c).measure().trace.components[0].energy_uj[-1] for c in (0, 1))
        assert 0.75 < cubic / linear < 1.0  # single phases use up to 20 % less
        assert low_cubic < 0.5 * low_linear

    def test_phases_and_readings_have_the_lengths_asked_for(self) -> None:
        trace = SyntheticNode(duration_s=600.0, interval_s=2.0, phase_s=3.0).measure().trace
        assert np.diff(trace.t_ns).mean() == pytest.approx(2e9)
        assert 1.7e9 < np.diff(trace.t_ns).min() < np.diff(trace.t_ns).max() < 2.3e9
        lengths_ns = np.diff(trace.activities[0].mark_ns)
        assert lengths_ns.mean() == pytest.approx(3e9, rel=0.05)
        assert 2.0e9 < lengths_ns.min() < lengths_ns.max() < 4.0e9

    def test_late_reads_see_what_was_used_meanwhile(self) -> None:
        aligned, late = (SyntheticNode(lag_s=lag).measure().trace.activities[0] for lag in (0.0, 0.5))
        behind_ns = (late.tree_ns - aligned.tree_ns)[:-1]
        assert (behind_ns >= 0).all()
        assert 0 < behind_ns.max() <= 0.5e9
        assert (late.mark_cpu_ns == aligned.mark_cpu_ns).all()

    def test_ticks(self) -> None:
        activity = SyntheticNode(tick_s=0.01).measure().trace.activities[0]
        assert not (activity.tree_ns % 10_000_000).any()
        assert (activity.mark_cpu_ns % 10_000_000).any()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"activities": 4}, "4 activities and 0.2 foreign slots .* don't fit into 4 CPU slots"),
            ({"phase_s": 0.0}, "interval_s=1 and phase_s=0 must be above 0"),
            ({"interval_s": 121.0}, "at most duration_s=120"),
            ({"noise": -0.1}, "noise, lag_s"),
            ({"children": 1.1}, "between 0 and 1"),
            ({"phase_s": 1e-4}, "30000000 steps: at most 2000000"),
        ],
    )
    def test_what_can_not_be(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            replace(SyntheticNode(), **change)


class TestTheBooks:
    @pytest.mark.parametrize("violation", [{}, *VIOLATIONS.values()], ids=["none", *VIOLATIONS])
    @pytest.mark.parametrize("policy", Policy)
    @pytest.mark.parametrize("seed", SEEDS)
    def test_they_balance_whatever_is_violated(self, violation: dict[str, object], policy: Policy, seed: int) -> None:
        trace = replace(drawn(seed), gpus=2, **violation).measure().trace
        charges = allocate(trace, policy)
        for number, component in enumerate(trace.components):
            of_it = charges.component == number
            charged_uj = np.bincount(charges.interval[of_it], charges.energy_uj[of_it], minlength=len(trace.t_ns) - 1)
            assert (charged_uj == np.diff(component.energy_uj)).all()


class TestWhatIsPromised:
    @pytest.mark.parametrize("policy", Policy)
    @pytest.mark.parametrize("seed", range(20))
    def test_on_any_node_as_assumed(self, policy: Policy, seed: int) -> None:
        error = attribution_error(drawn(seed), policy=policy)
        assert error.worst_account
        assert max(error.process, error.account, error.worst) <= PROMISED

    @pytest.mark.parametrize("seed", SEEDS)
    def test_phases_far_shorter_than_an_interval(self, seed: int) -> None:
        error = attribution_error(SyntheticNode(seed=seed, interval_s=2.0, phase_s=0.1), policy=Policy.DIRECT)
        assert max(error.process, error.account, error.worst) <= PROMISED

    @pytest.mark.parametrize("seed", SEEDS)
    def test_with_the_kernels_ticks_too(self, seed: int) -> None:
        error = attribution_error(SyntheticNode(seed=seed, phase_s=0.05, tick_s=0.01), policy=Policy.DIRECT)
        assert max(error.process, error.account, error.worst) <= PROMISED

    def test_gpu_energy_by_process(self) -> None:
        for seed in SEEDS:
            node = SyntheticNode(seed=seed, gpus=2, phase_s=0.2)
            assert attribution_error(node, policy=Policy.DIRECT).process <= PROMISED


class TestWhatIsNot:
    @pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=list(VIOLATIONS))
    def test_a_violated_assumption_shows(self, violation: dict[str, object]) -> None:
        node = SyntheticNode(phase_s=1.0)
        assert mean_error(replace(node, **violation)) > 10 * mean_error(node)

    def test_the_later_the_read_the_larger_the_error(self) -> None:
        errors = [mean_error(SyntheticNode(phase_s=0.2, lag_s=lag)) for lag in (0.0, 0.2, 0.5, 1.0)]
        assert errors == sorted(errors)
        assert errors[-1] > PROMISED

    def test_phases_on_a_gpu_are_as_good_as_the_intervals_tell(self) -> None:
        errors = [mean_error(SyntheticNode(gpus=3, phase_s=phase), "gpu:0") for phase in (0.05, 0.2, 1.0, 5.0)]
        assert max(errors) < 0.1  # by time it would be a half for the short ones
        assert errors[-1] < PROMISED
        few = [mean_error(SyntheticNode(gpus=3, duration_s=d, phase_s=0.2), "gpu:0") for d in (4.0, 60.0)]
        assert few[0] > 0.2 > few[1]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_readings_that_follow_change_no_charge_of_a_gpu(self, seed: int) -> None:
        trace = SyntheticNode(seed=seed, gpus=2, phase_s=1.0, noise=0.05).measure().trace
        whole = rows(allocate(trace))
        for count in (2, 7, 30, 90):
            assert rows(allocate(trace.until(count))) == [row for row in whole if row[0] < count - 1]


class TestTheMeasure:
    def test_by_hand(self) -> None:
        measured = SyntheticNode(activities=1, gpus=1, foreign_slots=0.0).measure()
        charged = measured.charged_uj(Policy.DIRECT, "cpu")
        train, validate = ("study/synthetic/trial/0/1/" + phase for phase in ("train", "validate"))
        all_uj = charged[train] + charged[validate]
        shifted_uj = 0.1 * charged[train]
        cpu = {train: charged[train] - shifted_uj, validate: charged[validate] + shifted_uj}
        errors = {account: shifted_uj / true_uj for account, true_uj in cpu.items()}
        wrong = MeasuredNode(trace=measured.trace, dynamic_uj={"cpu": cpu}, reserved_uj={"cpu": {}})
        error = attribution_error(wrong, policy=Policy.DIRECT, component="cpu")
        assert error.process == pytest.approx(0.0, abs=1e-9)
        assert error.account == pytest.approx(2 * shifted_uj / all_uj, rel=1e-6)
        assert error.worst_account == max(errors, key=lambda account: errors[account])
        assert error.worst == pytest.approx(max(errors.values()))

    def test_it_reads_a_measured_node_too(self) -> None:
        node = SyntheticNode(lag_s=0.5)
        assert attribution_error(node) == attribution_error(node.measure())

    def test_nothing_used_is_no_error(self) -> None:
        node = SyntheticNode(gpus=1, device_rate=(0.0, 0.0))
        error = attribution_error(node, policy=Policy.DIRECT, component="gpu:0")
        assert (error.process, error.account, error.worst_account, error.worst) == (0.0, 0.0, "", 0.0)
