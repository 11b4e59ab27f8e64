"""What a person sees while a search runs."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from auditor.search.jobs import Progress as SearchProgress

_LOG_EVERY_S = 10.0


class _Energy(ProgressColumn):
    """Joules so far and watts now."""

    def render(self, task: Task) -> Text:
        energy_j, power_w = task.fields.get("energy_j"), task.fields.get("power_w")
        if energy_j is None:
            return Text("waiting for the meter" if task.fields.get("metering", True) else "")
        watts = "" if power_w is None else f" · {power_w:.3g} W now"
        return Text(f"{_joules(energy_j)} so far{watts}")


class LiveView:
    """A progress line on a terminal; a plain line now and then elsewhere."""

    def __init__(self, console: Console, study: str, *, resumed: bool) -> None:
        self._console = console
        self._study = study
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counts]}", markup=False),
            _Energy(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("going on" if resumed else "starting", total=None, counts="")
        self._logged_s = time.monotonic()
        self._last_error = ""

    def __enter__(self) -> LiveView:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Show that something happened."""
        if text == "starting":
            return
        self._progress.console.print(f"{self._study}: {text}", highlight=False, markup=False, soft_wrap=True)

    def progress(self, progress: SearchProgress, energy_j: float | None, power_w: float | None) -> None:
        """Show how far the search is."""
        trials = f"{progress.finished}" + (f"/{progress.trials_limit}" if progress.trials_limit else "") + " trials"
        best = "" if progress.best is None else f" · best {progress.best:.4g} (trial {progress.best_trial})"
        runs = f" · {progress.runs_done}/{progress.runs_total} runs" if progress.stage != "search" else ""
        self._progress.update(
            self._task,
            description=progress.stage,
            total=progress.trials_limit,
            completed=progress.finished,
            counts=trials + best + runs,
            energy_j=energy_j,
            power_w=power_w,
        )
        if progress.last_error and progress.last_error != self._last_error:
            self._last_error = progress.last_error
            self.say(f"failed: {progress.last_error}")
        if not self._console.is_terminal and time.monotonic() - self._logged_s > _LOG_EVERY_S:
            self._logged_s = time.monotonic()
            energy = "" if energy_j is None else f" · {_joules(energy_j)}"
            self.say(f"{progress.stage}: {trials}{best}{runs}{energy}")


def _joules(energy_j: float) -> str:
    from auditor.reporting.figures import energy

    return energy(energy_j)
