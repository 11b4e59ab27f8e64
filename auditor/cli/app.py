"""The commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from auditor.cli import import_app
from auditor.cli.told import Options, with_options
from auditor.domain.errors import AuditorError

app = typer.Typer(
    name="auditor",
    help="What a search really cost in energy, compute, money and carbon, and whether its accuracy was worth it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130

_verbose = False


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"nas-auditor {version('nas-auditor')}")
        raise typer.Exit


def _elsewhere(name: str, text: str) -> Any:
    """An option of a study that ran elsewhere."""
    return typer.Option(name, help=text, show_default=False, rich_help_panel="A study that ran elsewhere")


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    global _verbose
    _verbose = verbose


@app.command(
    epilog="""[bold]Examples[/bold]

auditor search --init search.yaml

auditor search search.yaml

auditor search search.yaml --set budget.trials=24 --set resources.workers=4 --out runs/first

auditor search search.yaml --repeat 5 --out runs/tpe

The same command on an existing folder goes on with its study.""",
)
def search(
    config: Annotated[Path | None, typer.Argument(help="Configuration (YAML).", show_default=False)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, for example budget.trials=24."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Study folder; default: auditor-runs/<study>.", show_default=False)
    ] = None,
    repeat: Annotated[
        int | None,
        typer.Option(
            "--repeat",
            metavar="N",
            help="The same search under N search seeds, in folders seed-0, seed-1, ... of the study folder.",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option("--init", metavar="FILE", help="Write a commented configuration and leave.", show_default=False),
    ] = None,
) -> None:
    """Run an audited search, or go on with one; ends with the statement."""
    from auditor.cli import run

    if init is not None:
        run.write_example(init)
        return
    if repeat is not None:
        from auditor.cli import repeat as repeating

        repeating.repeat(config, settings or [], out, repeat)
        return
    run.search(config, settings or [], out)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor report auditor-runs/digits-cnn

auditor report auditor-runs/digits-cnn --policy direct --pue 1.3 --grid FRA --price 0.25 --html what-if.html

auditor report auditor-runs/digits-cnn --json - | jq .verdict

auditor report auditor-runs/digits-cnn --appendix appendix.md --model-card -

auditor report sqlite:///optuna.db --study lr --gpus 1 --hardware a100

auditor report sqlite:///mlflow.db --experiment digits --metric val_acc""",
)
@with_options
def report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR|URL", help="Study folder; or storage of Optuna, store of MLflow.", show_default=False
        ),
    ],
    told: Options,
    html: Annotated[Path | None, typer.Option("--html", help="Write the HTML report here.", show_default=False)] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the statement here; '-' for the terminal.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write a Markdown summary here; '-' for the terminal.", show_default=False),
    ] = None,
    appendix: Annotated[
        Path | None,
        typer.Option(
            "--appendix",
            help="Write the checklist of good practice here, for a paper's appendix (Markdown).",
            show_default=False,
        ),
    ] = None,
    model_card: Annotated[
        Path | None,
        typer.Option(
            "--model-card", help="Write a model card's block with its emissions here (Markdown).", show_default=False
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="How static energy is shared: reserved or direct.", show_default=False),
    ] = None,
    pue: Annotated[
        float | None, typer.Option("--pue", help="Power usage effectiveness, at least 1.", show_default=False)
    ] = None,
    grid: Annotated[
        str | None, typer.Option("--grid", help="Country (FRA) or grams of CO2e per kWh (56).", show_default=False)
    ] = None,
    price: Annotated[float | None, typer.Option("--price", help="Price of a kWh.", show_default=False)] = None,
    study: Annotated[str | None, _elsewhere("--study", "Its study, in a storage of Optuna.")] = None,
    experiment: Annotated[str | None, _elsewhere("--experiment", "Its experiment, in a store of MLflow.")] = None,
    metric: Annotated[str | None, _elsewhere("--metric", "Metric that was searched for.")] = None,
    direction: Annotated[str | None, _elsewhere("--direction", "maximize or minimize (MLflow).")] = None,
) -> None:
    """Close the books of a study again, from its journals, and show them; or those of one that ran elsewhere."""
    from auditor.cli import run

    run.report(
        source,
        outputs={
            "html": html,
            "json": json_file,
            "markdown": markdown,
            "appendix": appendix,
            "model_card": model_card,
        },
        policy=policy,
        told=told,
        chosen={"study": study, "experiment": experiment, "metric": metric, "direction": direction},
    )


app.add_typer(import_app.app)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor compare runs/random runs/tpe

auditor compare --group random='runs/random-*' --group tpe=runs/tpe-0,runs/tpe-1,runs/tpe-2 --html compared.html

auditor compare auditor-runs/digits-cnn --json - | jq .verdict

A folder of study folders, as 'auditor search --repeat' leaves it, stands for all of them.""",
)
def compare(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DIR]...", help="Study folders, each a group named by its study.", show_default=False),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME=DIR[,DIR]",
            help="Runs of one method under several search seeds; may be given again, patterns are matched.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write an HTML page here.", show_default=False)] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the comparison here; '-' for the terminal.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write it as Markdown here; '-' for the terminal.", show_default=False),
    ] = None,
) -> None:
    """Compare searches at equal energy, at equal trials, at the end and on test: who wins where."""
    from auditor.cli import compare as comparing

    comparing.compare(folders or [], group or [], html=html, json_file=json_file, markdown=markdown)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor replay nasbench201

auditor replay nasbench201 --dataset cifar100 --samplers random,tpe --budget 2d --seeds 10 --out runs/replay

auditor compare runs/replay/random runs/replay/tpe --html compared.html""",
)
def replay(
    benchmark: Annotated[
        str, typer.Argument(metavar="BENCH", help="Recorded trainings: see 'auditor plugins'.", show_default=False)
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="What was trained on.")] = "cifar10",
    samplers: Annotated[
        str, typer.Option("--samplers", metavar="NAME[,NAME]", help="Optuna's samplers, as in a configuration.")
    ] = "random,tpe,nsgaii",
    budget: Annotated[str, typer.Option("--budget", help="Recorded training time of each search.")] = "12h",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Searches a sampler, seeds 0, 1, ...")] = 20,
    power_w: Annotated[
        float, typer.Option("--power-w", metavar="W", help="Watts of a training; energy is time times this: modelled.")
    ] = 250.0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Keep every search as a study folder here.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the comparison here; '-' for the terminal.", show_default=False)
    ] = None,
) -> None:
    """Let real samplers search recorded trainings in simulated time, and compare them with the truth."""
    from auditor.cli import replay as replaying

    replaying.replay(benchmark, dataset, samplers, budget, seeds, power_w, out, json_file)


@app.command(
    epilog="""[bold]Examples[/bold]

auditor verify auditor-runs/digits-cnn

auditor verify downloads/their-study""",
)
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Study folder.", show_default=False)],
) -> None:
    """Check a study's files against its manifest, and every figure against its journals; exit 3 where one differs."""
    from auditor.cli import integrity

    integrity.verify(folder)


@app.command(epilog="[bold]Example[/bold]\n\nauditor doctor")
def doctor() -> None:
    """Say which meters work on this machine, how they measure, and what would better them."""
    from auditor.cli import machine

    machine.doctor()


@app.command(epilog="[bold]Example[/bold]\n\nauditor plugins")
def plugins() -> None:
    """List what is installed, by kind."""
    from auditor.cli import machine

    machine.plugins()


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command ``auditor``; exits with 0, 1, 2 or 3."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # spaces given as module:attribute are looked for here
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="auditor", standalone_mode=False)
        if code == _INTERRUPTED:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except AuditorError as error:
        code = _fail(error, error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on", err=True)
        code = _INTERRUPTED
    except typer.Abort:
        code = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = _usage_or_crash(error)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception, code: int, message: str = "") -> int:
    if _verbose:
        import traceback

        traceback.print_exception(error)
    from auditor.reporting.names import plain  # what a source calls its studies must not act on a terminal

    typer.echo(f"error: {plain(message or str(error))}", err=True)
    return code


def _usage_or_crash(error: Exception) -> int:
    code = getattr(error, "exit_code", None)
    if code is not None and hasattr(error, "format_message"):  # bad option or argument
        if message := error.format_message():  # none where the help was shown instead
            typer.echo(f"error: {' '.join(message.split())}", err=True)
        return int(code)
    return _fail(error, 1, f"{type(error).__name__}: {error} (a fault of nas-auditor; --verbose shows where)")


if __name__ == "__main__":
    main()
