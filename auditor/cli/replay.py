"""The command ``replay``: real samplers on recorded trainings, in simulated time."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from auditor.domain.amounts import parse_time_s
from auditor.domain.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from auditor.domain.imported import Told
    from auditor.importers.replay import Replay
    from auditor.ports import Benchmark
    from auditor.statement.compared import Subject

MOST_SEEDS = 1000
TASK = TaskID(0)


def replay(
    name: str,
    dataset: str,
    samplers: str,
    budget: str,
    seeds: int,
    power_w: float,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Replay samplers on a benchmark, compare them, and write their studies where asked."""
    from auditor.cli.compare import keep, show
    from auditor.importers.replay import replayed, told_power
    from auditor.plugins import load
    from auditor.statement.comparison import compare_statement
    from auditor.statement.replayed import modelled, replay_section

    names = _samplers(samplers)
    try:
        budget_s = parse_time_s(budget)
    except ValueError as error:
        raise InputError(f"--budget: {error}") from error
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds: {seeds} is not between 1 and {MOST_SEEDS:,}; expected how many searches a sampler")
    if not 0 < power_w < math.inf:
        raise InputError(f"--power-w: {power_w:g} is not above 0; expected the watts of a training")
    if out is not None:
        _check_out(out, names, seeds)
    benchmark: Benchmark = load("benchmark", name, where="auditor replay")(dataset)
    runs = _run_all(benchmark, names, seeds, budget_s)
    told = told_power(power_w)
    space = f"{benchmark.name}/{benchmark.dataset}"
    groups = {sampler: [_subject(run, sampler, told, space) for run in group] for sampler, group in runs.items()}
    comparison = compare_statement(
        groups,
        version=version("nas-auditor"),
        replay=replay_section(benchmark, runs, budget_s=budget_s, power_w=power_w),
        more=(modelled(power_w), replayed(benchmark)),
    )
    if out is not None:
        _write_all(out, runs, told)
        keep(comparison, out)
    show(comparison, json_file=json_file)


def _subject(run: Replay, sampler: str, told: Told, space: str) -> Subject:
    from auditor.importers.record import record_of
    from auditor.statement.compared import Subject

    record = dataclasses.replace(record_of(run.study, told, ""), space=space)
    return Subject(label=f"{sampler}/seed-{run.study.seed}", record=record, seed=run.study.seed)


def _samplers(text: str) -> list[str]:
    from auditor.search.samplers import SAMPLERS, check_name, resolve_path

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("--samplers: is empty; expected names such as random,tpe")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--samplers: '{name}' is named twice")
        try:
            check_name("sampler", name, SAMPLERS)
        except UnknownNameError as error:
            raise UnknownNameError("sampler", name, SAMPLERS, where="--samplers") from error
        resolve_path("sampler", name, SAMPLERS)
    return names


def _run_all(benchmark: Benchmark, names: Sequence[str], seeds: int, budget_s: float) -> dict[str, list[Replay]]:
    """Every sampler under every seed, one after the other."""
    import optuna

    from auditor.importers.replay import own_seed
    from auditor.importers.replay import replay as search
    from auditor.search.samplers import make_sampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    runs: dict[str, list[Replay]] = {name: [] for name in names}
    with _progress(len(names) * seeds) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for name, group in runs.items():
            for seed in range(seeds):
                progress.update(TASK, description=f"{name}, seed {seed}")
                sampler = make_sampler(name, own_seed(name, seed))
                group.append(search(benchmark, sampler, name=name, seed=seed, budget_s=budget_s))
                progress.advance(TASK)
    return runs


def _progress(total: int, what: str = "") -> Progress:
    """A progress line on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    progress.add_task(what, total=total)
    return progress


def _folder(out: Path, sampler: str, seed: int) -> Path:
    return out / sampler / f"seed-{seed}"


def _check_out(out: Path, names: Sequence[str], seeds: int) -> None:
    """Refuse folders that hold something else, before anything is replayed.

    Raises:
        InputError: one of them can't be used.
    """
    from auditor.metering.folder import StudyFolder

    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: can't be written to ({nearest}); name another folder")
    for path in (_folder(out, name, seed) for name in names for seed in range(seeds)):
        folder = StudyFolder(path)
        if path.exists() and not folder.imported and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path}: holds something else; name another folder with --out")


def _write_all(out: Path, runs: dict[str, list[Replay]], told: Told) -> None:
    """Every search as the folder of an imported study, with its statement and report."""
    from auditor.domain.parameters import Parameters
    from auditor.importers.folder import write_import
    from auditor.metering.folder import StudyFolder
    from auditor.reporting.publish import publish

    with _progress(sum(map(len, runs.values())), "writing studies") as progress:
        for name, group in runs.items():
            for run in group:
                folder = StudyFolder(_folder(out, name, run.study.seed or 0))
                write_import(folder, run.study, told, Parameters(), "replay")
                publish(folder, Parameters(), "reserved")
                progress.advance(TASK)
