"""Loading the search space a configuration names."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.domain.errors import InputError
from auditor.plugins import load
from auditor.ports import SearchSpace

_DIRECTIONS = ("maximize", "minimize")


def load_space(name: str) -> SearchSpace:
    """The space registered as ``name``, or the one ``module:attribute`` names; a class is called without arguments.

    Raises:
        InputError: it does not import, or is no search space.
    """
    found = load("space", name, where="space")
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:  # whatever a user's class raises
            text = " ".join(str(error).split())
            raise InputError(f"space: '{name}' can't be made without arguments: {text}") from error
    missing = [part for part in _PARTS if not hasattr(found, part)]
    if missing:
        raise InputError(
            f"space: '{name}' is no search space: it lacks {', '.join(missing)} (see auditor.LightningSpace)"
        )
    space: SearchSpace = found
    if space.direction not in _DIRECTIONS:
        raise InputError(f"space: direction of '{name}' is '{space.direction}', expected maximize or minimize")
    if not isinstance(space.default, Mapping):
        raise InputError(f"space: default of '{name}' must be a mapping of parameters")
    return space


_PARTS = ("metric", "direction", "test_metric", "default", "suggest", "module", "data", "arrays")
