"""Journals: append-only JSON Lines with one writer each."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import msgspec

from auditor.domain.errors import JournalError
from auditor.metering.records import FORMAT, Header, Mark, Reading, Record

KEPT_RECORDS = 10_000
"""Readings and marks that a writer holds in memory while its disk is full; it holds all other records."""

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
        self._taken = 0
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
        self._taken = len(records)
        if self._fd < 0:
            return
        lines = [_encoder.encode(record) + b"\n" for record in records]
        ends = list(accumulate(map(len, lines), initial=int(self._torn)))
        data = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._taken = bisect_right(ends, written + 1) - 1  # the end of a line that lacks nothing else comes next
            self._torn = written not in ends and (written > 0 or self._torn)
            raise JournalError(f"journal {self.path}: {error.strerror or error}") from error
        self._torn = False

    def append_or_keep(self, *records: Record) -> None:
        """Append records after those that the disk did not take before; what it does not take now is kept.

        Raises:
            JournalError: some are kept for the next time. Of readings and marks the newest ``KEPT_RECORDS`` are.
        """
        self._kept += records
        try:
            self.append(*self._kept)
        finally:
            self._kept = _newest(self._kept[self._taken :])

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


def _newest(records: list[Record]) -> list[Record]:
    """All but the oldest readings and marks where there are too many; what others refer to stays."""
    many = [place for place, record in enumerate(records) if isinstance(record, Reading | Mark)][:-KEPT_RECORDS]
    left_out = set(many)
    return [record for place, record in enumerate(records) if place not in left_out] if left_out else records


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
            raise JournalError(f"journal {self.path.name}: {error.strerror or error}") from error
        end = data.rfind(b"\n") + 1
        self.torn = end < len(data)
        self.size += end
        records = self._decode(data[:end])
        if self.header is None and records:
            first = records.pop(0)
            if not isinstance(first, Header):
                raise JournalError(f"journal {self.path.name}: begins without a header")
            if first.v > FORMAT:
                raise JournalError(
                    f"journal {self.path.name}: format {first.v} is newer than this version reads ({FORMAT}); upgrade"
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
