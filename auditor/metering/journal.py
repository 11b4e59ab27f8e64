"""Journals: append-only JSON Lines with one writer each."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import msgspec

from auditor.domain.errors import JournalError
from auditor.metering.records import FORMAT, Header, Record

KEPT_RECORDS = 10_000
"""Records a writer holds in memory while its disk is full."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class JournalWriter:
    """Appends records to a journal; every record reaches the operating system before ``append`` returns.

    One writer a file: the file must not exist yet. Not safe for several threads at once.
    """

    def __init__(self, path: Path, header: Header) -> None:
        """Create the journal.

        Raises:
            JournalError: the file exists or can't be written.
        """
        self.path = path
        self._torn = False
        self._kept: list[Record] = []
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise JournalError(f"journal {path}: {error.strerror or error}") from error
        self.append(header)

    def append(self, *records: Record) -> None:
        """Append records with a single write, so that a crash tears at most the last one.

        Raises:
            JournalError: the disk does not take them. What it took of a record is closed off by the next one.
        """
        if self._fd < 0:
            return
        line = b"\n" if self._torn else b""
        line += b"".join(_encoder.encode(record) + b"\n" for record in records)
        try:
            while line:
                line = line[os.write(self._fd, line) :]
                self._torn = True
        except OSError as error:
            raise JournalError(f"journal {self.path}: {error.strerror or error}") from error
        self._torn = False

    def append_or_keep(self, *records: Record) -> None:
        """Append records after those that the disk did not take before; where it takes none now, keep them.

        Raises:
            JournalError: they are kept for the next time. More than ``KEPT_RECORDS`` are not: the oldest are lost.
        """
        self._kept = [*self._kept, *records][-KEPT_RECORDS:]
        self.append(*self._kept)
        self._kept = []

    def sync(self) -> None:
        """Wait until what was appended is on the disk.

        Raises:
            JournalError: the disk does not take it.
        """
        if self._fd >= 0:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise JournalError(f"journal {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the journal; later records are dropped. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalReader:
    """Reads a journal that may still be written to.

    Attributes:
        header: The journal's first record; ``None`` until it was read.
        torn: Whether the file ends in the middle of a record (a crash, or a write under way).
        skipped: Lines that were no record this version knows.
        size: Bytes of whole records read so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header | None = None
        self.torn = False
        self.skipped = 0
        self.size = 0

    def read_new(self) -> list[Record]:
        """Records appended since the last call, without the header.

        Raises:
            JournalError: the file can't be read, or its header is of another version.
        """
        try:
            if self.path.stat().st_size == self.size:
                return []
            with self.path.open("rb") as file:
                file.seek(self.size)
                data = file.read()
        except OSError as error:
            raise JournalError(f"journal {self.path}: {error.strerror or error}") from error
        end = data.rfind(b"\n") + 1
        self.torn = end < len(data)
        self.size += end
        records = self._decode(data[:end])
        if self.header is None and records:
            first = records.pop(0)
            if not isinstance(first, Header):
                raise JournalError(f"journal {self.path}: begins without a header")
            if first.v > FORMAT:
                raise JournalError(
                    f"journal {self.path}: format {first.v} is newer than this version reads ({FORMAT}); upgrade"
                )
            self.header = first
        return records

    def _decode(self, data: bytes) -> list[Record]:
        try:
            return _decoder.decode_lines(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        records = []
        for line in data.splitlines():
            try:
                records.append(_decoder.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError):  # unknown kind or damaged line
                self.skipped += 1
        return records
