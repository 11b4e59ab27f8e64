"""A study as MLflow runs: one parent a study, one child a trial."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from auditor.accounting.books import Ledger, is_search_account
from auditor.domain.accounts import parse_account
from auditor.domain.parameters import Parameters
from auditor.domain.provenance import worst
from auditor.domain.quantities import JOULES_PER_KWH, uj_to_j
from auditor.domain.study import StudyRecord, Trial, TrialState

_NS_PER_MS = 1_000_000
_PARAM_LENGTH = 6000

_Group = TypeVar("_Group", int, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """What a run in MLflow should hold.

    Attributes:
        key: Identity: the tag ``auditor.key``.
        name: Name of the run.
        start_ms: Start, milliseconds since the epoch.
        end_ms: End; ``None`` while running.
        status: MLflow's status.
        params: Parameters as text.
        metrics: (name, value, timestamp in ms, step).
        tags: Tags.
    """

    key: str
    name: str
    start_ms: int
    end_ms: int | None
    status: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[tuple[str, float, int, int], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Fingerprint of the content: a run that has it already needs nothing."""
        content = [self.key, self.name, self.end_ms, self.status, dict(self.params), self.metrics, dict(self.tags)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def energy_by_trial(ledger: Ledger) -> dict[int, dict[str, int]]:
    """Microjoules by trial and component kind (``cpu``, ``ram``, ``gpu``)."""

    def trial(name: str) -> int | None:
        account = parse_account(name)
        return int(account.subject) if account.kind == "trial" else None

    return _energy_by(ledger, trial)


def energy_of_search(ledger: Ledger) -> dict[str, int]:
    """Microjoules of the search by component kind."""
    return _energy_by(ledger, lambda name: is_search_account(name) or None).get(True, {})


def _energy_by(ledger: Ledger, group: Callable[[str], _Group | None]) -> dict[_Group, dict[str, int]]:
    """Microjoules by group of accounts and component kind; accounts whose group is ``None`` are left out."""
    result: dict[_Group, dict[str, int]] = {}
    if not len(ledger.account):
        return result
    names, index = np.unique(ledger.account, return_inverse=True)
    components, component_index = np.unique(ledger.component, return_inverse=True)
    sums = np.zeros((len(names), len(components)), dtype=np.int64)
    np.add.at(sums, (index, component_index), ledger.energy_uj)
    for position, name in enumerate(names.tolist()):
        belongs = group(name)
        if belongs is not None:
            by_kind = result.setdefault(belongs, {})
            for column, component in enumerate(components.tolist()):
                kind = component.partition(":")[0]
                by_kind[kind] = by_kind.get(kind, 0) + int(sums[position, column])
    return result


def cpu_s_by_trial(record: StudyRecord) -> dict[int, float]:
    """CPU seconds by trial."""
    result: dict[int, float] = {}
    for name, seconds in record.books.account_cpu_s.items():
        account = parse_account(name)
        if account.kind == "trial":
            result[int(account.subject)] = result.get(int(account.subject), 0.0) + seconds
    return result


def settled(trial: Trial, last_reading_ns: int) -> bool:
    """Whether a trial ended and all its energy is on the books."""
    return trial.state is not TrialState.RUNNING and trial.end_ns is not None and trial.end_ns <= last_reading_ns


def child(
    record: StudyRecord, trial: Trial, energy_uj: Mapping[str, int], cpu_s: float | None, parameters: Parameters
) -> RunData:
    """The run of a trial; all its attempts share it."""
    begin_ns = trial.begin_ns or 0  # a study that is tracked ran here: its times are known
    end_ns = trial.end_ns or trial.attempts[-1].begin_ns or begin_ns
    end_ms = end_ns // _NS_PER_MS
    energy_j = uj_to_j(sum(energy_uj.values()))
    wall_s = sum((a.end_ns - a.begin_ns) / 1e9 for a in trial.attempts if a.end_ns and a.begin_ns)
    flops = [a.flops for a in trial.attempts if a.flops is not None]
    final: dict[str, float | None] = {
        "energy_j": energy_j,
        **{f"energy_{kind}_j": uj_to_j(uj) for kind, uj in sorted(energy_uj.items())},
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "flops": float(sum(flops)) if flops else None,
        "co2e_g": _co2e_g(energy_j, parameters),
        "cost": _cost(energy_j, parameters),
    }
    metric = metric_name(record.metric or "value")
    points = [
        (metric, value, trial.intermediate_ns[step] // _NS_PER_MS, step)
        for step, value in trial.intermediate.items()
        if math.isfinite(value)
    ]
    if trial.value is not None and (not points or points[-1][1] != trial.value):
        points.append((metric, trial.value, end_ms, points[-1][3] if points else 0))
    points += [(name, value, end_ms, 0) for name, value in final.items() if value is not None]
    return RunData(
        key=f"{record.uuid}/{trial.number}",
        name=f"trial {trial.number}",
        start_ms=begin_ns // _NS_PER_MS,
        end_ms=end_ms,
        status="FAILED" if trial.state in {TrialState.FAILED, TrialState.LOST} else "FINISHED",
        params=_params(trial.params),
        metrics=tuple(points),
        tags={
            "auditor.state": trial.state.value,
            "auditor.attempts": str(len(trial.attempts)),
            "auditor.provenance": _provenance(record),
            "auditor.study": record.name,
            "auditor.trial": str(trial.number),
            **({"auditor.error": error} if (error := trial.attempts[-1].error) else {}),
        },
    )


def parent(record: StudyRecord, statement: Mapping[str, Any], summary: str, energy_uj: Mapping[str, int]) -> RunData:
    """The run of the study, from its statement and the energy of its search by component kind."""
    start_ms = min((w.start_ns for w in record.books.windows), default=0) // _NS_PER_MS
    end_ms = max((w.end_ns for w in record.books.windows), default=0) // _NS_PER_MS
    energy, gain = statement["energy"], statement["gain"] or {}
    named = {"space": record.space, "sampler": record.sampler, "direction": record.direction}
    compute, carbon, cost = statement["compute"], statement["carbon"] or {}, statement["cost"] or {}
    figures: dict[str, Any] = {
        "energy_j": None if energy["search_uj"] is None else uj_to_j(energy["search_uj"]),
        **{f"energy_{kind}_j": uj_to_j(uj) for kind, uj in sorted(energy_uj.items())},
        "energy_metered_j": uj_to_j(energy["metered_uj"]),
        "coverage": energy["coverage"],
        "wall_s": compute["wall_s"],
        "cpu_s": compute["cpu_s"],
        "flops": compute["flops"],
        "co2e_g": carbon.get("location_based_g"),
        "cost": cost.get("total"),
        "trials": None if record.kind == "training" else statement["trials"]["total"],
        metric_name(record.metric or "value"): (gain.get("best") or {}).get("value"),
        "gain_test": gain.get("delta_test"),
    }
    return RunData(
        key=record.uuid,
        name=record.name,
        start_ms=start_ms,
        end_ms=end_ms,
        status="FINISHED",
        params={name: text for name, text in named.items() if text},
        metrics=tuple((name, float(value), end_ms, 0) for name, value in figures.items() if value is not None),
        tags={
            "auditor.state": "complete",
            "auditor.provenance": _provenance(record),
            "auditor.verdict": statement["verdict"]["grade"],
            "auditor.measurement": statement["measurement"]["grade"],
            "auditor.study": record.name,
            "mlflow.note.content": summary,
        },
    )


def metric_name(name: str) -> str:
    """A name as MLflow allows it: few characters, and no path that stands for another one."""
    plain = re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)[:250] or "_"
    if posixpath.normpath(plain) == plain and not plain.startswith((".", "/")):
        return plain
    return re.sub(r"^\.+|/", "_", plain)


def _params(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as text; names that MLflow would take for one another are kept apart."""
    result: dict[str, str] = {}
    for key, value in params.items():
        name = metric_name(key)
        while name in result:
            name += "_"
        result[name] = str(value)[:_PARAM_LENGTH]
    return result


def _provenance(record: StudyRecord) -> str:
    return worst(c.provenance for c in record.books.components).value


def _co2e_g(energy_j: float, parameters: Parameters) -> float | None:
    if parameters.factor is None:
        return None
    return energy_j / JOULES_PER_KWH * parameters.pue * parameters.factor.g_per_kwh


def _cost(energy_j: float, parameters: Parameters) -> float | None:
    if parameters.price_per_kwh is None:
        return None
    return energy_j / JOULES_PER_KWH * parameters.pue * parameters.price_per_kwh
