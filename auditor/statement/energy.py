"""The energy section: the books as they are, and what they were spent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from auditor.domain.provenance import Provenance, worst
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Books, ComponentBook, Finding, StudyRecord, TrialState
from auditor.statement.advice import advice_on
from auditor.statement.objections import error, info, warning
from auditor.statement.usage import TRAINING, Usage, is_metered, usage_of
from auditor.statement.values import finite, utc

INCLUDED = (
    "trials: complete, pruned, failed and lost, every attempt",
    "search: sampler, tracking, orchestration (with idle slots that the search held)",
    "the auditor itself",
)
EXCLUDED = (
    "baselines and evaluation on fresh seeds (metered, shown apart)",
    "idle nodes and other people's processes (metered, shown as outside)",
    "network and storage elsewhere",
    "cooling and power conversion (unless PUE is given)",
    "earlier searches and the tuning of the default",
    "making the hardware",
)
INCLUDED_TRAINING = (
    "the training: every run, every phase, also where it failed or was killed",
    "the auditor itself",
)
EXCLUDED_TRAINING = (
    "idle nodes and other people's processes (metered, shown as outside)",
    "earlier sessions in other folders (shown apart, in trainings)",
    "network and storage elsewhere",
    "cooling and power conversion (unless PUE is given)",
    "earlier trainings, and the tuning that led to this one",
    "making the hardware",
)
INCLUDED_IMPORT = ("trials: complete, pruned, failed and lost, as far as their energy is known",)
EXCLUDED_IMPORT = (
    "what lies around the trials: sampler, tracking, orchestration, start-up, idle machines",
    "parts of the machines that the figures are not of (with GPUs alone: processors and memory)",
    "baselines, unless one of the trials is the default",
    "network and storage elsewhere",
    "cooling and power conversion (unless PUE is given)",
    "earlier searches and the tuning of the default",
    "making the hardware",
)
_BOUND = {
    Provenance.COUNTER: "the counter's resolution",
    Provenance.MODELLED: "idle to rated power",
}


def energy_section(record: StudyRecord, usage: Usage) -> tuple[dict[str, Any], list[Finding]]:
    """The ``energy`` section and what is to be said about it; energies are integer microjoules."""
    books = record.books
    known = is_metered(record)
    range_, basis_findings = _range(books)
    default_times, times_findings = _times_default(record, usage)
    section = {
        "metered_uj": books.metered_uj,
        "charged_uj": books.charged_uj,
        "residual_uj": books.residual_uj,
        "coverage": finite(books.coverage),
        "accounts": {name: books.accounts[name] for name in sorted(books.accounts)},
        "search_uj": usage.search_uj if known else None,
        "baselines_uj": usage.baselines_uj if known else None,
        "evaluation_uj": usage.evaluation_uj if known else None,
        "outside_uj": usage.outside_uj if known else None,
        "times_default": default_times,
        "by_state": {state.value: usage.by_state[state] if known else None for state in TrialState},
        "provenance": _provenance(books),
        "components": [_component(book, books.metered_uj) for book in books.components],
        "range": range_,
        "policy": books.policy,
        "policies": [_under_policy(record, policy) for policy in sorted(books.policies, reverse=True)],
        "boundary": {
            **_boundary(record),
            "pue_inside": None if record.imported and record.pue_inside is None else False,
        },
        "unmetered_start_s": finite(books.unmetered_start_s),
        "after_seal_s": finite(books.after_seal_s),
        "window": [
            {"node": window.node, "start": utc(window.start_ns), "end": utc(window.end_ns)} for window in books.windows
        ],
    }
    return section, [*_balance(books), *_gaps(record), *basis_findings, *times_findings]


def _boundary(record: StudyRecord) -> dict[str, list[str]]:
    """What the energy of a study is of."""
    included: tuple[str, ...] = INCLUDED
    excluded: tuple[str, ...] = EXCLUDED
    if record.kind == TRAINING:
        included, excluded = INCLUDED_TRAINING, EXCLUDED_TRAINING
    elif record.imported:
        included, excluded = INCLUDED_IMPORT, EXCLUDED_IMPORT
    return {"included": list(included), "excluded": list(excluded)}


def _balance(books: Books) -> list[Finding]:
    found = []
    if books.residual_uj != 0:
        found.append(
            error(
                "books-do-not-balance",
                f"The books do not balance: metered {books.metered_uj} uJ != charged {books.charged_uj} uJ "
                f"(residual {books.residual_uj} uJ).",
            )
        )
    parts_uj = sum(book.metered_uj for book in books.components)
    if books.components and parts_uj != books.metered_uj:
        found.append(
            error(
                "components-do-not-sum",
                f"The components do not sum to the meter: {parts_uj} uJ != metered {books.metered_uj} uJ "
                f"(difference {books.metered_uj - parts_uj} uJ).",
            )
        )
    return found


def _gaps(record: StudyRecord) -> list[Finding]:
    """Why figures of the books are null."""
    books = record.books
    found = []
    if not is_metered(record):
        found.append(
            warning(
                "unmetered",
                "energy.search_uj, energy.baselines_uj, energy.evaluation_uj, energy.outside_uj, "
                f"energy.by_state and carbon.kwh are null: no energy is on the books; {advice_on(record).energy}.",
            )
        )
    if record.imported:
        return [*found, *_gaps_of_import(record)]
    if finite(books.coverage) is None:
        found.append(info("no-coverage", "energy.coverage is null: without readings no metered time can be told."))
    if finite(books.unmetered_start_s) is None:
        found.append(
            info(
                "no-study-start",
                "energy.unmetered_start_s is null: the start of the study or its first reading is not known.",
            )
        )
    if not books.sealed:
        found.append(
            warning(
                "books-not-sealed",
                "energy.after_seal_s is null: no seal closes the books, so they end with the last reading; "
                "let the study end in order, or resume it.",
            )
        )
    elif finite(books.after_seal_s) is None:
        found.append(info("no-seal", "energy.after_seal_s is null: nothing after a seal is known."))
    without = [f"{book.component} on {book.node}" for book in books.components if book.static_w is None]
    if without:
        found.append(
            info(
                "no-static-power",
                f"static_w is null for {', '.join(without)}: the meter states no power without load.",
            )
        )
    return found


def _gaps_of_import(record: StudyRecord) -> list[Finding]:
    """Of what nothing was metered here, all that only a meter could tell is null."""
    static = " static_w," if record.books.components else ""
    found = [
        info(
            "not-metered-here",
            f"energy.coverage, energy.unmetered_start_s,{static} energy.after_seal_s and generated.books_closed_at are "
            "null: the study ran elsewhere, and no meter was read here.",
        )
    ]
    if record.pue_inside is None:
        why = (
            "the imported energy may hold cooling already; ask its source, and say so with --pue-inside"
            if is_metered(record)
            else "no energy is on the books"
        )
        found.append(info("pue-unknown", f"energy.boundary.pue_inside is null: {why}."))
    return found


def _under_policy(record: StudyRecord, policy: str) -> dict[str, Any]:
    """The same energy, with static power shared by another policy."""
    usage = usage_of(replace(record, books=replace(record.books, accounts=record.books.policies[policy])))
    return {
        "policy": policy,
        "trials_uj": sum(usage.by_state.values()),
        "search_uj": usage.search_uj,
        "baselines_uj": usage.baselines_uj,
        "evaluation_uj": usage.evaluation_uj,
        "outside_uj": usage.outside_uj,
    }


def _provenance(books: Books) -> dict[str, str]:
    grades: dict[str, list[Provenance]] = {}
    for book in books.components:
        grades.setdefault(book.component, []).append(book.provenance)
    return {component: worst(grades[component]).value for component in sorted(grades)}


def _component(book: ComponentBook, metered_uj: int) -> dict[str, Any]:
    return {
        "node": book.node,
        "component": book.component,
        "meter": book.meter,
        "provenance": book.provenance.value,
        "meaning": book.provenance.meaning,
        "metered_uj": book.metered_uj,
        "share": book.metered_uj / metered_uj if metered_uj else None,
        "static_w": finite(book.static_w),
        "static_source": book.static_source or None,
        "detail": book.detail,
    }


def _range(books: Books) -> tuple[dict[str, Any], list[Finding]]:
    """Least and most that all metered energy could be, in joules."""
    if not books.components:
        found = [
            info(
                "no-range",
                "energy.range.low_j and energy.range.high_j are null: no component says how it was measured.",
            )
        ]
        return {"low_j": None, "high_j": None, "basis": "no component is known"}, found
    low_uj = sum(b.metered_uj if b.low_uj is None else b.low_uj for b in books.components)
    high_uj = sum(b.metered_uj if b.high_uj is None else b.high_uj for b in books.components)
    basis = dict.fromkeys(f"{book.component}: {_bound(book)}" for book in books.components)
    return {"low_j": uj_to_j(low_uj), "high_j": uj_to_j(high_uj), "basis": "; ".join(basis)}, []


def _bound(book: ComponentBook) -> str:
    if book.provenance is Provenance.MISSING:
        return "not measured, so the true figure is higher by an unknown amount"
    named = _BOUND.get(book.provenance, "bounds as its meter states them")
    if book.low_uj is None and book.high_uj is None:
        return "no bound known, taken as metered"
    if book.low_uj is None:
        return f"{named}; no lower bound known, taken as metered"
    return f"{named}; no upper bound known, taken as metered" if book.high_uj is None else named


def _times_default(record: StudyRecord, usage: Usage) -> tuple[float | None, list[Finding]]:
    """Search energy as a multiple of training the default once."""
    if record.kind == TRAINING:
        return None, []
    tried = [run for run in record.runs if run.kind == "baseline" and run.name == "default"]
    trained = sum(run.state is TrialState.COMPLETE for run in tried)
    if 0 < trained < len(tried):
        why = f"its account holds {len(tried)} trainings of the default, of which {trained} completed"
        return None, [info("no-default-energy", f"energy.times_default is null: {why}.")]
    default_uj = usage.by_baseline.get("default", 0)
    chosen = [run.trial for run in tried if run.trial is not None]
    if chosen and default_uj == 0:
        default_uj = trained * usage.by_trial.get(chosen[0], 0)
    if trained and default_uj > 0:
        return usage.search_uj / (default_uj / trained), []
    message = "energy.times_default is null: {}."
    why = advice_on(record).default_energy if trained else advice_on(record).default
    return None, [info("no-default-energy", message.format(why))]


def scaled_range(section: Mapping[str, Any]) -> tuple[float, float] | None:
    """Range of the search's energy in joules, in proportion to all metered energy; ``None`` if unknown."""
    low_j, high_j = section["range"]["low_j"], section["range"]["high_j"]
    if low_j is None or high_j is None or not section["metered_uj"] or section["search_uj"] is None:
        return None
    share = section["search_uj"] / section["metered_uj"]
    return low_j * share, high_j * share
