from collections.abc import Sequence

import pytest

from auditor.domain.provenance import Provenance
from auditor.metering.choice import choose
from auditor.ports import Component

COUNTER, MODELLED, CONSTANT = Provenance.COUNTER, Provenance.MODELLED, Provenance.CONSTANT


def parts(**provenance: Provenance) -> list[Component]:
    return [Component(name=name.replace("_", ":"), provenance=grade) for name, grade in provenance.items()]


CODECARBON = ("codecarbon", parts(cpu=MODELLED, ram=CONSTANT, gpu=COUNTER))
RAPL = ("rapl", parts(cpu=COUNTER))
NVML = ("nvml", parts(gpu_A=COUNTER, gpu_B=COUNTER))


def names(pairs: Sequence[tuple[str, Component]]) -> list[str]:
    return [f"{component.name} by {meter}" for meter, component in pairs]


def test_the_best_provenance_is_kept_and_the_others_check_it() -> None:
    choice = choose([CODECARBON, RAPL])
    assert names(choice.kept) == ["ram by codecarbon", "gpu by codecarbon", "cpu by rapl"]
    assert names(choice.checks) == ["cpu by codecarbon"]


def test_of_equals_the_earlier_is_kept() -> None:
    other = ("other", parts(cpu=COUNTER))
    assert names(choose([RAPL, other]).kept) == ["cpu by rapl"]
    assert names(choose([other, RAPL]).kept) == ["cpu by other"]


def test_a_sum_of_gpus_and_single_gpus_are_one_part() -> None:
    choice = choose([RAPL, NVML, CODECARBON])
    assert names(choice.kept) == ["cpu by rapl", "gpu:A by nvml", "gpu:B by nvml", "ram by codecarbon"]
    assert names(choice.checks) == ["cpu by codecarbon", "gpu by codecarbon"]


def test_gpus_are_as_good_as_the_worst_of_them() -> None:
    mixed = ("nvml", parts(gpu_A=COUNTER, gpu_B=Provenance.SAMPLED))
    assert names(choose([mixed, ("codecarbon", parts(gpu=COUNTER))]).kept) == ["gpu by codecarbon"]


@pytest.mark.parametrize(
    ("offers", "kept"),
    [
        ([("rapl", parts(cpu=COUNTER, platform=COUNTER))], ["cpu by rapl", "platform by rapl"]),
        ([RAPL, ("psys", parts(cpu=MODELLED, platform=COUNTER))], ["cpu by rapl"]),
        ([("psys", parts(platform=COUNTER))], []),
        (
            [("psys", parts(cpu=MODELLED, platform=COUNTER)), ("rapl", parts(cpu=COUNTER, platform=MODELLED))],
            ["cpu by rapl", "platform by rapl"],
        ),
        (
            [("rapl", parts(cpu=COUNTER, platform=COUNTER)), ("codecarbon", parts(cpu=MODELLED, ram=CONSTANT))],
            ["cpu by rapl", "ram by codecarbon"],
        ),
        (
            [("rapl", parts(cpu=COUNTER, ram=COUNTER, platform=COUNTER)), NVML],
            ["cpu by rapl", "ram by rapl", "gpu:A by nvml", "gpu:B by nvml"],
        ),
        (
            [("rapl", parts(cpu=COUNTER, ram=COUNTER, platform=COUNTER)), (*CODECARBON[:1], parts(cpu=MODELLED))],
            ["cpu by rapl", "ram by rapl", "platform by rapl"],
        ),
    ],
)
def test_the_rest_of_a_platform_only_fits_parts_of_its_own_meter(
    offers: list[tuple[str, list[Component]]], kept: list[str]
) -> None:
    choice = choose(offers)
    assert names(choice.kept) == kept
    assert len(choice.kept) + len(choice.checks) == sum(len(found) for _, found in offers)
