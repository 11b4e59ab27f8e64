import random
from pathlib import Path

import pytest

from auditor.domain.errors import InputError
from auditor.importers.sacct import SlurmEnergy, read_sacct


def read(tmp_path: Path, text: str) -> SlurmEnergy:
    path = tmp_path / "sacct.csv"
    path.write_text(text)
    return read_sacct(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError, match=r"^--slurm ") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PARSABLE = """JobID|JobName|State|ConsumedEnergyRaw|Elapsed
41|search|COMPLETED|1000|00:10:00
41.batch|batch|COMPLETED|1000|00:10:00
41.extern|extern|COMPLETED|1000|00:10:00
41.0|python|COMPLETED|400|00:04:00
41.1|python|COMPLETED|500|00:05:00
42_7|array|COMPLETED|50|00:01:00
42_7.batch|batch|COMPLETED|50|00:01:00
"""


def test_steps_are_not_counted_beside_their_job(tmp_path: Path) -> None:
    assert read(tmp_path, PARSABLE) == SlurmEnergy(energy_j=1050.0, jobs=2, known=2)


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    header, *lines = PARSABLE.splitlines()
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        assert read(tmp_path, "\n".join([header, *lines])).energy_j == 1050.0


@pytest.mark.parametrize(
    ("lines", "energy_j"),
    [
        (["5|", "5.batch|300", "5.extern|310"], 310.0),  # both of the whole job
        (["5|0", "5.0|100", "5.1|200"], 300.0),  # one after the other
        (["5.batch|300", "5.0|100", "5.1|250"], 350.0),
        (["5|300", "5|200"], 500.0),  # requeued: twice the same job
        (["5+0|300", "5+1|200"], 500.0),  # parts of a heterogeneous job
        (["5|18446744073709551614", "6|7"], 7.0),
    ],
)
def test_where_jobs_lack_a_figure(tmp_path: Path, lines: list[str], energy_j: float) -> None:
    assert read(tmp_path, "\n".join(["JobID|ConsumedEnergyRaw", *lines])).energy_j == energy_j


@pytest.mark.parametrize(
    ("field", "energy_j"), [("12", 12.0), ("1.50K", 1500.0), ("2.25M", 2.25e6), ("1g", 1e9), ("0.5T", 5e11)]
)
def test_suffixes(tmp_path: Path, field: str, energy_j: float) -> None:
    assert read(tmp_path, f"JobID,ConsumedEnergy\n1,{field}\n").energy_j == pytest.approx(energy_j)


def test_raw_joules_are_taken_before_rounded_ones(tmp_path: Path) -> None:
    found = read(tmp_path, "ConsumedEnergy|JobIDRaw|ConsumedEnergyRaw|\n1.23K|1|1234|\n\n")
    assert found.energy_j == 1234.0


def test_the_meter_says_how_many_jobs_it_knows(tmp_path: Path) -> None:
    assert read(tmp_path, "JobID,ConsumedEnergy\n1,5\n2,\n3,0\n").meter == "Slurm (sacct, 1 of 3 jobs)"
    assert read(tmp_path, "JobID,ConsumedEnergy\n1,5\n").meter == "Slurm (sacct, 1 job)"
    assert read(tmp_path, PARSABLE).meter == "Slurm (sacct, 2 jobs)"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no column JobID or JobIDRaw"),
        ("JobID|State\n1|x\n", "has no column ConsumedEnergyRaw or ConsumedEnergy"),
        ("JobID|ConsumedEnergyRaw\n1|x\n", "line 2: 'x' is no energy; expected joules, such as 1234 or 1.23K"),
        ("JobID|ConsumedEnergyRaw\n1|-5\n", "line 2: '-5' is no energy"),
        ("JobID|ConsumedEnergyRaw\n1|nan\n", "is no energy"),
        ("JobID|ConsumedEnergyRaw\n1\n", "line 2 has 1 fields; expected 2"),
        ("JobID|ConsumedEnergyRaw\n1|0\n2|\n", "none of 2 jobs has energy; Slurm has it where AcctGatherEnergyType"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in refused(tmp_path, text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.csv: can't be read"):
        read_sacct(tmp_path / "nothing.csv")
