"""The command ``verify``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from auditor.domain.quantities import uj_to_j


def verify(path: Path) -> None:
    """Check a study folder and say what was checked."""
    from auditor.metering.folder import StudyFolder
    from auditor.reporting.figures import count, energy
    from auditor.search import verify as checks

    console = Console(soft_wrap=True, highlight=False, markup=False)
    with console.status("closing the books again"):
        found = checks.verify(StudyFolder(path))
    console.print(
        f"verified: {found.study}, {energy(uj_to_j(found.metered_uj))} metered; {count(found.files)} files as in the "
        f"manifest; {count(found.journals)} journals with {count(found.readings)} readings give the statement, the "
        f"report and all {count(found.charges)} charges of the ledger"
    )
    console.print("This shows integrity, not authenticity: whoever can make a folder can make up its journals.")
