"""From a study record to its statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.domain.parameters import Parameters
from auditor.domain.provenance import Provenance
from auditor.domain.quantities import uj_to_j
from auditor.domain.study import Finding, StudyRecord
from auditor.statement.advice import advice_on
from auditor.statement.chance import chance_sections
from auditor.statement.course import course_sections, ranked_trials
from auditor.statement.effort import compute_section, trials_section
from auditor.statement.energy import energy_section, scaled_range
from auditor.statement.fronts import front_sections
from auditor.statement.gain import gain_of, gain_section
from auditor.statement.gaps import gain_findings
from auditor.statement.inference import inference_of, inference_section
from auditor.statement.measurement import TRUSTED, measurement_section
from auditor.statement.money import carbon_section, cost_section, is_fully_priced
from auditor.statement.objections import OF_SEARCHES, findings_section, info, not_computed, warning
from auditor.statement.plain import training_only, training_verdict
from auditor.statement.repay import repay_section
from auditor.statement.rungs import proxy_section
from auditor.statement.trainings import trainings_section, with_lost_trainings
from auditor.statement.usage import TRAINING, Usage, usage_of
from auditor.statement.values import utc
from auditor.statement.verdict import Evidence, judge
from auditor.statement.wording import next_step, sentence

SCHEMA = "auditor.statement/1"
_MOSTLY = 0.5


def build_statement(record: StudyRecord, parameters: Parameters, *, version: str) -> dict[str, Any]:
    """All figures of a study as data, in the shape of ``statement.schema.json``.

    The same record and parameters give the same statement, on every machine and at any time. A figure that
    can't be had is ``None``, with a finding that says why.

    Args:
        record: The study with its closed books.
        parameters: Carbon factor, prices, and what a gain must be worth.
        version: Version of the auditor, written into the statement.

    Returns:
        A mapping that ``json.dumps(..., allow_nan=False)`` can write.
    """
    usage = usage_of(record)
    record = with_lost_trainings(record, usage)
    energy, energy_findings = energy_section(record, usage)
    compute, compute_findings = compute_section(record)
    trials, trial_findings = trials_section(record)
    trainings, training_findings = trainings_section(record, usage)
    carbon, carbon_findings = carbon_section(record, energy["search_uj"], parameters)
    cost, cost_findings = cost_section(record, energy["search_uj"], parameters)
    book_findings = [
        *record.findings,
        *record.books.findings,
        *usage.findings,
        *energy_findings,
        *training_findings,
    ]
    known = {
        "energy": energy,
        "compute": compute,
        "cost": cost,
        "measurement": measurement_section(record, usage, book_findings),
    }
    if record.kind == TRAINING:
        judged = _Judged(
            verdict=training_verdict(parameters, known, trainings),
            course={"incumbents": [], "marginal": [], "tail_share": None},
            chances=dict.fromkeys(OF_SEARCHES),
            remarks=(training_only(),),
        )
    else:
        judged = _of_search(record, usage, parameters, known)
    findings = [
        *book_findings,
        *compute_findings,
        *trial_findings,
        *judged.findings,
        *carbon_findings,
        *cost_findings,
        *judged.remarks,
        *_window(record),
        *(() if record.kind == TRAINING else not_computed()),
    ]
    return {
        "schema": SCHEMA,
        "generated": {"auditor": version, "books_closed_at": _closed_at(record)},
        "study": {
            "uuid": record.uuid,
            "name": record.name,
            "kind": record.kind,
            "space": record.space or None,
            "sampler": record.sampler or None,
            "metric": record.metric or None,
            "test_metric": record.test_metric,
            "direction": record.direction or None,
            "imported": record.imported,
        },
        "verdict": judged.verdict,
        "measurement": known["measurement"],
        "findings": findings_section(findings),
        "energy": energy,
        "compute": compute,
        "trials": trials,
        "trainings": trainings,
        "gain": judged.gain,
        **judged.course,
        **{key: judged.chances[key] for key in OF_SEARCHES[:-1]},
        "alternatives": None,
        "break_even": judged.chances["break_even"],
        "carbon": carbon,
        "cost": cost,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is said of the study beyond its cost: sections, and findings in the two places where they are listed."""

    verdict: dict[str, Any]
    course: dict[str, Any]
    chances: dict[str, Any]
    gain: dict[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()


def _of_search(record: StudyRecord, usage: Usage, parameters: Parameters, known: Mapping[str, Any]) -> _Judged:
    """A search against its default."""
    energy, cost = known["energy"], known["cost"]
    gain = gain_of(record, usage)
    course, course_findings = course_sections(record, usage, delta=parameters.worth_gain or 0.0)
    chances, chance_findings = chance_sections(record, usage, gain)
    fronts, front_findings = front_sections(record, usage)
    proxy, proxy_findings = proxy_section(record)
    inferences = inference_of(record, usage, gain)
    inference, inference_findings = inference_section(record, inferences)
    repaid, repay_findings = repay_section(record, usage, gain, inferences, cost["total"])
    evidence = Evidence(
        gain=gain,
        parameters=parameters,
        complete_trials=len(ranked_trials(record)),
        has_test_metric=record.test_metric is not None,
        search_j=None if energy["search_uj"] is None else uj_to_j(energy["search_uj"]),
        range_j=scaled_range(energy),
        times_default=energy["times_default"],
        cost=cost["total"],
        fully_priced=is_fully_priced(cost),
        tail_share=course["tail_share"],
        books=known["measurement"]["grade"],
        device=_device(record),
        random=_against_random(chances["random_arm"]),
        how=_how(energy),
        booked_outside=not record.space and not record.imported,
        imported=record.imported,
        objectives=len(record.directions) or 1,
    )
    return _Judged(
        verdict=_verdict(evidence),
        course=course,
        chances={**chances, **fronts, "proxy": proxy, "inference": inference, "break_even": repaid},
        gain=gain_section(record, gain),
        findings=(
            *gain_findings(record, gain),
            *course_findings,
            *chance_findings,
            *front_findings,
            *proxy_findings,
            *inference_findings,
            *repay_findings,
        ),
        remarks=(*_cost_limit(record, evidence), *_unnamed(record)),
    )


def _device(record: StudyRecord) -> tuple[str, float] | None:
    """Kind and seconds of what the search is paid for: GPUs where the study held any, else CPUs."""
    held_s = record.books.priced_device_s
    return None if not held_s else ("gpu" if record.books.device_s.get("gpu") else "cpu", held_s)


def _against_random(arm: Mapping[str, Any] | None) -> tuple[float, float, float] | None:
    return None if arm is None else (arm["best"], arm["random"], arm["energy_j"])


def _how(energy: Mapping[str, Any]) -> str:
    """How the energy is known, in a word or two; empty where counters or sensors measured it."""
    shares: dict[Provenance, int] = {}
    for part in energy["components"]:
        grade = Provenance(part["provenance"])
        shares[grade] = shares.get(grade, 0) + part["metered_uj"]
    weak = sum(uj for grade, uj in shares.items() if grade not in TRUSTED)
    if not weak:
        return ""
    if shares.get(Provenance.REPORTED, 0) == weak:
        return "as reported"
    return "modelled" if weak > _MOSTLY * energy["metered_uj"] else "partly modelled"


def _verdict(evidence: Evidence) -> dict[str, Any]:
    grade, reasons = judge(evidence)
    return {
        "grade": grade.value,
        "worth": {
            "gain": evidence.worth_gain,
            "cost": evidence.parameters.worth_cost,
            "currency": evidence.parameters.currency,
        },
        "sentence": sentence(evidence, grade),
        "reasons": reasons,
        "next": next_step(evidence, grade),
    }


def _closed_at(record: StudyRecord) -> str | None:
    windows = record.books.windows
    return utc(max(window.end_ns for window in windows)) if windows else None


def _cost_limit(record: StudyRecord, evidence: Evidence) -> list[Finding]:
    if not evidence.cost_unknown:
        return []
    return [
        warning(
            "cost-limit-unchecked",
            "worth.cost was given but the cost is not fully priced: give "
            f"{advice_on(record).price} or {advice_on(record).device_price}.",
        )
    ]


def _unnamed(record: StudyRecord) -> list[Finding]:
    """What a search that was booked from outside does not say of itself."""
    names = {
        "space": record.space,
        "sampler": record.sampler,
        "metric": record.metric,
        "direction": record.direction,
    }
    lacking = [f"study.{key}" for key, name in names.items() if not name] + ["gain.metric"] * (not record.metric)
    found = []
    if lacking:
        are = f"{lacking[0]} is" if len(lacking) == 1 else f"{', '.join(lacking[:-1])} and {lacking[-1]} are"
        found.append(info("study-unnamed", f"{are} null: {_why_unnamed(record)}."))
    if record.test_metric is None:
        found.append(
            info(
                "no-test-metric",
                f"study.test_metric and gain.test_metric are null: {advice_on(record).test_metric}."
                if record.imported
                else "study.test_metric and gain.test_metric are null: the search space names no metric on the test "
                "set.",
            )
        )
    return found


def _why_unnamed(record: StudyRecord) -> str:
    if record.directions:
        return f"the study has {len(record.directions)} objectives, and {advice_on(record).unnamed} the rest"
    return advice_on(record).unnamed


def _window(record: StudyRecord) -> list[Finding]:
    if record.books.windows or record.imported:
        return []
    return [info("no-window", "generated.books_closed_at is null: no metered time is on the books.")]
