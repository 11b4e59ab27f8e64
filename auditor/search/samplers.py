"""Optuna's samplers and pruners by name or import path."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auditor.domain.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    import optuna

# Names stand here, and not in a look-up, so that a configuration is checked without importing Optuna.
SAMPLERS: Mapping[str, str] = {
    "bruteforce": "BruteForceSampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
    "tpe": "TPESampler",
}
"""Short name to class name in ``optuna.samplers``."""

PRUNERS: Mapping[str, str] = {
    "hyperband": "HyperbandPruner",
    "median": "MedianPruner",
    "none": "NopPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "wilcoxon": "WilcoxonPruner",
}
"""Short name to class name in ``optuna.pruners``."""

_NEEDS = {"CmaEsSampler": "cmaes"}  # packages Optuna imports at the first draw, and does not install


def check_name(kind: str, name: str, known: Mapping[str, str]) -> str:
    """Check the name of a sampler or pruner without importing Optuna; import paths are looked up when made.

    Raises:
        UnknownNameError: it is neither known nor an import path.
    """
    if name in known or name in known.values() or _is_path(name):
        return name
    raise UnknownNameError(kind, name, known, where=f"search.{kind}")


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler by name, seeded where it takes a seed."""
    sampler: optuna.samplers.BaseSampler = _make("sampler", name, SAMPLERS, "optuna.samplers", {"seed": seed})
    return sampler


def seed_after(seed: int, trials: int) -> int:
    """Seed of the sampler of a search that goes on after so many trials: with its first it would draw them again."""
    import numpy as np

    (state,) = np.random.SeedSequence([seed, trials]).generate_state(1)
    return int(state)


def make_pruner(name: str) -> optuna.pruners.BasePruner:
    """A pruner by name."""
    defaults = {"percentile": 25.0} if PRUNERS.get(name, name) == "PercentilePruner" else {}
    pruner: optuna.pruners.BasePruner = _make("pruner", name, PRUNERS, "optuna.pruners", defaults)
    return pruner


def resolve_path(kind: str, name: str, known: Mapping[str, str]) -> Any:
    """The class an import path names; ``None`` for a name that is known.

    Raises:
        InputError: it does not import, is no sampler or pruner of Optuna, or lacks a package.
    """
    if name in known or name in known.values():
        needed = _NEEDS.get(known.get(name, name))
        if needed is not None and importlib.util.find_spec(needed) is None:
            raise InputError(f"search.{kind}: '{name}' needs the package {needed}: pip install {needed}")
        return None
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a user's module raises while it is imported
        raise InputError(f"search.{kind}: '{name}' does not import ({' '.join(str(error).split())})") from error
    base = getattr(importlib.import_module(f"optuna.{kind}s"), f"Base{kind.capitalize()}")
    if not callable(found) or (isinstance(found, type) and not issubclass(found, base)):
        raise InputError(f"search.{kind}: '{name}' is no {kind} of Optuna")
    return found


def _make(kind: str, name: str, known: Mapping[str, str], package: str, arguments: dict[str, Any]) -> Any:
    factory = resolve_path(kind, name, known) or getattr(importlib.import_module(package), known.get(name, name))
    taken = inspect.signature(factory).parameters
    return factory(**{key: value for key, value in arguments.items() if key in taken})


def _is_path(name: str) -> bool:
    return "." in name or ":" in name
