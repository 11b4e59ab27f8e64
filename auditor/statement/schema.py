"""The JSON Schema of ``statement.json``, shipped with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load_schema() -> dict[str, Any]:
    """The schema (JSON Schema, draft 2020-12): every key with its meaning and unit."""
    text = files("auditor.statement").joinpath("statement.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
