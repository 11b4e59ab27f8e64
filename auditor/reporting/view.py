"""What a reader is shown of a statement, in words and formatted figures; the renderers only lay it out."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.reporting.comparison import Contender, contenders, gain_facts
from auditor.reporting.components import Component, components
from auditor.reporting.costs import Cost, Outcome, costs, outcomes
from auditor.reporting.facts import Fact, key_facts, more_facts
from auditor.reporting.figures import NOT_AVAILABLE, duration, energy, percent, watt_hours
from auditor.reporting.judging import chance_facts, front_facts, repay_facts
from auditor.reporting.lookup import (
    Statement,
    figure,
    is_imported,
    joules,
    metered_j,
    records,
    subject,
    text,
    texts,
    why,
)
from auditor.reporting.notes import Note, notes
from auditor.reporting.trainings import TrainingLine, training_facts, training_lines

_VERDICTS = {
    "paid": "The search paid",
    "not paid": "The search did not pay",
    "not shown": "Not shown to be worth it",
    "cannot say": "Cannot say whether it paid",
}
_MEASUREMENTS = {
    "good": "Well measured",
    "limited": "Measured, with limits",
    "reported": "Reported by others, not metered here",
    "none": "Hardly measured at all",
    "contradicted": "The figures contradict each other",
}
_LONGEST_LEAD = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the search was worth it; of a plain training what it cost.

    Attributes:
        title: What this is: ``Verdict: paid``.
        grade: ``paid``, ``not paid``, ``not shown``, ``cannot say``; or that it is not available.
        headline: The grade in a few plain words.
        sentence: Why, with the figures.
        reasons: What else led to it.
        next: What to do now; empty where the statement has nothing.
    """

    title: str
    grade: str
    headline: str
    sentence: str
    reasons: tuple[str, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How far the books can be trusted.

    Attributes:
        grade: As in the statement.
        headline: The grade in plain words.
        reasons: Why it is no better.
        facts: Range, coverage and what lies outside of the metered time.
    """

    grade: str
    headline: str
    reasons: tuple[str, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A whole statement, ready to be laid out; texts are unescaped.

    Attributes:
        title: The study's name.
        subject: What was audited: ``search``, or ``training``, which has no outcomes, contenders and gain.
        subtitle: Space, sampler and metric.
        verdict: Whether it was worth it.
        measurement: How far to trust it.
        key_facts: The figures to see first.
        more_facts: Compute, carbon and money in full.
        costs: Energy by account group.
        no_costs: Why there is none; empty where no finding says so.
        trainings: Plain trainings with their phases.
        outcomes: Energy by outcome of the trials.
        no_outcomes: Why their energy is not known; empty where it is, or where no finding says so.
        contenders: Default, winner and alternatives.
        gain_facts: What the winner gained over the default.
        chance_facts: What random search would have given.
        repay_facts: When the search is repaid.
        front_facts: Value against energy, and the pruner.
        components: How each component was measured.
        included: What the figures count.
        excluded: What they don't.
        imported: Whether the study ran elsewhere.
        sum_label: What the sum of all accounts is called.
        notes: Findings, the gravest first.
    """

    title: str
    subject: str
    subtitle: str
    verdict: Verdict
    measurement: Measurement
    key_facts: tuple[Fact, ...]
    more_facts: tuple[Fact, ...]
    costs: tuple[Cost, ...]
    no_costs: str
    trainings: tuple[TrainingLine, ...]
    outcomes: tuple[Outcome, ...]
    no_outcomes: str
    contenders: tuple[Contender, ...]
    gain_facts: tuple[Fact, ...]
    chance_facts: tuple[Fact, ...]
    repay_facts: tuple[Fact, ...]
    front_facts: tuple[Fact, ...]
    components: tuple[Component, ...]
    included: tuple[str, ...]
    excluded: tuple[str, ...]
    imported: bool
    sum_label: str
    notes: tuple[Note, ...]


def build_view(statement: Statement) -> View:
    """The view of a statement whose texts were cleaned (:func:`auditor.reporting.names.cleaned`)."""
    plain = subject(statement) == "training"
    return View(
        title=text(statement, "study.name") or "Unnamed study",
        subject=subject(statement),
        subtitle=_subtitle(statement),
        verdict=_verdict(statement),
        measurement=_measurement(statement),
        key_facts=tuple(training_facts(statement) if plain else key_facts(statement)),
        more_facts=tuple(more_facts(statement)),
        costs=tuple(costs(statement)),
        no_costs=why(statement, "energy.accounts") or why(statement, "energy.search_uj"),
        trainings=tuple(training_lines(statement)),
        outcomes=() if plain else tuple(outcomes(statement)),
        no_outcomes=why(statement, "energy.by_state"),
        contenders=tuple(contenders(statement)),
        gain_facts=() if plain else tuple(gain_facts(statement)),
        chance_facts=() if plain else tuple(chance_facts(statement)),
        repay_facts=() if plain else tuple(repay_facts(statement)),
        front_facts=() if plain else tuple(front_facts(statement)),
        components=tuple(components(statement)),
        included=tuple(texts(statement, "energy.boundary.included")),
        excluded=tuple(texts(statement, "energy.boundary.excluded")),
        imported=is_imported(statement),
        sum_label="All on the books" if is_imported(statement) else "All metered",
        notes=tuple(notes(statement)),
    )


def _subtitle(statement: Statement) -> str:
    direction = {"maximize": "higher is better", "minimize": "lower is better"}
    metric = text(statement, "study.metric")
    better = direction.get(text(statement, "study.direction"), "")
    parts = [
        ("space", text(statement, "study.space")),
        ("sampler", text(statement, "study.sampler")),
        ("metric", f"{metric or 'not named'} ({better})" if better else metric),
    ]
    if subject(statement) == "training":
        return "plain training"
    return " · ".join(f"{label} {value}" for label, value in parts if value)


def _verdict(statement: Statement) -> Verdict:
    grade, sentence = text(statement, "verdict.grade"), text(statement, "verdict.sentence")
    if subject(statement) == "training":
        return _cost_of_training(statement)
    headline = _VERDICTS.get(grade, "No verdict")
    lead, colon, rest = sentence.partition(": ")
    if colon and len(lead) <= _LONGEST_LEAD and rest:
        headline = headline if lead.lower() == grade else lead
        sentence = rest[0].upper() + rest[1:]
    if not sentence:
        sentence = why(statement, "verdict.sentence") or f"The reason is {NOT_AVAILABLE}."
    return Verdict(
        title=f"Verdict: {grade or NOT_AVAILABLE}",
        grade=grade or NOT_AVAILABLE,
        headline=headline,
        sentence=sentence,
        reasons=tuple(texts(statement, "verdict.reasons")),
        next=text(statement, "verdict.next"),
    )


def _cost_of_training(statement: Statement) -> Verdict:
    """Nothing is judged: the energy leads."""
    used_j = joules(statement, "energy.search_uj")
    return Verdict(
        title="What the training cost",
        grade=text(statement, "verdict.grade") or NOT_AVAILABLE,
        headline="Not metered" if used_j is None else f"{energy(used_j)} of energy",
        sentence=text(statement, "verdict.sentence") or f"The reason is {NOT_AVAILABLE}.",
        reasons=tuple(texts(statement, "verdict.reasons")),
        next=text(statement, "verdict.next"),
    )


def _measurement(statement: Statement) -> Measurement:
    grade = text(statement, "measurement.grade")
    return Measurement(
        grade=grade or NOT_AVAILABLE,
        headline=_MEASUREMENTS.get(grade, "Not known"),
        reasons=tuple(texts(statement, "measurement.reasons")),
        facts=tuple(_measurement_facts(statement)),
    )


def _measurement_facts(statement: Statement) -> list[Fact]:
    plain = subject(statement) == "training"
    all_j = metered_j(statement)
    low_j, high_j = figure(statement, "energy.range.low_j"), figure(statement, "energy.range.high_j")
    bounds = NOT_AVAILABLE if low_j is None or high_j is None else f"{energy(low_j)} to {energy(high_j)}"
    return [
        Fact(
            path="energy.metered_uj",
            label="All energy on the books" if is_imported(statement) else "All energy metered",
            value=energy(all_j),
            note=why(statement, "energy.search_uj") if all_j is None else watt_hours(all_j),
        ),
        Fact.of(
            statement,
            "energy.range.low_j",
            "The true figure lies within",
            bounds,
            text(statement, "energy.range.basis"),
        ),
        *([] if is_imported(statement) else _metered_facts(statement)),
        *(
            Fact(
                path="energy.policies",
                label=f"{subject(statement).capitalize()}, idle power {text(line, 'policy')}",
                value=energy(joules(line, "search_uj")),
                note="" if plain else f"of it trials {energy(joules(line, 'trials_uj'))}",
            )
            for line in records(statement, "energy.policies")
        ),
    ]


def _metered_facts(statement: Statement) -> list[Fact]:
    """What only a meter tells; and how idle power is shared, which an imported study has none of."""
    plain = subject(statement) == "training"
    policy = {
        "reserved": "whoever reserves a device pays for its idle power",
        "direct": f"a {'training' if plain else 'trial'} pays only for what it adds to idle power",
    }
    return [
        Fact.of(
            statement,
            "energy.coverage",
            "Time metered",
            percent(figure(statement, "energy.coverage")),
            "of the time from the first reading to the last",
        ),
        Fact.of(
            statement,
            "energy.unmetered_start_s",
            "Before the first reading",
            duration(figure(statement, "energy.unmetered_start_s")),
            "not metered",
        ),
        Fact.of(
            statement,
            "energy.after_seal_s",
            "After the books closed",
            duration(figure(statement, "energy.after_seal_s")),
            "not in these figures",
        ),
        Fact.of(
            statement,
            "energy.policy",
            "How idle power is shared",
            text(statement, "energy.policy") or NOT_AVAILABLE,
            policy.get(text(statement, "energy.policy"), ""),
        ),
    ]
