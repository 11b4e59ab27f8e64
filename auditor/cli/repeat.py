"""The command ``search --repeat``: one search under several search seeds, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from auditor.cli.run import check_balance
from auditor.domain.errors import InputError, SearchError

if TYPE_CHECKING:
    from auditor.search.plan import Plan
    from auditor.statement.compared import Subject

MOST_SEED = 2**31 - 1


def repeat(config_path: Path | None, settings: Sequence[str], out: Path | None, runs: int) -> None:
    """Run the same search under so many search seeds, one after the other, and summarise them."""
    plans = _plans(config_path, settings, out, runs)
    console = Console()
    folder = plans[0].folder.path.parent
    for place, plan in enumerate(plans, start=1):
        statement, interrupted = _run(plan, console)
        console.print(f"{place}/{runs} · {_line(plan, statement)}", soft_wrap=True, highlight=False, markup=False)
        check_balance(statement)
        if interrupted:
            raise KeyboardInterrupt
    _summarise(console, folder, plans)


def _plans(config_path: Path | None, settings: Sequence[str], out: Path | None, runs: int) -> list[Plan]:
    """Every run, checked before anything is spent.

    Raises:
        InputError: something is wrong with any of them.
    """
    from auditor.metering.folder import StudyFolder
    from auditor.search.config import load_config
    from auditor.search.plan import plan_search

    if config_path is None:
        raise InputError("auditor search --repeat: name a configuration")
    if runs < 2:
        raise InputError(f"--repeat: {runs} is no repetition; expected 2 or more search seeds")
    first = load_config(config_path, settings)
    last = first.search.seed + runs - 1
    if last > MOST_SEED:
        raise InputError(f"--repeat: the last search seed would be {last}; expected at most {MOST_SEED}")
    folder = out if out is not None else Path("auditor-runs") / first.study
    if StudyFolder(folder).exists():
        raise InputError(f"{folder}: holds a single study; name another folder with --out")
    seeds = range(first.search.seed, last + 1)
    configs = [load_config(config_path, [*settings, f"search.seed={seed}"]) for seed in seeds]
    return [plan_search(config, folder / f"seed-{config.search.seed}") for config in configs]


def _run(plan: Plan, console: Console) -> tuple[Mapping[str, Any], bool]:
    """Run or go on with one search; its statement, and whether it was interrupted."""
    from auditor.cli.live import LiveView
    from auditor.search.again import publish_again
    from auditor.search.driver import run_search
    from auditor.search.plan import nothing_left

    if nothing_left(plan):
        return publish_again(plan), False
    with LiveView(console, plan.folder.path.name, resumed=plan.resumed) as view:
        result = run_search(plan, view)
    return result.statement, result.interrupted


def _line(plan: Plan, statement: Mapping[str, Any]) -> str:
    from auditor.reporting.figures import count, energy, number
    from auditor.reporting.lookup import figure, joules

    best, trials = figure(statement, "gain.best.value"), figure(statement, "trials.total")
    return (
        f"search seed {plan.config.search.seed}: best {number(best)} in {count(int(trials or 0))} trials, "
        f"{energy(joules(statement, 'energy.search_uj'))} · {plan.folder.path / 'report.html'}"
    )


def _summarise(console: Console, folder: Path, plans: Sequence[Plan]) -> None:
    """Compare the runs as one group, on the terminal and beside their folders."""
    from auditor.cli.compare import keep, show
    from auditor.reporting.subjects import read_subject
    from auditor.statement.comparison import compare_statement

    subjects: list[Subject] = []
    for plan in plans:
        try:
            subjects.append(read_subject(plan.folder.path, plan.folder.path.name))
        except InputError as error:
            console.print(f"left out: {error}", soft_wrap=True, highlight=False, markup=False)
    if not subjects:
        raise SearchError(f"{folder}: no trial of any run completed with a value; its reports say why")
    comparison = compare_statement({plans[0].config.study: subjects}, version=version("nas-auditor"))
    page = keep(comparison, folder)
    console.print()
    show(comparison)
    console.print(f"\nComparison   {page}", soft_wrap=True, highlight=False, markup=False)
