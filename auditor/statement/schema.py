"""The JSON Schemas of ``statement.json`` and ``comparison.json``, shipped with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load_schema() -> dict[str, Any]:
    """The schema of a statement (JSON Schema, draft 2020-12): every key with its meaning and unit."""
    return _read("statement.schema.json")


def load_comparison_schema() -> dict[str, Any]:
    """The schema of a comparison, likewise."""
    return _read("comparison.schema.json")


def _read(name: str) -> dict[str, Any]:
    text = files("auditor.statement").joinpath(name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
