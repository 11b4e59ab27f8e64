"""The commands ``search`` and ``report``."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from auditor.cli.told import Options
from auditor.domain.errors import InputError, IntegrityError
from auditor.domain.parameters import CarbonFactor, Parameters


def search(config_path: Path | None, settings: Sequence[str], out: Path | None) -> None:
    """Run an audited search and show its statement."""
    from auditor.cli.live import LiveView
    from auditor.search.again import publish_again
    from auditor.search.config import load_config
    from auditor.search.driver import run_search
    from auditor.search.plan import nothing_left, plan_search

    if config_path is None:
        raise InputError("auditor search: name a configuration, or write one with 'auditor search --init search.yaml'")
    config = load_config(config_path, settings)
    folder = out if out is not None else Path("auditor-runs") / config.study
    plan = plan_search(config, folder)
    console = Console()
    if nothing_left(plan):
        console.print(f"{config.study}: nothing left to do; closing its books again", highlight=False, markup=False)
        statement = publish_again(plan)
        show(console, statement)
        check_balance(statement)
        return
    with LiveView(console, config.study, resumed=plan.resumed) as view:
        result = run_search(plan, view)
    show(console, result.statement)
    console.print()
    console.print(f"Report   {result.folder / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
    if result.tracking_error:
        console.print(f"MLflow   failed: {result.tracking_error}", soft_wrap=True, highlight=False, markup=False)
    elif result.tracking_uri is not None:
        console.print(
            f"MLflow   {_open_mlflow(result.tracking_uri)}   (experiment {result.experiment})",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    check_balance(result.statement)


def report(
    source: str,
    *,
    outputs: Mapping[str, Path | None],
    policy: str | None,
    told: Options,
    chosen: Mapping[str, str | None],
) -> None:
    """Close the books of a study again and show them; one that ran elsewhere is imported for that, and not kept.

    Args:
        source: Study folder, or what to import.
        outputs: Where to write it, by form: ``html``, ``json``, ``markdown``, ``appendix``, ``model_card``.
        policy: How static energy is shared.
        told: Factors and prices; and what the user says of a study that ran elsewhere.
        chosen: What to take of such a study's source.
    """
    from auditor.accounting.allocate import Policy
    from auditor.cli import imports

    if policy is not None and policy not in list(Policy):
        raise InputError(f"--policy: '{policy}' is no policy; expected {' or '.join(Policy)}")
    given = {name: value for name, value in chosen.items() if value is not None}
    if imports.is_source(source):
        with imports.imported_for_now(source, given, told) as folder:
            _report(folder, outputs, policy, told)
        return
    odd = [f"--{name}" for name in given] + [name for name in told.given if name not in ("--pue", "--grid", "--price")]
    if odd:
        raise InputError(
            f"{', '.join(odd)}: only for a study that ran elsewhere, by its URL; for the folder of one, import it again"
        )
    _report(Path(source), outputs, policy, told)


def _report(path: Path, outputs: Mapping[str, Path | None], policy: str | None, told: Options) -> None:
    from auditor.accounting.allocate import Policy
    from auditor.importers.folder import open_reader
    from auditor.metering.folder import StudyFolder
    from auditor.reporting.publish import close_study
    from auditor.search.contradictions import contradictions

    reader = open_reader(StudyFolder(path))
    parameters = with_factors(reader.parameters, told.pue, told.grid, told.price)
    reader.refresh()
    stored = str(reader.file.config.get("metering", {}).get("policy", Policy.RESERVED.value))
    statement = close_study(reader, parameters, policy or stored).statement
    if against := contradictions(reader.folder, statement):
        statement = close_study(reader, parameters, policy or stored, against=against).statement
    for form, place in outputs.items():
        if place is not None:
            write(place, _rendered(statement, form))
    if Path("-") not in outputs.values():
        show(Console(), statement)
    check_balance(statement)
    for finding in against:
        raise IntegrityError(finding.message)


def _rendered(statement: Mapping[str, Any], form: str) -> bytes:
    """A statement in one of its forms."""
    from auditor import reporting
    from auditor.metering.folder import statement_bytes

    if form == "json":
        return statement_bytes(statement)
    rendered: str = getattr(reporting, f"render_{form}")(statement)
    return rendered.encode()


def write_example(path: Path) -> None:
    """Write a commented configuration.

    Raises:
        InputError: the file exists already or can't be written.
    """
    from importlib.resources import files

    text = files("auditor.search").joinpath("example.yaml").read_text()
    try:
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"--init {path}: {error.strerror}") from error
    Console().print(
        f"{path} is written; run it with: auditor search {shlex.quote(str(path))}", highlight=False, markup=False
    )


def with_factors(parameters: Parameters, pue: float | None, grid: str | None, price: float | None) -> Parameters:
    """Parameters with the factors that were given.

    Raises:
        InputError: one of them is not what it must be.
    """
    from auditor.metering.grid import country_factor

    if pue is not None:
        if not 1 <= pue < math.inf:
            raise InputError(
                f"--pue: {pue:g} is not 1 or more; expected the ratio of all power to that of the machines"
            )
        parameters = replace(parameters, pue=pue)
    if price is not None:
        if not 0 <= price < math.inf:
            raise InputError(f"--price: {price:g} is not 0 or more; expected the price of a kWh")
        parameters = replace(parameters, price_per_kwh=price)
    if grid is not None:
        try:
            factor = CarbonFactor(g_per_kwh=float(grid), source="user")
        except ValueError:
            try:
                factor = country_factor(grid)
            except InputError as error:
                raise InputError(f"--grid: {str(error).removeprefix('carbon.country: ')}") from error
        if not 0 <= factor.g_per_kwh < math.inf:
            raise InputError(f"--grid: {grid} is not 0 or more; expected grams of CO2e per kWh")
        parameters = replace(parameters, factor=factor)
    return parameters


def write(path: Path, data: bytes) -> None:
    """Write a file that was asked for; ``-`` is the terminal."""
    from auditor.metering.folder import write_atomically

    if path == Path("-"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        write_atomically(path, data)
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror})") from error


def show(console: Console, statement: Mapping[str, Any]) -> None:
    """Show a statement."""
    from auditor.reporting import render_terminal

    console.print(render_terminal(statement))


def check_balance(statement: Mapping[str, Any]) -> None:
    """Refuse a statement whose books don't balance."""
    residual = statement["energy"]["residual_uj"]
    if residual != 0:
        raise IntegrityError(f"the books don't balance: metered less charged is {residual} uJ, expected 0")


def _open_mlflow(uri: str) -> str:
    """How to look at the runs."""
    if uri.startswith(("http://", "https://")):
        return uri
    default = {"sqlite:///mlflow.db", f"sqlite:///{Path('mlflow.db').resolve()}"}
    return "mlflow ui" if uri in default else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
