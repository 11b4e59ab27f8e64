"""Regret of samplers, and the estimators of expected_max, against the recorded truth of NAS-Bench-201.

python benchmarks/replay.py [--seeds 20] [--repetitions 2000]

Prints Markdown tables; needs the extra ``replay``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from accuracy import markdown
from numpy.typing import NDArray

from auditor.analysis.expected_max import expected_maximum
from auditor.plugins import load

DATASETS = ("cifar10", "cifar100", "imagenet")
BUDGETS = {"cifar10": "4d", "cifar100": "8d", "imagenet": "24d"}  # about as many trials each
DRAWS = (10, 25, 50, 100)
BEST_OF = (1, 5, 10, 25, 50, 100)

Floats = NDArray[np.float64]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=2000)
    arguments = parser.parse_args()
    for dataset in DATASETS:
        print(f"\n{dataset}\n\n{markdown(regret(dataset, arguments.seeds))}")
    benchmark = load("benchmark", "nasbench201")("cifar10")
    truths = np.sort([benchmark.truth(params) for params in benchmark.configurations()])
    print(f"\n{markdown(exact(truths))}")
    print(f"\n{markdown(estimators(truths, arguments.repetitions))}")


def regret(dataset: str, seeds: int) -> list[list[str]]:
    """Regret by sampler and budget, as ``auditor replay`` gives it."""
    command = ["replay", "nasbench201", "--dataset", dataset, "--budget", BUDGETS[dataset], "--seeds", str(seeds)]
    done = subprocess.run(
        [sys.executable, "-m", "auditor.cli.app", *command, "--json", "-"], capture_output=True, check=True
    )
    lines = json.loads(done.stdout)["replay"]["regret"]
    head = [f"{cell['budget_s'] / 3600:g} h (about {cell['trials']:.0f} trials)" for cell in lines[0]["at"]]
    return [["sampler", *head], *([line["name"], *map(_with_error, line["at"])] for line in lines)]


def _with_error(cell: dict[str, float | list[float]]) -> str:
    low, high = cell["ci95"]  # type: ignore[misc]  # of 20 runs it is never null
    return f"{cell['mean']:.2f} ± {(high - low) / 2:.2f}"


def exact(truths: Floats) -> list[list[str]]:
    """What random search finds in the mean, from every architecture."""
    found = expected_maximum(truths.tolist(), most=max(BEST_OF))
    assert found is not None
    places = [found.n.index(n) for n in BEST_OF]
    return [
        ["random search, exact", *(f"best of {n}" for n in BEST_OF)],
        ["drawn with replacement", *(f"{found.dodge[place]:.3f}" for place in places)],
        ["drawn without replacement", *(f"{found.tang[place]:.3f}" for place in places)],
        ["median, with replacement", *(f"{median(truths, n):.3f}" for n in BEST_OF)],
    ]


def median(truths: Floats, n: int) -> float:
    """Median best of n draws with replacement from ascending values."""
    return float(truths[int(np.ceil(0.5 ** (1.0 / n) * len(truths))) - 1])


def estimators(truths: Floats, repetitions: int) -> list[list[str]]:
    """Error of both estimators, and how often the band holds the median for every n at once."""
    whole = expected_maximum(truths.tolist(), most=max(BEST_OF))
    assert whole is not None
    rows = [
        ["draws", "best of", "exact", "Tang: bias", "Tang: SD", "Dodge: bias", "Dodge: SD", "band holds all medians"]
    ]
    for draws in DRAWS:
        rng = np.random.default_rng(draws)
        medians = [median(truths, n) for n in range(1, draws + 1)]
        made = [expected_maximum(rng.choice(truths, draws).tolist()) for _ in range(repetitions)]
        found = [one for one in made if one is not None]
        held = np.mean([_holds(one.low, one.high, medians) for one in found])
        for n in (n for n in BEST_OF if n <= draws):
            truth = whole.dodge[whole.n.index(n)]
            tang, dodge = (np.array([getattr(one, name)[n - 1] for one in found]) for name in ("tang", "dodge"))
            errors = [
                f"{tang.mean() - truth:+.2f}",
                f"{tang.std():.2f}",
                f"{dodge.mean() - truth:+.2f}",
                f"{dodge.std():.2f}",
            ]
            share = f"{100 * held:.1f} %" if n == 1 else ""
            rows.append([str(draws), str(n), f"{truth:.2f}", *errors, share])
    return rows


def _holds(low: Sequence[float | None] | None, high: Sequence[float | None] | None, medians: Sequence[float]) -> bool:
    """Whether a band holds every median; an open end holds anything."""
    ends = zip(low or [None] * len(medians), medians, high or [None] * len(medians), strict=True)
    return all((a is None or a <= middle) and (b is None or middle <= b) for a, middle, b in ends)


if __name__ == "__main__":
    main()
