"""The process that projects a study into MLflow while it runs.

Run as ``python -m auditor.tracking.projector FOLDER EXPERIMENT``.

Journals come first: runs are made from them, found again by the tag ``auditor.key``, and left alone where they hold
everything already. So it can be killed and started again at any time, and running it twice adds nothing.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from auditor.domain.accounts import search_account
from auditor.domain.redaction import redact_url
from auditor.domain.study import StudyRecord, TrialState
from auditor.metering.activity import Activity, forget
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder
from auditor.metering.runtime import nudge_agent
from auditor.reporting import render_markdown
from auditor.tracking.projection import (
    RunData,
    child,
    cpu_s_by_trial,
    energy_by_trial,
    energy_of_search,
    parent,
    settled,
)

_POLL_S = 1.0
_IDLE_SHARE = 20  # pause that many times longer than projecting took: closing books grows with the study
_METRICS_A_CALL = 1000
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on training runs
_PARAMS_A_CALL = 100


class Projector:
    """Writes the runs of one study.

    Args:
        client: An ``MlflowClient``.
        experiment: Name of the experiment; made where missing.
        folder: The study folder.
    """

    def __init__(self, client: Any, experiment: str, folder: StudyFolder) -> None:
        self._client = client
        self._reader = StudyReader(folder)
        found = client.get_experiment_by_name(experiment)
        self._experiment_id = (
            found.experiment_id if found is not None else client.create_experiment(experiment, tags=_KIND)
        )
        self._parent_id = ""
        self._projected: set[int] = set()  # by this process; those of an earlier one are compared once
        self._known: dict[str, tuple[str, str]] = {}  # auditor.key -> (run id, digest)
        self._find()

    def project(self) -> int:
        """Project every trial that ended and whose energy is on the books; returns how many runs were written."""
        self._reader.refresh()
        ended = {t.number for t in self._reader.trials() if t.state is not TrialState.RUNNING}
        if ended <= self._projected:
            return 0
        record, ledger = self._reader.close()
        last_ns = max((w.end_ns for w in record.books.windows), default=0)
        ready = [t for t in record.trials if settled(t, last_ns) and t.number not in self._projected]
        if not ready:
            return 0
        energy, cpu_s = energy_by_trial(ledger), cpu_s_by_trial(record)
        parameters = self._reader.parameters
        self._ensure_parent(record)
        written = 0
        for t in ready:
            written += self._write(child(record, t, energy.get(t.number, {}), cpu_s.get(t.number), parameters))
            self._projected.add(t.number)
        return written

    def waiting(self) -> bool:
        """Whether trials ended whose energy is not on the books yet: the next reading will bring it."""
        self._reader.refresh()
        record, _ = self._reader.close()
        last_ns = max((w.end_ns for w in record.books.windows), default=0)
        return any(t.end_ns is not None and t.end_ns > last_ns for t in record.trials)

    def publish(self) -> None:
        """Project the statement and the report into the parent run."""
        self._reader.refresh()
        record, ledger = self._reader.close()
        folder = self._reader.folder
        statement = json.loads(folder.statement.read_bytes())
        self._ensure_parent(record)
        self._write(parent(record, statement, render_markdown(statement), energy_of_search(ledger)))
        for path in (folder.report, folder.statement):
            self._client.log_artifact(self._parent_id, str(path))

    def _find(self) -> None:
        uuid = self._reader.file.uuid
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`auditor.key` LIKE '{uuid}%'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                self._known[tags["auditor.key"]] = (run.info.run_id, tags.get("auditor.digest", ""))
            token = page.token
            if not token:
                break
        self._parent_id = self._known.get(uuid, ("", ""))[0]

    def _ensure_parent(self, record: StudyRecord) -> None:
        if not self._parent_id:
            start_ms = min((t.begin_ns for t in record.trials if t.begin_ns is not None), default=0) // 1_000_000
            run = self._client.create_run(
                self._experiment_id,
                start_time=start_ms or None,
                run_name=record.name,
                tags={"auditor.key": record.uuid, "auditor.state": "running", "auditor.study": record.name},
            )
            self._parent_id = run.info.run_id
            self._known[record.uuid] = (self._parent_id, "")

    def _write(self, data: RunData) -> bool:
        from mlflow.entities import Metric, Param, RunTag

        run_id, digest = self._known.get(data.key, ("", ""))
        if digest == data.digest:
            return False
        if not run_id:
            run = self._client.create_run(
                self._experiment_id,
                start_time=data.start_ms,
                run_name=data.name,
                tags={"auditor.key": data.key, "mlflow.parentRunId": self._parent_id},
            )
            run_id = run.info.run_id
        metrics = [Metric(*point) for point in data.metrics]
        params = [Param(name, value) for name, value in data.params.items()]
        # the digest goes last: without it the run is written again
        tags = [RunTag(name, value) for name, value in {**data.tags, "auditor.digest": data.digest}.items()]
        for start in range(0, max(len(metrics), 1), _METRICS_A_CALL):
            last = start + _METRICS_A_CALL >= len(metrics)
            self._client.log_batch(
                run_id,
                metrics=metrics[start : start + _METRICS_A_CALL],
                params=params[:_PARAMS_A_CALL] if start == 0 else [],
                tags=tags if last else [],
            )
        for start in range(_PARAMS_A_CALL, len(params), _PARAMS_A_CALL):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS_A_CALL])
        self._client.set_terminated(run_id, status=data.status, end_time=data.end_ms)
        self._known[data.key] = (run_id, data.digest)
        return True


def main(arguments: list[str]) -> int:
    """Entry point of the projector process."""
    path, experiment = Path(arguments[0]), arguments[1]
    folder = StudyFolder(path)
    file = folder.read_study()
    activity = Activity(folder.journals, file.uuid, search_account(file.study["name"], "tracking"))
    try:
        import mlflow
        from mlflow import MlflowClient

        projector = Projector(MlflowClient(), experiment, folder)
        _say(f"uri {redact_url(mlflow.get_tracking_uri())}")
        pending, pause_s = b"", _POLL_S
        while True:
            readable, _, _ = select.select([0], [], [], pause_s)
            if not readable:
                began_s = time.process_time()
                projector.project()
                pause_s = max(_POLL_S, _IDLE_SHARE * (time.process_time() - began_s))
                continue
            data = os.read(0, 4096)
            if not data:
                return 0
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if line == b"drain":
                    nudge_agent()  # the last trials wait for the next reading
                    while projector.waiting():
                        select.select([], [], [], 0.02)
                    projector.project()
                    forget(activity)
                    _say("drained")
                elif line == b"parent":
                    projector.publish()
                    _say("done")
    finally:
        forget(activity)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer to the search


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
