"""The commands ``import optuna``, ``import mlflow``, ``import raytune``, ``import csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from auditor.cli.told import Options, with_options

app = typer.Typer(
    name="import",
    help="Take over a study that ran elsewhere: it becomes a study folder with statement and report.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _option(name: str, text: str, **more: Any) -> Any:
    return typer.Option(name, help=text, show_default=False, **more)


Out = Annotated[
    Path | None, _option("--out", "Study folder; default: auditor-runs/<study>. The same study is made anew.")
]
Metric = Annotated[str | None, _option("--metric", "Metric that was searched for; not needed where there is one.")]
Direction = Annotated[
    str | None, _option("--direction", "maximize or minimize; else by the metric's name, and that is said.")
]
Energy = Annotated[str | None, _option("--energy", "What holds the energy of each trial; else what is usual there.")]
Unit = Annotated[str | None, _option("--energy-unit", "Its unit: J, kJ, MJ, Wh, kWh, MWh.")]
Test = Annotated[str | None, _option("--test", "What holds the value on the test set.")]


def _take(importer: str, source: str, out: Path | None, told: Options, **options: str | None) -> None:
    from auditor.cli import imports

    given = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    imports.take_over(importer, source, given, told, out)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor import optuna sqlite:///optuna.db --study lr --gpus 1 --hardware a100

auditor import optuna optuna.journal --baseline-trial 0 --power-w 350 --grid FRA --price 0.25

auditor import optuna postgresql+psycopg2://me@host/db --study lr --energy energy_kwh --energy-unit kWh"""
)
@with_options
def optuna(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="Storage: database URL, SQLite file or journal.")],
    told: Options,
    study: Annotated[str | None, _option("--study", "Name of the study; not needed where there is one.")] = None,
    metric: Annotated[str | None, _option("--metric", "Name of the metric, where the study has none.")] = None,
    energy: Annotated[
        str | None, _option("--energy", "User attribute with the energy; else auditor:energy_j or energy_consumed.")
    ] = None,
    energy_unit: Unit = None,
    test: Annotated[str | None, _option("--test", "User attribute with the value on the test set.")] = None,
    out: Out = None,
) -> None:
    """A study of Optuna."""
    _take("optuna", source, out, told, study=study, metric=metric, energy=energy, energy_unit=energy_unit, test=test)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor import mlflow sqlite:///mlflow.db --experiment digits --metric val_acc

auditor import mlflow http://localhost:5000 --experiment digits --metric val_loss --test test_loss

auditor import mlflow sqlite:///mlflow.db --experiment sweeps --parent "sweep 3" --energy joules --energy-unit J"""
)
@with_options
def mlflow(
    source: Annotated[str, typer.Argument(metavar="URI", help="Tracking URI, or an SQLite file.")],
    told: Options,
    experiment: Annotated[
        str | None, _option("--experiment", "Name of the experiment; not needed where one has runs.")
    ] = None,
    metric: Metric = None,
    direction: Direction = None,
    energy: Annotated[
        str | None,
        _option("--energy", "Metric with the energy; else energy_j, energy_consumed (CodeCarbon), or power of GPUs."),
    ] = None,
    energy_unit: Unit = None,
    test: Annotated[str | None, _option("--test", "Metric on the test set.")] = None,
    state: Annotated[str | None, _option("--state", "Tag with how each run ended; else its status.")] = None,
    parent: Annotated[str | None, _option("--parent", "Only runs nested in this one, by name or id.")] = None,
    out: Out = None,
) -> None:
    """Runs of an MLflow experiment, flat or nested."""
    _take(
        "mlflow", source, out, told, experiment=experiment, metric=metric, direction=direction, energy=energy,
        energy_unit=energy_unit, test=test, state=state, parent=parent,
    )  # fmt: skip


@app.command(
    epilog="""[bold]Examples[/bold]

auditor import raytune ~/ray_results/tune --gpus 1 --hardware v100

auditor import raytune ~/ray_results/tune --metric val_loss --direction minimize --baseline default=0.31"""
)
@with_options
def raytune(
    source: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the experiment.")],
    told: Options,
    metric: Metric = None,
    direction: Direction = None,
    energy: Annotated[
        str | None, _option("--energy", "Key of the results with the energy; else energy_j or energy_consumed.")
    ] = None,
    energy_unit: Unit = None,
    test: Annotated[str | None, _option("--test", "Key of the results with the value on the test set.")] = None,
    out: Out = None,
) -> None:
    """An experiment of Ray Tune, from the folder it left."""
    _take(
        "raytune", source, out, told, metric=metric, direction=direction, energy=energy, energy_unit=energy_unit,
        test=test,
    )  # fmt: skip


@app.command(
    name="csv",
    epilog="""[bold]Examples[/bold]

auditor import csv trials.csv --value val_acc --energy energy_kwh --energy-unit kWh --pue-inside 1.59

auditor import csv trials.parquet --value val_loss --duration seconds --gpus 1 --hardware t4 --test test_loss

auditor import csv all.csv --value acc --run seed --sampler random --baseline default=0.91,0.90""",
)
@with_options
def csv(
    source: Annotated[str, typer.Argument(metavar="FILE", help="CSV (also .gz) or Parquet, one trial a row.")],
    told: Options,
    value: Annotated[str | None, _option("--value", "Column with the final value.", metavar="COL")] = None,
    direction: Direction = None,
    metric: Annotated[str | None, _option("--metric", "Name of the metric, where the column's is not it.")] = None,
    energy: Annotated[str | None, _option("--energy", "Column with the energy of each trial.", metavar="COL")] = None,
    energy_unit: Unit = None,
    duration: Annotated[
        str | None, _option("--duration", "Column with how long each trial ran, in seconds.", metavar="COL")
    ] = None,
    test: Annotated[str | None, _option("--test", "Column with the value on the test set.", metavar="COL")] = None,
    state: Annotated[
        str | None,
        _option("--state", "Column with how each ended; else one without a value failed.", metavar="COL"),
    ] = None,
    time: Annotated[
        str | None, _option("--time", "Column with when each trial ended; else rows are in order.", metavar="COL")
    ] = None,
    fidelity: Annotated[
        str | None, _option("--fidelity", "Column with how far each trial was trained.", metavar="COL")
    ] = None,
    run: Annotated[
        str | None,
        _option("--run", "Column that splits the table: a study for each value.", metavar="COL"),
    ] = None,
    params: Annotated[
        str | None, _option("--params", "What columns of parameters begin with.", metavar="PREFIX")
    ] = None,
    out: Out = None,
) -> None:
    """A table with one trial a row."""
    _take(
        "csv", source, out, told, value=value, direction=direction, metric=metric, energy=energy,
        energy_unit=energy_unit, duration=duration, test=test, state=state, time=time, fidelity=fidelity, run=run,
        params=params,
    )  # fmt: skip
