"""The suite every importer must pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from auditor.domain.errors import InputError
from auditor.domain.imported import ImportedStudy
from auditor.domain.study import TrialState
from auditor.ports import Importer


class ImporterContract:
    """What an import takes for granted of its importer.

    Override ``importer``, ``source`` and ``missing``, and ``options`` where the source takes some. The source should
    hold all that its kind can: a trial that completed, one that did not, one whose value is no finite number; say in
    ``states`` which states its trials have, by number.
    """

    states: Mapping[int, TrialState] = {}

    @pytest.fixture
    def importer(self) -> Importer:
        """The importer under test."""
        raise AssertionError("override the fixture 'importer' with your importer")

    @pytest.fixture
    def source(self) -> str:
        """A source with one study."""
        raise AssertionError("override the fixture 'source' with a path or URL of a study")

    @pytest.fixture
    def missing(self) -> str:
        """A source that is not there."""
        raise AssertionError("override the fixture 'missing' with a path or URL of nothing")

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        """What must be told beside the source."""
        return {}

    @pytest.fixture
    def study(self, importer: Importer, source: str, options: Mapping[str, str]) -> ImportedStudy:
        """What the importer reads."""
        return importer.read(source, options)

    def place(self, source: str) -> Path | None:
        """The file or folder that a source is; ``None`` where it is on another machine."""
        path = source.partition(":///")[2] if "://" in source else source
        return Path(path) if path else None

    def test_it_says_what_it_can_be_told(self, importer: Importer) -> None:
        """A name, and a sentence for each option."""
        assert importer.name
        for name, sentence in importer.options.items():
            assert sentence, f"option {name} says nothing"

    def test_the_same_source_gives_the_same_study(
        self, importer: Importer, source: str, options: Mapping[str, str]
    ) -> None:
        """Twice the same; compared as text, since what is no number equals nothing."""
        first, second = (repr(importer.read(source, options)) for _ in range(2))
        assert first == second, "the same source gives another study"

    def test_a_study_has_a_name_and_trials(self, study: ImportedStudy) -> None:
        """And knows which values are better."""
        assert study.name, "the study has no name"
        assert study.trials, "the study has no trials"
        assert study.source, "the study does not say where it was read from"
        directions = study.directions or (study.direction,)
        assert set(directions) <= {"maximize", "minimize"}, f"{directions} are no directions"

    def test_trials_are_numbered_once_and_in_order(self, study: ImportedStudy) -> None:
        """Numbers are unique, from 0 on."""
        numbers = [trial.number for trial in study.trials]
        assert numbers == sorted(set(numbers)), "numbers of trials are not unique and in order"
        assert all(type(number) is int and number >= 0 for number in numbers), "a number of a trial is an int from 0 on"

    def test_states_are_read_as_they_are(self, study: ImportedStudy) -> None:
        """Pruned is not failed, and a trial that runs has not completed."""
        found = {trial.number: trial.state for trial in study.trials}
        assert all(isinstance(state, TrialState) for state in found.values())
        wrong = {number: found.get(number) for number, state in self.states.items() if found.get(number) is not state}
        assert not wrong, f"expected { ({number: self.states[number] for number in wrong}) }, read {wrong}"

    def test_only_complete_trials_have_a_value(self, study: ImportedStudy) -> None:
        """What a pruned trial last reported is no final value."""
        ended = [trial.number for trial in study.trials if trial.state is not TrialState.COMPLETE]
        valued = [t.number for t in study.trials if t.number in ended and (t.value is not None or t.values)]
        assert not valued, f"trials {valued} did not complete and have a value"

    def test_amounts_are_finite(self, study: ImportedStudy) -> None:
        """Energy and duration are known and not negative, or unknown; never zero or NaN in place of unknown."""
        for trial in study.trials:
            for name, amount in (("energy_j", trial.energy_j), ("duration_s", trial.duration_s)):
                known = amount is None or (math.isfinite(amount) and amount >= 0)
                assert known, f"{name} of trial {trial.number} is {amount}: expected None"

    def test_times_are_whole_nanoseconds_in_order(self, study: ImportedStudy) -> None:
        """A trial ends after it began."""
        for trial in study.trials:
            times = [time_ns for time_ns in (trial.begin_ns, trial.end_ns) if time_ns is not None]
            assert all(type(time_ns) is int for time_ns in times), f"times of trial {trial.number} are no ns"
            assert times == sorted(times), f"trial {trial.number} ends before it begins"

    def test_reported_energy_says_by_whom(self, study: ImportedStudy) -> None:
        """Somebody reported it."""
        if any(trial.energy_j is not None for trial in study.trials):
            assert study.energy_source, "energy_source is empty: who reported the energy?"

    def test_nothing_is_written_at_the_source(
        self, importer: Importer, source: str, options: Mapping[str, str]
    ) -> None:
        """No lock, no journal, no upgrade: the same files with the same bytes."""
        place = self.place(source)
        if place is None:
            pytest.skip("the source is on another machine")
        before = _bytes(place)
        importer.read(source, options)
        after = _bytes(place)
        changed = sorted(name for name in before | after if before.get(name) != after.get(name))
        assert not changed, f"{', '.join(changed)} changed at the source"

    def test_a_missing_source_is_named(self, importer: Importer, missing: str, options: Mapping[str, str]) -> None:
        """And not made."""
        with pytest.raises(InputError) as caught:
            importer.read(missing, options)
        assert Path(missing).name in str(caught.value), "the message does not name the source"
        assert "\n" not in str(caught.value), "the message is more than one line"
        place = self.place(missing)
        assert place is None or not place.exists(), "reading a source that is not there made it"

    def test_an_unknown_option_is_refused(self, importer: Importer, source: str, options: Mapping[str, str]) -> None:
        """A misspelt option is not ignored."""
        with pytest.raises(InputError, match="no-such-option"):
            importer.read(source, {**options, "no-such-option": "1"})


def _bytes(place: Path) -> dict[str, bytes]:
    """Content of a file and whatever lies beside it, or of a folder, by name."""
    folder = place if place.is_dir() else place.parent
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
