"""The configuration of a search: YAML, validated; what a user writes wrong is said in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from auditor.domain.amounts import parse_energy_j, parse_mass_g, parse_time_s
from auditor.domain.errors import InputError, UnknownNameError
from auditor.search.samplers import PRUNERS, SAMPLERS, check_name

BASELINES = ("default", "logistic_regression", "svc", "random")
"""Baselines that can be named in a configuration."""

RANDOM = "random"
"""The baseline that is a random search beside the search."""

_ARM = "{random: {share: 0.25}}"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _as_written(parse: Any) -> BeforeValidator:
    """Validate an amount, and keep it as it was written."""

    def check(value: Any) -> Any:
        if value is not None:
            parse(value)
        return value

    return BeforeValidator(check)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: Any) -> Any:
        if isinstance(value, bool):  # pydantic would take it for 1 or 0; no key is a flag
            raise ValueError("expected a value, not true or false")
        return value


class SearchSection(_Section):
    """How the search draws and prunes."""

    sampler: str = "tpe"
    pruner: str = "median"
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        return check_name("sampler", value, SAMPLERS)

    @field_validator("pruner")
    @classmethod
    def _known_pruner(cls, value: str) -> str:
        return check_name("pruner", value, PRUNERS)


class BudgetSection(_Section):
    """What may be spent; the first limit reached stops the search."""

    trials: Annotated[int, Field(gt=0)] | None = None
    time: Annotated[str | None, _as_written(parse_time_s)] = None
    energy: Annotated[str | None, _as_written(parse_energy_j)] = None
    carbon: Annotated[str | None, _as_written(parse_mass_g)] = None
    money: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> BudgetSection:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one limit: trials, time, energy, carbon or money")
        return self


class ResourcesSection(_Section):
    """What a trial reserves, and how many run at once."""

    workers: int = Field(default=2, gt=0, le=1024)
    cpus_per_trial: float = Field(default=1, gt=0)
    gpus_per_trial: float = Field(default=0, ge=0)
    address: str | None = None
    retries: int = Field(default=1, ge=0)


class TrainingSection(_Section):
    """How each model is trained."""

    max_epochs: int = Field(default=10, gt=0)


class MeteringSection(_Section):
    """What is metered, how often, and how static energy is shared."""

    meters: tuple[str, ...] = Field(default=("auto",), min_length=1)
    interval_s: float = Field(default=1.0, ge=0.1, le=60)
    static_w: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    policy: Literal["reserved", "direct"] = "reserved"


class RandomSection(_Section):
    """A random search beside the search."""

    share: float = Field(default=0.25, gt=0, lt=1)


class RandomBaseline(_Section):
    """The random arm as an item of ``baselines``."""

    random: RandomSection = RandomSection()


class EvaluationSection(_Section):
    """Retraining of winner and default on fresh seeds, judged on the test set."""

    seeds: int = Field(default=5, ge=0, le=1000)
    inference_s: float = Field(default=10, ge=0, le=3600)
    pruned: int = Field(default=0, ge=0, le=1000)


class WorthSection(_Section):
    """What a gain must exceed, and may cost, to count as paid."""

    gain: float | None = None
    cost: Annotated[float, Field(ge=0)] | None = None


class TrackingSection(_Section):
    """Where MLflow keeps its runs; unset: MLflow's own default, and the study's name."""

    uri: str | None = None
    experiment: str | None = None


class CarbonSection(_Section):
    """Carbon intensity of the electricity; there is no default country."""

    pue: float = Field(default=1.0, ge=1)
    g_per_kwh: Annotated[float, Field(ge=0)] | None = None
    country: str | None = None

    @model_validator(mode="after")
    def _one_factor(self) -> CarbonSection:
        if self.g_per_kwh is not None and self.country is not None:
            raise ValueError("give g_per_kwh or country, not both")
        return self


class CostSection(_Section):
    """Prices."""

    price_per_kwh: Annotated[float, Field(ge=0)] | None = None
    price_per_device_hour: Annotated[float, Field(ge=0)] | None = None
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")


class Config(_Section):
    """Everything a search is told."""

    study: str
    space: str
    search: SearchSection = SearchSection()
    budget: BudgetSection
    resources: ResourcesSection = ResourcesSection()
    training: TrainingSection = TrainingSection()
    metering: MeteringSection = MeteringSection()
    baselines: tuple[RandomBaseline | str, ...] = ("default",)
    evaluation: EvaluationSection = EvaluationSection()
    worth: WorthSection = WorthSection()
    tracking: TrackingSection = TrackingSection()
    carbon: CarbonSection = CarbonSection()
    cost: CostSection = CostSection()

    @field_validator("study")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("expected letters, digits, '.', '_' and '-', beginning with a letter or digit")
        return value

    @field_validator("baselines", mode="before")
    @classmethod
    def _known_baselines(cls, value: Any) -> Any:
        return list(dict.fromkeys(map(_baseline, value))) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _one_arm(self) -> Config:
        arms = [item for item in self.baselines if not isinstance(item, str)]
        if len(arms) > 1:
            raise ValueError("baselines: expected one random arm, not several")
        if (
            arms
            and self.budget.trials is not None
            and not 0 < self.random_draws(self.budget.trials) < self.budget.trials
        ):
            raise ValueError(
                f"baselines: a random arm with a share of {self.random_share:g} leaves no draw or no trial of "
                f"{self.budget.trials}; expected another share or more trials"
            )
        return self

    @property
    def named_baselines(self) -> tuple[str, ...]:
        """Baselines that are trained once."""
        return tuple(item for item in self.baselines if isinstance(item, str))

    @property
    def random_share(self) -> float:
        """Share of the budget that goes to the random arm; 0 where there is none."""
        return next((item.random.share for item in self.baselines if not isinstance(item, str)), 0.0)

    def random_draws(self, trials: int) -> int:
        """Draws of the random arm where search and arm may start that many trainings."""
        return round(self.random_share * trials)

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> Config:
        if self.budget.carbon is not None and self.carbon.g_per_kwh is None and self.carbon.country is None:
            raise ValueError("budget.carbon needs carbon.g_per_kwh or carbon.country")
        if (
            self.budget.money is not None
            and self.cost.price_per_kwh is None
            and self.cost.price_per_device_hour is None
        ):
            raise ValueError("budget.money needs cost.price_per_kwh or cost.price_per_device_hour")
        return self


def _baseline(item: Any) -> Any:
    """An item of ``baselines`` as it is kept: a name, or the random arm."""
    if item == "random":
        return RandomBaseline()
    if isinstance(item, RandomBaseline) or (isinstance(item, str) and item in BASELINES):
        return item
    if isinstance(item, str):
        raise UnknownNameError("baseline", item, (*BASELINES[:-1], _ARM), where="baselines")
    if not isinstance(item, dict) or list(item) != ["random"]:
        raise ValueError(f"expected names or {_ARM}")
    share = item["random"] if isinstance(item["random"], dict) else None
    if share is None or set(share) - {"share"}:
        raise ValueError(f"expected {_ARM} (given: {item!r})")
    given = share.get("share", 0.25)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1:
        raise ValueError(f"random.share: expected a number between 0 and 1 (given: {given!r})")
    return RandomBaseline(random=RandomSection(share=given))


def load_config(path: Path, settings: Sequence[str] = ()) -> Config:
    """Read a configuration and apply ``--set key.path=value`` settings to it.

    Raises:
        InputError: the file can't be read, is no YAML mapping, or a value in it is wrong.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{path}: {place}is no YAML ({getattr(error, 'problem', None) or error})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(data).__name__}")
    for setting in settings:
        _apply(data, setting)
    return check_config(data, str(path))


def check_config(data: dict[str, Any], where: str) -> Config:
    """Validate settings.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error)}") from error


def _apply(data: dict[str, Any], setting: str) -> None:
    key, separator, value = setting.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set {setting}: expected key.path=value, for example budget.trials=24")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {setting}: '{value}' is no YAML value") from error
    *parents, last = key.strip().split(".")
    place = data
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {setting}: '{parent}' is no section")
        place = inner
    place[last] = parsed


def _explain(error: ValidationError) -> str:
    """The first problem: where, what, and what was expected."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"] if not str(part).startswith("function-"))
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(problem["loc"])
        near = get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        return f"unknown key '{place}'{hint} Known here: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"the key '{place}' is missing"
    if problem["type"] == "model_type":
        return f"{place}: expected a mapping of settings, found {type(problem['input']).__name__}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "tuple_type":
        message = "expected a list"
    given = problem.get("input")
    shown = "" if isinstance(given, dict | BaseModel | list | tuple) else f" (given: {given!r})"
    message = message[0].lower() + message[1:] if message.startswith("Input") else message
    return f"{place}: {message}{shown}" if place else message


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        kind = model.model_fields[str(part)].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)
