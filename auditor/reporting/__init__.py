"""A statement, shown: on a terminal, as one self-contained HTML file, as Markdown.

Pure functions of a statement as read from ``statement.json``: nothing is printed, no clock is asked, and
no file is read but this package's template and the plotly.js that the installed plotly ships. The renderers
load when first named, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.reporting.appendix import render_appendix
    from auditor.reporting.html import render_html
    from auditor.reporting.markdown import render_markdown
    from auditor.reporting.model_card import render_model_card
    from auditor.reporting.terminal import render_terminal

__all__ = ["render_appendix", "render_html", "render_markdown", "render_model_card", "render_terminal"]


def __getattr__(name: str) -> Any:
    """Load a renderer when it is first named."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{name.removeprefix('render_')}"), name)
