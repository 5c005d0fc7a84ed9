"""What everybody who may look can ask of the running station: its state and its log."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from receiver import log_ring, metrics
from receiver.limits import LOG_LINES_KEPT
from receiver.web.answers import answer, whole_number
from receiver.web.parts import StationParts

_STATUS_KEPT_S: Final = 1.0
_LARGEST_NUMBER: Final = 10**15


class StatusText:
    """The station's state as JSON, made at most once a second, however many ask."""

    def __init__(self, parts: StationParts, now_s: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._now_s = now_s
        self._made: tuple[float, bytes] | None = None

    def __call__(self) -> bytes:
        """Return it."""
        now_s = self._now_s()
        if self._made is None or now_s - self._made[0] >= _STATUS_KEPT_S:
            self._made = (now_s, msgspec.json.encode(self._parts.snapshot()))
        return self._made[1]


class Looking:
    """The routes of /api/status, /api/log and /metrics."""

    def __init__(self, parts: StationParts, status: Callable[[], bytes]) -> None:
        self._parts = parts
        self._status = status

    async def status(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /api/status."""
        return answer(self._status())

    async def log(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /api/log."""
        since = whole_number(request, "since", 0, _LARGEST_NUMBER)
        lines = log_ring.KEPT.since(since)
        return answer({"lines": lines[-LOG_LINES_KEPT:]})

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /metrics."""
        # The first call loads a library for longer than the loop may stall.
        text = await asyncio.to_thread(metrics.text, self._parts.snapshot())
        return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})
