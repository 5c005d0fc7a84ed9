"""`stopover collect`: the far end of many stations."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import explained

if TYPE_CHECKING:
    from receiver.collector.settings import CollectorSettings


def _broker_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    import msgspec

    from receiver.setting_types import BrokerUrl

    try:
        return value and msgspec.convert(value, BrokerUrl)
    except msgspec.ValidationError:
        raise click.BadParameter(f"{value!r} must be like mqtt://HOST[:PORT]") from None


@click.command("collect")
@click.argument(
    "files",
    nargs=-1,
    metavar="[FILE]...",
    type=click.Path(path_type=Path, exists=True),
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The collector's configuration (TOML).",
)
@click.option("--database", metavar="URL", help="postgresql://USER@HOST/DB, or an SQLite file.")
@click.option(
    "--broker", metavar="URL", callback=_broker_url, help="mqtt://HOST[:PORT] or mqtts://…"
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Take batches over HTTP here.")
@click.option("--example", is_flag=True, help="Print a commented configuration and end.")
@explained
def collect_command(
    files: Sequence[Path],
    config_path: Path | None,
    database: str | None,
    broker: str | None,
    port: int | None,
    *,
    example: bool,
) -> None:
    """Take what stations send into PostgreSQL or SQLite, until stopped.

    Several collectors of one broker share the work. With FILEs (or folders of them) that a `folder`
    sink wrote, from a USB stick for instance, it takes those in and ends.

    Example:  stopover collect --broker mqtt://broker --database postgresql://stopover@db/stopover
    """
    from receiver import log
    from receiver.collector import service, settings
    from receiver.config import ConfigError

    if example:
        click.echo(settings.example(), nl=False)
        return
    chosen = settings.load(config_path) if config_path else settings.CollectorSettings()
    chosen = service.of_options(chosen, database=database, broker=broker, port=port)
    log.configure(chosen.log.format, chosen.log.level)
    if files:
        _take_files(chosen, files)
        return
    try:
        asyncio.run(service.serve(chosen))
    except service.NothingToDoError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{chosen.http.host}:{chosen.http.port}: cannot listen: {error.strerror or error}"
        ) from error


def _take_files(chosen: "CollectorSettings", files: Sequence[Path]) -> None:
    from receiver.collector.collector import Outcome
    from receiver.collector.service import take_files

    found = [
        file
        for path in files
        for file in (sorted(path.rglob("*.ndjson*")) if path.is_dir() else [path])
        if not file.name.endswith(".partial")
    ]
    verdicts = asyncio.run(take_files(chosen, found))
    new = sum(verdict.new for _, verdict in verdicts)
    rows = sum(verdict.rows for _, verdict in verdicts)
    click.echo(f"{len(found)} files, {rows} rows, {new} of them new")
    failed = [
        (path, verdict) for path, verdict in verdicts if verdict.outcome is not Outcome.STORED
    ]
    for path, verdict in failed:
        click.echo(f"{path}: {verdict.outcome}: {verdict.reason}", err=True)
    if failed:
        raise click.ClickException(f"{len(failed)} files were not taken")
