"""A paper's appendix: what good practice asks of a search, answered from its statement.

The questions follow the checklist of Lindauer and Hutter, "Best practices for scientific research on neural
architecture search", JMLR 21 (2020), in words of our own. What a statement can't know is left to the author.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auditor.reporting.comparison import difference_places, places
from auditor.reporting.costs import costs
from auditor.reporting.figures import (
    NOT_AVAILABLE,
    count,
    duration,
    energy,
    fixed,
    mass,
    money,
    percent,
    signed,
    watt_hours,
)
from auditor.reporting.lookup import Statement, figure, interval, is_imported, joules, records, text, texts
from auditor.reporting.markdown import escaped
from auditor.reporting.names import cleaned

RANDOM_ARM = "random"
YES, NO, PARTLY, AUTHOR = "yes", "no", "partly", "to be answered by the author"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a question of the checklist.

    Attributes:
        question: What good practice asks.
        verdict: ``yes``, ``no``, ``partly``, or left to the author.
        evidence: The figures behind it, or what the author has to say.
    """

    question: str
    verdict: str
    evidence: str


def checklist(statement: Statement) -> list[Answer]:
    """The checklist of a search, answered as far as its statement goes."""
    asked: tuple[tuple[str, Callable[[Statement], tuple[str, str]]], ...] = (
        ("Is the code of the space, of the training and of the search released, with its settings?", _code),
        ("Are the seeds of the search and of the final trainings reported?", _seeds),
        ("Is the winner compared with a default on the same data, by the same training?", _default),
        ("Is it compared with random search at equal cost?", _random),
        ("Is it compared with simple alternatives?", _alternatives),
        (
            "Were the final models trained several times, on fresh seeds, and judged on data the search never saw?",
            _fresh,
        ),
        ("Was the whole search repeated under other seeds?", _repeated),
        ("Is performance shown over time or cost, not only at the end?", _anytime),
        (
            "Is the cost of the whole procedure reported: failed and pruned trials, baselines, evaluation, overhead?",
            _cost,
        ),
        ("Is the hardware, and how cost was measured, reported?", _hardware),
        ("Is reported how the default and the settings of the search were tuned, and what that took?", _tuning),
        ("Was early stopping of trials checked against full trainings?", _pruner),
        ("Were ablations run, and confounding factors controlled for?", _ablations),
    )
    return [
        Answer(question=question, verdict=verdict, evidence=evidence)
        for question, answer in asked
        for verdict, evidence in [answer(statement)]
    ]


def render_appendix(statement: Statement) -> str:
    """The checklist as Markdown, with what the figures count and what they don't; names in it are escaped.

    Args:
        statement: As read from ``statement.json``; any figure in it may be ``None``.
    """
    statement = cleaned(statement)
    name = text(statement, "study.name") or "Unnamed study"
    made_by = escaped(text(statement, "generated.auditor"))
    lines = [
        f"# Search practice: {escaped(name)}",
        f"After Lindauer and Hutter (2020), from a statement of nas-auditor {made_by}: self-declared, not assured.",
        "| Question | Answer | Evidence |\n| :--- | :--- | :--- |\n"
        + "\n".join(
            f"| {escaped(answer.question)} | {escaped(answer.verdict)} | {escaped(answer.evidence)} |"
            for answer in checklist(statement)
        ),
        "## What the figures count",
        "\n".join(f"- {escaped(part)}" for part in texts(statement, "energy.boundary.included")),
        "## What they don't",
        "\n".join(f"- {escaped(part)}" for part in texts(statement, "energy.boundary.excluded")),
    ]
    return "\n\n".join(filter(None, lines)) + "\n"


def _code(statement: Statement) -> tuple[str, str]:
    space = text(statement, "study.space")
    known = f"Space {space}; settings stand in study.yaml. " if space else ""
    return AUTHOR, f"{known}Say where the code is, and under which licence."


def _seeds(statement: Statement) -> tuple[str, str]:
    if is_imported(statement):
        return AUTHOR, "The study ran elsewhere, and its source does not say: name the seeds."
    seeds = int(figure(statement, "gain.seeds") or 0)
    if not seeds:
        return PARTLY, "The seed of the search stands in study.yaml; there were no final trainings on fresh seeds."
    fresh = f"{count(seeds)} fresh seed{'' if seeds == 1 else 's'}"
    return YES, f"In study.yaml and the journals; {fresh} for winner and default each."


def _default(statement: Statement) -> tuple[str, str]:
    imported = is_imported(statement)
    for key, where in (("test_value", "test"), ("value", "validation")):
        values = [figure(statement, f"gain.{side}.{key}") for side in ("baseline", "best")]
        if None not in values:
            default, winner = (fixed(value, places(statement)) for value in values)
            said = f"On {where}: default {default}, winner {winner}."
            if imported:
                return PARTLY, f"{said} They were given: say whether both had the same data and training."
            return (YES, said) if key == "test_value" else (PARTLY, f"{said} On test they were not compared.")
    return NO, "There are no figures of the default and the winner." if imported else "The default was not compared."


def _random(statement: Statement) -> tuple[str, str]:
    if figure(statement, "random_arm.delta") is not None:
        digits = places(statement)
        delta = signed(figure(statement, "random_arm.delta"), digits)
        return (
            PARTLY,
            f"At {energy(figure(statement, 'random_arm.energy_j'))} each: {delta}; from one run, without interval.",
        )
    if records(statement, "expected_max"):
        return (
            PARTLY,
            f"Expected maximum of {text(statement, 'expected_max_basis.source')}; no random arm of equal energy.",
        )
    return NO, "No independent draws are on the books."


def _alternatives(statement: Statement) -> tuple[str, str]:
    names = [text(part, "name") for part in records(statement, "gain.alternatives_tried")]
    tried = [name for name in names if name != RANDOM_ARM or is_imported(statement)]
    return (YES, f"{', '.join(tried)}.") if tried else (NO, "No baseline beside the default.")


def _fresh(statement: Statement) -> tuple[str, str]:
    ends, digits = interval(statement, "gain.ci95"), difference_places(statement)
    if ends is None:
        return NO, "Fewer than 2 fresh seeds for winner and default, or no test metric."
    bounds = f"{signed(ends[0], digits)} to {signed(ends[1], digits)}"
    smallest = fixed(figure(statement, "gain.detectable"), digits)
    delta = signed(figure(statement, "gain.delta_test"), digits)
    said = "" if smallest == NOT_AVAILABLE else f"; gains under {smallest} can be missed"
    return YES, f"Gain on test {delta} (95 % {bounds}{said})."


def _repeated(statement: Statement) -> tuple[str, str]:
    return (
        NO,
        "This is one run: it judges this winner, not the method. See 'auditor search --repeat' and 'auditor compare'.",
    )


def _anytime(statement: Statement) -> tuple[str, str]:
    steps = records(statement, "incumbents")
    if not steps:
        return NO, "No incumbents against energy."
    return YES, f"{count(len(steps))} incumbents against cumulative energy; {_tail(statement)}."


def _tail(statement: Statement) -> str:
    share = figure(statement, "tail_share")
    return "no later gain" if share is None else f"{percent(share)} of the energy after the last gain (hindsight)"


def _cost(statement: Statement) -> tuple[str, str]:
    search_j = joules(statement, "energy.search_uj")
    if search_j is None:
        return NO, "No energy is on the books."
    parts = [f"search {energy(search_j)} ({watt_hours(search_j)})"]
    parts += [
        f"{line.label.lower()} {energy(line.energy_j)}"
        for line in costs(statement)
        if not line.part and not line.outside
    ]
    times = figure(statement, "energy.times_default")
    if times is not None:
        parts.append(f"{times:.3g} times training the default once")
    grams = figure(statement, "carbon.location_based_g")
    if grams is not None:
        parts.append(f"{mass(grams)} CO2e")
    total = figure(statement, "cost.total")
    if total is not None:
        parts.append(money(total, text(statement, "cost.currency")))
    wall = figure(statement, "compute.wall_s")
    if wall is not None:
        parts.append(f"{duration(wall)} wall time")
    if is_imported(statement):
        return PARTLY, "; ".join(parts) + ". Of the trials alone, as far as it is known; say what lay around them."
    return YES, "; ".join(parts) + "."


def _hardware(statement: Statement) -> tuple[str, str]:
    measured = [
        f"{text(part, 'component')} on {text(part, 'node')}: {text(part, 'meaning')}"
        for part in records(statement, "energy.components")
    ]
    coverage = figure(statement, "energy.coverage")
    if not measured:
        return NO, "No measured part is on the books; say what it ran on."
    over = "" if coverage is None else f"; {percent(coverage)} of the time metered"
    versions = "N" if is_imported(statement) else "Versions stand in study.yaml; n"
    return PARTLY, f"{'; '.join(dict.fromkeys(measured))}{over}. {versions}ame the machine."


def _tuning(statement: Statement) -> tuple[str, str]:
    return AUTHOR, "The books begin with this study: say how the default and the space came about, and what that cost."


def _pruner(statement: Statement) -> tuple[str, str]:
    pruned = int(figure(statement, "trials.pruned") or 0)
    if not pruned:
        return YES, "No trial was stopped early."
    rho = figure(statement, "proxy.spearman")
    if rho is None:
        were = "trial was" if pruned == 1 else "trials were"
        return NO, f"{count(pruned)} {were} pruned, and nothing says how well."
    survivors = count(int(figure(statement, "proxy.survivors") or 0))
    return PARTLY, f"Rank correlation of early and final values {rho:.2f} over {survivors} survivors only."


def _ablations(statement: Statement) -> tuple[str, str]:
    return AUTHOR, "One search does not tell what of it matters."
