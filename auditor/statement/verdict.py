"""The verdict on the search: did the accuracy it bought pay for what it used?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from auditor.domain.parameters import Parameters
from auditor.statement.advice import Advice, advice_at
from auditor.statement.gain import Alternative, Gain
from auditor.statement.values import counted, energy, number, signed

LEAST_TRIALS = 2


class VerdictGrade(StrEnum):
    """Whether the search paid."""

    PAID = "paid"
    NOT_PAID = "not paid"
    NOT_SHOWN = "not shown"
    CANNOT_SAY = "cannot say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict is made from.

    Attributes:
        gain: The winner against the default.
        parameters: What a gain must be and may cost.
        complete_trials: Complete trials with a finite value.
        has_test_metric: Whether the search space names a test metric.
        search_j: Energy of the search in joules; ``None`` where nothing was metered.
        range_j: Low and high of it; ``None`` where not known.
        times_default: The same as a multiple of training the default once.
        cost: Cost of the search in the currency of the parameters; ``None`` without a price.
        fully_priced: Whether every price that was given led to a figure.
        tail_share: Share of the search's energy after the last gain.
        books: Grade of the books.
        booked_outside: Whether another program ran the search, which knows no default, baselines or test set.
        imported: Whether the study ran elsewhere and was imported.
        objectives: How many metrics were searched for.
        device: Kind and seconds of the devices that the search is paid for; ``None`` where none are known.
        random: Best of the search and of its random arm for the same energy, and that energy in joules.
        how: How the energy is known, in a word or two; empty where counters or sensors measured it.
    """

    gain: Gain
    parameters: Parameters
    complete_trials: int
    has_test_metric: bool
    search_j: float | None
    range_j: tuple[float, float] | None
    times_default: float | None
    cost: float | None
    fully_priced: bool
    tail_share: float | None
    books: str
    booked_outside: bool = False
    imported: bool = False
    objectives: int = 1
    device: tuple[str, float] | None = None
    random: tuple[float, float, float] | None = None
    how: str = ""

    @property
    def advice(self) -> Advice:
        """What to do about what is lacking."""
        return advice_at(imported=self.imported)

    @property
    def worth_gain(self) -> float:
        """What the improvement on test must exceed; 0 unless set."""
        return self.parameters.worth_gain or 0.0

    @property
    def too_costly(self) -> bool:
        """Whether the known cost is above the limit."""
        limit = self.parameters.worth_cost
        return limit is not None and self.cost is not None and self.cost > limit

    @property
    def cost_unknown(self) -> bool:
        """Whether a cost limit was given that can't be checked."""
        return self.parameters.worth_cost is not None and not self.too_costly and not self.fully_priced

    @property
    def cheaper(self) -> Alternative | None:
        """The best alternative that does as well as the winner for less energy than the search."""
        search_j = self.search_j
        return self._best(
            [a for a in self._rivals if a.energy_j is not None and search_j is not None and a.energy_j < search_j]
        )

    @property
    def perhaps_cheaper(self) -> Alternative | None:
        """The best alternative that does as well as the winner, where one of the two energies is unknown."""
        return self._best([a for a in self._rivals if a.energy_j is None or self.search_j is None])

    @property
    def _rivals(self) -> list[Alternative]:
        return [a for a in self.gain.alternatives if self.gain.as_good_as_winner(a)]

    def _best(self, rivals: list[Alternative]) -> Alternative | None:
        sign = 1.0 if self.gain.maximize else -1.0
        return max(rivals, key=lambda a: sign * (a.test_value or 0.0), default=None)


def judge(evidence: Evidence) -> tuple[VerdictGrade, list[str]]:
    """The verdict and every reason for it, each with its figures.

    ``paid``: the lower bound of the gain is above what a gain must be, the cost is within its limit, and
    nothing cheaper is as good. ``not paid``: the upper bound is below it, or the cost above its limit, or
    something cheaper is as good. ``not shown``: in between. ``cannot say``: a figure that this takes is not
    there.
    """
    lacking = missing(evidence)
    reasons = [
        *lacking,
        *_on_gain(evidence),
        *_on_cost(evidence),
        *_on_alternatives(evidence),
        *on_books(evidence.books),
    ]
    interval, worth = evidence.gain.interval, evidence.worth_gain
    if lacking:
        return VerdictGrade.CANNOT_SAY, reasons
    if evidence.too_costly or (interval is not None and interval.high < worth):
        return VerdictGrade.NOT_PAID, reasons
    if interval is None or not interval.low > worth:
        return VerdictGrade.NOT_SHOWN, reasons
    if evidence.cheaper is not None:
        return VerdictGrade.NOT_PAID, reasons
    if evidence.cost_unknown or evidence.perhaps_cheaper is not None:
        return VerdictGrade.NOT_SHOWN, reasons
    return VerdictGrade.PAID, reasons


def missing(evidence: Evidence) -> list[str]:
    """What a verdict needs and the study does not have; empty where it has it all."""
    gain = evidence.gain
    reasons = []
    if evidence.objectives > 1:
        return [f"The study has {evidence.objectives} objectives; a verdict needs one."]
    if evidence.complete_trials < LEAST_TRIALS:
        reasons.append(
            f"{counted(evidence.complete_trials, 'trial')} completed with a value; a search needs at least 2."
        )
    if gain.default_value is None and not gain.default_tests:
        reasons.append(evidence.advice.default_missing)
    without = [
        side for side, values in (("the winner", gain.winner_tests), ("the default", gain.default_tests)) if not values
    ]
    if without:
        reasons.append(f"There is no test figure for {' and '.join(without)}.")
    return reasons


def _on_gain(evidence: Evidence) -> list[str]:
    gain, worth = evidence.gain, evidence.worth_gain
    if gain.delta_test is None:
        return []
    if gain.interval is None:
        difference = betters(evidence, signed(gain.delta_test, uncertainty=0.0))
        once = counted(1, evidence.advice.sample)
        return [f"{difference[:1].upper()}{difference[1:]}; {once} on a side gives no interval."]
    low, high = gain.interval.low, gain.interval.high
    width = (high - low) / 2.0
    bounds = f"{signed(low, uncertainty=width)} and {signed(high, uncertainty=width)}"
    threshold = f"the {number(worth)} that a gain must exceed" if worth else "zero"
    relation = "wholly above" if low > worth else "wholly below" if high < worth else "not clear of"
    seeds = counted(gain.seeds, "seed")
    reasons = [f"The gain on test lies between {bounds} (95 %, {seeds} each), {relation} {threshold}."]
    if gain.detectable is not None:
        reasons.append(f"Gains under {number(gain.detectable)} can easily be missed with so many seeds.")
    elif gain.sd == 0.0:
        reasons.append("All seeds of a side gave the same figure, so the interval has no width and hides chance.")
    return reasons


def betters(evidence: Evidence, improvement: str) -> str:
    """By how much the winner is the better one, in words that fit the direction of the metric."""
    if evidence.gain.maximize:
        return f"on test the winner is {improvement} over the default"
    return f"on test, where lower is better, the winner betters the default by {improvement}"


def _on_cost(evidence: Evidence) -> list[str]:
    limit, currency = evidence.parameters.worth_cost, evidence.parameters.currency
    if limit is None:
        return []
    if evidence.cost_unknown or evidence.cost is None:
        return [f"The cost limit of {number(limit)} {currency} can't be checked: the cost is not fully priced."]
    relation = "above" if evidence.too_costly else "within"
    cost = f"{number(evidence.cost)} {currency}"
    return [f"The search cost {cost}, {relation} the limit of {number(limit)} {currency}."]


def _on_alternatives(evidence: Evidence) -> list[str]:
    winner = evidence.gain.winner_test
    reasons = []
    for rival, known in ((evidence.cheaper, True), (evidence.perhaps_cheaper, False)):
        if rival is None or winner is None or rival.test_value is None:
            continue
        name = f"{rival.said[:1].upper()}{rival.said[1:]}" if rival.arm else rival.name
        reached = f"{name} reaches {number(rival.test_value)} on test, the winner {number(winner)}"
        if known and rival.energy_j is not None and evidence.search_j is not None:
            reasons.append(f"{reached}, for {energy(rival.energy_j)} instead of {energy(evidence.search_j)}.")
        else:
            reasons.append(f"{reached}; which of the two used less energy is not known.")
    return reasons


def on_books(grade: str) -> list[str]:
    """A warning where the grade of the books says that nobody should rely on them."""
    if grade in {"contradicted", "none"}:
        return [f"The energy books are graded '{grade}': don't rely on the energy in this verdict."]
    return []
