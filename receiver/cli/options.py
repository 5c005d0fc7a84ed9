"""Options that several commands share, and errors as a user reads them."""

import datetime as dt
import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

CONFIG_PATH = Path("stopover.toml")
"""The configuration that commands use when none is named."""


class WrongConfigurationError(click.ClickException):
    """A wrong configuration: exit status 2."""

    exit_code = 2


class UtcTime(click.ParamType[int]):
    """A date or time in UTC: 2026-05-12, 2026-05-12T04:30, …Z; gives nanoseconds since 1970."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        if isinstance(value, int):
            return value
        try:
            moment = dt.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-05-12 or 2026-05-12T04:30Z", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        whole_s = int(moment.replace(microsecond=0).timestamp())
        return whole_s * 10**9 + moment.microsecond * 1000


db_option = click.option(
    "--db",
    "db",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("stopover.db"),
    show_default=True,
    help="The store.",
)

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=CONFIG_PATH,
    show_default=True,
    help="The configuration.",
)


def explained(command: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Turn the project's errors into one line and an exit status."""

    @functools.wraps(command)
    def run(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        from protocols.errors import ProtocolError
        from receiver.config import ConfigError
        from receiver.store.errors import StoreError

        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            raise WrongConfigurationError(str(error)) from error
        except (ProtocolError, StoreError) as error:
            raise click.ClickException(str(error)) from error

    return run
