"""A published folder verifies; whatever is changed in it is found, also where the manifest was written again."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from auditor.domain.errors import InputError, IntegrityError
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.metering.closing import StudyReader
from auditor.metering.folder import StudyFolder, statement_bytes
from auditor.reporting import render_html
from auditor.reporting.publish import close_study, ledger_table, publish
from auditor.search.verify import verify
from studies import TRIALS, MadeStudy, MadeTraining, made_study, made_training

ASKED = Parameters(
    pue=1.25,
    factor=CarbonFactor(g_per_kwh=56.5, source="a table", year=2023, scope="FRA"),
    price_per_kwh=0.25,
    currency="CHF",
)
DECLARED = {
    "pue": 1.25,
    "factor": {"g_per_kwh": 56.5, "source": "a table", "year": 2023, "kind": "average", "scope": "FRA"},
    "price_per_kwh": 0.25,
    "currency": "CHF",
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_study(tmp_path_factory.mktemp("published") / "study", parameters=DECLARED)
    publish(folder, ASKED, "reserved")
    return folder.path


@pytest.fixture
def study(published: Path, tmp_path: Path) -> StudyFolder:
    return StudyFolder(shutil.copytree(published, tmp_path / "study"))


def refused(study: StudyFolder, *, rewritten: bool = True) -> str:
    """What verifying says of a folder that was tampered with, by default with a manifest to match."""
    if rewritten:
        study.write_manifest()
    with pytest.raises(IntegrityError) as caught:
        verify(study)
    return str(caught.value)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def edit_statement(study: StudyFolder, change: Callable[[Any], None]) -> None:
    statement = json.loads(study.statement.read_bytes())
    change(statement)
    study.write_statement(statement)


def journal(study: StudyFolder, role: str) -> Path:
    return next(iter(sorted(study.journals.glob(f"{role}-*.jsonl"))))


def test_what_was_published_verifies(study: StudyFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.path.rglob("*")}
    found = verify(study)
    assert (found.study, found.files, found.journals, found.readings) == ("demo", 8, 4, 19)
    assert found.charges == len(pq.read_table(study.ledger))
    assert found.metered_uj == 288_000_000
    assert found.auditor == version("nas-auditor")
    assert {path: path.stat().st_mtime_ns for path in study.path.rglob("*")} == before


@pytest.mark.parametrize("policy", ["reserved", "direct"])
def test_any_policy_and_no_parameters_at_all(tmp_path: Path, policy: str) -> None:
    folder = made_study(tmp_path / "study", config={"metering": {"policy": policy}})
    publish(folder, Parameters(), policy)
    verify(folder)


def test_books_with_findings_verify(tmp_path: Path) -> None:
    made = MadeStudy(tmp_path / "study").add(*TRIALS)
    (made.folder.journals / "marks-zebra-9-9.jsonl").write_text("this is no journal\n")
    (made.folder.journals / "a.jsonl").write_text('{"k":"mark","t":1,"c":1,"a":"x"}\n')
    folder = made.seal().folder
    with journal(folder, "readings").open("a") as file:
        file.write('{"k":"brandnew","t":1}\n{"k":"reading","t":99')
    publish(folder, Parameters(), "reserved")
    verify(folder)


def test_what_lies_about_hidden_does_not_matter(study: StudyFolder) -> None:
    os.close(study.lock(0))
    (study.path / ".DS_Store").write_text("x")
    verify(study)


class TestManifest:
    """The manifest is as it was; the files are not."""

    def test_a_file_that_changed(self, study: StudyFolder) -> None:
        path = journal(study, "readings")
        edit(path, '"cpu":10000000', '"cpu":10000001')
        message = refused(study, rewritten=False)
        assert re.fullmatch(
            rf"journal/{path.name}: SHA-256 differs from manifest\.json: expected [0-9a-f]{{64}}, found [0-9a-f]{{64}}",
            message,
        )

    @pytest.mark.parametrize("name", ["study.yaml", "report.html", "journal/search-box-103-1.jsonl"])
    def test_a_file_that_is_gone(self, study: StudyFolder, name: str) -> None:
        (study.path / name).unlink()
        assert refused(study, rewritten=False) == f"{name}: is listed in manifest.json, but is not there"

    def test_a_journal_that_was_added(self, study: StudyFolder) -> None:
        shutil.copy(journal(study, "search"), study.journals / "search-box-104-1.jsonl")
        assert refused(study, rewritten=False) == (
            "journal/search-box-104-1.jsonl: is not listed in manifest.json; run the search again to close its books"
        )

    def test_another_file_that_was_added(self, study: StudyFolder) -> None:
        (study.path / "notes\x1b[2J.txt").write_text("x")
        assert refused(study, rewritten=False) == (
            r"notes\u001b[2J.txt: is not listed in manifest.json; only files of the study may lie here"
        )

    def test_the_manifest_itself_is_gone(self, study: StudyFolder) -> None:
        study.manifest.unlink()
        assert refused(study, rewritten=False) == "manifest.json: is not there"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "manifest.json: is damaged (Expecting value"),
            ("{", "manifest.json: is damaged ("),
            ("[" * 100_000, "manifest.json: is damaged ("),
            ("[]", "manifest.json: is damaged (expected an object)"),
            ('{"format": NaN}', "manifest.json: is damaged (NaN is no JSON)"),
            ('{"format": 2, "sha256": {}}', "manifest.json: expected 'format' 1"),
            ('{"format": 1, "sha256": []}', "manifest.json: expected 'format' 1"),
            ('{"format": 1, "sha256": {"/etc/passwd": ""}}', "/etc/passwd: is listed in manifest.json, but is not"),
        ],
    )
    def test_a_manifest_that_is_none(self, study: StudyFolder, text: str, message: str) -> None:
        study.manifest.write_text(text)
        assert refused(study, rewritten=False).startswith(message)

    def test_bytes_that_are_no_text(self, study: StudyFolder) -> None:
        study.manifest.write_bytes(b"\xff\xfe")
        assert refused(study, rewritten=False).startswith("manifest.json: is damaged (")

    @pytest.mark.parametrize(("old", "new"), [("{\n", "{ \n"), ("}\n}\n", "}\n}"), ('"format": 1', '"format": 1.0')])
    def test_other_bytes_of_the_same_meaning(self, study: StudyFolder, old: str, new: str) -> None:
        edit(study.manifest, old, new)
        assert refused(study, rewritten=False).startswith("manifest.json: lists the right files, but is not written")


class TestStatement:
    """The manifest was written again, so only recomputing helps."""

    def test_an_account_is_named_with_both_figures(self, study: StudyFolder) -> None:
        name = "study/demo/trial/3/1/train"

        def change(statement: Any) -> None:
            statement["energy"]["accounts"][name] -= 1

        edit_statement(study, change)
        right = json.loads((study.statement).read_bytes())["energy"]["accounts"][name] + 1
        assert refused(study) == (
            f'energy.accounts["{name}"]: statement.json says {right - 1} uJ, the journals give {right} uJ'
        )

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("energy.coverage", 0.5, r"energy\.coverage: statement\.json says 0\.5, the journals give 1\.0"),
            ("energy.unmetered_start_s", 9.5, r"energy\.unmetered_start_s: statement\.json says 9\.5 s, the journals"),
            ("energy.residual_uj", 5, r"energy\.residual_uj: statement\.json says 5 uJ, the journals give 0 uJ"),
            ("energy.search_uj", None, r"energy\.search_uj: statement\.json says null, the journals give \d+ uJ"),
            ("trials.total", 4.0, r"trials\.total: statement\.json says 4\.0, the journals give 4$"),
            ("trials.extra", 4, r"trials\.extra: statement\.json says 4, the journals give nothing"),
            ("findings", [], r"findings\[0\]: statement\.json says nothing, the journals give \{"),
            ("verdict.grade", "paid", r"verdict\.grade: statement\.json says 'paid', the journals give 'cannot say'"),
            ("study.metric", "top1", r"study\.metric: statement\.json says 'top1', the journals give 'val_acc'"),
            ("carbon.location_based_g", 0.0, r"carbon\.location_based_g: statement\.json says 0\.0 g, the journals"),
            ("schema", "auditor.statement/2", r"schema: statement\.json says 'auditor\.statement/2'"),
            ("carbon.pue", 1.0, r"pue: study\.yaml says 1\.25, statement\.json says 1\.0"),
            ("carbon.factor", None, r"factor: study\.yaml says \{.*, statement\.json says null"),
            ("carbon.factor.g_per_kwh", 5.5, r"factor\.g_per_kwh: study\.yaml says 56\.5, statement\.json says 5\.5"),
            ("verdict.worth.gain", 0.1, r"worth_gain: study\.yaml says 0\.0, statement\.json says 0\.1"),
            ("energy.policy", "direct", r"policy: study\.yaml says 'reserved', statement\.json says 'direct'"),
            ("energy.policy", "fair", r"statement\.json: is damaged \('fair' is not a valid Policy\)"),
            ("carbon.pue", "1", r"statement\.json: is damaged \(Expected `float`, got `str` - at `\$\.pue`\)"),
            ("carbon", None, r"statement\.json: is damaged \("),
            ("generated.auditor", 1, r"statement\.json: is damaged \(generated\.auditor names no version\)"),
        ],
    )
    def test_any_other_figure_too(self, study: StudyFolder, path: str, value: Any, message: str) -> None:
        def change(statement: Any) -> None:
            *parents, last = path.split(".")
            place = statement
            for parent in parents:
                place = place[parent]
            place[last] = value

        edit_statement(study, change)
        assert re.match(message, refused(study))

    def test_a_long_sentence_is_quoted_where_it_differs(self, study: StudyFolder) -> None:
        def change(statement: Any) -> None:
            statement["verdict"]["sentence"] += " It paid."

        edit_statement(study, change)
        message = refused(study)
        assert message.startswith("verdict.sentence: statement.json says '…")
        assert "It paid." in message
        assert len(message) < 300

    def test_every_key_counts(self, study: StudyFolder) -> None:
        whole = json.loads(study.statement.read_bytes())
        for key in whole:
            study.write_statement({k: v for k, v in whole.items() if k != key})
            message = refused(study)
            named = (f"{key}: statement.json says nothing", f"statement.json: is damaged ({key}.")
            assert message.startswith((*named, "statement.json: is damaged (the key '"))

    def test_other_bytes_of_the_same_meaning(self, study: StudyFolder) -> None:
        study.statement.write_bytes(study.statement.read_bytes() + b"\n")
        assert refused(study).startswith("statement.json: says what the journals give, but is not written")

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": NaN}', '{"energy": {}}', '{"carbon": {"pue": 1e999}}'])
    def test_damaged(self, study: StudyFolder, text: str) -> None:
        study.statement.write_text(text)
        assert refused(study).startswith("statement.json: is damaged (")

    @pytest.mark.parametrize("name", ["study.yaml", "statement.json", "ledger.parquet", "report.html"])
    def test_gone_without_a_trace(self, study: StudyFolder, name: str) -> None:
        (study.path / name).unlink()
        assert refused(study) == f"{name}: is not there"


class TestStudyFile:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("pue: 1.25", "pue: 1.2", r"pue: study\.yaml says 1\.2, statement\.json says 1\.25"),
            ("policy: reserved", "policy: direct", r"policy: study\.yaml says 'direct'"),
            ("name: demo", "name: dem0", r"energy\.search_uj: statement\.json says"),
            ("metric: val_acc", "metric: val_loss", r"gain\.metric: statement\.json says 'val_acc'"),
            ("direction: maximize", "direction: minimize", r"gain\.\S+: statement\.json says"),
            ("uuid: 6", "uuid: 7", r"energy\.\S+: statement\.json says"),
            ("pue: 1.25", "pue: [", r"study\.yaml: is damaged \(.*study\.yaml: can't be read"),
            ("pue: 1.25", "pue: much", r"study\.yaml, journal: can't be closed again \(ValidationError: Expected"),
            ("uuid: 6", "uuid: 2026-99-99 #", r"study\.yaml: is damaged \("),
            ("format: 1", "format: 2", r"study\.yaml: is damaged \(.*expected 'format: 1'"),
            ("  metric: val_acc\n", "", r"gain\.metric: statement\.json says 'val_acc', the journals give null"),
        ],
    )
    def test_what_figures_follow_from(self, study: StudyFolder, old: str, new: str, message: str) -> None:
        edit(study.study_yaml, old, new)
        assert re.match(message, refused(study))


class TestJournals:
    @pytest.mark.parametrize(
        ("role", "old", "new", "message"),
        [
            (
                "readings",
                '"cpu":180000000',
                '"cpu":180000001',
                r"energy\.metered_uj: statement\.json says 288000000 uJ",
            ),
            ("readings", '"modelled"', '"counter"', r"energy\.provenance\.ram: statement\.json says 'modelled'"),
            ("readings", '"modelled"', '"modeled"', r"energy\.provenance\.ram: statement\.json says 'modelled'"),
            ("marks-box-102", "trial/0/1/train", "trial/0/1/setup", r"energy\.accounts\[\"study/demo/trial/0/1/setup"),
            ("marks-box-101", '"k":"seal","t":18', '"k":"seal","t":17', r"energy\.\S+: statement\.json says"),
            ("search", '"complete","value":0.875', '"complete","value":0.975', r"gain\.\S+: statement\.json says"),
            (
                "search",
                '"state":"pruned"',
                '"state":"failed"',
                r"energy\.by_state\.pruned: statement\.json says \d+ uJ",
            ),
            ("search", '"flops":1000', '"flops":1001', r"compute\.flops: statement\.json says 2000, the journals"),
            ("search", '"k":"step"', '"k":"stop"', r"findings\[\d\]\.code: statement\.json says .*records-skipped"),
        ],
    )
    def test_a_record_that_changed(self, study: StudyFolder, role: str, old: str, new: str, message: str) -> None:
        edit(journal(study, role), old, new)
        assert re.match(message, refused(study))

    @pytest.mark.parametrize("role", ["readings", "marks-box-101", "marks-box-102", "search"])
    def test_a_line_that_is_no_record_any_more(self, study: StudyFolder, role: str) -> None:
        path = journal(study, role)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-1], b"{" + lines[-1]]))
        assert ": statement.json says " in refused(study)

    @pytest.mark.parametrize("role", ["readings", "marks-box-101", "marks-box-102", "search"])
    def test_a_journal_cut_short(self, study: StudyFolder, role: str) -> None:
        path = journal(study, role)
        path.write_bytes(path.read_bytes()[:-5])
        assert ": statement.json says " in refused(study)

    @pytest.mark.parametrize("role", ["readings", "marks-box-101", "marks-box-102", "search"])
    def test_a_journal_that_is_gone(self, study: StudyFolder, role: str) -> None:
        journal(study, role).unlink()
        assert ": statement.json says " in refused(study)


class TestLedger:
    def rewrite(self, study: StudyFolder, change: Callable[[pa.Table], pa.Table], **options: Any) -> str:
        pq.write_table(change(pq.read_table(study.ledger)), study.ledger, **{"compression": "zstd", **options})
        return refused(study)

    def test_a_charge_that_changed(self, study: StudyFolder) -> None:
        def change(table: pa.Table) -> pa.Table:
            energies = table["energy_uj"].to_pylist()
            energies[3] += 1
            return table.set_column(table.column_names.index("energy_uj"), "energy_uj", [energies])

        message = self.rewrite(study, change)
        assert re.fullmatch(r"ledger\.parquet: energy_uj of charge 3 is \d+ uJ, the journals give \d+ uJ", message)

    def test_an_account_that_changed(self, study: StudyFolder) -> None:
        def change(table: pa.Table) -> pa.Table:
            accounts = ["node/box/idle", *table["account"].to_pylist()[1:]]
            return table.set_column(table.column_names.index("account"), "account", pa.array([accounts][0]))

        assert self.rewrite(study, change).startswith("ledger.parquet: account of charge 0 is 'node/box/idle', the")

    def test_a_charge_that_is_missing(self, study: StudyFolder) -> None:
        rows = pq.read_table(study.ledger).num_rows
        assert self.rewrite(study, lambda table: table.slice(1)) == (
            f"ledger.parquet: has {rows - 1} charges, the journals give {rows}"
        )

    def test_a_column_that_is_missing(self, study: StudyFolder) -> None:
        assert self.rewrite(study, lambda table: table.drop_columns(["node"])).startswith(
            "ledger.parquet: has the columns start_ns, end_ns, component, account, energy_uj; expected node, start_ns"
        )

    def test_other_bytes_of_the_same_meaning(self, study: StudyFolder) -> None:
        assert self.rewrite(study, lambda table: table, compression="none").startswith(
            "ledger.parquet: holds the right charges, but is not written"
        )

    def test_what_another_arrow_wrote_is_compared_by_charge(self, study: StudyFolder) -> None:
        data = study.ledger.read_bytes()
        other = re.sub(rb"(parquet-cpp-arrow version )\d", rb"\g<1>0", data)
        assert other != data
        study.ledger.write_bytes(other)
        study.write_manifest()
        verify(study)

    @pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
    def test_damaged(self, study: StudyFolder, data: bytes) -> None:
        study.ledger.write_bytes(data)
        assert refused(study).startswith("ledger.parquet: is damaged (")

    def test_a_name_that_is_no_text(self, study: StudyFolder) -> None:
        study.ledger.write_bytes(study.ledger.read_bytes().replace(b"parquet-cpp-arrow", b"parquet-cpp-arro\xd7"))
        assert refused(study).startswith("ledger.parquet: is damaged (")


class TestReport:
    def test_a_figure_that_changed(self, study: StudyFolder) -> None:
        edit(study.report, "288 J", "188 J")
        message = refused(study)
        assert message.startswith("report.html: reads ")
        assert "188 J" in message
        assert "288 J" in message

    def test_one_byte_more(self, study: StudyFolder) -> None:
        study.report.write_bytes(study.report.read_bytes() + b" ")
        assert refused(study).startswith("report.html: reads ")

    def test_another_plotly(self, study: StudyFolder) -> None:
        page = study.report.read_text()
        study.report.write_text(re.sub(r"(plotly\.js v)[\d.]+", r"\g<1>0.0.1", page, count=1))
        assert re.match(r"report\.html: holds plotly\.js 0\.0\.1, the plotly installed here [\d.]+: ", refused(study))


class TestAnotherVersion:
    @pytest.fixture
    def older(self, study: StudyFolder) -> StudyFolder:
        """The same study, published by an auditor that called itself 0.0.1."""
        reader = StudyReader(study)
        reader.refresh()
        closed = close_study(reader, ASKED, "reserved", auditor="0.0.1")
        study.write_statement(closed.statement)
        study.report.write_text(render_html(closed.statement))
        study.write_manifest()
        return study

    def test_the_same_figures_are_right_whoever_made_them(self, older: StudyFolder) -> None:
        assert verify(older).auditor == "0.0.1"

    def test_a_difference_may_come_of_it(self, older: StudyFolder) -> None:
        edit_statement(older, lambda statement: statement["trials"].update(total=9))
        assert refused(older) == (
            "trials.total: statement.json says 9, the journals give 4 (the statement was made by nas-auditor 0.0.1, "
            f"this is {version('nas-auditor')}: verify it with that version)"
        )

    def test_so_may_a_statement_of_another_shape(self, older: StudyFolder) -> None:
        edit_statement(older, lambda statement: statement.pop("carbon"))
        assert refused(older).startswith("statement.json: is damaged (the key 'carbon' is missing) (the statement was ")


class TestBooks:
    """A statement that repeats what unbalanced books say does not pass for that."""

    def cook(self, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any, Any], Any]) -> None:
        honest = StudyReader.close
        monkeypatch.setattr(StudyReader, "close", lambda *arguments: change(*honest(*arguments)))

    def test_they_balance(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def change(record: Any, ledger: Any) -> Any:
            return replace(record, books=replace(record.books, metered_uj=record.books.metered_uj + 7)), ledger

        self.cook(monkeypatch, change)
        folder = made_study(tmp_path / "study")
        publish(folder, Parameters(), "reserved")
        assert refused(folder) == "the books don't balance: metered less charged is 7 uJ, expected 0"

    def test_the_ledger_sums_to_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def change(record: Any, ledger: Any) -> Any:
            return record, replace(ledger, energy_uj=ledger.energy_uj + 1)

        self.cook(monkeypatch, change)
        folder = made_study(tmp_path / "study")
        publish(folder, Parameters(), "reserved")
        rows = len(pq.read_table(folder.ledger))
        assert refused(folder) == f"the ledger sums to {288_000_000 + rows} uJ, expected 288000000 uJ as metered"


class TestNothingToVerify:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"is no study folder \(expected study\.yaml in it\)"):
            verify(StudyFolder(tmp_path / "nothing"))

    def test_a_search_that_did_not_end(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has no statement yet, its search did not end; run the same 'auditor se"):
            verify(MadeStudy(tmp_path / "study").add(*TRIALS).folder)

    def test_a_search_at_work(self, study: StudyFolder) -> None:
        held = study.lock(0)
        with pytest.raises(InputError, match="a search works on this folder; wait until it ends"):
            verify(study)
        os.close(held)
        verify(study)

    def test_a_file_that_cannot_be_read(self, study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        def closed(self: StudyFolder) -> dict[str, str]:
            raise PermissionError(13, "Permission denied", "journal/a.jsonl")

        monkeypatch.setattr(StudyFolder, "digests", closed)
        with pytest.raises(InputError, match=r"journal/a\.jsonl: can't be read \(Permission denied\)"):
            verify(study)


def test_the_whole_statement_may_be_exchanged_and_is_found(study: StudyFolder, tmp_path: Path) -> None:
    """Another study's statement, report and ledger are sound in themselves, and still not these books'."""
    other = MadeStudy(tmp_path / "other", parameters=DECLARED).add(*TRIALS[:2]).seal().folder
    publish(other, ASKED, "reserved")
    for path in (other.statement, other.report, other.ledger):
        shutil.copy(path, study.path)
    assert refused(study).startswith("energy.metered_uj: statement.json says ")


def test_parameters_written_as_whole_numbers(tmp_path: Path) -> None:
    folder = made_study(tmp_path / "study", parameters={"pue": 2, "price_per_kwh": 1})
    publish(folder, Parameters(pue=2.0, price_per_kwh=1.0), "reserved")
    verify(folder)
    assert yaml.safe_load(folder.study_yaml.read_text())["parameters"] == {"pue": 2, "price_per_kwh": 1}


def test_the_ledger_is_what_the_books_say(study: StudyFolder) -> None:
    reader = StudyReader(study)
    reader.refresh()
    closed = close_study(reader, ASKED, "reserved")
    assert pq.read_table(study.ledger).equals(ledger_table(closed.ledger))
    assert study.statement.read_bytes() == statement_bytes(closed.statement)


class TestTraining:
    def test_what_was_published_verifies(self, tmp_path: Path) -> None:
        folder = made_training(tmp_path / "training", parameters=DECLARED)
        publish(folder, ASKED, "reserved")
        found = verify(folder)
        assert (found.study, found.metered_uj) == ("demo", 272_000_000)

    def test_a_figure_that_was_changed_is_found(self, tmp_path: Path) -> None:
        folder = made_training(tmp_path / "training")
        publish(folder, Parameters(), "reserved")

        def change(statement: Any) -> None:
            statement["trainings"][0]["phases"]["train"] -= 1

        edit_statement(folder, change)
        says = "trainings[0].phases.train: statement.json says 159116669, the journals give 159116670"
        assert refused(folder) == says

    def test_one_that_was_killed(self, tmp_path: Path) -> None:
        made = MadeTraining(tmp_path / "training").train(state="killed")
        made.close()
        with pytest.raises(InputError, match="its training did not end in order; 'auditor report' shows what it used"):
            verify(made.folder)
