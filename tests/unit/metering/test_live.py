"""Adding up a study again and again gives what closing its books once gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.metering.closing import read_study
from auditor.metering.live import LiveBooks
from studies import TRIALS, MadeStudy


def total_uj(path: Path) -> int:
    record, _ = read_study(path)
    return sum(uj for account, uj in record.books.accounts.items() if account.startswith("study/"))


def test_nothing_is_metered_before_two_readings(tmp_path: Path) -> None:
    live = LiveBooks(MadeStudy(tmp_path / "study").folder)
    live.refresh()
    assert not live.metered
    assert live.study_uj() == {}


@pytest.mark.parametrize("every", [1, 2, 5])
def test_added_up_piece_by_piece_it_is_what_the_closed_books_say(tmp_path: Path, every: int) -> None:
    study = MadeStudy(tmp_path / "study")
    live = LiveBooks(study.folder)
    for turn in range(10):
        study.add(TRIALS[turn % len(TRIALS)])
        if turn % every == 0:
            live.refresh()
    study.seal()
    live.refresh()
    assert sum(live.study_uj().values()) == total_uj(tmp_path / "study")
    record, _ = read_study(tmp_path / "study")
    for number in range(10):
        booked = {name: uj for name, uj in record.books.accounts.items() if f"/trial/{number}/" in name}
        assert live.trial_uj(number) == sum(booked.values()) > 0


def test_kinds_of_components_are_told_apart(tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study").add(*TRIALS)
    live = LiveBooks(study.folder)
    live.refresh()
    kinds = live.study_uj()
    assert set(kinds) == {"cpu", "ram"}
    assert kinds["ram"] == 6_000_000 * study.second  # held as a whole: a worker's slot, and a driver that has the rest


def test_asking_twice_adds_nothing(tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study").add(*TRIALS)
    live = LiveBooks(study.folder)
    live.refresh()
    before = live.study_uj()
    live.refresh()
    assert live.study_uj() == before


def test_what_was_added_up_is_not_kept(tmp_path: Path) -> None:
    study = MadeStudy(tmp_path / "study")
    live = LiveBooks(study.folder)
    kept = []
    for turn in range(6):
        study.add(TRIALS[turn % len(TRIALS)])
        live.refresh()
        kept.append(sum(len(getattr(part, "readings", getattr(part, "marks", ()))) for part in live._reader.parts()))
    assert max(kept[2:]) <= max(kept[:2])
