"""Optuna: its relational databases and its journals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy, ImportedTrial
from auditor.domain.redaction import redact_url
from auditor.domain.study import TrialState
from auditor_plugins.importers.databases import is_sqlite
from auditor_plugins.importers.figures import EnergyFigure, amount, energy_figure
from auditor_plugins.importers.optuna_journal import read_journal
from auditor_plugins.importers.optuna_rdb import read_rdb
from auditor_plugins.importers.optuna_trials import STATES, Draft, StudyDraft, duration_s, times_ns
from auditor_plugins.importers.told import check_options, listed

_NOT_READ = ("redis://", "rediss://", "grpc://")


class OptunaImporter:
    """A study of Optuna, of any version since 2: values, states, intermediate values, durations, attributes."""

    name = "optuna"
    options: Mapping[str, str] = {
        "study": "Name of the study; not needed where there is only one.",
        "metric": "Name of the metric, where the study has none.",
        "energy": "User attribute with the energy of each trial; else auditor:energy_j or energy_consumed.",
        "energy-unit": "Unit of that attribute: J, kJ, MJ, Wh, kWh, MWh.",
        "test": "User attribute with the value on the test set.",
    }

    def read(self, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """The study at a URL, in an SQLite file or in a journal. See :class:`auditor.ports.Importer`.

        Raises:
            InputError: there is no storage, none of Optuna's, an attribute is not there, or the study must be chosen.
        """
        check_options(self.name, options, self.options)
        if source.startswith(_NOT_READ):
            raise InputError(f"{redact_url(source)}: can't be read; expected a database or a journal file")
        journal = "://" not in source and not is_sqlite(Path(source))
        return _study((read_journal if journal else read_rdb)(source, options.get("study")), source, options)


def _study(draft: StudyDraft, source: str, options: Mapping[str, str]) -> ImportedStudy:
    attributes = sorted({name for trial in draft.trials for name in trial.figures})
    energy = energy_figure(options.get("energy"), options.get("energy-unit"), attributes, "attribute")
    test = options.get("test")
    if test is not None and test not in attributes:
        raise InputError(f"--test {test}: no trial has such an attribute that is a number; there is: "
                         f"{listed(attributes)}")  # fmt: skip
    known = [trial for trial in draft.trials if trial.state in STATES]
    times, findings = times_ns(known)
    several = len(draft.directions) > 1
    directions = tuple("minimize" if d == "not_set" else d for d in draft.directions)
    return ImportedStudy(
        name=draft.name or "unnamed",
        metric=options.get("metric") or ("" if several else next(iter(draft.metrics), "")),
        direction="" if several else directions[0] if directions else "minimize",
        directions=directions if several else (),
        metrics=tuple(draft.metrics) if several else (),
        trials=tuple(_trial(t, several, times.get(t.number, (None, None)), energy, test) for t in known),
        test_metric=test,
        source=redact_url(source),
        energy_source="" if energy is None else energy.source,
        findings=(*draft.findings, *findings),
    )


def _trial(
    draft: Draft,
    several: bool,
    times: tuple[int | None, int | None],
    energy: EnergyFigure | None,
    test: str | None,
) -> ImportedTrial:
    state = STATES[draft.state]
    values = [draft.values[objective] for objective in sorted(draft.values)]
    complete = state is TrialState.COMPLETE
    return ImportedTrial(
        number=draft.number,
        state=state,
        params=draft.params,
        value=values[0] if complete and values and not several else None,
        values=tuple(values) if complete and several else (),
        test_value=None if test is None else draft.figures.get(test),
        intermediate={s: math.nan if v is None else v for s, v in draft.intermediate.items()},
        begin_ns=times[0],
        end_ns=times[1],
        duration_s=duration_s(draft),
        energy_j=None if energy is None else amount(draft.figures.get(energy.name), energy.joules),
    )
