"""Options that several commands share, and errors as a user reads them."""

import datetime as dt
import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

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
        # The years 1 and 9999 stand for "always": they become the first and last that rows can be.
        return max(-_MOST_NS, min(_MOST_NS, whole_s * 10**9 + moment.microsecond * 1000))


_MOST_NS = 2**63 - 1


class Number(click.FloatRange):
    """A number within bounds; `nan` and `inf`, which pass every bound or some, are none."""

    def convert(
        self,
        value: Any,  # noqa: ANN401  As click has it.
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number that can be used", param, ctx)
        return number


class Text(click.types.StringParamType):
    """A text, which must be UTF-8: it is compared with what the store has, and shown."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text."""
        text = super().convert(value, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{os.fsencode(text)!r} is no UTF-8", param, ctx)
        return text


TEXT = Text()
"""The type of every option that is told as text."""


def tag_id_of(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return a tag's id as rows have it, however it was typed: the callback of `--tag`."""
    from receiver.coded_ids.tag_lists import canonical

    return value if value is None else next(iter(canonical([value])), value)


def in_order(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
    """Refuse a period that ends before it begins: the callback of `--since` and of `--until`."""
    told = {**ctx.params, param.name: value}
    since, until = told.get("since"), told.get("until")
    if since is not None and until is not None and since > until:
        raise click.UsageError("--since is after --until: exchange the two", ctx)
    return value


def no_strangers(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """Refuse another program's database: the callback of `--db` where a command writes to it."""
    from receiver.store.errors import StoreForeignError
    from receiver.store.read_only import refuse_foreign

    try:
        if value is not None:
            refuse_foreign(value)
    except StoreForeignError as error:
        raise click.BadParameter(str(error)) from error
    return value


def decoder_of(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse the name of a decoder that is not there: the callback of `--decoder`."""
    if value is not None:
        from protocols import registry
        from protocols.errors import UnknownDecoderError

        try:
            registry.entry(value)
        except UnknownDecoderError as error:
            raise click.BadParameter(str(error)) from error
    return value


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
