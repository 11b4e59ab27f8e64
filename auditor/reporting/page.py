"""One self-contained HTML page: style, plots and plotly.js stand in it, and nothing is loaded.

Its content security policy forbids any request; it works from a disk and in a frame whose sandbox allows scripts and
nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auditor.reporting.figures import count, energy, percent
from auditor.reporting.marks import Plot

_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def render_page(template: str, plots: Mapping[str, Plot], **context: Any) -> str:
    """A page from a template of this package; every text in the context is escaped.

    Args:
        template: File name of the template.
        plots: What it draws, by key.
        context: What else it shows.

    Raises:
        FileNotFoundError: the installed plotly ships no plotly.js.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("auditor.reporting").joinpath("templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"count_of": count, "energy": energy, "percent": percent}
    return environment.get_template(template).render(
        plots=plots,
        figures=script_json([_for_script(plot) for plot in plots.values()]),
        plotly=_plotly_js() if plots else "",
        **context,
    )


def script_json(value: Any) -> str:
    """JSON that can stand in a ``<script>`` element: nothing in it can end the element or begin a comment."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_IN_SCRIPT)


def _for_script(plot: Plot) -> dict[str, Any]:
    return {key: value for key, value in asdict(plot).items() if key != "text"}


def _plotly_js() -> str:
    """plotly.js as the installed plotly ships it, found without importing plotly."""
    spec = find_spec("plotly")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        script = Path(folder, "package_data", "plotly.min.js")
        if script.is_file():
            return script.read_text(encoding="utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")
    raise FileNotFoundError("plotly.min.js: expected in package_data of the installed plotly package")
