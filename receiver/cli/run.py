"""`stopover run`: the daemon."""

import asyncio
from pathlib import Path

import click

from receiver.cli.options import config_option, explained


@click.command("run")
@config_option
@explained
def run_command(config_path: Path) -> None:
    """Run the station: hear what is configured and keep it, until stopped.

    SIGTERM (or Ctrl-C) puts what was heard into the store and ends within ten seconds.

    Example:  stopover run -c stopover.toml
    """
    import structlog

    from receiver import config, log
    from receiver.daemon import Daemon, StoreInUseError

    settings = config.load(config_path)
    if not settings.links:
        raise config.ConfigError(
            f"{config_path}: links: the station hears nothing; add a [[links]] section"
            " (`stopover ports` shows the radios)"
        )
    log.configure(settings.log.format, settings.log.level)
    for warning in config.warnings(settings):
        structlog.get_logger().warning("configuration", note=warning)

    async def station() -> int:
        return await Daemon(settings).run()

    try:
        rows_lost = asyncio.run(station())
    except StoreInUseError as error:
        raise click.ClickException(str(error)) from error
    if rows_lost:
        raise click.ClickException(f"{rows_lost} rows could not be kept: see the log")
