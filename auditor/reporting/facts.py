"""The figures of a statement one by one: energy, compute, carbon, money, trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.reporting.figures import (
    NOT_AVAILABLE,
    count,
    duration,
    energy,
    flop,
    is_figure,
    mass,
    money,
    number,
    times,
    watt_hours,
)
from auditor.reporting.lookup import Statement, at, figure, is_imported, joules, metered_j, subject, text, texts, why
from auditor.reporting.methods import method_of

_DEVICES = {"cpu": "CPU", "gpu": "GPU", "tpu": "TPU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One figure with what it is.

    Attributes:
        path: Where in the statement it stands, for example ``carbon.pue``.
        label: What it is.
        value: The figure with its unit, or that it is not available.
        note: What to know beside it; for a missing figure the reason, where a finding names one.
    """

    path: str
    label: str
    value: str
    note: str = ""

    @property
    def missing(self) -> bool:
        """Whether the figure could not be had."""
        return self.value == NOT_AVAILABLE

    @property
    def method(self) -> str:
        """How it is computed, and what to beware of; empty where its label says it all."""
        return method_of(self.path)

    @classmethod
    def of(cls, statement: Statement, path: str, label: str, value: str, note: str = "") -> Fact:
        """A fact whose note, where the figure at ``path`` is missing, says why."""
        return cls(path=path, label=label, value=value, note=why(statement, path) if value == NOT_AVAILABLE else note)


def key_facts(statement: Statement) -> list[Fact]:
    """The figures to see first: energy, carbon, money, time, devices, operations, trials."""
    search_j, all_j = joules(statement, "energy.search_uj"), metered_j(statement)
    return [
        Fact.of(
            statement,
            "energy.search_uj",
            f"Energy of the {subject(statement)}",
            energy(search_j),
            watt_hours(search_j)
            + ("" if all_j is None or is_imported(statement) else f"; {energy(all_j)} metered in all"),
        ),
        Fact.of(
            statement,
            "energy.times_default",
            "Times the default",
            times(figure(statement, "energy.times_default")),
            "as much as training the default once",
        ),
        Fact.of(
            statement,
            "carbon.location_based_g",
            "Carbon (CO2e)",
            mass(figure(statement, "carbon.location_based_g")),
            _factor(statement),
        ),
        _money(statement),
        Fact.of(
            statement,
            "compute.wall_s",
            "Wall time",
            duration(figure(statement, "compute.wall_s")),
            "from the first trial's begin to the last one's end"
            if is_imported(statement)
            else "from the first reading to the last",
        ),
        _devices(statement),
        _operations(statement),
        _trials(statement),
    ]


def more_facts(statement: Statement) -> list[Fact]:
    """Compute, carbon and money beyond the key figures."""
    currency = text(statement, "cost.currency")
    kwh, pue = figure(statement, "carbon.kwh"), figure(statement, "carbon.pue")
    facts = [
        Fact.of(statement, "compute.cpu_s", "CPU time", duration(figure(statement, "compute.cpu_s"))),
        Fact.of(
            statement,
            "carbon.kwh",
            "Energy the carbon is for",
            watt_hours(None if kwh is None else kwh * 3.6e6),
        ),
        Fact.of(
            statement,
            "carbon.pue",
            "Overhead of the data centre (PUE)",
            number(pue),
            "1 means that cooling and power conversion are not counted",
        ),
    ]
    for key, label in (
        ("location_based_g", "Carbon by location (the grid's mix)"),
        ("market_based_g", "Carbon by market (contracts)"),
        ("embodied_g", "Embodied carbon (making the hardware)"),
    ):
        facts.append(Fact.of(statement, f"carbon.{key}", label, mass(figure(statement, f"carbon.{key}"))))
    facts.append(
        Fact.of(
            statement,
            "carbon.factor",
            "Carbon intensity",
            _intensity(figure(statement, "carbon.factor.g_per_kwh")),
            _factor_source(statement),
        )
    )
    for key, label, price, unit in (
        ("energy", "Cost of electricity", "price_per_kwh", "kWh"),
        ("device_hours", "Cost of device time", "price_per_device_hour", f"device-hour of the {subject(statement)}"),
    ):
        paid = figure(statement, f"cost.{price}")
        note = "" if paid is None else f"at {money(paid, currency)} per {unit}"
        facts.append(Fact.of(statement, f"cost.{key}", label, money(figure(statement, f"cost.{key}"), currency), note))
    return facts


def _intensity(g_per_kwh: float | None) -> str:
    return NOT_AVAILABLE if g_per_kwh is None else f"{number(g_per_kwh)} g/kWh"


def _factor(statement: Statement) -> str:
    year = figure(statement, "carbon.factor.year")
    grid = [text(statement, "carbon.factor.scope"), "" if year is None else str(int(year))]
    known = ["at " + _intensity(figure(statement, "carbon.factor.g_per_kwh")), " ".join(filter(None, grid))]
    return ", ".join(filter(None, known))


def _factor_source(statement: Statement) -> str:
    year = figure(statement, "carbon.factor.year")
    parts = [
        text(statement, "carbon.factor.kind"),
        text(statement, "carbon.factor.scope"),
        "" if year is None else str(int(year)),
        text(statement, "carbon.factor.source"),
    ]
    return ", ".join(filter(None, parts))


def _money(statement: Statement) -> Fact:
    """The total, or what of it is known."""
    currency = text(statement, "cost.currency")
    parts = {"total": "electricity and device time", "device_hours": "device time alone", "energy": "electricity alone"}
    known = [key for key in parts if figure(statement, f"cost.{key}") is not None]
    if known:
        note = parts[known[-1]] if len(known) == 2 else parts[known[0]]
        amount = figure(statement, f"cost.{known[0]}")
        return Fact(path=f"cost.{known[0]}", label="Money", value=money(amount, currency), note=note)
    reason = next(filter(None, (why(statement, f"cost.{key}") for key in (*parts, "price_per_kwh"))), "")
    return Fact(path="cost.total", label="Money", value=NOT_AVAILABLE, note=reason)


def _devices(statement: Statement) -> Fact:
    held = at(statement, "compute.device_s")
    known = {kind: held_s for kind, held_s in held.items() if is_figure(held_s)} if isinstance(held, Mapping) else {}
    if not known:
        return Fact.of(statement, "compute.device_s", "Device time", NOT_AVAILABLE)
    kinds = sorted(known, key=lambda kind: (kind == "cpu", kind))  # accelerators first: they are what is paid for
    said = [f"{duration(known[kind])} of {_DEVICES.get(kind, kind)}" for kind in kinds]
    first = _DEVICES.get(kinds[0], kinds[0])
    note = f"{first} held by the study" + ("" if len(said) == 1 else f"; and {', '.join(said[1:])}")
    return Fact(path="compute.device_s", label="Device time", value=duration(known[kinds[0]]), note=note)


def _operations(statement: Statement) -> Fact:
    counted = figure(statement, "compute.flops_coverage.counted")
    of = figure(statement, "compute.flops_coverage.of")
    note = "" if counted is None or of is None else f"{count(int(counted))} of {count(int(of))} trainings counted"
    unknown = len(texts(statement, "compute.flops_coverage.uncounted_ops"))
    if unknown:
        note += f"; {unknown} {'operator' if unknown == 1 else 'operators'} not counted"
    return Fact.of(
        statement,
        "compute.flops",
        "Operations",
        flop(figure(statement, "compute.flops")),
        note.removeprefix("; "),
    )


def _trials(statement: Statement) -> Fact:
    total = figure(statement, "trials.total")
    if total is None:
        return Fact.of(statement, "trials.total", "Trials", NOT_AVAILABLE)
    states = [
        f"{count(int(trials))} {state}"
        for state in ("complete", "pruned", "failed", "lost", "running")
        if (trials := figure(statement, f"trials.{state}"))
    ]
    attempts = figure(statement, "trials.attempts")
    extra = [f"{count(int(attempts))} attempts"] if attempts is not None and attempts != total else []
    twice = figure(statement, "trials.duplicates")
    extra += [f"{count(int(twice))} repeated"] if twice else []
    return Fact(
        path="trials.total",
        label="Trials",
        value=count(int(total)),
        note="; ".join(filter(None, [", ".join(states), ", ".join(extra)])),
    )
