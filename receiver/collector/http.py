"""Batches over HTTP: POST /batches, answered after the commit. GET /health says that it runs.

200 {"acknowledged": NAME, "rows": …, "new": …}   stored
401, 403    no token, or not this station's
409         the body is not what Idempotency-Key names: damaged on its way
413, 422    it will never do as it is
503         the database is away; Retry-After
"""

import asyncio
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from receiver.collector.collector import RETRY_AFTER_S, Collector, Outcome, Verdict
from receiver.collector.settings import HttpSettings
from receiver.config import ConfigError
from receiver.limits import MAX_BATCH_BYTES

_NAME_DIGITS: Final = 64
_STATUS: Final[Mapping[Outcome, int]] = {
    Outcome.STORED: 200,
    Outcome.FORBIDDEN: 403,
    Outcome.TOO_LARGE: 413,
    Outcome.REFUSED: 422,
    Outcome.UNAVAILABLE: 503,
}


class HttpFront:
    """Listens at one port.

    Raises:
        ConfigError: from the constructor, when the file of tokens cannot be read.
    """

    def __init__(self, settings: HttpSettings, collector: Collector) -> None:
        self._settings = settings
        self._collector = collector
        self._tokens = _tokens(settings.tokens_file)
        self.port: int | None = None
        """Where it listens, once it does."""

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: the port cannot be had.
        """
        application = web.Application(client_max_size=MAX_BATCH_BYTES)
        application.router.add_post("/batches", self._batches)
        application.router.add_get("/health", self._health)
        runner = web.AppRunner(
            application, auto_decompress=False, access_log=None, handle_signals=False
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.host, self._settings.port)
            await site.start()
            self.port = runner.addresses[0][1]
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _batches(self, request: web.Request) -> web.Response:
        station_id: str | None = None
        if self._tokens is not None:
            station_id = self._station_of(request.headers.get("Authorization", ""))
            if station_id is None:
                return _answer(401, reason="the token is missing or wrong")
        body = await request.read()  # Too much of it is answered with 413 by aiohttp.
        verdict = await self._collector.take(body, station_id)
        key = request.headers.get("Idempotency-Key", verdict.batch)
        if len(key) == _NAME_DIGITS and key != verdict.batch and not _is_stored(verdict):
            return _answer(409, reason="the body is not the batch that Idempotency-Key names")
        if verdict.outcome is Outcome.STORED:
            return web.json_response(
                {"acknowledged": verdict.batch, "rows": verdict.rows, "new": verdict.new}
            )
        headers = {}
        if verdict.outcome is Outcome.UNAVAILABLE:
            headers["Retry-After"] = f"{RETRY_AFTER_S:.0f}"
        return _answer(_STATUS[verdict.outcome], reason=verdict.reason, headers=headers)

    async def _health(self, _: web.Request) -> web.Response:
        collector = self._collector
        return web.json_response(
            {
                "batches": collector.batches,
                "rows": collector.rows,
                "rows_new": collector.rows_new,
                "refused": collector.refused,
                "unavailable": collector.unavailable,
            }
        )

    def _station_of(self, authorization: str) -> str | None:
        """Return the station whose token it is."""
        token = authorization.removeprefix("Bearer ").encode("utf-8", "replace")
        found = None
        for station, known in (self._tokens or {}).items():
            if hmac.compare_digest(token, known.encode()):
                found = station
        return found


def _is_stored(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.STORED


def _answer(status: int, *, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": reason}, status=status, headers=headers)


def _tokens(path: str | None) -> dict[str, str] | None:
    if path is None:
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:  # noqa: PLR2004  A name and a token.
            raise ConfigError(f"{path}:{number}: a line is STATION TOKEN")
        tokens[words[0]] = words[1]
    return tokens
