"""What random search would have given, when the search is repaid, and how far the pruner's early values held."""

from __future__ import annotations

from auditor.reporting.comparison import places
from auditor.reporting.facts import Fact
from auditor.reporting.figures import NOT_AVAILABLE, count, energy, fixed, money, number, percent, signed
from auditor.reporting.lookup import Statement, at, figure, interval, records, text, why

_STATUS = {
    "not-established": "not established",
    "never": "never",
}


def chance_facts(statement: Statement) -> list[Fact]:
    """Random search against the search: the random arm, and the expected maximum of independent draws."""
    digits = places(statement)
    facts = []
    if figure(statement, "random_arm.delta") is None:
        facts.append(_missing(statement, "random_arm", "Search less random search, at equal energy"))
    else:
        used = energy(figure(statement, "random_arm.energy_j"))
        best, random = (fixed(figure(statement, f"random_arm.{key}"), digits) for key in ("best", "random"))
        facts.append(
            Fact(
                path="random_arm",
                label="Search less random search, at equal energy",
                value=signed(figure(statement, "random_arm.delta"), digits),
                note=f"{best} against {random}, after {used} each; one run: which was ahead, not how surely",
            )
        )
        share = figure(statement, "random_arm.relative_percent")
        facts.append(
            Fact.of(
                statement,
                "random_arm.relative_percent",
                "Winner over the mean draw",
                NOT_AVAILABLE if share is None else f"{share:+.1f} %",
                "mean of the draws that gave a value, on validation",
            )
        )
    rows = records(statement, "expected_max")
    if not rows:
        return [*facts, _missing(statement, "expected_max", "Best of so many random trainings")]
    source = text(statement, "expected_max_basis.source")
    draws = figure(statement, "expected_max_basis.draws")
    without = figure(statement, "expected_max_basis.without_value") or 0
    gave = f", {int(without)} of which gave nothing" if without else ""
    for place, row in enumerate((rows[0], rows[-1]) if len(rows) > 1 else rows):
        n = figure(row, "n")
        low, high = figure(row, "low"), figure(row, "high")
        ends = [fixed(low, digits) if low is not None else "open", fixed(high, digits) if high is not None else "open"]
        spent = figure(row, "energy_j")
        facts.append(
            Fact(
                path="expected_max",
                label="Best of one random training" if n == 1 else f"Best of {count(int(n or 0))} random trainings",
                value=fixed(figure(row, "tang"), digits),
                note="expected"
                + ("" if low is high is None else f"; median in {ends[0]} to {ends[1]}")
                + ("" if spent is None else f"; {energy(spent)}")
                + (f"; from {source} ({count(int(draws or 0))} draws{gave})" if place == 0 else ""),
            )
        )
    return facts


def repay_facts(statement: Statement) -> list[Fact]:
    """When the search is repaid, and what a unit of the metric cost."""
    facts = [_inference(statement, subject) for subject in ("default", "winner")]
    for key, label in (("inference", "Inferences until repaid"), ("trainings", "Trainings of the winner until repaid")):
        facts.append(_even(statement, f"break_even.{key}", label))
    reuse = figure(statement, "break_even.reuse")
    facts.append(
        Fact.of(
            statement,
            "break_even.reuse",
            "The search in trainings of the winner",
            number(reuse),
            "after so many trainings the search is half of all energy",
        )
    )
    unit, each = _unit(statement)
    energy_j, paid = (figure(statement, f"break_even.{key}") for key in ("energy_per_gain_j", "cost_per_gain"))
    facts.append(
        Fact.of(
            statement,
            "break_even.energy_per_gain_j",
            "Energy of a point gained",
            energy(None if energy_j is None else energy_j * unit),
            each,
        )
    )
    facts.append(
        Fact.of(
            statement,
            "break_even.cost_per_gain",
            "Money for a point gained",
            money(None if paid is None else paid * unit, text(statement, "cost.currency")),
            each,
        )
    )
    return facts


def front_facts(statement: Statement) -> list[Fact]:
    """Trials that no other beats, the hypervolume, and the pruner's early values."""
    digits = places(statement)
    rows = records(statement, "pareto")
    facts = []
    for place, row in enumerate(rows[:8]):
        values = [value for value in row.get("values") or [figure(row, "value")] if value is not None]
        facts.append(
            Fact(
                path="" if place else "pareto",
                label=f"Trial {int(figure(row, 'trial') or 0)}",
                value=" / ".join(fixed(value, digits) if len(values) == 1 else number(value) for value in values),
                note="" if figure(row, "energy_j") is None else f"trained for {energy(figure(row, 'energy_j'))}",
            )
        )
    if not rows:
        facts.append(_missing(statement, "pareto", "Front of value and energy"))
    elif len(rows) > len(facts):
        facts[-1] = Fact(path="", label=f"{len(rows) - 7} further trials", value="", note="in statement.json")
    if figure(statement, "hypervolume.value") is not None:
        facts.append(
            Fact(path="hypervolume", label="Hypervolume", value=number(figure(statement, "hypervolume.value")))
        )
    rho = figure(statement, "proxy.spearman")
    ends = interval(statement, "proxy.ci95")
    spread = "" if ends is None else f"95 % {ends[0]:.2f} to {ends[1]:.2f}; "
    facts.append(
        Fact.of(
            statement,
            "proxy",
            "Early values against final ones",
            NOT_AVAILABLE if rho is None else f"{rho:.2f}",
            f"rank correlation; {spread}step {int(figure(statement, 'proxy.step') or 0)}, "
            f"{int(figure(statement, 'proxy.survivors') or 0)} survivors only",
        )
    )
    if rho is not None:
        rate = figure(statement, "proxy.false_prune.rate")
        low, high = (figure(statement, f"proxy.false_prune.{end}") for end in ("low", "high"))
        facts.append(
            Fact.of(
                statement,
                "proxy.false_prune",
                "Pruned trials that would have won",
                percent(rate),
                f"95 % {percent(low)} to {percent(high)}; "
                f"{int(figure(statement, 'proxy.false_prune.completed') or 0)} trained to their end",
            )
        )
    return facts


def _missing(statement: Statement, path: str, label: str) -> Fact:
    return Fact(path=path, label=label, value=NOT_AVAILABLE, note=why(statement, path))


def _inference(statement: Statement, subject: str) -> Fact:
    label = f"One inference of the {subject}"
    row = next((row for row in records(statement, "inference") if text(row, "subject") == subject), None)
    if row is None:
        return _missing(statement, "inference", label)
    ends = interval(row, "ci95")
    middle = figure(row, "energy_j") or 0.0
    spread = "" if ends is None or not middle else f"± {percent((ends[1] - ends[0]) / 2 / middle)}; "
    return Fact(
        path="inference",
        label=label,
        value=energy(figure(row, "energy_j")),
        note=f"{spread}batches of {count(int(figure(row, 'batch_size') or 0))}",
    )


def _even(statement: Statement, path: str, label: str) -> Fact:
    status = text(statement, f"{path}.status")
    n, low, high = (figure(statement, f"{path}.{key}") for key in ("n", "low", "high"))
    if status in _STATUS:
        return Fact(
            path=path, label=label, value=NOT_AVAILABLE, note=f"{_STATUS[status]}: {why(statement, f'{path}.low')}"
        )
    if n is None:
        return _missing(statement, path, label)
    unequal = at(statement, f"{path}.equal_accuracy") is False
    note = "" if low is None or high is None else f"95 % {number(low)} to {number(high)}"
    return Fact(
        path=path, label=label, value=number(n), note=note + ("; accuracies differ: see energy by gain" * unequal)
    )


def _unit(statement: Statement) -> tuple[float, str]:
    """What a point is: 0.01 of a metric between 0 and 1, else 1; with a word on it."""
    metric = text(statement, "study.test_metric") or "the test metric"
    values = [figure(statement, f"gain.{side}.test_value") for side in ("best", "baseline")]
    if all(value is not None and 0.0 <= value <= 1.0 for value in values):
        return 0.01, f"for each 0.01 of {metric}"
    return 1.0, f"for each 1.0 of {metric}"
