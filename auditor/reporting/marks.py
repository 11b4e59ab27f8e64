"""The pieces that plots are put together from, as plain data for plotly.js.

Colours are written ``var(--name)`` and filled in by the page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.reporting.figures import energy
from auditor.reporting.names import shortened

BAR_PX = 34
LONGEST_NAME = 20
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One plot.

    Attributes:
        key: Its identity on the page.
        text: What it shows, for those who don't see it.
        data: Traces for plotly.js.
        layout: Layout for plotly.js; its ``height`` in pixels is always given.
    """

    key: str
    text: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def safe_label(name: str, length: int = LONGEST_NAME) -> str:
    """A name as plotly may read it: shortened, and escaped."""
    return html.escape(shortened(name, length), quote=False)


def bars(
    labels: Sequence[str],
    energies_j: Sequence[float],
    ends: Sequence[str],
    colours: Sequence[str],
    said: Sequence[str],
) -> dict[str, Any]:
    """Horizontal bars, with a text at the end of each and one to see on hovering."""
    return {
        "type": "bar",
        "orientation": "h",
        "y": [safe_label(label) for label in labels],
        "x": list(energies_j),
        "text": [html.escape(end, quote=False) for end in ends],
        "textposition": "outside",
        "textfont": {"color": "var(--ink)"},
        "cliponaxis": False,
        "hovertext": [
            f"{safe_label(label)}: {html.escape(figures, quote=False)}"
            for label, figures in zip(labels, said, strict=True)
        ],
        "hoverinfo": "text",
        "marker": {"color": list(colours)},
    }


def points(values: Sequence[float], row: int, colour: str, symbol: str, said: Sequence[str]) -> dict[str, Any]:
    """Points of one row, with a text to see on hovering; ``line-ns-open`` is a tick for a mean."""
    mean = symbol == "line-ns-open"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(values),
        "y": [row] * len(values),
        "marker": {
            "color": colour,
            "symbol": symbol,
            "size": 18 if mean else 10,
            "opacity": 1 if mean else 0.75,
            "line": {"width": 2.5 if mean else 0, "color": colour},
        },
        "text": list(said),
        "hoverinfo": "text",
    }


def line(axis: str, at: float, dash: str = "solid") -> dict[str, Any]:
    """A line across the plot at one place of an axis (``x`` or ``y``)."""
    across = "x" if axis == "y" else "y"
    return {
        "type": "line",
        f"{axis}0": at,
        f"{axis}1": at,
        f"{across}ref": "paper",
        f"{across}0": 0,
        f"{across}1": 1,
        "line": {"color": "var(--muted)", "width": 1.5, "dash": dash},
    }


def band(low: float, high: float) -> dict[str, Any]:
    """A shaded band between two places of the x axis."""
    return {
        "type": "rect",
        "x0": low,
        "x1": high,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": "var(--band)",
        "line": {"width": 0},
        "layer": "below",
    }


def bar_layout(bars: int, most_j: float, *, bar_px: int = BAR_PX) -> dict[str, Any]:
    """Layout of horizontal bars: no axis but the labels, and room for the texts at their ends."""
    made = layout(
        16 + bar_px * bars,
        {"visible": False, "range": [0, (most_j or 1.0) * 1.02]},
        {"automargin": True, "autorange": "reversed", "showgrid": False, "ticks": ""},
    )
    made["margin"] = {"l": 8, "r": 62, "t": 4, "b": 4}
    made["bargap"] = 1 - 18 / bar_px
    return made


def layout(height: int, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """Layout of a plot of so many pixels' height, with what is particular to its axes."""
    axis = {
        "fixedrange": True,
        "zeroline": False,
        "gridcolor": "var(--line)",
        "linecolor": "var(--line)",
        "color": "var(--muted)",
        "tickfont": {"color": "var(--ink)"},
    }
    for particular in (x, y):
        if "title" in particular:
            particular["title"] |= {"font": {"size": 13}, "standoff": 10}
    return {
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 10, "b": 48},
        "xaxis": axis | {"automargin": True} | x,
        "yaxis": axis | y,
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 13, "color": "var(--ink)"},
        "hoverlabel": {
            "bgcolor": "var(--ink)",
            "bordercolor": "var(--ink)",
            "font": {"color": "var(--card)"},
        },
    }


def axis_unit(most_j: float) -> tuple[float, str]:
    """Joules of the unit that suits an axis, and its name."""
    unit = energy(most_j).split()[-1]
    return {"TJ": 1e12, "GJ": 1e9, "MJ": 1e6, "kJ": 1e3, "J": 1.0, "mJ": 1e-3, "µJ": 1e-6}[unit], unit


def between(x: Sequence[float], low: Sequence[float], high: Sequence[float], name: str = "") -> list[dict[str, Any]]:
    """A shaded band between two lines; in the legend where it has a name."""
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [
        {**edge, "y": list(low)},
        {
            **edge,
            "y": list(high),
            "fill": "tonexty",
            "fillcolor": "var(--band)",
            "name": name,
            "showlegend": bool(name),
        },
    ]


def unseen(x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """Invisible points that keep places in sight: shapes don't stretch an axis."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(x),
        "y": list(y),
        "marker": {"opacity": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def level_label(level: float, label: str) -> dict[str, Any]:
    """A text on a horizontal line."""
    return {
        "xref": "paper",
        "x": 0.01,
        "xanchor": "left",
        "y": level,
        "yanchor": "bottom",
        "text": html.escape(label, quote=False),
        "showarrow": False,
        "font": {"color": "var(--muted)", "size": 12},
    }


def legend() -> dict[str, Any]:
    """Layout with a legend above the plot."""
    return {
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "margin": {"l": 8, "r": 16, "t": 30, "b": 48},
    }
