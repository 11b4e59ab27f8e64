"""The command ``compare``, and what other commands that end with a comparison share with it."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from auditor.cli.run import write
from auditor.domain.errors import InputError
from auditor.statement.compared import Subject

_WILDCARD = re.compile(r"[*?\[]")


def compare(
    folders: Sequence[str],
    groups: Sequence[str],
    *,
    html: Path | None,
    json_file: Path | None,
    markdown: Path | None,
) -> None:
    """Compare studies, or groups of them, and show who wins where."""
    from auditor.statement.comparison import compare_statement

    comparison = compare_statement(_read(folders, groups), version=version("nas-auditor"))
    show(comparison, html=html, json_file=json_file, markdown=markdown)


def show(
    comparison: Mapping[str, Any],
    *,
    html: Path | None = None,
    json_file: Path | None = None,
    markdown: Path | None = None,
) -> None:
    """Write a comparison where it was asked for, and on the terminal unless something else goes there."""
    from auditor.metering.folder import statement_bytes
    from auditor.reporting.groups_text import render_comparison_markdown, render_comparison_terminal

    if html is not None:
        from auditor.reporting.groups_html import render_comparison_html

        write(html, render_comparison_html(comparison).encode())
    if markdown is not None:
        write(markdown, render_comparison_markdown(comparison).encode())
    if json_file is not None:
        write(json_file, statement_bytes(comparison))
    if Path("-") not in (html, markdown, json_file):
        Console().print(render_comparison_terminal(comparison))


def keep(comparison: Mapping[str, Any], folder: Path) -> Path:
    """Write ``comparison.json`` and ``comparison.html`` into a folder; where the page is."""
    from auditor.metering.folder import statement_bytes
    from auditor.reporting.groups_html import render_comparison_html

    page = folder / "comparison.html"
    write(folder / "comparison.json", statement_bytes(comparison))
    write(page, render_comparison_html(comparison).encode())
    return page


def _read(folders: Sequence[str], groups: Sequence[str]) -> dict[str, list[Subject]]:
    """The groups that were asked for, those with a name first."""
    from auditor.reporting.subjects import read_subject

    if not folders and not groups:
        raise InputError("auditor compare: name study folders, or groups with --group NAME=DIR")
    named: dict[str, list[Subject]] = {}
    seen: dict[Path, str] = {}
    for group in groups:
        name, separator, places = group.partition("=")
        if not separator or not name.strip() or not places.strip(","):
            raise InputError(f"--group {group}: expected NAME=DIR, for example tpe=runs/tpe-0,runs/tpe-1")
        for place in filter(None, places.split(",")):
            for path in _studies(place):
                _once(path, f"--group {name.strip()}", seen)
                named.setdefault(name.strip(), []).append(read_subject(path))
    for place in folders:
        found = _studies(place)
        for path in found:
            _once(path, place, seen)
        subjects = [read_subject(path) for path in found]
        name = subjects[0].record.name
        named[name if name not in named else f"{name} ({place})"] = subjects
    _check_identities(named)
    return named


def _studies(place: str) -> list[Path]:
    """The study folders that a place names: itself, those in it, or those that a pattern matches.

    Raises:
        InputError: there are none.
    """
    path = Path(place)
    if path.exists() or not _WILDCARD.search(place):
        inside = [] if _is_study(path) or not path.is_dir() else sorted(filter(_is_study, path.iterdir()))
        return inside or [path]  # what is no study is said when it is read
    matches = sorted(glob.glob(place))  # noqa: PTH207 (a pattern may be absolute)
    found = [path for path in map(Path, matches) if _is_study(path)]
    if not found:
        raise InputError(f"{place}: matches no study folder")
    return found


def _is_study(path: Path) -> bool:
    from auditor.metering.folder import StudyFolder

    return StudyFolder(path).exists()


def _once(path: Path, where: str, seen: dict[Path, str]) -> None:
    real = path.resolve()
    if real in seen:
        raise InputError(f"{where}: {path} is named twice (before by {seen[real]}); a study counts once")
    seen[real] = where


def _check_identities(groups: Mapping[str, Sequence[Subject]]) -> None:
    """A copy of a study is no second run."""
    known: dict[str, str] = {}
    for group in groups.values():
        for subject in group:
            before = known.setdefault(subject.record.uuid, subject.label)
            if before != subject.label:
                raise InputError(f"{subject.label}: holds the same study as {before}; a study counts once")
