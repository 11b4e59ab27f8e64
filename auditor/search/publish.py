"""Closing a study's books and writing its statement, report and ledger into its folder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger
from auditor.domain.parameters import Parameters
from auditor.metering.closing import StudyReader
from auditor.metering.folder import write_atomically
from auditor.reporting import render_html
from auditor.statement.build import build_statement


def make_statement(reader: StudyReader, parameters: Parameters, policy: str) -> tuple[dict[str, Any], Ledger]:
    """Close the books of a study that was read, and state its figures; nothing is written."""
    record, ledger = reader.close(Policy(policy))
    return build_statement(record, parameters, version=version("nas-auditor")), ledger


def publish(reader: StudyReader, parameters: Parameters, policy: str) -> dict[str, Any]:
    """Close the books and write ``statement.json``, ``report.html``, ``ledger.parquet`` and ``manifest.json``."""
    reader.refresh()
    statement, ledger = make_statement(reader, parameters, policy)
    folder = reader.folder
    write_ledger(folder.ledger, ledger)
    folder.write_statement(statement)
    write_atomically(folder.report, render_html(statement).encode())
    folder.write_manifest()
    return statement


def preload() -> None:
    """Import what :func:`publish` needs, while there is something to wait for."""
    import jinja2  # noqa: F401
    import pyarrow.parquet  # noqa: F401


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Write the ledger as Parquet: one row a charge."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "node": pa.array(ledger.node).dictionary_encode(),
            "start_ns": ledger.start_ns,
            "end_ns": ledger.end_ns,
            "component": pa.array(ledger.component).dictionary_encode(),
            "account": pa.array(ledger.account).dictionary_encode(),
            "energy_uj": ledger.energy_uj,
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())
