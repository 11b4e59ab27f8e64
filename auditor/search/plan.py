"""Checking a search before anything is spent."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.domain.errors import InputError
from auditor.domain.parameters import Parameters
from auditor.domain.study import Trial, TrialState
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.slots import gpu_count
from auditor.plugins import load
from auditor.ports import SearchSpace
from auditor.search.config import RANDOM, Config
from auditor.search.evaluations import PRUNED
from auditor.search.parameters import parameters_from
from auditor.search.samplers import PRUNERS, SAMPLERS, resolve_path
from auditor.search.space import load_space
from auditor.training.space import LightningSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A search that was checked and may begin.

    Attributes:
        config: The configuration.
        folder: The study folder.
        space: The loaded space.
        parameters: Parameters of the statement.
        gpus: GPUs of this node.
        resumed: Whether the folder holds the study already.
    """

    config: Config
    folder: StudyFolder
    space: SearchSpace
    parameters: Parameters
    gpus: int
    resumed: bool


def plan_search(config: Config, out: Path) -> Plan:
    """Check everything that can be checked before anything is spent.

    Raises:
        InputError: the space does not load, the machine lacks what a trial reserves, or the folder can't be used.
    """
    resolve_path("sampler", config.search.sampler, SAMPLERS)
    resolve_path("pruner", config.search.pruner, PRUNERS)
    for name in config.metering.meters:
        if name != "auto":
            load("meter", name, where="metering.meters")
    parameters = parameters_from(config)
    space = load_space(config.space)
    classical = [name for name in config.named_baselines if name != "default"]
    if classical and isinstance(space, LightningSpace) and space.arrays_from is None:
        raise InputError(f"baselines: {', '.join(classical)} need a space that gives arrays; '{config.space}' does not")
    gpus = gpu_count()
    if config.resources.address is None and config.resources.gpus_per_trial * config.resources.workers > gpus:
        raise InputError(
            f"resources.gpus_per_trial: {config.resources.workers} workers with {config.resources.gpus_per_trial:g} "
            f"GPUs each were asked for, this machine has {gpus}"
        )
    if config.resources.address is not None:
        _check_address(config.resources.address)
    folder = StudyFolder(out)
    resumed = folder.exists()
    if resumed:
        _check_same(folder.read_study(), config, folder)
        if not os.access(folder.journals, os.W_OK):
            raise InputError(f"{out}: can't be written to; name another folder with --out")
    else:
        _check_new(out)
    return Plan(config=config, folder=folder, space=space, parameters=parameters, gpus=gpus, resumed=resumed)


def _check_address(address: str) -> None:
    """Whether somebody listens at the address of a cluster; Ray itself would wait for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise InputError(f"resources.address: '{address}' is no address; expected host:port of a Ray, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(f"resources.address: nobody listens at '{address}' ({error})") from error


def nothing_left(plan: Plan) -> bool:
    """Whether the folder holds the whole study already: every trial, baseline and evaluation, and the seal."""
    if not plan.resumed:
        return False
    reader = StudyReader(plan.folder)
    reader.refresh()
    record, _ = reader.close()
    settled = [t for t in record.trials if t.state is not TrialState.RUNNING]
    if not record.books.sealed or len(settled) < len(record.trials) or len(settled) < _own_trials(plan.config):
        return False
    if plan.config.budget.trials is None:
        return False  # how much of another budget is left is known once the books run
    best = _best(settled, plan.space)
    done = Counter(
        (run.kind, run.name)
        for run in record.runs
        if run.state is TrialState.COMPLETE and (run.name != "winner" or run.trial == best)
    )
    wanted = Counter({("baseline", name): 1 for name in plan.config.named_baselines})
    wanted[("baseline", RANDOM)] = plan.config.random_draws(plan.config.budget.trials)
    if plan.space.test_metric is not None:
        wanted[("evaluation", "default")] = wanted[("evaluation", "winner")] = plan.config.evaluation.seeds
    pruned = sum(trial.state is TrialState.PRUNED for trial in settled)
    wanted[("evaluation", PRUNED)] = min(plan.config.evaluation.pruned, pruned)
    return wanted <= done


def _best(trials: Sequence[Trial], space: SearchSpace) -> int | None:
    """Number of the best trial, whose evaluations alone count: a search that went on may have found another."""
    sign = 1.0 if space.direction == "maximize" else -1.0
    valued = [(sign * trial.value, -trial.number) for trial in trials if trial.value is not None]
    return -max(valued)[1] if valued else None


def _own_trials(config: Config) -> int:
    """Trials of the search itself, without those of the random arm."""
    trials = config.budget.trials or 0
    return trials - config.random_draws(trials)


def _check_new(path: Path) -> None:
    """A new study needs an empty folder, or a place to make one."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: is not empty and holds no study; name a new folder with --out")
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path}: can't be written ({nearest} is closed to you); name another folder with --out")


def _check_same(file: StudyFile, config: Config, folder: StudyFolder) -> None:
    """A study goes on only with what makes its trials comparable."""
    if folder.imported:
        raise InputError(f"{folder.path}: holds a study that ran elsewhere; name another folder with --out")
    now = config.model_dump(mode="json")
    for key in ("study", "space", "search", "training"):
        if file.config.get(key) != now[key]:
            raise InputError(
                f"{folder.path}: holds another study: its '{key}' is {file.config.get(key)!r}, the configuration says "
                f"{now[key]!r}; name another folder with --out"
            )
