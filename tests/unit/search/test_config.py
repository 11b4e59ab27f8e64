from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from auditor.domain.amounts import parse_energy_j
from auditor.domain.errors import InputError
from auditor.search.config import BASELINES, Config, check_config, load_config

LEAST: dict[str, Any] = {"study": "mine", "space": "toys:toy", "budget": {"trials": 3}}
EXAMPLE = Path(str(files("auditor.search").joinpath("example.yaml")))
REPOSITORY = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "search.yaml"
    path.write_text(text)
    return path


def refused(data: Mapping[str, Any]) -> str:
    """The one line that says what is wrong with LEAST and these settings."""
    with pytest.raises(InputError) as error:
        check_config({**LEAST, **data}, "c.yaml")
    message = str(error.value)
    assert "\n" not in message
    assert "pydantic" not in message
    return message


class TestDefaults:
    def test_three_keys_are_enough(self) -> None:
        config = check_config(LEAST, "c.yaml")
        assert (config.search.sampler, config.search.pruner, config.search.seed) == ("tpe", "median", 0)
        assert (config.resources.workers, config.resources.cpus_per_trial, config.resources.gpus_per_trial) == (2, 1, 0)
        assert (config.resources.address, config.resources.retries) == (None, 1)
        assert (config.metering.meters, config.metering.interval_s, config.metering.policy) == (
            ("auto",),
            1.0,
            "reserved",
        )
        assert config.baselines == ("default",)
        assert config.evaluation.seeds == 5
        assert (config.worth.gain, config.worth.cost) == (None, None)
        assert (config.tracking.uri, config.tracking.experiment) == (None, None)

    def test_no_country_factor_or_price_is_made_up(self) -> None:
        config = check_config(LEAST, "c.yaml")
        assert (config.carbon.pue, config.carbon.g_per_kwh, config.carbon.country) == (1.0, None, None)
        assert (config.cost.price_per_kwh, config.cost.price_per_device_hour) == (None, None)

    def test_a_configuration_does_not_change(self) -> None:
        config = check_config(LEAST, "c.yaml")
        with pytest.raises(ValueError, match="frozen"):
            config.study = "other"

    def test_amounts_are_kept_as_written(self) -> None:
        config = check_config({**LEAST, "budget": {"energy": "0.5 kWh", "time": "2h"}}, "c.yaml")
        assert (config.budget.energy, config.budget.time) == ("0.5 kWh", "2h")


class TestUnknownKeys:
    def test_top_level_names_the_nearest(self) -> None:
        message = refused({"serach": {}})
        assert message.startswith("c.yaml: unknown key 'serach'; did you mean 'search'? Known here: study, space, ")

    def test_nested_names_the_nearest_and_those_beside_it(self) -> None:
        message = refused({"search": {"samplr": "tpe"}})
        assert message == (
            "c.yaml: unknown key 'search.samplr'; did you mean 'sampler'? Known here: sampler, pruner, seed"
        )

    def test_nothing_near_gives_the_known_ones_alone(self) -> None:
        assert refused({"cost": {"xyz": 1}}) == (
            "c.yaml: unknown key 'cost.xyz'. Known here: price_per_kwh, price_per_device_hour, currency"
        )

    def test_a_key_that_is_no_text(self) -> None:
        assert refused({"budget": {1: 2}}).startswith("c.yaml: budget.1: ")


@pytest.mark.parametrize("key", ["study", "space", "budget"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(InputError, match=rf"^c\.yaml: the key '{key}' is missing$"):
        check_config({k: v for k, v in LEAST.items() if k != key}, "c.yaml")


class TestFiles:
    def test_malformed_yaml_names_the_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, "study: mine\nspace: toys:toy\nbudget: {trials: 3\n")
        with pytest.raises(InputError, match=r"search\.yaml: line 4, column 1: is no YAML") as error:
            load_config(path)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text", "42"])
    def test_a_file_must_hold_a_mapping(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InputError, match="expected a mapping of settings"):
            load_config(write(tmp_path, text))

    def test_no_objects_are_made_from_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is no YAML"):
            load_config(write(tmp_path, "study: !!python/object/apply:os.getcwd []\n"))

    @pytest.mark.parametrize("name", ["nothing.yaml", "."])
    def test_a_file_that_cannot_be_read(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match=r"can't be read \((No such file|Is a directory)"):
            load_config(tmp_path / name)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "search.yaml"
        path.write_bytes(b"study: \xff\xfe")
        with pytest.raises(InputError, match="can't be read"):
            load_config(path)


class TestSettings:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return write(tmp_path, yaml.safe_dump(LEAST))

    def test_settings_override_the_file(self, path: Path) -> None:
        config = load_config(path, ["budget.trials=7", "study=other", "search.seed=3"])
        assert (config.budget.trials, config.study, config.search.seed) == (7, "other", 3)

    def test_values_are_yaml(self, path: Path) -> None:
        config = load_config(
            path,
            ["baselines=[default, svc]", "budget.trials=null", "budget.energy=0.5 kWh", "metering={policy: direct}"],
        )
        assert config.baselines == ("default", "svc")
        assert (config.budget.trials, config.budget.energy) == (None, "0.5 kWh")
        assert config.metering.policy == "direct"

    def test_the_last_one_counts(self, path: Path) -> None:
        assert load_config(path, ["budget.trials=7", "budget.trials=8"]).budget.trials == 8

    def test_a_value_may_hold_an_equals_sign(self, path: Path) -> None:
        uri = "postgresql://host/db?sslmode=require"
        assert load_config(path, [f"tracking.uri={uri}"]).tracking.uri == uri

    @pytest.mark.parametrize("setting", ["budget.trials", "=3", " =3", ""])
    def test_a_setting_needs_a_key_and_a_value(self, path: Path, setting: str) -> None:
        with pytest.raises(InputError, match=r"expected key\.path=value, for example budget\.trials=24"):
            load_config(path, [setting])

    def test_a_value_that_is_no_yaml(self, path: Path) -> None:
        with pytest.raises(InputError, match=r"^--set budget=\{trials: '\{trials' is no YAML value$"):
            load_config(path, ["budget={trials"])

    def test_a_path_through_a_value(self, path: Path) -> None:
        with pytest.raises(InputError, match=r"^--set study\.name=x: 'study' is no section$"):
            load_config(path, ["study.name=x"])

    def test_a_setting_is_checked_like_the_file(self, path: Path) -> None:
        with pytest.raises(InputError, match=r"unknown key 'budget\.trails'; did you mean 'trials'\?"):
            load_config(path, ["budget.trails=3"])


class TestBudget:
    @pytest.mark.parametrize(
        ("budget", "complaint"),
        [
            ({}, "budget: give at least one limit: trials, time, energy, carbon or money"),
            ({"trials": None}, "budget: give at least one limit"),
            ({"trials": 0}, "budget.trials: input should be greater than 0 (given: 0)"),
            ({"trials": -1}, "budget.trials: input should be greater than 0 (given: -1)"),
            ({"trials": 1.5}, "budget.trials: input should be a valid integer"),
            ({"trials": True}, "budget.trials: "),
            ({"money": True}, "budget.money: "),
            ({"money": 0}, "budget.money: input should be greater than 0"),
            ({"money": float("inf")}, "budget.money: input should be a finite number"),
            ({"time": "0 s"}, "budget.time: must be above 0"),
            ({"time": 5}, "budget.time: expected a duration such as '30 min' or '2h'"),
            ({"energy": "5 W"}, "budget.energy: expected an energy such as '500 J' or '0.5 kWh'"),
            ({"energy": "-1 J"}, "budget.energy: expected an energy"),
            ({"carbon": "5 lb"}, "budget.carbon: expected a mass of CO2 equivalent"),
        ],
    )
    def test_bad_budgets(self, budget: dict[str, Any], complaint: str) -> None:
        assert refused({"budget": budget}).startswith(f"c.yaml: {complaint}")

    def test_carbon_needs_a_factor(self) -> None:
        budget = {"budget": {"carbon": "100 g"}}
        assert refused(budget) == "c.yaml: budget.carbon needs carbon.g_per_kwh or carbon.country"
        assert check_config({**LEAST, **budget, "carbon": {"country": "FRA"}}, "").budget.carbon == "100 g"
        assert check_config({**LEAST, **budget, "carbon": {"g_per_kwh": 0}}, "").carbon.g_per_kwh == 0

    def test_money_needs_a_price(self) -> None:
        budget = {"budget": {"money": 2.5}}
        assert refused(budget) == "c.yaml: budget.money needs cost.price_per_kwh or cost.price_per_device_hour"
        assert check_config({**LEAST, **budget, "cost": {"price_per_kwh": 0.3}}, "").budget.money == 2.5
        assert check_config({**LEAST, **budget, "cost": {"price_per_device_hour": 1}}, "").budget.money == 2.5


class TestNames:
    @pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "-x", "a b", "ümlaut", "a\nb", "a/../b", 3, None])
    def test_bad_study_names(self, name: object) -> None:
        assert refused({"study": name}).startswith("c.yaml: study: ")

    @pytest.mark.parametrize("name", ["a", "digits-cnn", "v1.2_final", "0"])
    def test_good_study_names(self, name: str) -> None:
        assert check_config({**LEAST, "study": name}, "").study == name

    def test_unknown_sampler(self) -> None:
        message = refused({"search": {"sampler": "tpee"}})
        assert "search.sampler: unknown sampler 'tpee'. Did you mean 'tpe'? Available: bruteforce, cmaes, gp" in message

    def test_unknown_pruner(self) -> None:
        message = refused({"search": {"pruner": "medium"}})
        assert "search.pruner: unknown pruner 'medium'. Did you mean 'median'? Available: hyperband" in message

    def test_unknown_baseline(self) -> None:
        message = refused({"baselines": ["default", "svm"]})
        assert "baselines: unknown baseline 'svm'." in message
        assert all(name in message for name in BASELINES)

    def test_a_baseline_named_twice_is_run_once(self) -> None:
        assert check_config({**LEAST, "baselines": ["svc", "default", "svc"]}, "").baselines == ("svc", "default")

    def test_the_random_arm_has_a_share(self) -> None:
        for written, share in (("random", 0.25), ({"random": {"share": 0.5}}, 0.5), ({"random": {}}, 0.25)):
            config = check_config({**LEAST, "budget": {"trials": 8}, "baselines": ["svc", written]}, "")
            assert config.named_baselines == ("svc",)
            assert (config.random_share, config.random_draws(8)) == (share, round(8 * share))
            again = check_config(config.model_dump(mode="json"), "")  # as study.yaml keeps it
            assert again == config
        assert check_config(LEAST, "").random_share == 0.0

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ({"random": {"share": 2}}, "random.share: expected a number between 0 and 1 (given: 2)"),
            ({"random": {"share": True}}, "random.share: expected a number between 0 and 1 (given: True)"),
            ({"random": {"shares": 0.5}}, "expected {random: {share: 0.25}} (given: {'random': {'shares': 0.5}})"),
            ({"rnd": {}}, "expected names or {random: {share: 0.25}}"),
            (3, "expected names or {random: {share: 0.25}}"),
        ],
    )
    def test_what_is_no_random_arm_is_refused(self, written: Any, expected: str) -> None:
        assert refused({"baselines": ["default", written]}) == f"c.yaml: baselines: {expected}"

    def test_a_random_arm_needs_room_in_the_budget(self) -> None:
        message = refused({"budget": {"trials": 1}, "baselines": ["random"]})
        assert "a random arm with a share of 0.25 leaves no draw or no trial of 1" in message
        assert "one random arm" in refused({"baselines": ["random", {"random": {"share": 0.5}}]})


class TestRanges:
    @pytest.mark.parametrize(
        ("section", "key", "value"),
        [
            ("resources", "workers", 0),
            ("resources", "cpus_per_trial", 0),
            ("resources", "gpus_per_trial", -0.5),
            ("resources", "gpus_per_trial", float("nan")),
            ("resources", "retries", -1),
            ("training", "max_epochs", 0),
            ("metering", "interval_s", 0.01),
            ("metering", "policy", "fair"),
            ("metering", "meters", []),
            ("evaluation", "seeds", -1),
            ("search", "seed", -1),
            ("search", "seed", 2**31),
            ("worth", "cost", -1),
            ("carbon", "pue", 0.9),
            ("carbon", "g_per_kwh", -1),
            ("cost", "price_per_kwh", -0.1),
            ("cost", "currency", "euro"),
        ],
    )
    def test_out_of_range(self, section: str, key: str, value: object) -> None:
        assert refused({section: {key: value}}).startswith(f"c.yaml: {section}.{key}")

    def test_one_carbon_factor(self) -> None:
        message = refused({"carbon": {"g_per_kwh": 50, "country": "FRA"}})
        assert message == "c.yaml: carbon: give g_per_kwh or country, not both"

    @pytest.mark.parametrize("value", [None, 5, "tpe", ["tpe"]])
    def test_a_section_that_is_none_is_said_in_plain_words(self, value: object) -> None:
        message = refused({"search": value})
        assert message.startswith("c.yaml: search: expected a mapping of settings")
        assert "SearchSection" not in message

    def test_a_list_is_asked_for_as_a_list(self) -> None:
        assert refused({"baselines": "svc"}) == "c.yaml: baselines: expected a list (given: 'svc')"


class TestExample:
    def test_it_loads(self) -> None:
        config = load_config(EXAMPLE)
        assert config.space == "digits_cnn"
        assert config.budget.trials == 24

    def test_the_one_in_the_repository_is_the_same(self) -> None:
        assert (REPOSITORY / "examples" / "digits.yaml").read_bytes() == EXAMPLE.read_bytes()

    def test_it_names_every_key_and_no_other(self) -> None:
        assert _example_keys() == _keys(Config)

    def test_what_is_commented_out_is_right_too(self) -> None:
        data = yaml.safe_load(_uncommented())
        data["carbon"]["country"] = "FRA"
        data["cost"]["price_per_kwh"] = 0.3
        config = check_config(data, "example")
        assert parse_energy_j(config.budget.energy) == 1_800_000
        assert config.budget.money == 2.5


def _keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _keys(kind, f"{prefix}{name}.")
        else:
            found.add(f"{prefix}{name}")
    return found


def _uncommented() -> str:
    """The example with the keys that stand in comments."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(line.replace("# ", "", 1) if line.startswith("  # ") else line for line in lines)


def _example_keys() -> set[str]:
    """Keys of the example, those in comments included."""
    found = set()
    for name, value in yaml.safe_load(_uncommented()).items():
        found |= {f"{name}.{key}" for key in value} if isinstance(value, dict) else {name}
    return found
