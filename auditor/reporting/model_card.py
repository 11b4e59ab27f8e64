"""A block for a model card, as the Hugging Face hub reads it: emissions, and whether the search is in them."""

from __future__ import annotations

from typing import Any

import yaml

from auditor.reporting.figures import energy, mass, percent, watt_hours
from auditor.reporting.lookup import Statement, at, figure, joules, records, subject, text, why
from auditor.reporting.markdown import escaped
from auditor.reporting.names import cleaned


def render_model_card(statement: Statement) -> str:
    """Front matter with ``co2_eq_emissions`` and a few sentences; names in it are escaped.

    Without a carbon factor there is no figure for the front matter, and the text says why.

    Args:
        statement: As read from ``statement.json``; any figure in it may be ``None``.

    Source: Hugging Face hub documentation, "Displaying carbon emissions for your model": ``emissions`` in grams.
    """
    statement = cleaned(statement)
    grams = figure(statement, "carbon.location_based_g")
    front = (
        ""
        if grams is None
        else f"---\n{yaml.safe_dump(_front(statement, grams), sort_keys=False, allow_unicode=True)}---\n\n"
    )
    return front + "\n\n".join(filter(None, _text(statement, grams))) + "\n"


def _front(statement: Statement, grams: float) -> dict[str, Any]:
    whole = "search included" if subject(statement) == "search" else "this training alone"
    about: dict[str, Any] = {
        "emissions": float(f"{grams:.4g}"),
        "source": f"nas-auditor {text(statement, 'generated.auditor')}, {whole}",
    }
    place = text(statement, "carbon.factor.scope")
    if place:
        about["geographical_location"] = place
    devices = at(statement, "compute.device_s")
    if isinstance(devices, dict) and devices:
        about["hardware_used"] = "GPU" if devices.get("gpu") else "CPU"
    return {"co2_eq_emissions": about}


def _text(statement: Statement, grams: float | None) -> list[str]:
    used_j = joules(statement, "energy.search_uj")
    lines = ["## Energy and emissions"]
    if used_j is None:
        lines.append("No energy was metered.")
        return lines
    what = "the whole search that found this model" if subject(statement) == "search" else "the training of this model"
    lines.append(f"{energy(used_j)} ({watt_hours(used_j)}) for {what}{_range(statement, used_j)}.")
    if grams is None:
        lines.append(f"Emissions are not given: {escaped(why(statement, 'carbon.location_based_g') or 'not known')}.")
    else:
        factor, pue = figure(statement, "carbon.factor.g_per_kwh"), figure(statement, "carbon.pue")
        source = escaped(text(statement, "carbon.factor.source"))
        lines.append(
            f"{mass(grams)} CO2e at {factor:g} g/kWh ({source}) and PUE {pue:g}, location-based; making the hardware "
            "is not in it."
        )
    if subject(statement) == "search":
        trainings = figure(statement, "break_even.trainings.new_j")
        if trainings and used_j:
            lines.append(
                f"Training this model once more takes {energy(trainings)}, {percent(trainings / used_j)} of the search."
            )
        lines.append(escaped(text(statement, "verdict.sentence")))
    measured = dict.fromkeys(
        f"{text(part, 'component')}: {text(part, 'meaning')}" for part in records(statement, "energy.components")
    )
    lines.append(f"How measured: {escaped('; '.join(measured) or 'not known')}. Self-declared, not assured.")
    return lines


def _range(statement: Statement, used_j: float) -> str:
    low_j, high_j = figure(statement, "energy.range.low_j"), figure(statement, "energy.range.high_j")
    metered_j = joules(statement, "energy.metered_uj")
    if low_j is None or high_j is None or not metered_j:
        return ""
    least, most = (energy(bound_j * used_j / metered_j) for bound_j in (low_j, high_j))
    return "" if least == most else f", between {least} and {most} given how it was measured"
