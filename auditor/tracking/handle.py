"""The projector as a process of its own, as the search sees it.

MLflow takes seconds to import and to set up its database, and its work is booked apart; so it gets a process, which is
told what to do by lines on its standard input and answers by lines on its standard output.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

_TIMEOUT_S = 120.0
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}  # its own: minutes


class ProjectorHandle:
    """Starts the projector and talks to it; a projector that fails never fails the search.

    Attributes:
        error: Why tracking failed; empty while it works.
        tracking_uri: Where the runs are kept; ``None`` until known, or where tracking failed.
        experiment: Name of the MLflow experiment.
    """

    def __init__(self, folder: Path, uri: str | None, experiment: str) -> None:
        self.error = ""
        self.tracking_uri: str | None = None
        self.experiment = experiment
        self._folder = folder
        self._uri = uri
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._restarts = 1
        self._start()

    def ensure(self) -> None:
        """Start the projector again when it died; once."""
        if self._process.poll() is not None and not self.error:
            if self._restarts == 0:
                self.error = self._last_words()
                return
            self._restarts -= 1
            self._start()

    def drain(self) -> None:
        """Project everything that ended so far, and take the projector off the books."""
        self._ask("drain", "drained")

    def publish_parent(self) -> None:
        """Project the statement and the report, and let the projector end."""
        self._ask("parent", "done")
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def _start(self) -> None:
        environment = {**_PATIENCE, **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        if self._uri is not None:
            environment["MLFLOW_TRACKING_URI"] = self._uri  # not on the command line: it may hold a password
        self._log = self._folder / ".projector.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "auditor.tracking.projector", str(self._folder), self.experiment],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self._lines.put(line.strip())
        process.wait()  # its output ends a moment before it does
        self._lines.put(None)

    def _ask(self, request: str, answer: str) -> None:
        self.ensure()
        if self.error or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(f"{request}\n")
            self._process.stdin.flush()
        except OSError:
            self.error = self._last_words()
            return
        until_s = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                self.error = f"no answer within {_TIMEOUT_S:g} s"
                return
            if line is None:
                if self._process.poll() is not None:  # else it was an earlier one that ended
                    self.error = self._last_words()
                    return
            elif line.startswith("uri "):
                self.tracking_uri = line.removeprefix("uri ")
            elif line == answer:
                return

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it ended without a message"
