"""Binary layouts that read into frozen values and write from them, with this package's errors.

A layout is a `construct` schema; `valued` ties it to a value class whose fields have the names of
the schema's, so that one definition serves both ways.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from construct import (
    Construct,
    ConstructError,
    ExprAdapter,
    GreedyBytes,
    PrefixedArray,
    Struct,
)

from protocols.errors import EncodeError, PacketError


def valued(make: Callable[..., msgspec.Struct], *fields: Any) -> Any:  # noqa: ANN401  construct is untyped.
    """Return the layout of `make`'s values: a schema whose field names are the value's own."""
    names = [field.name for field in fields]
    return ExprAdapter(
        Struct(*fields),
        lambda parsed, _: make(**{name: parsed[name] for name in names}),
        lambda value, _: msgspec.structs.asdict(value),
    )


def counted(length: Any, element: Any) -> Any:  # noqa: ANN401  construct is untyped.
    """Return the layout of a tuple: a count, then so many elements."""
    return ExprAdapter(PrefixedArray(length, element), lambda parsed, _: tuple(parsed), _list)


def optional(number: Any, not_measured: int) -> Any:  # noqa: ANN401  construct is untyped.
    """Return the layout of a number that may be absent: None is written as `not_measured`."""
    return ExprAdapter(
        number,
        lambda parsed, _: None if parsed == not_measured else parsed,
        lambda value, _: not_measured if value is None else value,
    )


def _list(values: tuple[object, ...], _: object) -> list[object]:
    return list(values)


UTF8 = ExprAdapter(
    GreedyBytes,
    lambda parsed, _: parsed.decode("utf-8", "replace"),
    lambda text, _: text.encode("utf-8", "replace"),
)
"""Text up to the end; what is no UTF-8 reads as U+FFFD, since it comes over the air."""


def parse(layout: Construct, encoded: bytes, **params: int) -> Any:  # noqa: ANN401  construct is untyped.
    """Return what `layout` reads in `encoded`.

    Raises:
        PacketError: the bytes do not hold it; the message says at which field.
    """
    try:
        return layout.parse(encoded, **params)
    except ConstructError as error:
        raise PacketError(_in_one_line(error)) from error


def build(layout: Construct, value: object, **params: int) -> bytes:
    """Return `value` as `layout` writes it.

    Raises:
        EncodeError: a field is missing or does not fit; the message names it.
    """
    try:
        encoded: bytes = layout.build(value, **params)
    except (ConstructError, KeyError, TypeError, ValueError) as error:
        raise EncodeError(_in_one_line(error)) from error
    return encoded


def _in_one_line(error: Exception) -> str:
    missing = "missing field " if isinstance(error, KeyError) else ""
    return missing + " ".join(str(error).split())
