"""The verdict in plain words, and what to do next."""

from __future__ import annotations

from auditor.analysis.detectable import MOST_SEEDS, seeds_to_detect
from auditor.statement.advice import SEEDS_ADVISED
from auditor.statement.values import counted, duration, energy, number, percent, signed
from auditor.statement.verdict import LEAST_TRIALS, Evidence, VerdictGrade, betters, missing

LONG_TAIL = 0.5
_CENT = 0.01
_OPENING = {
    VerdictGrade.PAID: "Paid",
    VerdictGrade.NOT_PAID: "Not worth it",
    VerdictGrade.NOT_SHOWN: "Not shown to be worth it",
    VerdictGrade.CANNOT_SAY: "Cannot say whether it was worth it",
}


def sentence(evidence: Evidence, grade: VerdictGrade) -> str:
    """The verdict with its figures, for people outside the field; an alternative that does as well leads."""
    lead = _lacking(evidence) if grade is VerdictGrade.CANNOT_SAY else ""
    parts = (
        lead,
        _alternative(evidence),
        _over_limit(evidence),
        _gain(evidence),
        _spent(evidence),
        _random(evidence),
        _tail(evidence),
    )
    first, *rest = [part for part in parts if part]
    return f"{_OPENING[grade]}: {first}." + "".join(f" {part[:1].upper()}{part[1:]}." for part in rest)


def next_step(evidence: Evidence, grade: VerdictGrade) -> str:
    """One concrete recommendation."""
    if grade is VerdictGrade.CANNOT_SAY:
        return _complete_the_record(evidence)
    rival = evidence.cheaper
    if rival is not None and evidence.gain.as_good_as_default(rival):
        more = _more_seeds(evidence) if grade is VerdictGrade.NOT_SHOWN else None
        settle = f"; {more} would settle whether the winner beats the default" if more else ""
        return f"Ship {rival.said}{settle}."
    if grade is VerdictGrade.PAID:
        return f"Keep the winner ({_winner(evidence)}){_stop_earlier(evidence)}."
    if grade is VerdictGrade.NOT_PAID:
        if evidence.too_costly:
            limit = f"{number(evidence.parameters.worth_cost or 0.0)} {evidence.parameters.currency}"
            return f"Next time stop earlier: give the search a budget of money within {limit}."
        return f"Keep the default{_stop_earlier(evidence)}."
    return _settle(evidence)


def _complete_the_record(evidence: Evidence) -> str:
    gain = evidence.gain
    if evidence.booked_outside:
        return (
            "To judge the winner, train it and what you would use without searching on fresh seeds and test both: "
            "auditor search does that."
        )
    if evidence.imported:
        return _complete_the_import(evidence)
    if evidence.complete_trials < LEAST_TRIALS:
        return f"Let at least {LEAST_TRIALS} trials complete: resume the search, or give it a larger budget."
    if gain.default_value is None and not gain.default_tests:
        return "Add `default` to `baselines`, so that there is something to compare the winner with."
    if not evidence.has_test_metric:
        return "Give the search space a test metric, so that winner and default can be judged on unseen data."
    return f"Train winner and default again on fresh seeds and test them (evaluation.seeds: {SEEDS_ADVISED})."


def _complete_the_import(evidence: Evidence) -> str:
    gain = evidence.gain
    if evidence.objectives > 1:
        return "Compare its trials by what they cost: which of several objectives counts is yours to say."
    if evidence.complete_trials < LEAST_TRIALS:
        return f"Import it again when at least {LEAST_TRIALS} trials have completed with a value."
    if gain.default_value is None and not gain.default_tests:
        return (
            "Say what you would use without searching: --baseline default=VALUE,TEST, or --baseline-trial N where "
            "trial N is it."
        )
    if not gain.winner_tests:
        return (
            "Give the test figures of the trials with --test, and with --baseline default=VALUE,TEST that of a default "
            "which is none of them."
        )
    return "Give the default's test figure: --baseline default=VALUE,TEST."


def _settle(evidence: Evidence) -> str:
    gain = evidence.gain
    if gain.interval is None and evidence.imported:
        return (
            f"Train winner and default again on {SEEDS_ADVISED} fresh seeds each and test them (auditor search does "
            "that): one training each can't tell a gain from chance."
        )
    if gain.interval is None:
        return f"Run at least {SEEDS_ADVISED} seeds each for winner and default (evaluation.seeds)."
    if gain.interval.low > evidence.worth_gain:
        if evidence.perhaps_cheaper is not None:
            return f"Meter {evidence.perhaps_cheaper.said}: it does as well, and may be cheaper than the search."
        prices = f"{evidence.advice.price}, {evidence.advice.device_price}"
        return f"Give the missing price ({prices}) to check the cost limit."
    more = _more_seeds(evidence)
    if more is None:
        return f"Keep the default: over {MOST_SEEDS:,} seeds each would be needed to tell the two apart."
    return f"Run {more} for winner and default: that would settle it if the gain is what it seems."


def _more_seeds(evidence: Evidence) -> str | None:
    """How many seeds would settle the gain; ``None`` where no sensible number would."""
    gain = evidence.gain
    if gain.delta_test is None:
        return None
    if gain.interval is None:
        return f"at least {SEEDS_ADVISED} seeds each"
    seeds = seeds_to_detect((gain.delta_test - evidence.worth_gain) / gain.sd) if gain.sd else None
    return None if seeds is None else f"about {max(seeds, gain.seeds + 1)} seeds each"


def _winner(evidence: Evidence) -> str:
    return "the best trial" if evidence.gain.best is None else f"trial {evidence.gain.best.number}"


def _stop_earlier(evidence: Evidence) -> str:
    if evidence.tail_share is None or evidence.tail_share < LONG_TAIL:
        return ""
    return f", and stop earlier next time: {percent(evidence.tail_share)} of the energy came after the last gain"


def _lacking(evidence: Evidence) -> str:
    return "; ".join(f"{reason[:1].lower()}{reason[1:].rstrip('.')}" for reason in missing(evidence))


def _alternative(evidence: Evidence) -> str:
    rival, winner = evidence.cheaper, evidence.gain.winner_test
    if rival is None or winner is None or rival.test_value is None or rival.energy_j is None:
        return ""
    reached = f"reaches {number(rival.test_value)} on test, the winner of the search {number(winner)}"
    return f"{'' if rival.arm else 'the baseline '}{rival.said}, for {energy(rival.energy_j)}, {reached}"


def _over_limit(evidence: Evidence) -> str:
    if not evidence.too_costly:
        return ""
    cost, limit = evidence.cost or 0.0, evidence.parameters.worth_cost or 0.0
    currency = evidence.parameters.currency
    return f"the search cost {number(cost)} {currency}, above the limit of {number(limit)} {currency}"


def _gain(evidence: Evidence) -> str:
    gain = evidence.gain
    if gain.delta_test is None:
        return ""
    if gain.interval is None:
        difference = betters(evidence, signed(gain.delta_test, uncertainty=0.0))
        return f"{difference}; {counted(1, evidence.advice.sample)} on a side can't tell that from chance"
    seeds = counted(gain.seeds, "seed")
    low, high = gain.interval.low, gain.interval.high
    low_text, middle, high_text = (
        signed(value, uncertainty=(high - low) / 2.0) for value in (low, gain.delta_test, high)
    )
    text = f"{betters(evidence, middle)} (95 % interval {low_text} to {high_text}; {seeds} each)"
    if evidence.worth_gain:
        text += f", where a gain must exceed {number(evidence.worth_gain)}"
    if gain.detectable is not None:
        text += f", and gains under {number(gain.detectable)} can easily be missed with {seeds}"
    return text


def _spent(evidence: Evidence) -> str:
    """Device time, money and energy of the search, each where it is known: money is what people pay first."""
    amounts = [_device_time(evidence)]
    if evidence.cost is not None and not evidence.too_costly:
        small = 0.0 < evidence.cost < _CENT
        amounts.append(f"{'under 0.01' if small else number(evidence.cost)} {evidence.parameters.currency}")
    if evidence.search_j is not None:
        amounts.append(f"{energy(evidence.search_j)}{_spread(evidence)}")
    known = " = ".join(amount for amount in amounts if amount)
    if evidence.search_j is None:
        lacking = "its energy is not known" if evidence.imported else "its energy was not metered"
        whole = "what the search used is not known" if evidence.imported else "what the search used was not metered"
        return f"the search used {known}; {lacking}" if known else whole
    text = f"the search used {known}"
    if evidence.times_default is not None:
        text += f", {number(evidence.times_default)} times training the default once"
    return text


def _device_time(evidence: Evidence) -> str:
    """``212 GPU-hours``; processors are named only where they ran for hours."""
    if evidence.device is None:
        return ""
    kind, held_s = evidence.device
    hours = held_s / 3600.0
    if hours >= (0.1 if kind == "gpu" else 1.0):
        return f"{number(hours)} {kind.upper()}-hours"
    return f"{duration(held_s)} of GPU" if kind == "gpu" else ""


def _spread(evidence: Evidence) -> str:
    """What the energy could be, and how much of it is no measurement."""
    parts = [evidence.how] if evidence.how else []
    if evidence.range_j is not None:
        low, high = map(energy, evidence.range_j)
        if low != high:
            parts.append(f"{low} to {high}")
    return f" ({', '.join(parts)})" if parts else ""


def _random(evidence: Evidence) -> str:
    """The random arm at equal energy."""
    if evidence.random is None:
        return ""
    best, random, energy_j = evidence.random
    beside = f"the search {number(best)}"
    return f"random search for the same energy ({energy(energy_j)} each) had {number(random)} on validation, {beside}"


def _tail(evidence: Evidence) -> str:
    if evidence.tail_share is None:
        return ""
    return f"{percent(evidence.tail_share)} of the search's energy came after the last gain (hindsight)"
