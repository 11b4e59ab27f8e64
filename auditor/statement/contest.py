"""Who wins where, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.statement.values import counted, energy, number, signed

EQUAL_ENERGY = "equal energy"
EQUAL_TRIALS = "equal trials"
THE_END = "the end"
TEST = "test"
PLACES = (EQUAL_ENERGY, EQUAL_TRIALS, THE_END, TEST)
"""Where groups are compared, the fairest first."""

_Each = Mapping[str, Any]

_AT = {EQUAL_ENERGY: "at equal energy", EQUAL_TRIALS: "at equal trials", THE_END: "at the end", TEST: "on test"}


def verdict(comparisons: Sequence[_Each], differences: Sequence[str], groups: Sequence[_Each]) -> dict[str, str]:
    """The verdict of a comparison: its grade, a headline, and what each place shows in a sentence.

    Args:
        comparisons: Every pair of groups at every place, as the comparison has them.
        differences: What forbids a verdict, each as part of a sentence; empty: nothing does.
        groups: The groups, as the comparison has them.

    Returns:
        ``grade`` is ``shown``, ``not shown``, ``refused``, ``cannot say`` or ``one group``.
    """
    if differences:
        return {
            "grade": "refused",
            "headline": "These studies don't compare",
            "sentence": f"No verdict: {'; '.join(differences)}. A verdict takes the same space and the same protocol.",
        }
    if len(groups) == 1:
        return _alone(groups[0])
    sentences = [
        text for place in PLACES if (text := _place([each for each in comparisons if each["at"] == place], len(groups)))
    ]
    if not sentences:
        return {
            "grade": "cannot say",
            "headline": "Nothing to compare",
            "sentence": "The runs have no figures at a place that all of them reach.",
        }
    decided = [each for each in comparisons if each["better"] is not None]
    return {
        "grade": "shown" if decided else "not shown",
        "headline": _headline(decided, groups) if decided else "No difference shown",
        "sentence": " ".join(sentences),
    }


def _alone(group: _Each) -> dict[str, str]:
    """A group with nothing to compare it with."""
    best, runs = group["best"], counted(len(group["runs"]), "run")
    if best is None:
        text = "not every run has a value"
    elif best["ci95"] is None:
        text = f"the best value is {number(best['mean'])}; without a second run there is no interval"
    else:
        low, high = best["ci95"]
        width = (high - low) / 2.0
        shown = [signed(x, uncertainty=width).removeprefix("+") for x in (best["mean"], low, high)]
        text = f"the best value is {shown[0]} in the mean (95 % {shown[1]} to {shown[2]} over search seeds)"
    return {
        "grade": "one group",
        "headline": f"{group['name']}: {runs}",
        "sentence": f"{text[0].upper()}{text[1:]}. There is nothing to compare it with.",
    }


def _headline(decided: Sequence[_Each], groups: Sequence[_Each]) -> str:
    winners = list(dict.fromkeys(each["better"] for each in decided))
    if len(groups) > 2:
        place = min((each["at"] for each in decided), key=PLACES.index)
        here = [each for each in decided if each["at"] == place]
        wins = {name: sum(each["better"] == name for each in here) for name in winners}
        leader = max(wins, key=lambda name: (wins[name], -sum(_loser(each) == name for each in here)))
        beaten = [str(_loser(each)) for each in here if each["better"] == leader]
        told = " and ".join(beaten) if len(beaten) < 3 else f"{len(beaten)} of {len(groups) - 1} others"
        told = "all others" if len(beaten) == len(groups) - 1 else told
        return f"{leader} beats {told} {_AT[place]}"
    if len(winners) > 1:
        return "Each is better somewhere"
    where = [_AT[each["at"]] for each in decided]
    listed = where[0] if len(where) == 1 else f"{', '.join(where[:-1])} and {where[-1]}"
    return f"{winners[0]} beats {_loser(decided[0])} {listed}"


def _loser(each: _Each) -> Any:
    return each["second"] if each["better"] == each["first"] else each["first"]


def _place(pairs: Sequence[_Each], groups: int) -> str:
    """What one place shows, in a sentence; empty where it shows nothing."""
    known = [each for each in pairs if each["difference"] is not None]
    if not known:
        return ""
    at, x = known[0]["at"], known[0]["x"] if groups == 2 else None
    where = f"{_AT[at][0].upper()}{_AT[at][1:]}"
    if x is not None:
        where += f" ({energy(x) if at == EQUAL_ENERGY else counted(round(x), 'trial')})"
    if at == THE_END:
        where += ", whatever each used"
    told = [each for each in known if each["better"] is not None]
    rest = [each for each in known if each["better"] is None]
    said = [_pair(each) for each in (told if groups > 2 and told else known)]
    if len(said) < len(known):
        said.append("the other pair is not told apart" if len(rest) == 1 else "the other pairs are not told apart")
    return f"{where}: {'; '.join(said)}."


def _pair(each: _Each) -> str:
    """One pair of groups, the better one first."""
    first, second, difference = each["first"], each["second"], each["difference"]
    if each["ci95"] is None:
        if difference == 0.0:
            return f"{first} and {second} are equal"
        ahead, behind = (first, second) if difference > 0.0 else (second, first)
        gain = signed(abs(difference), uncertainty=0.0)
        return f"{ahead} is {gain} ahead of {behind}, but one run on a side can't be told from chance"
    low, high = each["ci95"]
    if difference < 0.0:
        first, second, difference, low, high = second, first, -difference, -high, -low
    width = (high - low) / 2.0
    shown = [signed(value, uncertainty=width) for value in (difference, low, high)]
    relation = f"{first} and {second} are not told apart"
    if each["better"] is not None:
        relation = f"{first} beats {second}"
    elif low > 0.0:
        relation = f"{first} and {second} are not judged"
    return f"{relation}, {shown[0]} (95 % {shown[1]} to {shown[2]})"
