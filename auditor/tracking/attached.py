"""Figures in an MLflow run that somebody else made: the Trainer's logger's, or the active one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.domain.errors import AuditorError

_PATIENCE_S = 30.0
"""MLflow itself tries an unreachable server for minutes; a training that is over does not wait for that."""

_PATIENCE_AGAIN_S = 2.0

_METRICS_A_CALL = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A run that is there already.

    Attributes:
        client: An ``MlflowClient`` on its tracking server.
        run_id: Its id.
    """

    client: Any
    run_id: str

    def log(
        self, points: Sequence[tuple[str, float, int, int]], tags: Mapping[str, str], *, again: bool = False
    ) -> None:
        """Log metrics and tags; nothing else of the run is touched.

        Args:
            points: Name, value, milliseconds since the epoch, step.
            tags: Tags.
            again: Whether the server failed before: then it is not waited for as long.

        Raises:
            AuditorError: the server did not take them in time, or said no.
        """
        failed: list[BaseException] = []

        def send() -> None:
            try:
                self._log(points, tags)
            except Exception as error:
                failed.append(error)

        sender = threading.Thread(target=send, daemon=True, name="auditor-mlflow")
        sender.start()
        patience_s = _PATIENCE_AGAIN_S if again else _PATIENCE_S
        sender.join(patience_s)
        if sender.is_alive():
            raise AuditorError(f"MLflow run {self.run_id}: no answer within {patience_s:g} s")
        if failed:
            raise AuditorError(f"MLflow run {self.run_id}: {failed[0]}") from failed[0]

    def _log(self, points: Sequence[tuple[str, float, int, int]], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(*point) for point in points]
        for start in range(0, max(len(metrics), 1), _METRICS_A_CALL):
            self.client.log_batch(
                self.run_id,
                metrics=metrics[start : start + _METRICS_A_CALL],
                tags=[RunTag(name, value) for name, value in tags.items()] if start == 0 else [],
            )


def attached_run(loggers: Iterable[Any] = ()) -> Attached | None:
    """The run of the first MLflow logger among a Trainer's, or else the active one; ``None`` where there is neither."""
    for logger in loggers:
        if any(parent.__name__ == "MLFlowLogger" for parent in type(logger).__mro__):  # of either Lightning
            return Attached(client=logger.experiment, run_id=logger.run_id)
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None and hasattr(mlflow, "active_run") else None
    if mlflow is None or run is None:
        return None
    return Attached(client=mlflow.MlflowClient(), run_id=run.info.run_id)
