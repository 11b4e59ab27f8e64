"""The command ``verify``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from auditor.domain.quantities import uj_to_j


def verify(path: Path) -> None:
    """Check a study folder and say what was checked."""
    from auditor.metering.folder import StudyFolder
    from auditor.reporting.figures import count, energy
    from auditor.reporting.names import plain
    from auditor.search import verify as checks

    console = Console(soft_wrap=True, highlight=False, markup=False)
    with console.status("closing the books again"):
        found = checks.verify(StudyFolder(path))
    held, given = "on the books", f"{count(found.trials)} trials give the statement and the report"
    if not found.imported:
        held, given = "metered", f"{count(found.journals)} journals with {count(found.readings)} readings give the "
        given += f"statement, the report and all {count(found.charges)} charges of the ledger"
    console.print(
        f"verified: {plain(found.study)}, {energy(uj_to_j(found.metered_uj))} {held}; {count(found.files)} files as in "
        f"the manifest; {given}"
    )
    made_up = "trials" if found.imported else "journals"
    console.print(f"This shows integrity, not authenticity: whoever can make a folder can make up its {made_up}.")
