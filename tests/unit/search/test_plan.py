import socket
from pathlib import Path
from typing import Any

import pytest

from auditor.domain.errors import InputError
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.search.config import Config, check_config
from auditor.search.plan import nothing_left, plan_search
from auditor.training.space import LightningSpace
from studies import TRIALS, MadeStudy, MadeTrial

LEAST: dict[str, Any] = {"study": "mine", "space": "unit.search.toys:toy", "budget": {"trials": 3}}

arrayless = LightningSpace(
    suggest=lambda trial: {}, default={}, module_class="nowhere:Net", data_class="nowhere:Data", metric="val_acc"
)


def config(**sections: Any) -> Config:
    return check_config({**LEAST, **sections}, "c.yaml")


def keep(path: Path, made: Config) -> StudyFolder:
    """A study folder begun with a configuration."""
    folder = StudyFolder(path)
    empty: dict[str, Any] = {}
    folder.create(
        StudyFile(
            uuid="u", study=empty, config=made.model_dump(mode="json"), parameters=empty, versions=empty, hardware=empty
        )
    )
    return folder


def test_a_new_search(tmp_path: Path) -> None:
    plan = plan_search(config(carbon={"g_per_kwh": 56, "pue": 1.2}, cost={"price_per_kwh": 0.3}), tmp_path / "new")
    assert not plan.resumed
    assert plan.space.metric == "score"
    assert plan.parameters.pue == 1.2
    assert plan.parameters.price_per_kwh == 0.3
    assert plan.parameters.factor is not None
    assert (plan.parameters.factor.g_per_kwh, plan.parameters.factor.source) == (56, "user")


def test_nothing_is_written_by_planning(tmp_path: Path) -> None:
    plan_search(config(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


class TestNames:
    def test_a_country_is_looked_up_offline(self, tmp_path: Path) -> None:
        factor = plan_search(config(carbon={"country": "fra"}), tmp_path / "new").parameters.factor
        assert factor is not None
        assert factor.scope == "FRA"
        assert factor.source.startswith("CodeCarbon")

    @pytest.mark.parametrize(
        ("sections", "complaint"),
        [
            ({"carbon": {"country": "XXX"}}, r"^carbon\.country: unknown country 'XXX'"),
            ({"metering": {"meters": ["auto", "watts"]}}, r"^metering\.meters: unknown meter 'watts'\. .*codecarbon"),
            ({"space": "digits"}, r"^space: unknown space 'digits'"),
            ({"search": {"sampler": "nowhere.Sampler"}}, r"^search\.sampler: 'nowhere\.Sampler' does not import"),
            ({"search": {"pruner": "nowhere.Pruner"}}, r"^search\.pruner: 'nowhere\.Pruner' does not import"),
        ],
    )
    def test_what_does_not_exist(self, tmp_path: Path, sections: dict[str, Any], complaint: str) -> None:
        with pytest.raises(InputError, match=complaint):
            plan_search(config(**sections), tmp_path / "new")

    def test_classical_baselines_need_arrays(self, tmp_path: Path) -> None:
        space = "unit.search.test_plan:arrayless"
        with pytest.raises(InputError, match=r"^baselines: svc need a space that gives arrays; '.*' does not$"):
            plan_search(config(space=space, baselines=["default", "svc"]), tmp_path / "new")
        assert plan_search(config(space=space), tmp_path / "new").config.baselines == ("default",)


class TestGpus:
    def test_gpus_that_are_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.search.plan.gpu_count", lambda: 0)
        asked = config(resources={"gpus_per_trial": 0.5, "workers": 2})
        with pytest.raises(InputError, match=r"2 workers with 0\.5 GPUs each were asked for, this machine has 0"):
            plan_search(asked, tmp_path / "new")

    def test_fractions_share_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.search.plan.gpu_count", lambda: 1)
        assert plan_search(config(resources={"gpus_per_trial": 0.5, "workers": 2}), tmp_path / "new").gpus == 1
        with pytest.raises(InputError, match=r"resources\.gpus_per_trial"):
            plan_search(config(resources={"gpus_per_trial": 0.5, "workers": 3}), tmp_path / "new")

    def test_a_cluster_may_have_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("auditor.search.plan.gpu_count", lambda: 0)
        asked = config(resources={"gpus_per_trial": 1, "address": "auto"})
        assert plan_search(asked, tmp_path / "new").gpus == 0


class TestAddress:
    def test_somebody_must_listen(self, tmp_path: Path) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(InputError, match=rf"^resources\.address: nobody listens at '{address}'"):
                plan_search(config(resources={"address": address}), tmp_path / "new")
            server.listen()
            assert not plan_search(config(resources={"address": address}), tmp_path / "new").resumed

    @pytest.mark.parametrize("address", ["head", ":6379", "head:", "head:ray", "http://head:6379"])
    def test_what_is_no_address(self, tmp_path: Path, address: str) -> None:
        with pytest.raises(InputError, match=r"^resources\.address: '.*' is no address; expected host:port"):
            plan_search(config(resources={"address": address}), tmp_path / "new")


class TestFolders:
    def test_the_same_study_goes_on(self, tmp_path: Path) -> None:
        keep(tmp_path / "study", config())
        assert plan_search(config(), tmp_path / "study").resumed

    @pytest.mark.parametrize(
        "sections",
        [{"budget": {"trials": 9}}, {"resources": {"workers": 1}}, {"baselines": []}, {"carbon": {"pue": 1.5}}],
    )
    def test_it_may_go_on_with_another_budget(self, tmp_path: Path, sections: dict[str, Any]) -> None:
        keep(tmp_path / "study", config())
        assert plan_search(config(**sections), tmp_path / "study").resumed

    @pytest.mark.parametrize(
        ("key", "sections"),
        [
            ("study", {"study": "other"}),
            ("space", {"space": "unit.search.toys:minimised"}),
            ("search", {"search": {"sampler": "random"}}),
            ("search", {"search": {"seed": 1}}),
            ("training", {"training": {"max_epochs": 1}}),
        ],
    )
    def test_another_study_does_not(self, tmp_path: Path, key: str, sections: dict[str, Any]) -> None:
        keep(tmp_path / "study", config())
        with pytest.raises(InputError, match=rf"study: holds another study: its '{key}' is .*--out$"):
            plan_search(config(**sections), tmp_path / "study")

    def test_a_damaged_study_is_not_gone_on_with(self, tmp_path: Path) -> None:
        folder = keep(tmp_path / "study", config())
        folder.study_yaml.write_text("format: 1\n")
        with pytest.raises(InputError, match=r"study\.yaml: the key 'uuid' is missing"):
            plan_search(config(), tmp_path / "study")

    def test_a_folder_that_holds_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(InputError, match="is not empty and holds no study; name a new folder with --out"):
            plan_search(config(), tmp_path)

    def test_an_empty_folder_will_do(self, tmp_path: Path) -> None:
        assert not plan_search(config(), tmp_path).resumed

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="is not empty and holds no study; name a new folder with --out"):
            plan_search(config(), tmp_path / "file")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match=r"below/here: can't be written \(.*\); name another folder with --out"):
            plan_search(config(), tmp_path / "file" / "below" / "here")


class TestNothingLeft:
    """A study of four trials and its default, run to its end."""

    def plan_is_done(self, path: Path, *, seal: bool = True, running: bool = False, **sections: Any) -> bool:
        asked = config(**{"study": "demo", "space": "unit.search.toys:untested", "budget": {"trials": 4}, **sections})
        study = MadeStudy(path / "study", config=asked.model_dump(mode="json"))
        study.add(*TRIALS[:3], MadeTrial(states=("running",), steps=()) if running else TRIALS[3]).baseline(0.5)
        if seal:
            study.seal()
        study.close()
        return nothing_left(plan_search(asked, path / "study"))

    def test_all_of_it_is_there(self, tmp_path: Path) -> None:
        assert self.plan_is_done(tmp_path)

    def test_a_new_search_has_everything_left(self, tmp_path: Path) -> None:
        assert not nothing_left(plan_search(config(), tmp_path / "new"))

    @pytest.mark.parametrize(
        "sections",
        [
            {"budget": {"trials": 5}},
            {"budget": {"time": "1h"}},
            {"baselines": ["default", "svc"]},
            {"space": "unit.search.toys:toy"},
        ],
        ids=["trials", "time", "baseline", "evaluation"],
    )
    def test_something_is_left(self, tmp_path: Path, sections: dict[str, Any]) -> None:
        assert not self.plan_is_done(tmp_path, **sections)

    @pytest.mark.parametrize(("evaluated", "left"), [(3, False), (0, True)])
    def test_a_winner_that_is_none_any_more_was_not_evaluated(self, tmp_path: Path, evaluated: int, left: bool) -> None:
        sections = {"study": "demo", "budget": {"trials": 4}, "evaluation": {"seeds": 1}}
        asked = config(**sections)
        study = MadeStudy(tmp_path / "study", config=asked.model_dump(mode="json"))
        study.add(*TRIALS).baseline(0.5).evaluation("default", 0.5).evaluation("winner", 0.7, trial=evaluated).seal()
        assert nothing_left(plan_search(asked, tmp_path / "study")) is not left

    def test_books_that_are_not_sealed(self, tmp_path: Path) -> None:
        assert not self.plan_is_done(tmp_path, seal=False)

    def test_a_trial_that_never_ended(self, tmp_path: Path) -> None:
        assert not self.plan_is_done(tmp_path, running=True, budget={"trials": 3})
