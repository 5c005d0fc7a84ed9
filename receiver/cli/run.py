"""`stopover run`: the daemon."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import config_option, explained

if TYPE_CHECKING:
    from receiver.settings import Settings


@click.command("run")
@config_option
@explained
def run_command(config_path: Path) -> None:
    """Run the station: hear what is configured and keep it, until stopped.

    SIGTERM (or Ctrl-C) puts what was heard into the store and ends within ten seconds. SIGHUP reads
    the configuration again: links that did not change run on, a wrong one is refused.

    Example:  stopover run -c stopover.toml
    """
    from receiver.lean_start import UNUSED, without

    with without(*UNUSED):
        import structlog

        from receiver.daemon import Daemon
    from receiver import config, log
    from receiver.supervision.notify import Notifier

    configuration = config_path.absolute()
    settings = _load(config_path)
    log.configure(settings.log.format, settings.log.level)
    for warning in config.warnings(settings):
        structlog.get_logger().warning("configuration", note=warning)

    async def station() -> int:
        daemon = Daemon(
            settings,
            load=lambda: _load(configuration),
            notifier=Notifier.from_environment(),
            configuration=configuration,
        )
        try:
            return await daemon.run()
        finally:
            # All is kept: a second signal must not make the orderly end look like a failure.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)

    rows_lost = asyncio.run(station())
    if rows_lost:
        raise click.ClickException(f"{rows_lost} rows could not be kept: see the log")


def _load(config_path: Path) -> "Settings":
    """Read and check the configuration of a station that is to hear something."""
    from receiver import config

    settings = config.load(config_path)
    if not settings.links:
        raise config.ConfigError(
            f"{config_path}: links: the station hears nothing; add a [[links]] section"
            " (`stopover ports` shows the radios)"
        )
    return settings
