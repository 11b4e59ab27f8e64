"""A comparison as one self-contained HTML page."""

from __future__ import annotations

from auditor.reporting.groups import comparison_view
from auditor.reporting.groups_plots import comparison_plots
from auditor.reporting.lookup import Statement
from auditor.reporting.names import cleaned
from auditor.reporting.page import render_page


def render_comparison_html(comparison: Statement) -> str:
    """One HTML file: the verdict, groups and comparisons as tables and plots, every run, and how it was computed.

    Args:
        comparison: As read from ``comparison.json``.

    Returns:
        The page, about 5 MB, most of it plotly.js.

    Raises:
        FileNotFoundError: the installed plotly ships no plotly.js.
    """
    comparison = cleaned(comparison)
    return render_page("comparison.html.j2", comparison_plots(comparison), view=comparison_view(comparison))
