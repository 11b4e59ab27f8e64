"""Checking a study folder: are these the files that were published, and do the journals give their figures?

An imported study has a table of trials instead of journals. This shows integrity, not authenticity: who can make a
folder can make up what is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import msgspec

from auditor.accounting.allocate import Policy
from auditor.accounting.books import Ledger
from auditor.domain.errors import InputError, IntegrityError
from auditor.domain.parameters import Parameters
from auditor.importers.folder import open_reader
from auditor.metering.folder import FORMAT, StudyFile, StudyFolder, manifest_bytes, statement_bytes
from auditor.reporting import render_html
from auditor.reporting.names import plain
from auditor.reporting.publish import ClosedStudy, close_study, ledger_bytes, ledger_table
from auditor.search.differences import differences, excerpt, first_difference, shown

_FIRST = ("energy", "compute", "trials", "gain")
"""Sections that others are written from: a difference is named where it begins."""

_PLOTLY = re.compile(rb"plotly\.js v([\w.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was checked, and found to be right.

    Attributes:
        study: Name of the study.
        files: Files of the folder that were compared with the manifest.
        journals: Those of them that the books were closed from.
        readings: Readings of all nodes up to the seal.
        charges: Rows of the ledger.
        metered_uj: Energy on the books in microjoules.
        auditor: Version that made the statement.
        imported: Whether the study ran elsewhere; it has no journals, readings and charges then.
        trials: Its trials.
    """

    study: str
    files: int
    journals: int
    readings: int
    charges: int
    metered_uj: int
    auditor: str
    imported: bool
    trials: int


def verify(folder: StudyFolder) -> Verified:
    """Check the files of a study against its manifest, and every figure against the journals; nothing is written.

    Raises:
        InputError: there is no study, none that has ended, or it can't be read.
        IntegrityError: the first thing that differs.
    """
    try:
        return _verify(folder)
    except OSError as error:
        raise InputError(f"{error.filename or folder.path}: can't be read ({error.strerror or error})") from error


def _verify(folder: StudyFolder) -> Verified:
    _check_ended(folder)
    digests = folder.digests()
    _check_manifest(folder, digests)
    for path in (folder.study_yaml, folder.statement, *(() if folder.imported else (folder.ledger,)), folder.report):
        if path.name not in digests:
            raise _differs(f"{path.name}: is not there")
    stored = _read_json(folder, folder.statement.name)
    auditor = _auditor(stored)
    try:
        parameters, policy = _asked(stored)
        closed = _close_again(folder, parameters, policy, auditor)
        _check_statement(folder, stored, closed.statement)
        _check_books(closed)
        if not folder.imported:
            _check_ledger(folder, closed.ledger)
        _check_report(folder, closed.statement)
    except IntegrityError as error:
        if auditor == version("nas-auditor"):
            raise
        raise _differs(
            f"{error} (the statement was made by nas-auditor {auditor}, this is {version('nas-auditor')}: "
            "verify it with that version)"
        ) from error
    return Verified(
        study=closed.record.name,
        files=len(digests),
        journals=sum(name.startswith(f"{folder.journals.name}/") for name in digests),
        readings=len(closed.record.books.cumulative_ns),
        charges=len(closed.ledger.energy_uj),
        metered_uj=closed.record.books.metered_uj,
        auditor=auditor,
        imported=closed.record.imported,
        trials=len(closed.record.trials),
    )


def _check_ended(folder: StudyFolder) -> None:
    """A folder with a manifest was published, whatever became of it."""
    if folder.in_use():
        raise InputError(f"{folder.path}: a search works on this folder; wait until it ends")
    if folder.manifest.exists():
        return
    if not folder.exists():
        raise InputError(f"{folder.path}: is no study folder (expected {folder.study_yaml.name} in it)")
    if folder.statement.exists():
        raise _differs("manifest.json: is not there")
    if folder.imported:
        raise InputError(f"{folder.path}: has no statement yet, its import did not end; run it again")
    if folder.read_study().study.get("kind") == "training":
        raise InputError(
            f"{folder.path}: has no statement yet, its training did not end in order; 'auditor report' shows what it "
            "used"
        )
    raise InputError(
        f"{folder.path}: has no statement yet, its search did not end; run the same 'auditor search' again to go on "
        "with it"
    )


def _check_manifest(folder: StudyFolder, digests: Mapping[str, str]) -> None:
    manifest = _read_json(folder, folder.manifest.name)
    listed = manifest.get("sha256")
    if manifest.get("format") != FORMAT or not isinstance(listed, dict):
        raise _differs(f"manifest.json: expected 'format' {FORMAT} and 'sha256' by file, as this version writes it")
    for name in listed:
        if name not in digests:
            raise _differs(f"{name}: is listed in manifest.json, but is not there")
    for name in digests:
        if name not in listed:
            journal = name.startswith(f"{folder.journals.name}/")
            hint = "run the search again to close its books" if journal else "only files of the study may lie here"
            raise _differs(f"{name}: is not listed in manifest.json; {hint}")
    for name, digest in digests.items():
        if listed[name] != digest:
            raise _differs(f"{name}: SHA-256 differs from manifest.json: expected {listed[name]}, found {digest}")
    if folder.manifest.read_bytes() != manifest_bytes(digests):
        raise _differs("manifest.json: lists the right files, but is not written as this program writes it")


def _read_json(folder: StudyFolder, name: str) -> dict[str, Any]:
    try:
        data = json.loads((folder.path / name).read_bytes().decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _differs(f"{name}: is damaged ({error})") from error
    if not isinstance(data, dict):
        raise _differs(f"{name}: is damaged (expected an object)")
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _auditor(statement: Mapping[str, Any]) -> str:
    """The version of the auditor that a statement was made with."""
    generated = statement.get("generated")
    auditor = generated.get("auditor") if isinstance(generated, dict) else None
    if not isinstance(auditor, str):
        raise _differs("statement.json: is damaged (generated.auditor names no version)")
    return auditor


def _asked(statement: Mapping[str, Any]) -> tuple[Parameters, str]:
    """The parameters and the policy that a statement was made with."""
    try:
        worth, carbon, cost = statement["verdict"]["worth"], statement["carbon"], statement["cost"]
        parameters = {
            "pue": carbon["pue"],
            "factor": carbon["factor"],
            "price_per_kwh": cost["price_per_kwh"],
            "price_per_device_hour": cost["price_per_device_hour"],
            "currency": cost["currency"],
            "worth_gain": worth["gain"],
            "worth_cost": worth["cost"],
        }
        policy = Policy(statement["energy"]["policy"])
        return msgspec.convert(parameters, Parameters), policy.value
    except KeyError as error:
        raise _differs(f"statement.json: is damaged (the key {error} is missing)") from error
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _differs(f"statement.json: is damaged ({error})") from error


def _close_again(folder: StudyFolder, parameters: Parameters, policy: str, auditor: str) -> ClosedStudy:
    try:
        reader = open_reader(folder)
        _check_same(reader.file, parameters, policy)
        reader.refresh()
        closed = close_study(reader, parameters, policy, auditor=auditor)
        statement_bytes(closed.statement)
    except IntegrityError:
        raise
    except InputError as error:
        place = "" if str(folder.trials) in str(error) else "study.yaml: "
        raise _differs(f"{place}is damaged ({error})" if place else str(error)) from error
    except Exception as error:  # whatever an invented journal leads to is the journal's fault here
        origin = folder.trials.name if folder.imported else "journal"
        raise _differs(f"study.yaml, {origin}: can't be closed again ({type(error).__name__}: {error})") from error
    return closed


def _check_same(file: StudyFile, parameters: Parameters, policy: str) -> None:
    """``study.yaml`` says too what the statement was asked for."""
    declared = msgspec.convert(file.parameters, Parameters)
    declared = replace(declared, worth_gain=declared.worth_gain or 0.0)  # as a statement says it
    wanted = {"policy": file.config.get("metering", {}).get("policy", policy), **asdict(declared)}
    for path, of_study, of_statement in differences(wanted, {"policy": policy, **asdict(parameters)}):
        raise _differs(f"{path}: study.yaml says {of_study}, statement.json says {of_statement}")


def _check_statement(folder: StudyFolder, stored: Mapping[str, Any], closed: Mapping[str, Any]) -> None:
    written = statement_bytes(closed)
    figures = json.loads(written)
    ordered = {key: figures[key] for key in (*_FIRST, *(key for key in figures if key not in _FIRST))}
    give = "trials give" if folder.imported else "journals give"
    for path, says, gives in differences(stored, ordered):
        raise _differs(f"{path}: statement.json says {says}, the {give} {gives}")
    if folder.statement.read_bytes() != written:
        raise _differs(f"statement.json: says what the {give}, but is not written as this program writes it")


def _check_books(closed: ClosedStudy) -> None:
    books = closed.record.books
    if books.residual_uj != 0:
        raise _differs(f"the books don't balance: metered less charged is {books.residual_uj} uJ, expected 0")
    charged_uj = int(closed.ledger.energy_uj.sum())
    if not closed.record.imported and charged_uj != books.metered_uj:
        raise _differs(f"the ledger sums to {charged_uj} uJ, expected {books.metered_uj} uJ as metered")


def _check_ledger(folder: StudyFolder, ledger: Ledger) -> None:
    """Compare bytes, or charge by charge what another version of Arrow wrote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored, written = folder.ledger.read_bytes(), ledger_bytes(ledger)
    if stored == written:
        return
    try:
        file = pq.ParquetFile(pa.BufferReader(stored))
        table = file.read()
        table.validate(full=True)
        says = table.to_pydict()
        writer = file.metadata.created_by
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _differs(f"ledger.parquet: is damaged ({error})") from error
    gives = ledger_table(ledger).to_pydict()
    if list(says) != list(gives):
        raise _differs(f"ledger.parquet: has the columns {', '.join(says)}; expected {', '.join(gives)}")
    for name, column in gives.items():
        if len(says[name]) != len(column):
            raise _differs(f"ledger.parquet: has {len(says[name])} charges, the journals give {len(column)}")
        for row, (found, expected) in enumerate(zip(says[name], column, strict=True)):
            if found != expected:
                raise _differs(
                    f"ledger.parquet: {name} of charge {row} is {shown(found, name)}, "
                    f"the journals give {shown(expected, name)}"
                )
    if writer == pq.ParquetFile(pa.BufferReader(written)).metadata.created_by:
        raise _differs("ledger.parquet: holds the right charges, but is not written as this program writes it")


def _check_report(folder: StudyFolder, statement: Mapping[str, Any]) -> None:
    stored, written = folder.report.read_bytes(), render_html(statement).encode()
    if stored == written:
        return
    theirs, ours = (match[1].decode() if (match := _PLOTLY.search(page)) else "none" for page in (stored, written))
    if theirs != ours:
        raise _differs(
            f"report.html: holds plotly.js {theirs}, the plotly installed here {ours}: the page can be compared only "
            "with the same plotly"
        )
    start = first_difference(*(page.decode("latin-1") for page in (stored, written)))
    reads, gives = (
        excerpt(page[max(0, start - 40) :][:200].decode(errors="replace"), 40) for page in (stored, written)
    )
    raise _differs(f"report.html: reads {reads}, the statement gives {gives} (byte {start})")


def _differs(message: str) -> IntegrityError:
    """A message that quotes a folder of unknown origin: nothing in it acts on a terminal."""
    return IntegrityError(plain(message))
