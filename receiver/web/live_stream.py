"""What happens now, as server-sent events: detections, the station's state, log lines.

What is new wakes all streams together, four times a second at most, and is told and encoded once
for all who look at everything; where nothing is heard nothing is done. A client that is too slow
misses what the rings no longer have, and one that takes nothing is let go.

An event's id is `NUMBER-LIFE`: the newest detection it tells of, and a word for this life of the
daemon, so that a browser that comes back after a restart does not wait for numbers that were.
Source: WHATWG HTML, "Server-sent events".
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import msgspec
from aiohttp import hdrs, web

from receiver import log_ring
from receiver.limits import LIVE_EVENT_ROWS, PAGE_SLOW_S, PAGE_STREAMS
from receiver.live import Heard, told
from receiver.web.answers import Refused, is_local
from receiver.web.parts import StationParts

BEAT_S: Final = 0.25
STATUS_EVERY_S: Final = 5.0
PING_AFTER_S: Final = 15.0
FIRST_ROWS: Final = 50
_RECONNECT_MS: Final = 2_000
_LONGEST_ID: Final = 40
_ENCODER: Final = msgspec.json.Encoder()


class Wanted(msgspec.Struct, frozen=True):
    """What one stream wants to see."""

    only_detections: bool = False
    tag_id: str | None = None
    antenna: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no detection is left out."""
        return self.tag_id is None and self.antenna is None

    def takes(self, heard: Heard) -> bool:
        """Tell whether a detection is one of them."""
        record, source = heard.arrival.record, heard.arrival.source
        if self.tag_id is not None and getattr(record, "tag_id", None) != self.tag_id:
            return False
        place = source.antenna_of(getattr(record, "antenna", None)) or source.link
        return self.antenna is None or self.antenna == place


class LiveStreams:
    """All streams of the page."""

    def __init__(
        self, parts: StationParts, status: Callable[[], bytes], most: int = PAGE_STREAMS
    ) -> None:
        """`status` returns the station's state as JSON."""
        self._parts = parts
        self._status = status
        self._most = most
        self._life = secrets.token_hex(4)
        self._open = {True: 0, False: 0}
        self._news = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._encoded: tuple[tuple[int, int], bytes] = ((0, 0), b"")

    async def close(self) -> None:
        """End all streams."""
        self._is_closed = True
        self._news.set()
        self._listen()

    async def answer(
        self, request: web.Request, may_still_look: Callable[[], bool]
    ) -> web.StreamResponse:
        """Answer GET /api/live until the client goes, or may not look any more.

        Raises:
            Refused: there are too many streams.
        """
        is_ours = is_local(request)
        if self._open[is_ours] >= self._most or self._is_closed:
            raise Refused(
                503,
                f"{self._most} others look at this station now",
                "close pages that nobody looks at, then try again",
                headers={hdrs.RETRY_AFTER: "10"},
            )
        self._open[is_ours] += 1
        self._listen()
        try:
            return await self._stream(request, may_still_look)
        finally:
            self._open[is_ours] -= 1
            self._listen()

    async def _stream(
        self, request: web.Request, may_still_look: Callable[[], bool]
    ) -> web.StreamResponse:
        wanted = Wanted(
            request.query.get("only") == "detections",
            request.query.get("tag"),
            request.query.get("antenna"),
        )
        sent = self._starts_after(
            request.headers.get("Last-Event-ID") or request.query.get("since", "")
        )
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._send(response, b"retry: %d\n\n" % _RECONNECT_MS)
            await self._run(response, wanted, sent, may_still_look)
        return response

    async def _run(
        self,
        response: web.StreamResponse,
        wanted: Wanted,
        sent: int,
        may_still_look: Callable[[], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        lines_sent = log_ring.KEPT.count
        status_due_s = ping_due_s = loop.time()
        catches_up = True
        while not self._is_closed:
            news = self._news  # What beats while this one sends is not missed.
            events: list[bytes] = []
            now_s = loop.time()
            if now_s >= status_due_s:
                if not may_still_look():
                    return
                status_due_s = now_s + STATUS_EVERY_S
                if not wanted.only_detections:
                    events.append(_event(b"status", self._status()))
            events += self._new_detections(wanted, sent, everything=catches_up)
            sent, catches_up = self._parts.live.count, False
            if not wanted.only_detections and log_ring.KEPT.count > lines_sent:
                lines = log_ring.KEPT.since(lines_sent)[-LIVE_EVENT_ROWS:]
                lines_sent = lines[-1].n
                events.append(_event(b"log", _ENCODER.encode(lines)))
            if not events and now_s >= ping_due_s:
                events.append(b": still here\n\n")
            if events:
                ping_due_s = now_s + PING_AFTER_S
                for event in events:
                    await self._send(response, event)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(status_due_s, ping_due_s) - loop.time())):
                    await news.wait()

    async def _send(self, response: web.StreamResponse, event: bytes) -> None:
        """Send an event.

        Raises:
            ConnectionError: the client has gone.
            TimeoutError: it takes nothing any more.
        """
        async with asyncio.timeout(PAGE_SLOW_S):
            await response.write(event)

    def _new_detections(self, wanted: Wanted, sent: int, *, everything: bool) -> list[bytes]:
        """Return events with what came after a number; of much the newest, unless all is wanted."""
        live = self._parts.live
        if live.count == sent:
            return []
        if wanted.is_everything and not everything:
            key = (max(sent, live.count - LIVE_EVENT_ROWS), live.count)
            if self._encoded[0] != key:
                self._encoded = (key, self._told(list(live.since(key[0])), live.count))
            return [self._encoded[1]]
        heard = [each for each in live.since(sent) if wanted.takes(each)]
        if not everything:
            heard = heard[-LIVE_EVENT_ROWS:]
        rows = iter(heard)
        events = []
        while some := list(islice(rows, LIVE_EVENT_ROWS)):
            events.append(self._told(some, some[-1].number))
        return events

    def _told(self, heard: Sequence[Heard], newest: int) -> bytes:
        names, known = self._parts.names(), self._parts.known()
        rows = _ENCODER.encode([told(each, names, known) for each in heard])
        return _event(b"detections", rows, f"{newest}-{self._life}")

    def _starts_after(self, told_id: str) -> int:
        """Return the number after which a stream begins: where it left off, or fifty ago."""
        live = self._parts.live
        number, _, life = told_id[:_LONGEST_ID].partition("-")
        first = max(0, live.count - FIRST_ROWS)
        if not number.isdecimal() or not number.isascii() or life not in ("", self._life):
            return first
        since = int(number)
        return since if 0 < since <= live.count else first

    def _listen(self) -> None:
        """Be told of what is new while anybody looks, and not a moment longer."""
        if any(self._open.values()) and not self._is_closed:
            self._parts.live.listeners.add(self._something_is_new)
            log_ring.KEPT.listeners.add(self._something_is_logged)
            return
        self._parts.live.listeners.discard(self._something_is_new)
        log_ring.KEPT.listeners.discard(self._something_is_logged)
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def _something_is_new(self) -> None:
        if self._beat is None:
            self._beat = self._loop.call_later(BEAT_S, self._wake)

    def _something_is_logged(self) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended, and a thread still logs.
            self._loop.call_soon_threadsafe(self._something_is_new)

    def _wake(self) -> None:
        """Let every stream send what is new."""
        self._beat = None
        self._news.set()
        self._news = asyncio.Event()


def _event(name: bytes, told_json: bytes, event_id: str = "") -> bytes:
    number = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (number, name, told_json)
