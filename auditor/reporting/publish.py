"""Closing a study's books and writing its statement, report and ledger into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger
from auditor.domain.parameters import Parameters
from auditor.domain.study import Finding, StudyRecord
from auditor.importers.folder import ImportedReader, open_reader
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder, write_atomically
from auditor.reporting import render_html
from auditor.statement.build import build_statement

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedStudy:
    """A study whose books were closed.

    Attributes:
        record: Its trials and books.
        ledger: Every charge.
        statement: All its figures, as in ``statement.json``.
    """

    record: StudyRecord
    ledger: Ledger
    statement: dict[str, Any]


def close_study(
    reader: StudyReader | ImportedReader,
    parameters: Parameters,
    policy: str,
    *,
    auditor: str | None = None,
    against: Sequence[Finding] = (),
) -> ClosedStudy:
    """Close the books of a study that was read, and state its figures; nothing is written.

    Args:
        reader: Has read the journals, or the trials of a study that ran elsewhere.
        parameters: Factors, prices and worth.
        policy: How static energy is shared.
        auditor: Version to name in the statement; the installed one where not given.
        against: Findings on the folder itself.
    """
    record, ledger = reader.close(Policy(policy))
    record = replace(record, findings=(*record.findings, *against))
    statement = build_statement(record, parameters, version=auditor or version("nas-auditor"))
    return ClosedStudy(record=record, ledger=ledger, statement=statement)


def publish(folder: StudyFolder, parameters: Parameters, policy: str) -> dict[str, Any]:
    """Close the books and write ``statement.json``, ``report.html``, ``ledger.parquet`` and ``manifest.json``.

    The journals, or the trials of a study that ran elsewhere, are read anew, as whoever checks the figures does it.
    """
    reader = open_reader(folder)
    reader.refresh()
    closed = close_study(reader, parameters, policy)
    write_study(folder, closed)
    return closed.statement


def write_study(folder: StudyFolder, closed: ClosedStudy) -> None:
    """Write the files that a study publishes, the manifest last."""
    if not folder.imported:
        write_atomically(folder.ledger, ledger_bytes(closed.ledger))
    folder.write_statement(closed.statement)
    write_atomically(folder.report, render_html(closed.statement).encode())
    folder.write_manifest()


def preload() -> None:
    """Import what :func:`publish` needs, while there is something to wait for."""
    import jinja2  # noqa: F401
    import pyarrow.parquet  # noqa: F401


def ledger_table(ledger: Ledger) -> pa.Table:
    """The ledger as an Arrow table: one row a charge."""
    import pyarrow as pa

    return pa.table(
        {
            "node": pa.array(ledger.node).dictionary_encode(),
            "start_ns": ledger.start_ns,
            "end_ns": ledger.end_ns,
            "component": pa.array(ledger.component).dictionary_encode(),
            "account": pa.array(ledger.account).dictionary_encode(),
            "energy_uj": ledger.energy_uj,
        }
    )


def ledger_bytes(ledger: Ledger) -> bytes:
    """The ledger as a Parquet file: the same ledger gives the same bytes under one version of Arrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(ledger_table(ledger), sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written
