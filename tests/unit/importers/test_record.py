"""From an imported study to its record: shares of energy, its course, and what nobody said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.domain.errors import InputError
from auditor.domain.imported import GivenBaseline, ImportedStudy, ImportedTrial, Power, Told
from auditor.domain.provenance import Provenance
from auditor.domain.study import StudyRecord, TrialState
from auditor.importers.record import record_of

S = 1_000_000_000
J = 1_000_000
COMPLETE = TrialState.COMPLETE
A100 = Power(low_w=40.0, typical_w=400.0, high_w=400.0, detail="1 x A100")


def trial(number: int, **changes: Any) -> ImportedTrial:
    """A trial of 10 s, the next beginning when it ends."""
    whole = ImportedTrial(
        number=number,
        state=COMPLETE,
        value=number / 10,
        params={"lr": number},
        begin_ns=10 * S * number,
        end_ns=10 * S * (number + 1),
    )
    return replace(whole, **changes)


def study(*trials: ImportedTrial, **changes: Any) -> ImportedStudy:
    whole = ImportedStudy(name="demo", metric="acc", direction="maximize", trials=trials or (trial(0), trial(1)))
    return replace(whole, **changes)


def record(imported: ImportedStudy, **told: Any) -> StudyRecord:
    return record_of(imported, Told(**told), "uuid")


def codes(made: StudyRecord) -> list[str]:
    return [finding.code for finding in made.findings]


class TestEnergy:
    def test_what_the_source_reports(self) -> None:
        made = record(study(trial(0, energy_j=3.5), trial(1, energy_j=1.25), energy_source="column e"))
        assert made.books.accounts == {"study/demo/trial/0/1": 3_500_000, "study/demo/trial/1/1": 1_250_000}
        assert made.books.metered_uj == made.books.charged_uj == 4_750_000
        (component,) = made.books.components
        assert (component.provenance, component.meter) == (Provenance.REPORTED, "column e")
        assert (component.low_uj, component.high_uj, made.pue_inside) == (None, None, None)

    def test_what_lacks_is_a_finding_and_no_zero(self) -> None:
        made = record(study(trial(0, energy_j=3.0), trial(1)))
        assert list(made.books.accounts) == ["study/demo/trial/0/1"]
        assert codes(made) == ["attempt-without-energy"]
        assert "No energy is reported for 1 of 2 trials (1)" in made.findings[0].message

    def test_pue_is_taken_out(self) -> None:
        made = record(study(trial(0, energy_j=15.9), trial(1, energy_j=1.59)), pue_inside=1.59)
        assert made.books.metered_uj == 11 * J
        assert made.pue_inside == 1.59

    def test_duration_times_power(self) -> None:
        made = record(study(), power=A100, gpus=1.0)
        assert made.books.metered_uj == 8000 * J
        (component,) = made.books.components
        assert (component.component, component.provenance) == ("gpu", Provenance.MODELLED)
        assert (component.low_uj, component.high_uj) == (800 * J, 8000 * J)
        assert (made.books.device_s, made.pue_inside) == ({"gpu": 20.0}, 1.0)

    def test_one_figure_for_the_power_has_no_bounds(self) -> None:
        power = Power(low_w=300.0, typical_w=300.0, high_w=300.0, detail="told")
        (component,) = record(study(), power=power).books.components
        assert (component.metered_uj, component.low_uj, component.high_uj) == (6000 * J, None, None)
        assert component.component == "machine"

    def test_the_duration_given_counts_before_the_times(self) -> None:
        assert record(study(trial(0, duration_s=1.0)), power=A100).books.metered_uj == 400 * J

    def test_half_a_gpu(self) -> None:
        assert record(study(), gpus=0.5).books.device_s == {"gpu": 10.0}

    def test_nothing_is_guessed(self) -> None:
        made = record(study())
        assert (made.books.accounts, made.books.metered_uj, made.books.components) == ({}, 0, ())
        assert codes(made) == ["no-energy"]
        assert "--power-w" in made.findings[0].message
        bare = record(study(trial(0, begin_ns=None, end_ns=None)))
        assert "none can be known" in bare.findings[0].message

    def test_both_are_too_much(self) -> None:
        with pytest.raises(InputError, match="the study reports energy already"):
            record(study(trial(0, energy_j=1.0)), power=A100)
        with pytest.raises(InputError, match="--pue-inside: the study reports no energy"):
            record(study(), power=A100, pue_inside=1.5)


class TestSecondMeter:
    def test_it_sees_more(self) -> None:
        made = record(study(trial(0, energy_j=3.0)), second_j=4.0, second_meter="Slurm")
        assert codes(made) == ["second-meter"]
        assert "Slurm says 4 J for the whole study, the trials sum to 3 J" in made.findings[0].message

    @pytest.mark.parametrize(("second_j", "code"), [(2.75, "second-meter"), (2.7, "meters-disagree")])
    def test_it_must_not_see_less(self, second_j: float, code: str) -> None:
        assert codes(record(study(trial(0, energy_j=3.0)), second_j=second_j, second_meter="Slurm")) == [code]

    def test_a_range_is_held_against_it_by_its_least(self) -> None:
        made = record(study(), power=A100, second_j=1000.0, second_meter="Slurm")
        assert codes(made) == ["second-meter"]

    def test_it_says_nothing_of_trials(self) -> None:
        made = record(study(), second_j=1000.0, second_meter="Slurm")
        assert codes(made) == ["no-energy", "second-meter"]
        assert made.books.metered_uj == 0


class TestBaselines:
    def test_by_hand(self) -> None:
        given_ = (GivenBaseline(name="default", value=0.5, test_value=0.4), GivenBaseline(name="svc", value=0.6))
        made = record(study(), baselines=given_)
        assert [(r.kind, r.name, r.value, r.test_value, r.trial) for r in made.runs] == [
            ("baseline", "default", 0.5, 0.4, None),
            ("baseline", "svc", 0.6, None, None),
        ]
        assert made.test_metric == "acc (test)"

    def test_a_trial(self) -> None:
        made = record(study(trial(0, test_value=0.3), trial(1)), baseline_trial=0)
        (run,) = made.runs
        assert (run.name, run.trial, run.value, run.test_value) == ("default", 0, 0.0, 0.3)

    @pytest.mark.parametrize(
        ("told", "complaint"),
        [
            ({"baseline_trial": 7}, "--baseline-trial 7: there is no such trial in demo"),
            ({"baseline_trial": 2}, "--baseline-trial 2: that trial is pruned; expected one that completed"),
            (
                {"baseline_trial": 0, "baselines": (GivenBaseline(name="default", value=1.0),)},
                "--baseline-trial: the default is given by --baseline already",
            ),
        ],
    )
    def test_what_does_not_fit(self, told: dict[str, Any], complaint: str) -> None:
        trials = (trial(0), trial(1), trial(2, state=TrialState.PRUNED, value=None))
        with pytest.raises(InputError, match=complaint):
            record(study(*trials), **told)

    def test_no_trial_is_the_default_of_several_objectives(self) -> None:
        several = replace(study(trial(0, value=None, values=(0.5, 1.0))), directions=("maximize", "minimize"))
        with pytest.raises(InputError, match="the study has 2 objectives; a default needs one"):
            record(several, baseline_trial=0)


class TestTrials:
    def test_a_random_sampler_makes_all_of_them_independent(self) -> None:
        assert {t.random for t in record(study(), sampler="random").trials} == {True}
        assert {t.random for t in record(study(sampler="RandomSampler")).trials} == {True}
        assert {t.random for t in record(study(), sampler="tpe").trials} == {None}

    @pytest.mark.parametrize("state", [s for s in TrialState if s is not COMPLETE])
    def test_only_complete_ones_have_a_value(self, state: TrialState) -> None:
        (made,) = record(study(trial(0, state=state, value=0.5, values=(0.5, 1.0)))).trials
        assert (made.value, made.values, made.state) == (None, (), state)
        assert made.attempts[0].state is state


Times = st.lists(
    st.tuples(
        st.integers(0, 10**6),  # begin, in ms
        st.integers(0, 10**6),  # length
        st.one_of(st.none(), st.floats(0, 1e9)),  # energy in J
        st.booleans(),  # begin known
    ),
    min_size=1,
    max_size=30,
)


def overlapping(times: list[tuple[int, int, float | None, bool]]) -> ImportedStudy:
    return study(
        *(
            trial(
                number,
                begin_ns=begin * 10**6 if known else None,
                end_ns=(begin + length) * 10**6,
                energy_j=energy_j,
            )
            for number, (begin, length, energy_j, known) in enumerate(times)
        )
    )


@given(Times)
def test_the_course_conserves_energy(times: list[tuple[int, int, float | None, bool]]) -> None:
    books = record(overlapping(times)).books
    assert books.charged_uj == books.metered_uj
    if books.cumulative_ns:
        assert books.cumulative_uj[-1] == books.metered_uj
        assert list(books.cumulative_ns) == sorted(set(books.cumulative_ns))
        assert list(books.cumulative_uj) == sorted(books.cumulative_uj)
        assert books.cumulative_uj[0] >= 0


@given(Times, st.floats(1.0, 3.0))
def test_pue_divides_every_share_alike(times: list[tuple[int, int, float | None, bool]], pue: float) -> None:
    imported = overlapping(times)
    if all(energy_j is None for _, _, energy_j, _ in times):
        return
    whole, less = record(imported).books.accounts, record(imported, pue_inside=pue).books.accounts
    assert whole.keys() == less.keys()
    for account, energy_uj in whole.items():
        assert less[account] == pytest.approx(energy_uj / pue, abs=1.0, rel=1e-12)


class TestCourse:
    def test_work_in_flight_is_in_it(self) -> None:
        """Two trials side by side for half of their time: 10 W each."""
        trials = (trial(0, energy_j=100.0), trial(1, begin_ns=5 * S, end_ns=15 * S, energy_j=100.0))
        books = record(study(*trials)).books
        assert books.cumulative_ns == (0, 5 * S, 10 * S, 15 * S)
        assert books.cumulative_uj == (0, 50 * J, 150 * J, 200 * J)
        assert books.wall_s == 15.0

    def test_without_a_begin_all_of_it_is_at_the_end(self) -> None:
        trials = (trial(0, energy_j=100.0, begin_ns=None), trial(1, energy_j=100.0))
        assert record(study(*trials)).books.cumulative_uj == (100 * J, 200 * J)

    def test_a_trial_without_energy_and_end_does_not_hinder_it(self) -> None:
        trials = (trial(0, energy_j=1.0), trial(1, energy_j=1.0), trial(2, end_ns=None, state=TrialState.RUNNING))
        assert record(study(*trials)).books.cumulative_uj[-1] == 2 * J

    def test_more_than_64_bits_hold(self) -> None:
        trials = (trial(0, energy_j=1e13), trial(1, begin_ns=5 * S, end_ns=15 * S, energy_j=1e13))
        books = record(study(*trials)).books
        assert books.cumulative_uj == (0, 5 * 10**18, 15 * 10**18, 2 * 10**19)
        assert books.residual_uj == 0

    def test_a_trial_with_energy_and_no_end_does(self) -> None:
        assert record(study(trial(0, energy_j=1.0), trial(1, energy_j=1.0, end_ns=None))).books.cumulative_uj == ()
