"""Installed plugins: entry points to objects."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from auditor.domain.errors import InputError, UnknownNameError, one_line

GROUPS = {
    "meter": "auditor.meters",
    "space": "auditor.spaces",
    "importer": "auditor.importers",
    "hardware": "auditor.hardware",
    "benchmark": "auditor.benchmarks",
}


def installed(kind: str) -> dict[str, EntryPoint]:
    """Entry points of a kind by name; nothing is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUPS[kind]), key=lambda p: p.name)}


def load(kind: str, name: str, *, where: str = "") -> Any:
    """The object registered as ``name``, or the one ``module:attribute`` names.

    The current folder counts as importable for ``module:attribute``, as it does for ``python -m``.

    Args:
        kind: ``meter``, ``space``, ``importer``, ``hardware`` or ``benchmark``.
        name: A registered name, or ``module:attribute``.
        where: Which setting named it, for the message.

    Raises:
        UnknownNameError: no such name; the message lists those installed.
        InputError: the module can't be imported or has no such attribute.
    """
    place = f"{where or kind}: "
    if ":" in name:
        module_name, _, attribute = name.partition(":")
        target: Any = _import(module_name, name, place)
        for part in attribute.split("."):
            if not part or not hasattr(target, part):
                raise InputError(f"{place}module '{module_name}' has no attribute '{attribute}'")
            target = getattr(target, part)
        return target
    points = installed(kind)
    if name not in points:
        raise UnknownNameError(kind, name, points, where=where)
    try:
        return points[name].load()
    except Exception as error:
        raise InputError(f"{place}'{name}' does not import: {one_line(error)}") from error


def _import(module_name: str, name: str, place: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # whatever a user's module raises while it is imported
        raise InputError(
            f"{place}'{name}' does not import: {one_line(error)} (looked for here and in the environment)"
        ) from error
