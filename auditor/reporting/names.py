"""Names that users and models chose, made harmless to look at.

Escaping for HTML, Markdown or a terminal's markup is the renderers' work. This comes before it: control
characters (a terminal obeys some) and marks that turn the direction of writing (they make text read as what
it is not) are shown as what they are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

_JOINERS = {"\u200c", "\u200d"}  # part of proper spelling in some scripts, and of many emoji
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: str) -> str:
    r"""One line of text without characters that act: ``a\u202eb`` shows as ``a\u202eb``, literally."""
    return "".join(map(_shown, " ".join(text.split())))


def cleaned(statement: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a statement in which every text, keys too, is :func:`plain`."""
    return {plain(str(key)): _cleaned(value) for key, value in statement.items()}


def shortened(text: str, length: int) -> str:
    """At most so many characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    return f"\\u{ord(character):04x}"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return cleaned(value)
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    return value
