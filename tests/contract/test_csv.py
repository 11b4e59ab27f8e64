"""Tables of trials: what their columns are taken for, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy
from auditor.domain.study import TrialState
from auditor_plugins.importers.csv import CsvImporter
from auditor_plugins.importers.figures import joules_of, seconds

DATA = Path(__file__).parents[3] / "shared" / "data" / "ecnas_measured.csv.gz"


def read(tmp_path: Path, text: str, **options: str) -> ImportedStudy:
    path = tmp_path / "my.trials.csv"
    path.write_text(text)
    return CsvImporter().read(str(path), {name.replace("_", "-"): value for name, value in options.items()})


def refused(tmp_path: Path, text: str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_value_alone_is_enough(tmp_path: Path) -> None:
    study = read(tmp_path, "acc\n0.5\n\n0.75\n", value="acc")
    assert (study.name, study.metric, study.direction) == ("my", "acc", "maximize")
    assert [(t.number, t.state, t.value) for t in study.trials] == [
        (0, TrialState.COMPLETE, 0.5),
        (1, TrialState.COMPLETE, 0.75),
    ]
    assert study.trials[0].energy_j is None
    assert study.trials[0].ran_s is None
    assert [f.code for f in study.findings] == ["direction-by-name"]


def test_a_row_without_a_value_failed(tmp_path: Path) -> None:
    study = read(tmp_path, "acc,x\n0.5,1\n,2\nNaN,3\n", value="acc")
    assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.FAILED, TrialState.FAILED]


class TestColumns:
    @pytest.mark.parametrize(
        ("unit", "joules"), [("J", 1), ("kJ", 1e3), ("MJ", 1e6), ("Wh", 3600), ("kWh", 3.6e6), ("MWh", 3.6e9)]
    )
    def test_energy(self, tmp_path: Path, unit: str, joules: float) -> None:
        study = read(tmp_path, "acc,e\n0.5,2\n0.6,\n", value="acc", energy="e", energy_unit=unit)
        assert [t.energy_j for t in study.trials] == [2 * joules, None]
        assert study.energy_source == "column e"

    def test_a_name_that_says_its_unit(self, tmp_path: Path) -> None:
        study = read(tmp_path, "acc,energy_consumed\n0.5,2\n", value="acc", energy="energy_consumed")
        assert study.trials[0].energy_j == 7.2e6

    def test_no_column_of_energy_is_guessed(self, tmp_path: Path) -> None:
        assert read(tmp_path, "acc,energy_j\n0.5,2\n", value="acc").trials[0].energy_j is None

    @pytest.mark.parametrize("unit", ["mJ", "kW", "", "joule"])
    def test_units_that_are_none(self, unit: str) -> None:
        with pytest.raises(InputError, match="expected J, kJ, MJ, Wh, kWh, MWh"):
            joules_of(unit)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("12.5", 12.5),
            ("0 days 00:01:02.500000", 62.5),
            ("1 day, 0:00:01", 86401.0),
            ("00:01:02", 62.0),
            ("x", None),
        ],
    )
    def test_durations(self, text: str, expected: float | None) -> None:
        assert seconds(text) == expected

    @pytest.mark.parametrize("field", ["62.5", "0 days 00:01:02.5", "00:01:02.5"])
    def test_durations_in_a_table(self, tmp_path: Path, field: str) -> None:
        assert read(tmp_path, f"acc,d\n0.5,{field}\n", value="acc", duration="d").trials[0].ran_s == 62.5

    @pytest.mark.parametrize(
        ("field", "end_ns"),
        [
            ("2024-01-01T00:00:01", 1_704_067_201 * 10**9),
            ("2024-01-01 00:00:01.5+01:00", 1_704_063_601_500 * 10**6),
            ("2024-01-01", 1_704_067_200 * 10**9),
            ("1704067201", 1_704_067_201 * 10**9),
            ("1704067201500", 1_704_067_201_500 * 10**6),
            ("17.5", 17_500_000_000),
        ],
    )
    def test_times(self, tmp_path: Path, field: str, end_ns: int) -> None:
        study = read(tmp_path, f"acc,end,d\n0.5,{field},2\n", value="acc", time="end", duration="d")
        assert study.trials[0].end_ns == end_ns
        assert study.trials[0].begin_ns == end_ns - 2 * 10**9

    def test_what_is_left_out_changes_nothing(self, tmp_path: Path) -> None:
        study = read(tmp_path, "acc,test,epochs\n0.5,0.4,3\n", value="acc", test="test", fidelity="epochs")
        (trial,) = study.trials
        assert (trial.test_value, trial.fidelity, study.test_metric) == (0.4, 3.0, "test")

    def test_states_in_other_words(self, tmp_path: Path) -> None:
        words = ["COMPLETE", "TrialState.PRUNED", "Failed", "killed", "RUNNING", "early-stopped"]
        study = read(tmp_path, "acc,s\n" + "".join(f"0.5,{word}\n" for word in words), value="acc", state="s")
        assert [t.state.value for t in study.trials] == ["complete", "pruned", "failed", "lost", "running", "pruned"]
        assert [t.value for t in study.trials] == [0.5, None, None, None, None, None]


class TestParams:
    @pytest.mark.parametrize("prefix", ["params_", "params.", "config/"])
    def test_usual_prefixes(self, tmp_path: Path, prefix: str) -> None:
        study = read(tmp_path, f"acc,{prefix}lr,{prefix}opt,note\n0.5,0.1,adam,x\n", value="acc")
        assert study.trials[0].params == {"lr": 0.1, "opt": "adam"}

    def test_a_prefix_of_ones_own(self, tmp_path: Path) -> None:
        study = read(tmp_path, "acc,hp:lr,arch\n0.5,0.1,x\n", value="acc", params="hp:")
        assert study.trials[0].params == {"lr": 0.1}
        assert read(tmp_path, "acc,arch\n0.5,x\n", value="acc", params="arch").trials[0].params == {"arch": "x"}

    def test_names_and_values_of_any_kind(self, tmp_path: Path) -> None:
        text = 'acc,"params_<b>|x`"\n0.5,"a\nb ""c"" <script>"\n0.6,\u202edetrevni\n'
        study = read(tmp_path, text, value="acc")
        assert [t.params for t in study.trials] == [{"<b>|x`": 'a\nb "c" <script>'}, {"<b>|x`": "\u202edetrevni"}]


class TestSeveralStudies:
    TEXT = "acc,seed\n0.5,a/b\n0.6,1\n0.7,a/b\n0.8,\n"

    def test_one_a_value(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text(self.TEXT)
        studies = CsvImporter().read_each(str(path), {"value": "acc", "run": "seed"})
        assert [(s.name, [(t.number, t.value) for t in s.trials]) for s in studies] == [
            ("a/b", [(0, 0.5), (1, 0.7)]),
            ("1", [(0, 0.6)]),
            ("unnamed", [(0, 0.8)]),
        ]

    def test_one_is_to_be_chosen(self, tmp_path: Path) -> None:
        assert "holds 3 studies: a/b, 1, unnamed" in refused(tmp_path, self.TEXT, value="acc", run="seed")


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"loss": [0.5, None]}), path)
    else:
        path.write_bytes(gzip.compress(b"loss,x\n0.5,1\n,2\n"))
    study = CsvImporter().read(str(path), {"value": "loss"})
    assert (study.name, study.direction, [t.value for t in study.trials]) == ("t", "minimize", [0.5, None])


def test_a_column_that_turns_out_to_be_text_far_below(tmp_path: Path) -> None:
    rows = 300_000  # more than a block of the reader
    study = read(tmp_path, "acc,params_x\n" + "0.5,1\n" * rows + "0.75,odd\n", value="acc")
    assert (len(study.trials), study.trials[-1].value, study.trials[-1].params) == (rows + 1, 0.75, {"x": "odd"})


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "options", "complaint"),
        [
            ("acc\n0.5\n", {}, "--value: name the column of the metric; there is: acc"),
            ("acc\n0.5\n", {"value": "loss"}, "--value loss: no such column"),
            ("acc\n0.5\n", {"value": "acc", "test": "x"}, "--test x: no such column"),
            ("acc\n0.5\n", {"value": "acc", "params": "x"}, "--params x: no column begins so"),
            ("acc\n0.5\nhigh\n", {"value": "acc"}, "is 'high'; expected a number"),
            ("acc,e\n0.5,1\n", {"value": "acc", "energy": "e"}, "--energy-unit: 'e' does not say its unit"),
            ("acc,e\n0.5,1\n", {"value": "acc", "energy_unit": "J"}, "no column of energy was named"),
            ("acc,s\n0.5,odd\n", {"value": "acc", "state": "s"}, "'odd' is no state; expected one of complete"),
            ("acc,t\n0.5,odd\n", {"value": "acc", "time": "t"}, "is 'odd'; expected ISO 8601"),
            ("acc,d\n0.5,odd\n", {"value": "acc", "duration": "d"}, "is 'odd'; expected seconds"),
            ("x\n0.5\n", {"value": "x"}, "--direction: nothing says whether high or low values of 'x' are better"),
            ("x\n0.5\n", {"value": "x", "direction": "up"}, "--direction: 'up' is no direction"),
            ("acc\n", {"value": "acc"}, "has no rows"),
            ("acc,acc\n1,2\n", {"value": "acc"}, "has columns of the same name: acc"),
            ("acc,x\n1,2,3\n", {"value": "acc"}, "can't be read as a table"),
            ("", {"value": "acc"}, "can't be read as a table"),
        ],
    )
    def test_in_one_line(self, tmp_path: Path, text: str, options: dict[str, Any], complaint: str) -> None:
        assert complaint in refused(tmp_path, text, **options)

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        path.write_bytes(b"\x00\xff" * 50)
        with pytest.raises(InputError, match=r"t\.parquet: can't be read as a table"):
            CsvImporter().read(str(path), {"value": "acc"})


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here")
def test_measured_trainings_of_others() -> None:
    """EC-NAS: their kWh, less the PUE of 1.59 they hold, are the joules of GPU and CPU."""
    options = {"value": "val_acc", "energy": "energy_kwh", "energy-unit": "kWh", "duration": "duration_s"}
    study = CsvImporter().read(str(DATA), {**options, "test": "test_acc"})
    parts = [CsvImporter().read(str(DATA), {**options, "energy": f"{kind}_energy_j", "energy-unit": "J"})
             for kind in ("gpu", "cpu")]  # fmt: skip
    assert len(study.trials) == 2805
    for trial, gpu, cpu in zip(study.trials, *(part.trials for part in parts), strict=True):
        assert trial.energy_j is not None
        assert trial.energy_j / 1.59 == pytest.approx((gpu.energy_j or 0) + (cpu.energy_j or 0), rel=1e-3)
    total, expected = (sum(t.energy_j or 0 for p in some for t in p.trials) for some in ([study], parts))
    assert total / 1.59 == pytest.approx(expected, rel=1e-4)
