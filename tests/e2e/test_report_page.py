"""The report in a real browser: plots are drawn, and nothing overflows a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditor.reporting import render_html
from unit.reporting.sample import HOSTILE, full_statement, hostile_statement, sparse_statement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]

# Runs at the end of the test's copy of the page and tells the page around it what came out.
_PROBE = """<script>
window.addEventListener("load", function () { setTimeout(function () {
  var root = document.documentElement;
  parent.postMessage(JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth,
    drawn: Array.from(document.querySelectorAll(".plot")).map(function (plot) {
      var svg = plot.querySelector(".main-svg");
      return [plot.id, svg ? Math.ceil(svg.getBoundingClientRect().width - plot.clientWidth) : null];
    }),
    alerts: window.alerts || 0
  }), "*");
}, 500); });
</script>"""
_FRAME = """<!doctype html><body style="margin:0"><pre id="out"></pre>
<iframe sandbox="allow-scripts" src="page.html" style="border:0;width:{width}px;height:20000px"></iframe>
<script>window.addEventListener("message", function (event) {{
  document.getElementById("out").textContent = event.data;
}});</script>"""


def chromium(folder: Path, page: Path, *options: str) -> str:
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-features=IsolateSandboxedIframes",  # so that virtual time holds in the frame too
        "--force-device-scale-factor=1",
        "--virtual-time-budget=10000",
        f"--user-data-dir={folder / 'profile'}",
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def look(folder: Path, statement: dict[str, Any], width: int) -> dict[str, Any]:
    """Open the page in a frame of this width whose sandbox allows scripts and nothing else."""
    source = render_html(statement).replace(
        "<head>", "<head><script>window.alert = function () { window.alerts = 1; };</script>", 1
    )
    body, end, rest = source.rpartition("</body>")
    (folder / "page.html").write_text(body + _PROBE + end + rest, encoding="utf-8")
    (folder / "frame.html").write_text(_FRAME.format(width=width), encoding="utf-8")
    dom = chromium(folder, folder / "frame.html", "--dump-dom", "--window-size=1400,7100")
    found = re.search(r'<pre id="out">(.+?)</pre>', dom)
    assert found, "the page told nothing: did its scripts run?"
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    return seen


@pytest.mark.parametrize("width", [400, 1280])
def test_plots_are_drawn_and_nothing_scrolls_sideways(tmp_path: Path, width: int) -> None:
    seen = look(tmp_path, full_statement(), width)
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert len(seen["drawn"]) == 10
    assert all(excess is not None and excess <= 0 for _, excess in seen["drawn"]), seen["drawn"]


def test_hostile_names_run_nothing_and_do_not_break_the_layout(tmp_path: Path) -> None:
    seen = look(tmp_path, hostile_statement(" ".join(HOSTILE[:4]) + "x" * 300), 400)
    assert seen["alerts"] == 0
    assert seen["scroll"] <= 400


def test_a_sparse_page_fits_too(tmp_path: Path) -> None:
    seen = look(tmp_path, sparse_statement(), 400)
    assert seen["scroll"] <= 400
    assert seen["drawn"] == []


@pytest.mark.parametrize("width", [400, 1280])
def test_it_can_be_photographed(tmp_path: Path, width: int) -> None:
    page, image = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(render_html(full_statement()), encoding="utf-8")
    chromium(tmp_path, page, f"--window-size={width},2400", f"--screenshot={image}")
    assert image.stat().st_size > 30_000
    assert "main-svg" in chromium(tmp_path, page, "--dump-dom", f"--window-size={width},2400")
