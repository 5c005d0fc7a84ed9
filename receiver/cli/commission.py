"""`stopover commission`: a station put into service, step by step, with a report at the end."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import explained
from receiver.cli.station import usual_configuration

if TYPE_CHECKING:
    from receiver.cli.commissioned import Visit

_WAITS_S = 0.0
"""How long a step of `--answers` is waited for where it does not say."""


@click.command("commission")
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The station's configuration; made where there is none.  [default: ./stopover.toml, then"
    " /etc/stopover/stopover.toml]",
)
@click.option(
    "--report",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where the report goes.  [default: here]",
)
@click.option(
    "--answers",
    "answers_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Answers in TOML, a table for each step, instead of questions; `wait` in a table is how"
    " many seconds its step may take, `skip` why it is skipped.",
)
@explained
def commission_command(config_path: Path | None, folder: Path, answers_path: Path | None) -> None:
    """Put the station into service: its id and place, radios, antennas, a test tag heard on each.

    Then the clock, the store and the first upload; a report of the visit is left as HTML and text,
    and noted in the store. The configuration is changed by it: its comments stay, and so does the
    old one, beside it. Where there is no terminal to ask in, it tells how each step is.

    Exit status: 0 nothing waits any more, 1 something does, 2 the configuration is wrong.

    Example:  sudo stopover commission -c /etc/stopover/stopover.toml --report visits/
    """
    from receiver import config
    from receiver.cli.commissioned import Visit
    from receiver.commissioning.state import CommissioningError

    configuration = config_path or usual_configuration()
    if os.access(configuration, os.F_OK):  # Where there is none, one is made.
        config.load(configuration)
    visit = Visit(configuration)
    try:
        visit.introduce()
        if answers_path is not None:
            _from_file(visit, answers_path)
        elif sys.stdin.isatty():
            from receiver.cli.commissioning_talk import talk

            talk(visit)
        else:
            _tell(visit)
        state = visit.state()
        files = visit.write_report(folder)
    except CommissioningError as error:
        click.echo(f"-> {error.do}", err=True)
        if error.text_to_save is not None:
            click.echo(error.text_to_save)
        raise click.ClickException(str(error)) from error
    for file in files:
        click.echo(f"report: {file}")
    waiting = [step for step in state.steps if step.progress == "waiting"]
    for step in waiting:
        click.echo(f"still waiting: {step.title}: {step.found} -> {step.do}", err=True)
    if state.needs_restart:
        keys = ", ".join(state.needs_restart)
        click.echo(f"restart the station for {keys}: `sudo systemctl restart stopover`")
    if waiting:
        raise click.exceptions.Exit(1)


def _tell(visit: "Visit") -> None:
    """Tell how each step is."""
    for step in visit.state().steps:
        click.echo(f"{step.progress:<8} {step.title}: {step.found}")


def _from_file(visit: "Visit", path: Path) -> None:
    """Take the answers of a file, and wait for each step as long as it says."""
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: cannot be used: {error}") from error
    for name in [step.name for step in visit.state().steps]:
        told = tables.pop(name, {})
        wait_s = _WAITS_S
        for answers in told if isinstance(told, list) else [told]:
            if not isinstance(answers, Mapping):
                raise click.UsageError(f"{path}: [{name}] is no table of answers")
            rest: dict[str, Any] = {key: value for key, value in answers.items() if key != "wait"}
            wait_s = float(answers.get("wait", _WAITS_S))
            if rest:
                visit.step(name, rest)
        visit.wait_for(name, wait_s)
        state = visit.step_state(name)
        click.echo(f"{state.progress:<8} {state.title}: {state.found}")
    if tables:
        raise click.UsageError(f"{path}: there are no steps {', '.join(tables)}")
