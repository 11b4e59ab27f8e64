"""Ray Tune: the folder that an experiment leaves. Its pickles are never read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial
from auditor.domain.study import Finding, Severity, TrialState
from auditor_plugins.importers.figures import EnergyFigure, amount, energy_figure
from auditor_plugins.importers.told import check_options, choose_metric, direction_of, not_read

_STATUS = {
    "TERMINATED": TrialState.COMPLETE,
    "ERROR": TrialState.FAILED,
    "RUNNING": TrialState.RUNNING,
    "PAUSED": TrialState.RUNNING,
}
"""By Ray's words; a trial that is PENDING has not begun and is left out."""

_ITERATION = "training_iteration"
_OWN = {
    *("timestamp", "done", _ITERATION, "time_this_iter_s", "time_total_s", "pid", "time_since_restore"),
    *("iterations_since_restore", "trial_id", "experiment_tag", "checkpoint_dir_name", "should_checkpoint", "date"),
    *("hostname", "node_ip", "energy_j", "energy_consumed"),
}
"""What is in a result beside the metrics that a trainable reports."""


class RayTuneImporter:
    """The trials of an experiment's folder, in the order in which Ray made them.

    Ray does not say which trials its scheduler stopped early: those that ended before the others without an error, and
    not by the experiment's own stopping criterion, are taken as pruned.
    """

    name = "raytune"
    options: Mapping[str, str] = {
        "metric": "Metric that was searched for; not needed where Tune was told, or where there is only one.",
        "direction": "maximize or minimize; else by the metric's name.",
        "energy": "Key of the results with the energy of a trial; else energy_j or energy_consumed.",
        "energy-unit": "Unit of that key: J, kJ, MJ, Wh, kWh, MWh.",
        "test": "Key of the results with the value on the test set.",
    }

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """The study in a folder. See :class:`auditor.ports.Importer`.

        Raises:
            InputError: there is no folder, no experiment in it, a key is not there, or the metric must be chosen.
        """
        check_options(self.name, options, self.options)
        folder = Path(source)
        experiment = _read(folder)
        drafts = experiment.trials
        keys = sorted({key for draft in drafts for key in draft.last})
        energy = energy_figure(options.get("energy"), options.get("energy-unit"), keys, "key")
        test = options.get("test")
        if test is not None:
            choose_metric(test, keys, source)
        asked = options.get("metric") or (experiment.metric if experiment.metric in keys else None)
        own = {*_OWN, test, options.get("energy")}
        metric = choose_metric(asked, keys if asked else [key for key in keys if key not in own], source)
        direction, found = direction_of(metric, options.get("direction"))
        longest = max((draft.iterations for draft in drafts), default=0)
        early = [place for place, draft in enumerate(drafts) if _stopped_early(draft, longest)]
        trials = tuple(
            _in_full(_trial(place, d, metric, test, energy, place in set(early)), longest)
            for place, d in enumerate(drafts)
        )
        return ImportedStudy(
            name=folder.resolve().name,
            metric=metric,
            direction=direction,
            trials=trials,
            test_metric=test,
            source=source,
            energy_source="" if energy is None else energy.source,
            findings=(*found, *_early(early, len(trials), longest), *experiment.findings),
        )


@dataclass(slots=True)
class _Draft:
    """A trial while it is read: what its results hold is flat, ``a/b`` for a key in a key, and numbers only."""

    trial_id: str
    status: str
    params: dict[str, Any]
    stop: dict[str, Any]
    start_s: float | None = None
    last_s: float | None = None
    last: dict[str, float] = field(default_factory=dict)
    results: list[dict[str, float]] = field(default_factory=list)

    @property
    def iterations(self) -> int:
        """How far it came."""
        return int(self.last.get(_ITERATION, 0))


@dataclass(slots=True)
class _Found:
    """An experiment while it is read."""

    trials: list[_Draft]
    metric: str | None
    findings: list[Finding]


def _read(folder: Path) -> _Found:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; expected one that Ray Tune left, with experiment_state-….json in it")
    states = sorted(folder.glob("experiment_state-*.json"))
    if not states:
        below = [path.parent.name for path in sorted(folder.glob("*/experiment_state-*.json"))]
        hint = f"; there are some in it: {', '.join(dict.fromkeys(below))}" if below else ""
        raise InputError(f"{folder}: is no experiment of Ray Tune (expected experiment_state-….json in it){hint}")
    state = _object(states[-1])
    try:
        pairs = [(json.loads(about), json.loads(ran)) for about, ran in state["trial_data"]]
        drafts = [_draft(about, ran) for about, ran in pairs if about["status"] != "PENDING"]
        metric = state.get("runner_data", {}).get("_metric")
        folders = {about["trial_id"]: Path(str(about.get("relative_logdir") or "")).name for about, _ in pairs}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{states[-1]}: is damaged ({type(error).__name__}: {error})") from error
    findings = []
    for draft in drafts:
        torn = False
        for result in _results(folder / folders[draft.trial_id] / "result.json") if folders[draft.trial_id] else ():
            torn = result is None
            if result is not None:
                draft.results.append(result)
        if torn:
            findings.append(not_read(f"The last result of trial {draft.trial_id} is torn and was left out."))
        if draft.results and draft.results[-1].get(_ITERATION, 0) > draft.iterations:
            draft.last = draft.results[-1]  # the state is written now and then, results at once
    drafts.sort(key=lambda draft: draft.trial_id)
    return _Found(drafts, metric if isinstance(metric, str) else None, findings)


def _draft(about: Mapping[str, Any], ran: Mapping[str, Any]) -> _Draft:
    stop = about.get("stopping_criterion")
    return _Draft(
        trial_id=str(about["trial_id"]),
        status=str(about["status"]),
        params=dict(about.get("evaluated_params") or _flat(about.get("config") or {})),
        stop=dict(stop) if isinstance(stop, dict) else {},
        start_s=_time(ran.get("start_time")),
        last_s=_time(ran.get("last_result_time")),
        last=_numbers(ran.get("last_result") or {}),
    )


def _results(path: Path) -> Iterator[dict[str, float] | None]:
    """Results of a trial in order; ``None`` for a last one that is torn."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, start=1):
        try:
            found = json.loads(line)
            yield _numbers(found)
        except (ValueError, AttributeError) as error:
            if number < len(lines):
                raise InputError(f"{path}: line {number} is damaged") from error
            yield None


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: is damaged (expected an object)")
    return found


def _flat(nested: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Keys in keys as ``a/b``, as Ray names them."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            found |= _flat(value, f"{name}/")
        else:
            found[name] = value
    return found


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in _flat({k: v for k, v in result.items() if k != "config"}).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _time(value: Any) -> float | None:
    """Seconds since the epoch; Ray writes -inf for never."""
    return float(value) if isinstance(value, int | float) and 0 < value < 1e11 else None


def _stopped_early(draft: _Draft, longest: int) -> bool:
    if draft.status != "TERMINATED" or draft.iterations >= longest:
        return False
    return not any(draft.last.get(key, float("-inf")) >= value for key, value in draft.stop.items())


def _early(early: Sequence[int], trials: int, longest: int) -> tuple[Finding, ...]:
    if not early:
        return ()
    message = (
        f"{len(early):,} of {trials:,} trials ended before iteration {longest}, which others reached: taken as pruned, "
        "since Ray Tune does not say which ones its scheduler stopped."
    )
    return (Finding(code="pruned-by-length", severity=Severity.INFO, message=message),)


def _in_full(trial: ImportedTrial, longest: int) -> ImportedTrial:
    """What met the stopping criterion of the experiment was trained in full, however soon it did."""
    return replace(trial, fidelity=float(longest) or None) if trial.state is TrialState.COMPLETE else trial


def _trial(
    number: int, draft: _Draft, metric: str, test: str | None, energy: EnergyFigure | None, early: bool
) -> ImportedTrial:
    state = TrialState.PRUNED if early else _STATUS.get(draft.status, TrialState.LOST)
    steps = {int(r[_ITERATION]): r[metric] for r in draft.results if metric in r and _ITERATION in r}
    begin_ns = None if draft.start_s is None else round(draft.start_s * 1e9)
    end_ns = None if draft.last_s is None else round(draft.last_s * 1e9)
    if state is TrialState.RUNNING or (begin_ns is not None and end_ns is not None and end_ns < begin_ns):
        end_ns = None
    return ImportedTrial(
        number=number,
        state=state,
        params=draft.params,
        value=draft.last.get(metric) if state is TrialState.COMPLETE else None,
        test_value=None if test is None else draft.last.get(test),
        intermediate=steps,
        begin_ns=begin_ns,
        end_ns=end_ns,
        duration_s=amount(draft.last.get("time_total_s")),
        energy_j=None if energy is None else amount(draft.last.get(energy.name), energy.joules),
        fidelity=float(draft.iterations) or None,
    )
