"""`stopover upload`: the sinks without the daemon, and what somebody wants of them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import config_option, explained

if TYPE_CHECKING:
    from receiver.settings import Settings
    from receiver.sink_settings import Sink


@click.command("upload")
@config_option
@click.option("--sink", "name", metavar="NAME", help="Only this sink, automatic or not.")
@click.option("--once", is_flag=True, help="End when nothing waits, or at the first failure.")
@click.option("--pause", metavar="NAME", help="Let a sink rest, also in the running station.")
@click.option("--resume", metavar="NAME", help="Let it go on.")
@click.option("--list", "listed", is_flag=True, help="Show how each sink is.")
@explained
def upload_command(
    config_path: Path,
    name: str | None,
    pause: str | None,
    resume: str | None,
    *,
    once: bool,
    listed: bool,
) -> None:
    """Send what waits to the sinks of the configuration.

    The running station does this by itself; a sink that it sends to is left to it.

    Example:  stopover upload --once --sink usb
    """
    from receiver import config, log

    settings = config.load(config_path)
    log.configure(settings.log.format, settings.log.level)
    if not settings.sinks:
        raise config.ConfigError(f"{config_path}: sinks: there is none; add a [[sinks]] table")
    for each in (name, pause, resume):
        _chosen(settings, each, config_path)
    if listed:
        _list(settings)
    elif pause or resume:
        _let_rest(settings, pause, paused=True)
        _let_rest(settings, resume, paused=False)
    else:
        wanted = [
            sink for sink in settings.sinks if (sink.name == name if name else sink.automatic)
        ]
        asyncio.run(_once(settings, wanted) if once else _run(settings, wanted))


def _chosen(settings: "Settings", name: str | None, config_path: Path) -> None:
    from receiver.config import ConfigError
    from receiver.toml_tables import nearest

    names = [sink.name for sink in settings.sinks]
    if name is not None and name not in names:
        raise ConfigError(f"{config_path}: no sink is called {name}; {nearest(name, names)}")


def _list(settings: "Settings") -> None:
    from contextlib import closing

    from receiver.sinks import outbox
    from receiver.store.outbox import read_position
    from receiver.store.queries import Reader
    from receiver.utc_text import iso_utc

    path = Path(settings.store.path)
    with Reader(path) as reader, closing(reader.connection.cursor()):
        for sink in settings.sinks:
            position = read_position(reader.connection, sink.name)
            at = reader.connection.execute(
                "SELECT updated_utc_ns FROM sink_marks WHERE sink = ?", (sink.name,)
            ).fetchone()
            waiting = outbox.waiting_rows(path, sink.name, sink.also)
            words = [
                f"{sink.name}: {'paused, ' if position.paused else ''}{waiting} rows wait",
                f"acknowledged up to seq {position.marks.get('detections', 0)}",
                f"last at {iso_utc(at[0])}" if at and at[0] else "never",
            ]
            if position.rows_refused:
                words.append(f"{position.rows_refused} rows refused by the far end")
            click.echo(", ".join(words))


def _let_rest(settings: "Settings", name: str | None, *, paused: bool) -> None:
    from receiver.sinks.uploads import write_note
    from receiver.store.outbox import SinkNote

    if name is None:
        return
    write_note(Path(settings.store.path), SinkNote(sink=name, paused=paused))
    click.echo(f"{name} {'rests; what waits stays in the store' if paused else 'goes on'}")


async def _once(settings: "Settings", wanted: "list[Sink]") -> None:
    """Send until nothing waits.

    Raises:
        click.ClickException: a sink failed.
    """
    from receiver.sinks.runner import SinkRunner
    from receiver.sinks.uploads import SinkInUseError, lock, made, notes_into

    store = Path(settings.store.path)
    failed = []
    for sink in wanted:
        sender, _ = made(sink, store, settings.station.id)
        runner = SinkRunner(sender, sink, store, notes_into(store))
        try:
            with lock(store, sink.name):
                is_done = await runner.run_once()
        except SinkInUseError as error:
            failed.append(str(error))
            continue
        status = runner.status
        click.echo(
            f"{sink.name}: {status.rows} rows in {status.batches} batches,"
            f" {status.bytes / 1000:.1f} kB"
        )
        if not is_done:
            advice = f"; {status.advice}" if status.advice else ""
            failed.append(f"{sink.name}: {status.state}: {status.reason}{advice}")
    if failed:
        raise click.ClickException("\n".join(failed))


async def _run(settings: "Settings", wanted: "list[Sink]") -> None:
    """Send until stopped."""
    import signal

    from receiver.sinks.uploads import Uploads, notes_into

    store = Path(settings.store.path)
    uploads = Uploads(wanted, store, settings.station.id, notes_into(store))
    running = asyncio.ensure_future(uploads.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    await asyncio.gather(running, return_exceptions=True)
