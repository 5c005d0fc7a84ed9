"""Answers of the page's interface: JSON, and errors that say what to do."""

import asyncio
import datetime as dt
import re
import socket
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from receiver.limits import PAGE_SLOW_S

_Body = TypeVar("_Body")

COMPRESSED_FROM_BYTES: Final = 1_000
_JSON: Final = "application/json"
_ENCODER: Final = msgspec.json.Encoder()
_EARLIEST_YEAR: Final = 1970
_LATEST_YEAR: Final = 2200
_WHOLE: Final = re.compile(r"[0-9]{1,15}")


class Refused(Exception):  # noqa: N818  An answer, not a fault.
    """What was asked is not done: the status, why, and what would help."""

    def __init__(
        self,
        status: int,
        error: str,
        do: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        also: Mapping[str, object] | None = None,
    ) -> None:
        """`also` is told beside the two."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.do = do
        self.headers = headers or {}
        self.also = also or {}


def answer(
    told: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a value as JSON; what is long is compressed where the client takes it."""
    body = told if isinstance(told, bytes) else _ENCODER.encode(told)
    response = web.Response(
        body=body, status=status, content_type=_JSON, charset="utf-8", headers=headers
    )
    if len(body) >= COMPRESSED_FROM_BYTES:
        response.enable_compression()
    return response


def refusal(refused: Refused) -> web.Response:
    """Return an error as every error of the interface is told."""
    told = {"error": refused.error, "do": refused.do, **refused.also}
    return answer(told, status=refused.status, headers=refused.headers)


async def body_of(request: web.Request, wanted: type[_Body]) -> _Body:
    """Return the body of a request, a JSON object.

    Raises:
        Refused: it is none, too long, or does not come.
    """
    if request.content_type != _JSON:
        raise Refused(415, "the body must be JSON", "send it with Content-Type: application/json")
    try:
        async with asyncio.timeout(PAGE_SLOW_S):
            text = await request.read()
    except TimeoutError:
        raise Refused(408, "the body of the request did not come", "try again") from None
    try:
        return msgspec.json.decode(text, type=wanted)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Refused(
            400, f"the body is not what is wanted: {error}", "see the documentation"
        ) from (None)


def whole_number(request: web.Request, name: str, default: int, most: int) -> int:
    """Return a number of the query, at most `most`.

    Raises:
        Refused: it is not one.
    """
    told = request.query.get(name)
    if told is None or not told:
        return default
    if not _WHOLE.fullmatch(told):
        raise Refused(400, f"{name} is no whole number", f"write {name}={default}")
    return min(int(told), most)


def one_of(request: web.Request, name: str, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401  One of the choices.
    """Return a word of the query; the first choice where it is not told.

    Raises:
        Refused: it is none of them.
    """
    told = request.query.get(name, choices[0])
    if told not in choices:
        raise Refused(400, f"{name} is none of {', '.join(choices)}", f"write {name}={choices[0]}")
    return told


def moment_ns(request: web.Request, name: str) -> int | None:
    """Return a time of the query, nanoseconds since 1970; None where it is not told.

    Raises:
        Refused: it is none, or not in this age.
    """
    told = request.query.get(name)
    if not told:
        return None
    problem = Refused(400, f"{name} is no time of this age", f"write {name}=2026-05-12T04:30Z")
    try:
        moment = dt.datetime.fromisoformat(told)
    except ValueError:
        raise problem from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    if not _EARLIEST_YEAR <= moment.year <= _LATEST_YEAR:
        raise problem
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


def is_local(request: web.Request) -> bool:
    """Tell whether a request came over the Unix socket, whose file says who may."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    return connection is not None and connection.family == socket.AF_UNIX
