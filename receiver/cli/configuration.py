"""`stopover init` and `stopover check`."""

import contextlib
from pathlib import Path

import click

from receiver.cli.options import CONFIG_PATH, config_option, explained


@click.command("init")
@click.argument(
    "path", type=click.Path(path_type=Path, dir_okay=False), default=CONFIG_PATH, required=False
)
@click.option("--station", default="my-station", help="The station's id.", show_default=True)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@explained
def init_command(path: Path, station: str, *, force: bool) -> None:
    """Write a commented example configuration.

    Example:  stopover init stopover.toml --station marsh-north
    """
    from receiver import config

    text = config.example(station)
    config.parse(text, path)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; --force writes over it") from None
    except OSError as error:
        if not force:  # An empty file would stand in the way of the next try.
            with contextlib.suppress(OSError):
                path.unlink()
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"{path} is written. Name your radios in it, then:  stopover check -c {path}")


@click.command("check")
@config_option
@explained
def check_command(config_path: Path) -> None:
    """Check a configuration: every key, type and range.

    Example:  stopover check -c stopover.toml
    """
    from receiver import config
    from receiver.store.errors import StoreForeignError
    from receiver.store.read_only import refuse_foreign

    settings = config.load(config_path)
    click.echo(
        f"{config_path}: good. Station {settings.station.id}, {len(settings.links)} links,"
        f" store {settings.store.path}"
    )
    notes = list(config.warnings(settings))
    try:
        refuse_foreign(Path(settings.store.path))
    except StoreForeignError as error:
        notes.append(f"store.path: {error}")
    for note in notes:
        click.echo(f"{config_path}: note: {note}", err=True)
