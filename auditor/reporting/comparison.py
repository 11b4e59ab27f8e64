"""What a search gained: the default, the winner and the alternatives beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.reporting.costs import baseline_energy_j
from auditor.reporting.facts import Fact
from auditor.reporting.figures import MOST_DECIMALS, NOT_AVAILABLE, decimals, energy, fixed, percent, signed
from auditor.reporting.lookup import Statement, at, figure, interval, is_imported, joules, records, text, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One of the models compared; figures formatted with the same number of decimals.

    Attributes:
        role: ``default``, ``winner`` or ``alternative``.
        name: Its name for people.
        value: Metric on the validation set.
        test_value: Metric on the test set.
        energy: Energy to get it: for the winner, of the whole search.
        best: Whether it is the best alternative to searching.
    """

    role: str
    name: str
    value: str
    test_value: str
    energy: str
    best: bool = False


def places(statement: Statement) -> int:
    """Decimals for every value of the study's metric, so that they can be compared down a column."""
    values = [
        figure(statement, f"gain.{subject}.{key}")
        for subject in ("baseline", "best", "best_alternative")
        for key in ("value", "test_value")
    ]
    for part in records(statement, "gain.alternatives_tried"):
        values += [figure(part, "value"), figure(part, "test_value")]
    values += [figure(part, "value") for part in records(statement, "incumbents")]
    return decimals(values)


def difference_places(statement: Statement) -> int:
    """Decimals for differences: those of the values, and two digits of the uncertainty."""
    ends = interval(statement, "gain.ci95")
    uncertainty = (ends[1] - ends[0]) / 2 if ends else figure(statement, "gain.detectable")
    if not uncertainty:
        return places(statement)
    exponent = int(f"{uncertainty:.1e}".split("e")[1])
    return max(places(statement), min(MOST_DECIMALS, 1 - exponent))


def winner_name(statement: Statement) -> str:
    """``trial 17 (winner)``, or ``winner`` where no trial is named."""
    trial = figure(statement, "gain.best.trial")
    return "winner" if trial is None else f"trial {int(trial)} (winner)"


def contenders(statement: Statement) -> list[Contender]:
    """Default, winner and alternatives; none of them where the statement has no gain."""
    if at(statement, "gain") is None:
        return []
    digits = places(statement)
    name = text(statement, "gain.baseline.name") or "default"
    lines = [
        Contender(
            role="default",
            name=f"{name} (no search)",
            value=fixed(figure(statement, "gain.baseline.value"), digits),
            test_value=fixed(figure(statement, "gain.baseline.test_value"), digits),
            energy=energy(baseline_energy_j(statement, name) or _of_a_trial(statement)),
        ),
        Contender(
            role="winner",
            name=winner_name(statement),
            value=fixed(figure(statement, "gain.best.value"), digits),
            test_value=fixed(figure(statement, "gain.best.test_value"), digits),
            energy=energy(joules(statement, "energy.search_uj")),
        ),
    ]
    best = text(statement, "gain.best_alternative.name")
    tried = records(statement, "gain.alternatives_tried")
    if not tried and best:
        tried = [at(statement, "gain.best_alternative")]
    lines += [
        Contender(
            role="alternative",
            name=text(part, "name") or "unnamed",
            value=fixed(figure(part, "value"), digits),
            test_value=fixed(figure(part, "test_value"), digits),
            energy=energy(figure(part, "energy_j")),
            best=text(part, "name") == best != "",
        )
        for part in tried
    ]
    return lines


def _of_a_trial(statement: Statement) -> float | None:
    """Energy of a default that is one of an imported study's trials, in joules."""
    search_j, times = joules(statement, "energy.search_uj"), figure(statement, "energy.times_default")
    return search_j / times if is_imported(statement) and search_j is not None and times else None


def gain_facts(statement: Statement) -> list[Fact]:
    """The winner's gain over the default, with how sure it is; positive is better."""
    if at(statement, "gain") is None:
        return [Fact(path="gain", label="Gain of the winner", value=NOT_AVAILABLE, note=why(statement, "gain"))]
    digits = difference_places(statement)
    seeds = figure(statement, "gain.seeds")
    each = "on fresh seeds" if seeds is None else f"{int(seeds)} fresh {'seed' if seeds == 1 else 'seeds'} each"
    each = "one training each" if is_imported(statement) and seeds == 1 else each
    ends = interval(statement, "gain.ci95")
    return [
        Fact.of(
            statement,
            "gain.delta_test",
            "Gain on test",
            signed(figure(statement, "gain.delta_test"), digits),
            f"{_order(statement)}; {each}",
        ),
        Fact.of(
            statement,
            "gain.ci95",
            "95 % interval of that gain",
            NOT_AVAILABLE if ends is None else f"{signed(ends[0], digits)} to {signed(ends[1], digits)}",
            "" if ends is None else _reading(ends),
        ),
        _sampling(statement, digits),
        Fact.of(
            statement,
            "gain.detectable",
            "Smallest visible gain",
            fixed(figure(statement, "gain.detectable"), digits),
            each,
        ),
        Fact.of(
            statement,
            "gain.p_better",
            "Seed pairs the winner wins",
            percent(figure(statement, "gain.p_better")),
            "each seed against each",
        ),
        Fact.of(
            statement,
            "gain.delta",
            "Gain on validation",
            signed(figure(statement, "gain.delta"), digits),
            "what the search itself saw",
        ),
        Fact.of(
            statement,
            "gain.optimism",
            "Luck in picking the best",
            signed(figure(statement, "gain.optimism"), digits),
            "by how much its validation result is too good",
        ),
        Fact.of(
            statement,
            "tail_share",
            "Energy after the last gain",
            percent(figure(statement, "tail_share")),
            "known only in hindsight",
        ),
    ]


def _order(statement: Statement) -> str:
    """What is taken from what, so that positive is better."""
    lower = text(statement, "study.direction") == "minimize"
    return "default less winner: lower is better" if lower else "winner less default"


def _sampling(statement: Statement, digits: int) -> Fact:
    """The gain with the noise of which examples are in the test set."""
    ends = interval(statement, "gain.test_sampling.ci95")
    examples = figure(statement, "gain.test_sampling.examples")
    return Fact.of(
        statement,
        "gain.test_sampling",
        "The same by choice of test examples",
        NOT_AVAILABLE if ends is None else f"{signed(ends[0], digits)} to {signed(ends[1], digits)}",
        "" if ends is None or examples is None else f"95 %, {int(examples):,} examples; {_reading(ends)}",
    )


def _reading(ends: tuple[float, float]) -> str:
    if ends[0] > 0:
        return "above zero: a gain"
    return "below zero: a loss" if ends[1] < 0 else "includes zero: no gain is shown"
