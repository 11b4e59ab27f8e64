"""How often do intervals that say 95 % hold the truth? Simulated data whose truth is known.

python benchmarks/coverage.py [--repetitions 2000] [--seed 1]

Prints a Markdown table; with 2,000 repetitions a coverage of 95 % is known to about 1 point.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from accuracy import markdown
from numpy.typing import NDArray

from auditor.analysis.bootstrap import paired_example_difference
from auditor.analysis.break_even import break_even_trainings
from auditor.analysis.expected_max import expected_maximum
from auditor.analysis.proxy import false_prune_rate, proxy_fidelity
from auditor.analysis.welch import mean_difference

NOMINAL = (0.93, 0.97)  # what an interval that says 95 % may cover
RESAMPLES = 500

Floats = NDArray[np.float64]
Rng = np.random.Generator
Draw = Callable[[Rng, int], Floats]
Holds = Callable[[Rng], bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An interval on data of one kind, in several sizes.

    Attributes:
        method: What makes the interval.
        data: What it is made from.
        sizes: How many figures it is made from.
        holds: Gives, for a size, whether one interval on new data holds the truth; ``None`` where it has no
            bounds.
        claim: ``nominal``: 93-97 %; ``at least``: 93 % or more; ``none``: shown for contrast.
    """

    method: str
    data: str
    sizes: tuple[int, ...]
    holds: Callable[[int], Holds]
    claim: str = "nominal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What share of the intervals with bounds held the truth, and what share had bounds."""

    held: float
    bounded: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows = [["interval", "data", "sizes", "covers, in %", "as it claims"]]
    for case in CASES:
        print(f"{case.method}, {case.data}", file=sys.stderr)
        found = [coverage(case.holds(size), arguments.repetitions, arguments.seed) for size in case.sizes]
        sizes, shares = " / ".join(map(str, case.sizes)), " / ".join(map(described, found))
        rows.append([case.method, case.data, sizes, shares, verdict(case, found)])
    print(markdown(rows))


def coverage(holds: Holds, repetitions: int, seed: int) -> Coverage:
    """How often an interval holds the truth."""
    rng = np.random.default_rng(seed)
    found = [holds(rng) for _ in range(repetitions)]
    bounded = [held for held in found if held is not None]
    return Coverage(held=float(np.mean(bounded)), bounded=len(bounded) / len(found))


def welch(seeds: int, first: Draw, second: Draw) -> Holds:
    """Both sides have a mean of 0."""

    def holds(rng: Rng) -> bool:
        interval = mean_difference(first(rng, seeds), second(rng, seeds))
        return interval is not None and interval.low <= 0.0 <= interval.high

    return holds


def fieller(measurements: int, saving: float) -> Holds:
    """An inference of 1 J that becomes cheaper by a share, measured with 2 % SD, against a fixed cost of 1000 J."""

    def holds(rng: Rng) -> bool | None:
        base, new = rng.normal(1.0, 0.02, measurements), rng.normal(1.0 - saving, 0.02, measurements)
        found = break_even_trainings(1000.0, base, new)
        return None if found.low is None or found.high is None else found.low <= 1000.0 / saving <= found.high

    return holds


def band(count: int, *, both: bool = False, decimals: int = 15) -> Holds:
    """Normal values, whose median best of n is known, and is the median lowest of n with the other sign."""
    from scipy.special import ndtri

    truth = np.round(ndtri(0.5 ** (1.0 / np.arange(1, count + 1))), decimals)

    def holds(rng: Rng) -> bool:
        values = np.round(rng.normal(size=count), decimals)
        return all(
            bool(np.all(ends(found.low, -np.inf) <= sign * truth) and np.all(sign * truth <= ends(found.high, np.inf)))
            for sign in ((1.0, -1.0) if both else (1.0,))
            if (found := expected_maximum(values, maximize=sign > 0.0))
        )

    return holds


def ends(known: tuple[float | None, ...] | None, otherwise: float) -> Floats:
    """Ends of a band, with what is open as a number."""
    return np.array(otherwise if known is None else [otherwise if end is None else end for end in known])


def percentile(count: int, n: int) -> Holds:
    """Dodge's estimator of the expected best of n, on resamples of normal values."""
    below = np.diff(np.linspace(0.0, 1.0, count + 1) ** n)
    truth = expected_best_of_normal(n)

    def holds(rng: Rng) -> bool:
        values = rng.normal(size=count)
        resamples = np.sort(values[rng.integers(0, count, (RESAMPLES, count))], axis=1)
        low, high = np.quantile(resamples @ below, (0.025, 0.975))
        return bool(low <= truth <= high)

    return holds


def expected_best_of_normal(n: int) -> float:
    """Mean of the best of n standard normal values, by integration."""
    from scipy.special import ndtr

    x = np.linspace(-10.0, 10.0, 200_001)
    return float(np.trapezoid((x > 0.0) - ndtr(x) ** n, x))


def bca(n: int, draw: Draw) -> Holds:
    """Differences with a mean of 0."""

    def holds(rng: Rng) -> bool:
        interval = paired_example_difference(draw(rng, n), np.zeros(n), seed=int(rng.integers(2**32)))
        return interval is not None and interval.low <= 0.0 <= interval.high

    return holds


def bca_of_scores(n: int) -> Holds:
    """Two models right on 90 % and 88 % of the examples, together on most."""
    kinds = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])

    def holds(rng: Rng) -> bool:
        first, second = kinds[rng.choice(4, n, p=(0.85, 0.05, 0.03, 0.07))].T
        interval = paired_example_difference(first, second, seed=int(rng.integers(2**32)))
        return interval is not None and interval.low <= 0.02 <= interval.high

    return holds


def binomial(n: int, share: float) -> Holds:
    """Pruned trials of which a share would have won."""

    def holds(rng: Rng) -> bool:
        found = false_prune_rate(rng.random(n), 1.0 - share)
        return found is not None and found.low <= share <= found.high

    return holds


def spearman(n: int, rho: float, *, pruned: int = 0) -> Holds:
    """Normal values whose rank correlation is known, less the lowest early ones."""
    pearson = 2.0 * math.sin(math.pi * rho / 6.0)

    def holds(rng: Rng) -> bool | None:
        early, noise = rng.normal(size=(2, n))
        late = pearson * early + math.sqrt(1.0 - pearson**2) * noise
        kept = np.argsort(early)[pruned:]
        found = proxy_fidelity(early[kept], late[kept])
        if found is None or found.low is None or found.high is None:
            return None
        return found.low <= rho <= found.high

    return holds


def normal(sd: float) -> Draw:
    """Normal values with a mean of 0."""
    return lambda rng, n: rng.normal(0.0, sd, n)


def skewed(rng: Rng, n: int) -> Floats:
    """Exponential values, moved to a mean of 0: a long tail to the right, as of losses."""
    return rng.exponential(1.0, n) - 1.0


def described(found: Coverage) -> str:
    """A coverage in per cent, with the share that had bounds where that is not nearly all."""
    held = f"{100 * found.held:.1f}"
    return held if found.bounded > 0.99 else f"{held} of the {100 * found.bounded:.0f} % with bounds"


def verdict(case: Case, found: Sequence[Coverage]) -> str:
    """Whether a case covers what it claims, and at which sizes not."""
    low, high = NOMINAL
    short = [str(size) for size, share in zip(case.sizes, found, strict=True) if share.held < low]
    if short:
        return "**no**" if len(short) == len(found) else f"**no** at {', '.join(short)}"
    if case.claim == "at least":
        return "yes: at least 95 %"
    wide = [str(size) for size, share in zip(case.sizes, found, strict=True) if share.held > high]
    return f"yes, more at {', '.join(wide)}" if wide else "yes"


SEEDS = (3, 5, 10)
CASES = (
    Case(
        method="gain, Welch",
        data="seeds a side, equal SDs",
        sizes=SEEDS,
        holds=lambda n: welch(n, normal(1.0), normal(1.0)),
    ),
    Case(
        method="gain, Welch",
        data="seeds a side, SDs 1 to 4",
        sizes=SEEDS,
        holds=lambda n: welch(n, normal(1.0), normal(4.0)),
    ),
    Case(
        method="gain, Welch",
        data="seeds a side, both skewed alike",
        sizes=SEEDS,
        holds=lambda n: welch(n, skewed, skewed),
    ),
    Case(
        method="gain, Welch",
        data="seeds a side, one skewed, the other a tenth of its SD",
        sizes=SEEDS,
        holds=lambda n: welch(n, skewed, normal(0.1)),
    ),
    Case(
        method="break-even, Fieller",
        data="measurements a side, SD 2 %, saving 5 %",
        sizes=SEEDS,
        holds=lambda n: fieller(n, 0.05),
    ),
    Case(
        method="break-even, Fieller",
        data="measurements a side, SD 2 %, saving 20 %",
        sizes=SEEDS,
        holds=lambda n: fieller(n, 0.2),
    ),
    Case(
        method="median best of n, opda",
        data="trials, all n at once",
        sizes=(10, 25, 50, 150),
        holds=band,
        claim="at least",
    ),
    Case(
        method="median best of n, opda",
        data="trials, all n at once, highest and lowest together",
        sizes=(10, 25, 50, 150),
        holds=lambda n: band(n, both=True),
        claim="at least",
    ),
    Case(
        method="median best of n, opda",
        data="trials, values rounded to ties",
        sizes=(10, 25, 50),
        holds=lambda n: band(n, decimals=1),
        claim="at least",
    ),
    Case(
        method="expected best of n, percentile bootstrap (not used)",
        data="trials, n a fifth of them",
        sizes=(10, 25, 50),
        holds=lambda count: percentile(count, count // 5),
        claim="none",
    ),
    Case(
        method="expected best of n, percentile bootstrap (not used)",
        data="trials, n half of them",
        sizes=(10, 25, 50),
        holds=lambda count: percentile(count, count // 2),
        claim="none",
    ),
    Case(
        method="expected best of n, percentile bootstrap (not used)",
        data="trials, n all of them",
        sizes=(10, 25, 50),
        holds=lambda count: percentile(count, count),
        claim="none",
    ),
    Case(
        method="paired examples, BCa",
        data="differences, normal",
        sizes=(20, 50, 200),
        holds=lambda n: bca(n, normal(1.0)),
    ),
    Case(
        method="paired examples, BCa",
        data="differences, skewed",
        sizes=(20, 50, 200),
        holds=lambda n: bca(n, skewed),
    ),
    Case(
        method="paired examples, BCa",
        data="examples, 90 % and 88 % right",
        sizes=(200, 1000),
        holds=bca_of_scores,
    ),
    Case(
        method="false prunes, Clopper-Pearson",
        data="trials, 20 % false",
        sizes=(5, 20, 100),
        holds=lambda n: binomial(n, 0.2),
        claim="at least",
    ),
    *(
        Case(
            method="proxy fidelity, Bonett-Wright",
            data=f"trials, rho {rho:g}",
            sizes=(10, 30, 100),
            holds=partial(spearman, rho=rho),
        )
        for rho in (0.0, 0.6, 0.9)
    ),
    Case(
        method="proxy fidelity, Bonett-Wright",
        data="trials, the better half kept, against rho 0.8 of all",
        sizes=(20, 60, 200),
        holds=lambda n: spearman(n, 0.8, pruned=n // 2),
        claim="none",
    ),
)


if __name__ == "__main__":
    main()
