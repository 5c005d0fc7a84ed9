"""The station that a command is about: its store, and its daemon where one runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from receiver.cli.options import CONFIG_PATH

if TYPE_CHECKING:
    from receiver.web.local_client import LocalStation

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULT_STORE: Final = Path("stopover.db")
SYSTEM_CONFIG_PATH: Final = Path("/etc/stopover/stopover.toml")
"""The configuration of a station that is installed as a service."""


def station_options(command: _Command) -> _Command:
    """Add the options that name a station: `--db` its store, `-c` its configuration."""
    for option in (
        click.option(
            "-c",
            "--config",
            "config_path",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The station's configuration.  [default: ./stopover.toml, then"
            " /etc/stopover/stopover.toml]",
        ),
        click.option(
            "--db",
            "db",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The station's store, instead of its configuration.  [default: ./stopover.db]",
        ),
    ):
        command = option(command)
    return command


def store_of(db: Path | None, config_path: Path | None) -> Path:
    """Return the store that is meant: named, of a configuration, or the usual one.

    Raises:
        ConfigError: the configuration is wrong.
    """
    if db is not None:
        return db
    if config_path is None:
        if _DEFAULT_STORE.exists():
            return _DEFAULT_STORE
        config_path = usual_configuration()
        if not config_path.exists():
            return _DEFAULT_STORE
    from receiver import config

    return Path(config.load(config_path).store.path)


def usual_configuration() -> Path:
    """Return the configuration that is meant where none is named: here, else the service's."""
    if not CONFIG_PATH.exists() and SYSTEM_CONFIG_PATH.exists():
        return SYSTEM_CONFIG_PATH
    return CONFIG_PATH


def running_station(store: Path) -> "LocalStation | None":
    """Return the daemon that has this store, None where none answers."""
    from receiver.web.local_client import connect

    return connect(store)
