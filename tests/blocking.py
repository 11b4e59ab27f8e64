"""Modules that can't be imported while a test runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest


class _Refuser:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self._names:
            raise ImportError(f"{name} may not be imported here")
        return None


def block(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these modules not be imported: as if nobody had yet, since libraries look for them in ``sys.modules``."""
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Refuser(names), *sys.meta_path])
