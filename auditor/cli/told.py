"""Options that every import has, declared once, and what they tell of a study."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from auditor.domain.imported import GivenBaseline, Power, Told
    from auditor.domain.parameters import Parameters

_JUDGED = "What the search is held against"
_SPENT = "What the trials used"
_VALUED = "Carbon, money, worth"


def _option(names: str, text: str, panel: str, **more: Any) -> Any:
    return typer.Option(*names.split(), help=text, show_default=False, rich_help_panel=panel, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user says of a study that ran elsewhere, as written."""

    baseline: Annotated[
        list[str] | None,
        _option(
            "--baseline",
            "What you would use without searching, or another rival; the name default is the one to beat.",
            _JUDGED,
            metavar="NAME=VALUE[,TEST]",
        ),
    ] = None
    baseline_trial: Annotated[
        int | None, _option("--baseline-trial", "Number of the trial that is the default.", _JUDGED, metavar="N")
    ] = None
    sampler: Annotated[
        str | None,
        _option("--sampler", "Name of the sampler; random: all trials are independent draws.", _JUDGED),
    ] = None
    gpus: Annotated[float | None, _option("--gpus", "GPUs that each trial held, or a share of one.", _SPENT)] = None
    hardware: Annotated[
        str | None,
        _option("--hardware", "What GPU, for example a100: energy from durations, idle to full power.", _SPENT),
    ] = None
    power_w: Annotated[
        float | None, _option("--power-w", "Watts that each trial drew: energy from durations.", _SPENT)
    ] = None
    pue_inside: Annotated[
        float | None, _option("--pue-inside", "PUE that the reported energy holds already.", _SPENT)
    ] = None
    slurm: Annotated[
        Path | None,
        _option("--slurm", "Energy of the jobs by 'sacct --parsable2': a second meter.", _SPENT, metavar="FILE"),
    ] = None
    pue: Annotated[
        float | None, _option("--pue", "Power usage effectiveness, at least 1; else that of --pue-inside.", _VALUED)
    ] = None
    grid: Annotated[str | None, _option("--grid", "Country (FRA) or grams of CO2e per kWh (56).", _VALUED)] = None
    price: Annotated[float | None, _option("--price", "Price of a kWh.", _VALUED)] = None
    price_per_device_hour: Annotated[
        float | None, _option("--price-per-device-hour", "Price of an hour of a GPU that a trial held.", _VALUED)
    ] = None
    worth_gain: Annotated[
        float | None, _option("--worth-gain", "What a gain on the metric must exceed to be worth it.", _VALUED)
    ] = None
    worth_cost: Annotated[
        float | None, _option("--worth-cost", "What the search may cost at most, in money.", _VALUED)
    ] = None

    @property
    def given(self) -> list[str]:
        """Options that were given, by name."""
        return [f"--{f.name.replace('_', '-')}" for f in fields(self) if getattr(self, f.name) not in (None, [])]


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes every option of :class:`Options` beside its own, and is given them as ``told``."""
    own = inspect.signature(command, eval_str=True)
    hints = inspect.get_annotations(Options, eval_str=True)
    shared = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(Options)
    ]
    mine = [parameter for name, parameter in own.parameters.items() if name != "told"]
    taken = {parameter.name for parameter in mine}
    added = [parameter for parameter in shared if parameter.name not in taken]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        known = {f.name for f in fields(Options)}
        told = Options(**{name: value for name, value in values.items() if name in known})
        command(**{name: value for name, value in values.items() if name in taken}, told=told)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in mine] + added
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def told_of(options: Options) -> Told:
    """What the options say of the study.

    Raises:
        InputError: one of them is not what it must be, or they don't fit together.
    """
    from auditor.domain.imported import Told

    second = None
    if options.slurm is not None:
        from auditor.importers.sacct import read_sacct

        second = read_sacct(options.slurm)
    _at_least("--gpus", options.gpus, 0.0, "how many GPUs each trial held", above=True)
    _at_least("--pue-inside", options.pue_inside, 1.0, "the PUE that reported energy holds")
    return Told(
        baselines=_baselines(options.baseline or ()),
        baseline_trial=options.baseline_trial,
        sampler=options.sampler,
        gpus=options.gpus,
        power=_power(options),
        pue_inside=options.pue_inside,
        second_j=None if second is None else second.energy_j,
        second_meter="" if second is None else second.meter,
    )


def parameters_of(options: Options) -> Parameters:
    """What the options say of carbon, money and worth.

    Raises:
        InputError: one of them is not what it must be.
    """
    from dataclasses import replace

    from auditor.cli.run import with_factors
    from auditor.domain.parameters import Parameters

    pue = options.pue_inside if options.pue is None else options.pue
    parameters = with_factors(Parameters(), pue, options.grid, options.price)
    _at_least("--price-per-device-hour", options.price_per_device_hour, 0.0, "the price of an hour of a GPU")
    _at_least("--worth-gain", options.worth_gain, 0.0, "what a gain must exceed")
    _at_least("--worth-cost", options.worth_cost, 0.0, "what the search may cost")
    if options.price_per_device_hour is not None and options.gpus is None:
        from auditor.domain.errors import InputError

        raise InputError("--price-per-device-hour: say with --gpus how many each trial held")
    return replace(
        parameters,
        price_per_device_hour=options.price_per_device_hour,
        worth_gain=options.worth_gain,
        worth_cost=options.worth_cost,
    )


def _baselines(texts: Sequence[str]) -> tuple[GivenBaseline, ...]:
    """Each once: two figures of one name would be taken for two trainings of it."""
    from auditor.domain.errors import InputError

    found = tuple(map(_baseline, texts))
    names = [baseline.name for baseline in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"--baseline: '{twice}' is given {names.count(twice)} times; expected each name once")
    return found


def _baseline(text: str) -> GivenBaseline:
    import math

    from auditor.domain.errors import InputError
    from auditor.domain.imported import GivenBaseline

    name, _, figures = text.rpartition("=")
    try:
        value, *test = (float(figure) for figure in figures.split(","))
    except ValueError:
        name = ""
        value, test = 0.0, []
    if not name.strip() or len(test) > 1 or not all(map(math.isfinite, (value, *test))):
        raise InputError(f"--baseline: '{text}' is no baseline; expected NAME=VALUE or NAME=VALUE,TEST, such as "
                         "default=0.91,0.90")  # fmt: skip
    return GivenBaseline(name=name.strip(), value=value, test_value=test[0] if test else None)


def _power(options: Options) -> Power | None:
    from auditor.domain.errors import InputError
    from auditor.domain.imported import Power
    from auditor.plugins import load
    from auditor.ports import HardwareProfile

    _at_least("--power-w", options.power_w, 0.0, "the watts that each trial drew", above=True)
    if options.hardware is None:
        if options.power_w is None:
            return None
        watts = options.power_w
        return Power(low_w=watts, typical_w=watts, high_w=watts, detail=f"{watts:g} W, as the user says")
    if options.power_w is not None:
        raise InputError("--hardware, --power-w: both say what a trial drew; expected one of the two")
    profile = load("hardware", options.hardware, where="--hardware")
    if not isinstance(profile, HardwareProfile):
        raise InputError(f"--hardware: '{options.hardware}' is no profile of hardware")
    if options.gpus is None:
        raise InputError(f"--hardware {options.hardware}: say with --gpus how many each trial held")
    return Power(
        low_w=options.gpus * profile.idle_w,
        typical_w=options.gpus * profile.full_w,
        high_w=options.gpus * profile.full_w,
        detail=f"{options.gpus:g} x {profile.name} at {profile.full_w:g} W, {profile.idle_w:g} W without load "
        f"({profile.source}); machines around them are not in it",
    )


def _at_least(option: str, value: float | None, least: float, what: str, *, above: bool = False) -> None:
    import math

    from auditor.domain.errors import InputError

    if value is None or ((value > least if above else value >= least) and math.isfinite(value)):
        return
    raise InputError(f"{option}: {value:g} is not {'above' if above else 'at least'} {least:g}; expected {what}")
