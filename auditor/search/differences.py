"""Where two values as JSON holds them differ, said so that people find the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from auditor.reporting.names import shortened

_ABSENT = object()
_EXCERPT = 60
_UNITS = {"_uj": "uJ", "_j": "J", "_s": "s", "_g": "g", "accounts": "uJ", "by_state": "uJ"}


def differences(left: Any, right: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """The places where two values differ, in the order of the second.

    Args:
        left: One value; mappings by name, lists and scalars.
        right: The other one.
        path: Where both stand.

    Yields:
        The path of a place, as ``energy.accounts["node/box/idle"]`` or ``findings[2].code``, and both values with
        their unit; ``nothing`` for one that is not there. 1 and 1.0 differ.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*right, *(key for key in left if key not in right)]:
            yield from differences(left.get(key, _ABSENT), right.get(key, _ABSENT), _below(path, key))
    elif isinstance(left, list) and isinstance(right, list):
        for place in range(max(len(left), len(right))):
            a, b = (part[place] if place < len(part) else _ABSENT for part in (left, right))
            yield from differences(a, b, f"{path}[{place}]")
    elif type(left) is not type(right) or left != right:
        start = 0
        if isinstance(left, str) and isinstance(right, str):
            start = first_difference(left, right)
        yield path, shown(left, path, start), shown(right, path, start)


def shown(value: Any, path: str = "", start: int = 0) -> str:
    """A value in a few words: a figure with the unit its path ends with, of a long text the part around ``start``."""
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, str):
        return excerpt(value, start)
    if isinstance(value, int | float) and not isinstance(value, bool):
        names = re.findall(r"\w+", path)
        unit = next((unit for name in reversed(names) for end, unit in _UNITS.items() if name.endswith(end)), "")
        return f"{value!r} {unit}".rstrip()
    return shortened(json.dumps(value, ensure_ascii=False, default=repr), _EXCERPT)


def excerpt(text: str, start: int = 0) -> str:
    """The part of a text around a place, in quotes; a short text is given whole."""
    begin = max(0, start - _EXCERPT // 3) if len(text) > _EXCERPT else 0
    return repr(("…" if begin else "") + shortened(text[begin : begin + 2 * _EXCERPT], _EXCERPT))


def first_difference(left: str, right: str) -> int:
    """Index of the first character that differs; the length of the shorter text where it begins the other."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))


def _below(path: str, key: str) -> str:
    if not key.isidentifier():
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key
