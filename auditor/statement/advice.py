"""What to do about what a statement lacks: settings of a search that runs here, options of an import."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.domain.study import StudyRecord

SEEDS_ADVISED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Halves of sentences, by what is lacking.

    Attributes:
        energy: No energy at all.
        default: The baseline that a verdict needs.
        default_missing: Why there is none.
        default_energy: Energy of the default.
        test_metric: A metric on the test set.
        tests: Test figures of winner or default.
        seeds: More than one training on a side; where to ask for it.
        alternative: A baseline beside the default.
        alternative_figures: Figures of such a baseline.
        carbon: Carbon intensity.
        price: Price of energy.
        device_price: Price of device time.
        devices: Time of devices.
        flops: Counted operations.
        unnamed: What the study does not say of itself.
        draws: Trainings that were drawn independently.
        arm: A random search beside it.
        retrainings: Energy of retrainings of winner and default.
        inference: Energy of an inference.
        pruned: What pruned trials would have given.
        examples: Scores of single test examples.
        sample: What figures of a side are called, one by one.
    """

    energy: str
    default: str
    default_missing: str
    default_energy: str
    test_metric: str
    tests: str
    seeds: str
    alternative: str
    alternative_figures: str
    carbon: str
    price: str
    device_price: str
    devices: str
    flops: str
    unnamed: str
    draws: str
    arm: str
    retrainings: str
    inference: str
    pruned: str
    examples: str
    sample: str


_HERE = Advice(
    energy="run the study under a meter (`auditor doctor` says which work here)",
    default="no completed baseline named default; add it to `baselines`",
    default_missing="There is no baseline: the default was not trained.",
    default_energy="the training of the default has no energy on the books",
    test_metric="the search space has no test metric; give it one",
    tests=f"no completed evaluation on a fresh seed; set evaluation.seeds to {SEEDS_ADVISED}",
    seeds=" (evaluation.seeds)",
    alternative="add for example logistic_regression to `baselines`",
    alternative_figures="it did not complete, or nothing is booked for it",
    carbon="carbon.g_per_kwh or carbon.country",
    price="cost.price_per_kwh",
    device_price="cost.price_per_device_hour",
    devices="no reservation of a device is on the books",
    flops="had its operations counted; the training callback counts those of PyTorch models",
    unnamed="whoever booked the study did not say",
    draws="add {random: {share: 0.25}} to `baselines`, or search with a random sampler",
    arm="the search had none beside it; add {random: {share: 0.25}} to `baselines`",
    retrainings="winner and default need retrainings on fresh seeds with energy on the books (evaluation.seeds)",
    inference="no inference of winner or default is on the books (evaluation.seeds and evaluation.inference_s)",
    pruned="no pruned trial was trained to its end to see what it would have given (evaluation.pruned: 5)",
    examples="test_step of the module returns no {'score': …} of each example, or they are fewer than 20 or too many",
    sample="seed",
)
_ELSEWHERE = Advice(
    energy="its source reports none, and nothing says what its trials drew (--power-w, or --gpus and --hardware)",
    default="nobody said what the default reaches; give --baseline default=VALUE,TEST or --baseline-trial N",
    default_missing="There is no baseline: nobody said what the default reaches.",
    default_energy="what training the default used is not known; --baseline-trial names a trial that is the default",
    test_metric="no test figures were given; name them with --test, that of the default with --baseline",
    tests="no test figure was given; name them with --test, that of the default with --baseline default=VALUE,TEST",
    seeds=", on fresh seeds",
    alternative="give one with --baseline NAME=VALUE,TEST",
    alternative_figures="nobody gave it",
    carbon="--grid",
    price="--price",
    device_price="--price-per-device-hour",
    devices="nobody said how many GPUs each trial held (--gpus), or its source does not say how long it ran",
    flops="comes with its number of operations",
    unnamed="its source does not say",
    draws="name the sampler with --sampler where it drew at random",
    arm="the study has none of its own; compare it with a random search on the same space (auditor compare)",
    retrainings="energy of single trainings of winner and default is not known",
    inference="nothing says what an inference of winner or default uses",
    pruned="no pruned trial was trained to its end to see what it would have given",
    examples="scores of single test examples are not known",
    sample="training",
)


def advice_on(record: StudyRecord) -> Advice:
    """The advice that fits where a study ran."""
    return advice_at(imported=record.imported)


def advice_at(*, imported: bool) -> Advice:
    """The advice for a study that ran here, or one that was imported."""
    return _ELSEWHERE if imported else _HERE
