import contextlib
import errno
import os
import resource
from pathlib import Path

import msgspec
import pytest

from auditor.domain.errors import JournalError
from auditor.metering.journal import JournalReader, JournalWriter
from auditor.metering.records import (
    FORMAT,
    AttemptRecord,
    Closed,
    ComponentRecord,
    Finished,
    Gone,
    Header,
    Mark,
    NodeRecord,
    OutcomeRecord,
    Record,
    RunRecord,
    Seal,
    Seen,
    StepRecord,
    process_key,
)
from unit.metering.journals import at, header, reading

EVERY_KIND: list[Record] = [
    NodeRecord(cpu_slots=1.5, gpu_slots=2.0),
    ComponentRecord(name="gpu:GPU-1", meter="nvml", provenance="counter", high_w=300.0, detail="NVML · µJ"),
    Seen(key="1-2", study="u", account="study/u/audit", begin_ns=-5, cpu_slots=0.5, holds_rest=True),
    reading(1, 2.5, {"1-2": (0.25, -1e-9)}, busy_s=3),
    Gone(key="1-2", t=2**62),
    Mark(t=1, c=2, a="study/u/trial/0/1/train"),
    Closed(t=3),
    AttemptRecord(t=1, trial=0, attempt=1, params={"lr": 1e-3, "act": "re\nlu", "deep": {"a": [1, None, True]}}),
    StepRecord(t=1, trial=0, attempt=1, step=3, value=None),
    OutcomeRecord(t=1, trial=0, attempt=1, state="failed", final=False, error='"quoted"\n', uncounted_ops=("a", "b")),
    RunRecord(t=2, begin_ns=1, kind="baseline", name="svc", state="complete", value=0.5, flops=10**18),
    Seal(t=5),
    Finished(t=6),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "marks.jsonl"


def read(path: Path) -> list[Record]:
    return JournalReader(path).read_new()


def test_every_kind_of_record_comes_back(path: Path) -> None:
    first = header(holds_rest=True, account="study/u/audit", versions={"python": "3.11"})
    with JournalWriter(path, first) as writer:
        writer.append(*EVERY_KIND)
    reader = JournalReader(path)
    assert reader.read_new() == EVERY_KIND
    assert reader.header == first
    assert not reader.torn
    assert reader.skipped == 0


def test_a_record_is_a_line(path: Path) -> None:
    with JournalWriter(path, header()) as writer:
        writer.append(*EVERY_KIND)
    assert len(path.read_text().splitlines()) == 1 + len(EVERY_KIND)
    assert path.read_bytes().endswith(b"\n")


def test_a_record_is_there_before_append_returns(path: Path) -> None:
    writer = JournalWriter(path, header())
    writer.append(Closed(t=1))
    assert read(path) == [Closed(t=1)]
    writer.close()


def test_what_is_new_is_read_while_it_is_written(path: Path) -> None:
    reader = JournalReader(path)
    with JournalWriter(path, header()) as writer:
        assert reader.read_new() == []
        assert reader.header is not None
        writer.append(Closed(t=1), Closed(t=2))
        assert reader.read_new() == [Closed(t=1), Closed(t=2)]
        assert reader.read_new() == []
        writer.append(Closed(t=3))
        assert reader.read_new() == [Closed(t=3)]


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_a_torn_last_line_is_dropped_and_reported(path: Path, cut: int) -> None:
    with JournalWriter(path, header()) as writer:
        writer.append(Closed(t=1), Closed(t=2))
    path.write_bytes(path.read_bytes()[:-cut])
    reader = JournalReader(path)
    assert reader.read_new() == [Closed(t=1)]
    assert reader.torn
    assert reader.skipped == 0


def test_a_line_whose_rest_arrives_later_is_read_then(path: Path) -> None:
    with JournalWriter(path, header()) as writer:
        writer.append(Closed(t=1), Closed(t=2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    reader = JournalReader(path)
    assert reader.read_new() == [Closed(t=1)]
    path.write_bytes(whole)
    assert reader.read_new() == [Closed(t=2)]
    assert not reader.torn


def test_a_header_that_is_still_being_written_is_waited_for(path: Path) -> None:
    line = msgspec.json.encode(header()) + b"\n"
    path.write_bytes(line[:20])
    reader = JournalReader(path)
    assert reader.read_new() == []
    assert reader.header is None
    path.write_bytes(line)
    assert reader.read_new() == []
    assert reader.header == header()


@pytest.mark.parametrize(
    "line", [b'{"k":"omen","t":1}', b"\xff\xfe", b"[1]", b'{"k":"closed"}', b'{"k":"closed","t":"x"}', b"{}"]
)
def test_unknown_kinds_and_damaged_lines_are_skipped_and_counted(path: Path, line: bytes) -> None:
    with JournalWriter(path, header()) as writer:
        writer.append(Closed(t=1))
    with path.open("ab") as file:
        file.write(line + b"\n" + msgspec.json.encode(Closed(t=2)) + b"\n")
    reader = JournalReader(path)
    assert reader.read_new() == [Closed(t=1), Closed(t=2)]
    assert reader.skipped == 1


def test_fields_of_a_later_version_are_passed_over(path: Path) -> None:
    with JournalWriter(path, header()):
        pass
    with path.open("ab") as file:
        file.write(b'{"k":"closed","t":4,"mood":"calm"}\n')
    assert read(path) == [Closed(t=4)]


def test_a_newer_format_is_refused(path: Path) -> None:
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(header(), v=FORMAT + 1)) + b"\n")
    with pytest.raises(JournalError, match=rf"format {FORMAT + 1} is newer than this version reads \({FORMAT}\)"):
        read(path)


def test_a_missing_header_is_refused(path: Path) -> None:
    path.write_bytes(msgspec.json.encode(Closed(t=1)) + b"\n")
    with pytest.raises(JournalError, match="begins without a header"):
        read(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(JournalError, match=r"marks\.jsonl: No such file"):
        read(path)


def test_a_journal_has_one_writer(path: Path) -> None:
    with JournalWriter(path, header()), pytest.raises(JournalError, match="File exists"):
        JournalWriter(path, header())
    assert JournalReader(path).read_new() == []


def test_a_journal_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        JournalWriter(tmp_path / "nowhere" / "marks.jsonl", header())


def test_a_full_disk_tears_at_most_the_last_record(path: Path) -> None:
    writer = JournalWriter(path, header())
    writer.append(Closed(t=1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(JournalError, match=r"marks\.jsonl: File too large"):
            writer.append(Closed(t=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.close()
    reader = JournalReader(path)
    assert reader.read_new() == [Closed(t=1)]
    assert reader.torn


MARKS = [Mark(t=t, c=0, a="study/u/audit") for t in (111, 222, 333)]


@pytest.mark.parametrize("room", range(3 * 40))
def test_what_a_full_disk_took_is_not_written_again(path: Path, room: int) -> None:
    """Whatever room there is: each record is there once, in order, and what was torn is a line of its own."""
    writer = JournalWriter(path, header())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, limits[1]))
    try:
        for mark in MARKS:
            with contextlib.suppress(JournalError):
                writer.append_or_keep(mark)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.append_or_keep(Closed(t=444))
    writer.close()
    reader = JournalReader(path)
    assert reader.read_new() == [*MARKS, Closed(t=444)]
    assert not reader.torn


def test_of_what_is_kept_the_oldest_readings_and_marks_go_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.metering.journal.KEPT_RECORDS", 2)
    writer = JournalWriter(path, header())
    component = ComponentRecord(name="cpu", meter="m", provenance="counter")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        for record in (component, *MARKS, reading(1, 2)):
            with pytest.raises(JournalError):
                writer.append_or_keep(record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.append_or_keep(Closed(t=444))
    assert read(path) == [component, MARKS[-1], reading(1, 2), Closed(t=444)]


def test_a_disk_that_does_not_take_it_is_a_journal_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with JournalWriter(path, header()) as writer, pytest.raises(JournalError, match="Input/output error"):
        writer.sync()


def test_closing_twice_is_allowed_and_later_records_are_dropped(path: Path) -> None:
    writer = JournalWriter(path, header())
    writer.append(Closed(t=1))
    writer.sync()
    writer.close()
    writer.close()
    writer.append(Closed(t=2))
    writer.sync()
    assert read(path) == [Closed(t=1)]


def test_figures_without_a_value_are_null(path: Path) -> None:
    with JournalWriter(path, header()) as writer:
        writer.append(StepRecord(t=at(0), trial=0, attempt=1, step=0, value=float("nan")))
    assert read(path) == [StepRecord(t=at(0), trial=0, attempt=1, step=0, value=None)]


def test_a_process_is_its_pid_and_start() -> None:
    first: Header = header(pid=12)
    assert first.key == process_key(12, 7) == "12-7"
    assert process_key(1, 23) != process_key(12, 3)
