"""MLflow: an experiment whose runs are trials, flat or nested."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial
from auditor.domain.redaction import redact_url
from auditor.domain.study import Finding, Severity, TrialState
from auditor_plugins.importers.figures import EnergyFigure, amount, energy_figure
from auditor_plugins.importers.mlflow_runs import PARENT, MlflowRun, Point, Runs, open_runs
from auditor_plugins.importers.told import (
    check_options,
    choose,
    choose_metric,
    direction_of,
    listed,
    not_read,
    state_of,
)

_POWER = re.compile(r"system/(?:.*/)?gpu_\d+_power_usage_watts")
_PUE = re.compile(r"(.*[/._:])?pue")
_STATUS = {
    "FINISHED": TrialState.COMPLETE,
    "FAILED": TrialState.FAILED,
    "KILLED": TrialState.LOST,
    "RUNNING": TrialState.RUNNING,
    "SCHEDULED": TrialState.RUNNING,
}
_STATE_TAGS = ("auditor.state", "state")
"""Tags of nas-auditor, and of the MLflow callback of Optuna."""

_NO_METRIC = re.compile(
    r"system/.*|epoch|(.*[/._:])?(energy_consumed|emissions|emissions_rate|(cpu|gpu|ram)_(energy|power)|water_consumed|"
    r"duration|pue|wue|energy_j|energy_(cpu|gpu|ram)_j|wall_s|cpu_s|flops|co2e_g|cost)"
)
"""What MLflow, CodeCarbon and nas-auditor log beside the metric that was searched for."""


class MlflowImporter:
    """The runs of an experiment, in the order of their start; one that has runs nested in it is no trial."""

    name = "mlflow"
    options: Mapping[str, str] = {
        "experiment": "Name of the experiment; not needed where there is only one with runs.",
        "metric": "Metric that was searched for; not needed where there is only one.",
        "direction": "maximize or minimize; else by the metric's name.",
        "energy": "Metric with the energy of each run; else energy_j, CodeCarbon's energy_consumed, or the power of "
        "GPUs in MLflow's system metrics.",
        "energy-unit": "Unit of that metric: J, kJ, MJ, Wh, kWh, MWh.",
        "test": "Metric on the test set.",
        "state": "Tag with how each run ended; else auditor.state or state, else its status.",
        "parent": "Name or id of a run: only what is nested in it.",
    }

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """The study at a tracking URI. See :class:`auditor.ports.Importer`.

        Raises:
            InputError: there is no store, none of MLflow's, a metric is not there, or something must be chosen.
        """
        check_options(self.name, options, self.options)
        with open_runs(source) as store:
            asked = options.get("experiment")
            there = store.experiments(asked)
            used = {name: runs for name, runs in there.items() if runs} or there
            experiment = choose("experiment", "--experiment", asked, there if asked else used, redact_url(source))
            return _Experiment(store, experiment, redact_url(source), options).study()


@dataclass(slots=True)
class _Energies:
    """Energy by run in joules, and who reports it."""

    source: str = ""
    by_run: dict[str, float | None] = field(default_factory=dict)


class _Experiment:
    """An experiment while it is read."""

    def __init__(self, store: Runs, name: str, source: str, options: Mapping[str, str]) -> None:
        self._store = store
        self._name = name
        self._source = source
        self._options = options
        self._runs, self._findings = _trials_of(store.runs(name), options.get("parent"))
        if deleted := store.deleted(name):
            self._findings.append(not_read(f"{deleted:,} deleted runs were left out: the study used more than this."))

    def study(self) -> ImportedStudy:
        """The experiment as a study."""
        keys = sorted({key for run in self._runs for key in run.metrics})
        energies = self._energies(keys)
        test = self._options.get("test")
        if test is not None:
            choose_metric(test, keys, self._source)
        candidates = [key for key in keys if key not in (test, self._options.get("energy"))]
        if "metric" not in self._options:
            candidates = [key for key in candidates if not _NO_METRIC.fullmatch(key)]
        metric = choose_metric(self._options.get("metric"), candidates, f"experiment {self._name}")
        direction, found = direction_of(metric, self._options.get("direction"))
        steps: dict[str, dict[int, float]] = {}
        for run_id, _, point in self._store.history(self._name, [metric], self._runs):
            steps.setdefault(run_id, {})[point.step] = point.value
        trials = tuple(
            self._trial(number, run, metric, test, steps.get(run.run_id, {}), energies.by_run.get(run.run_id))
            for number, run in enumerate(self._runs)
        )
        return ImportedStudy(
            name=self._name or "unnamed",
            metric=metric,
            direction=direction,
            trials=trials,
            test_metric=test,
            source=self._source,
            energy_source=energies.source,
            findings=(*found, *self._findings),
        )

    def _energies(self, keys: Sequence[str]) -> _Energies:
        figure = energy_figure(self._options.get("energy"), self._options.get("energy-unit"), keys, "metric")
        if figure is not None:
            self._findings += _pue(self._runs) if "CodeCarbon" in figure.source else []
            return _Energies(figure.source, {run.run_id: _logged(run, figure) for run in self._runs})
        power = [key for key in keys if _POWER.fullmatch(key)]
        if not power:
            return _Energies()
        points: dict[str, dict[str, list[Point]]] = {}
        for run_id, key, point in self._store.history(self._name, power, self._runs):
            points.setdefault(run_id, {}).setdefault(key, []).append(point)
        by_run = {run.run_id: _integrated(run, points.get(run.run_id, {}).values()) for run in self._runs}
        return _Energies("power of GPUs in MLflow's system metrics, over time", by_run)

    def _trial(
        self,
        number: int,
        run: MlflowRun,
        metric: str,
        test: str | None,
        steps: Mapping[int, float],
        energy_j: float | None,
    ) -> ImportedTrial:
        state = self._state(run)
        begin_ns = None if run.start_ms is None else run.start_ms * 10**6
        end_ns = None if run.end_ms is None else max(run.end_ms * 10**6, begin_ns or 0)
        return ImportedTrial(
            number=number,
            state=state,
            params=run.params,
            value=run.metrics.get(metric) if state is TrialState.COMPLETE else None,
            test_value=None if test is None else run.metrics.get(test),
            intermediate=dict(sorted(steps.items())) if len(steps) > 1 else {},
            begin_ns=begin_ns,
            end_ns=end_ns,
            energy_j=energy_j,
        )

    def _state(self, run: MlflowRun) -> TrialState:
        asked = self._options.get("state")
        for tag in _STATE_TAGS if asked is None else (asked,):
            if tag in run.tags:
                return state_of(run.tags[tag], f"tag {tag} of run {run.name or run.run_id}")
        return _STATUS.get(run.status, TrialState.LOST)


def _trials_of(runs: Sequence[MlflowRun], parent: str | None) -> tuple[list[MlflowRun], list[Finding]]:
    """Runs that are trials: those that have none nested in them, all or those nested in one."""
    children: dict[str, list[str]] = {}
    for run in runs:
        if PARENT in run.tags:
            children.setdefault(run.tags[PARENT], []).append(run.run_id)
    leaves = [run for run in runs if run.run_id not in children]
    if parent is None:
        tops = [run for run in runs if run.run_id in children and PARENT not in run.tags]
        if len(tops) < 2:
            return leaves, []
        names = listed(run.name or run.run_id for run in tops)
        message = f"The runs nested in {len(tops)} runs are taken as one study; --parent picks one: {names}."
        return leaves, [Finding(code="several-parents", severity=Severity.INFO, message=message)]
    chosen = [run for run in runs if parent in (run.run_id, run.name) and run.run_id in children]
    if len(chosen) != 1:
        there = listed(f"{run.name} ({run.run_id})" for run in runs if run.run_id in children)
        raise InputError(f"--parent {parent}: names {len(chosen) or 'no'} runs with nested ones; there is: {there}")
    within, waiting = set(), [chosen[0].run_id]
    while waiting:
        nested = children.get(waiting.pop(), [])
        waiting += nested
        within.update(nested)
    return [run for run in leaves if run.run_id in within], []


def _pue(runs: Sequence[MlflowRun]) -> list[Finding]:
    """CodeCarbon multiplies energy by the PUE that it was given."""
    held = {value for run in runs for key, value in run.metrics.items() if _PUE.fullmatch(key) and value > 1}
    if not held:
        return []
    message = f"The energy holds a PUE of {listed(sorted(held))}, as CodeCarbon logs it: say so with --pue-inside."
    return [Finding(code="pue-reported", severity=Severity.WARNING, message=message)]


def _logged(run: MlflowRun, figure: EnergyFigure) -> float | None:
    return amount(run.metrics.get(figure.name), figure.joules)


def _integrated(run: MlflowRun, series: Iterable[Sequence[Point]]) -> float | None:
    """Joules of all GPUs: each sample is of the time since the one before, the last holds to the end of the run."""
    total_j, known = 0.0, False
    for points in series:
        before_ms = points[0].time_ms if run.start_ms is None else min(run.start_ms, points[0].time_ms)
        for point in points:
            total_j += (amount(point.value) or 0.0) * (point.time_ms - before_ms) / 1000.0
            before_ms, known = point.time_ms, True
        if run.end_ms is not None and run.end_ms > before_ms:
            total_j += (amount(points[-1].value) or 0.0) * (run.end_ms - before_ms) / 1000.0
    return total_j if known else None
