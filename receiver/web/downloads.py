"""Data out of the station with a phone or a laptop: rows, exports, the store, files that lie there.

Whatever takes long is done in a thread of its own, a piece at a time, so that neither the loop nor
memory feels how much it is. Files are offered by name from folders that are listed at that moment:
a name that is not on the list is no file, whatever it looks like. CSV is written as `stopover
export csv` writes it: a text that a spreadsheet would run gets an apostrophe before it; JSON has
every value as it is.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from receiver.confidence import CONFIDENCES
from receiver.limits import PAGE_DOWNLOADS, PAGE_SLOW_S
from receiver.store.queries import DetectionFilter
from receiver.web.answers import Refused, answer, moment_ns, one_of
from receiver.web.made_files import MakingError, Stopped, made_export, store_copy
from receiver.web.offered_files import Offer, offered
from receiver.web.parts import StationParts
from receiver.web.row_chunks import RowChunks

_TYPES: Final = {"csv": "text/csv", "json": "application/x-ndjson"}
_LONGEST_WORD: Final = 64


class Downloads:
    """The routes of /api/downloads and /api/download."""

    def __init__(self, parts: StationParts, most: int = PAGE_DOWNLOADS) -> None:
        self._parts = parts
        self._most = most
        self._under_way = 0
        self._is_making = False
        self._stopped = Stopped()

    async def close(self) -> None:
        """Give up what is being made."""
        self._stopped.set()

    async def show(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /api/downloads."""
        files = await asyncio.to_thread(self._offered)
        return answer({"files": [offer.told for offer in files]})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /api/download/file/NAME."""
        name = request.match_info["name"]
        files = await asyncio.to_thread(self._offered)
        offer = next((each for each in files if each.name == name), None)
        if offer is None:
            raise Refused(404, "there is no such file", "load the list of files again")
        async with self._place():
            if offer.path == self._parts.store:
                return await self._made(request, name, self._store_copy)
            return await _sent(request, offer.path, name)

    async def detections(self, request: web.Request) -> web.StreamResponse:
        """Answer GET and HEAD of /api/download/detections.csv and .json."""
        ending = request.match_info["ending"]
        wanted = _wanted(request)
        async with self._place():
            return await self._rows(request, RowChunks(self._parts.store, wanted, ending), ending)

    async def _rows(
        self, request: web.Request, chunks: RowChunks, ending: str
    ) -> web.StreamResponse:
        """Send rows; the store is read by one thread, which is let go without waiting for it."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="download")
        response: web.StreamResponse | None = None
        try:
            chunk = await loop.run_in_executor(thread, chunks.following)
            if request.method == hdrs.METH_HEAD:
                return web.Response(headers=self._headers(ending, "detections"))
            response = web.StreamResponse(headers=self._headers(ending, "detections"))
            await response.prepare(request)
            while chunk is not None:
                await _written(request, response, chunk)
                self._stopped.heed()
                chunk = await loop.run_in_executor(thread, chunks.following)
        except MakingError as error:
            if response is not None:
                _cut_off(request)
            raise Refused(error.status, str(error), error.do) from error
        finally:
            thread.submit(chunks.close)
            thread.shutdown(wait=False)
        return response

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /api/download/export/FORMAT.zip."""
        name = request.match_info["format"]
        wanted = _wanted(request)
        folder = (self._parts.configuration or self._parts.store).parent

        def make() -> int:
            return made_export(self._parts.store, name, wanted, folder, self._stopped)

        async with self._place():
            station = self._parts.settings().station.id
            return await self._made(request, f"{station}-{name}.zip", make)

    def _store_copy(self) -> int:
        return store_copy(self._parts.store, self._stopped)

    async def _made(
        self, request: web.Request, name: str, make: Callable[[], int]
    ) -> web.StreamResponse:
        """Send a file that is made for this, one at a time; it is gone when it is sent."""
        if self._is_making:
            raise Refused(
                503,
                "another file is being made",
                "wait until it is done",
                headers={hdrs.RETRY_AFTER: "10"},
            )
        self._is_making = True
        try:
            descriptor = await asyncio.to_thread(make)
        except MakingError as error:
            raise Refused(error.status, str(error), error.do) from error
        finally:
            self._is_making = False
        try:
            return await _sent(request, Path(f"/proc/self/fd/{descriptor}"), name)
        finally:
            os.close(descriptor)

    def _offered(self) -> list[Offer]:
        return offered(self._parts.store, self._parts.settings())

    def _headers(self, ending: str, what: str) -> dict[str, str]:
        station = self._parts.settings().station.id
        return {
            hdrs.CONTENT_TYPE: f"{_TYPES[ending]}; charset=utf-8",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{station}-{what}.{ending}"',
        }

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Be one of the few downloads at a time."""
        if self._under_way >= self._most:
            raise Refused(
                503,
                f"{self._most} downloads are under way",
                "wait until one is done",
                headers={hdrs.RETRY_AFTER: "10"},
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


def _wanted(request: web.Request) -> DetectionFilter:
    """Return which detections the query asks for.

    Raises:
        Refused: a time or a word of it is none, or the period ends before it begins.
    """
    since_ns, until_ns = moment_ns(request, "since"), moment_ns(request, "until")
    if since_ns is not None and until_ns is not None and since_ns > until_ns:
        raise Refused(400, "since is after until: nothing lies between", "exchange the two")
    return DetectionFilter(
        since_utc_ns=since_ns,
        until_utc_ns=until_ns,
        tag_id=request.query.get("tag", "")[:_LONGEST_WORD] or None,
        antenna=request.query.get("antenna", "")[:_LONGEST_WORD] or None,
        min_confidence=one_of(request, "min_confidence", tuple(reversed(CONFIDENCES))),
    )


class _SentFile(web.FileResponse):
    """A file that is sent by the route itself, while it is open and counts as under way.

    aiohttp prepares what a route returns once more, and a plain one would fail in that, which cuts
    the connection off.
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it, the first time."""
        return None if self.prepared else await super().prepare(request)


async def _sent(request: web.Request, path: Path, name: str) -> web.StreamResponse:
    """Send a file, without it passing through this process's memory."""
    plain = "".join(each if each.isascii() and each.isprintable() else "_" for each in name)
    response = _SentFile(
        path,
        headers={
            hdrs.CONTENT_TYPE: "application/octet-stream",
            hdrs.CONTENT_DISPOSITION: 'attachment; filename="{}"'.format(plain.replace('"', "_")),
        },
    )
    await response.prepare(request)
    return response


async def _written(request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
    """Send a piece.

    Raises:
        ConnectionError: the client has gone, or takes nothing any more.
    """
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the client has gone")
    if not chunk:
        return
    try:
        async with asyncio.timeout(PAGE_SLOW_S):
            await response.write(chunk)
    except TimeoutError:
        _cut_off(request)
        raise ConnectionResetError("the client takes nothing any more") from None


def _cut_off(request: web.Request) -> None:
    """Close a connection in the middle of an answer, so that nobody takes it for a whole one."""
    if request.transport is not None:
        request.transport.abort()
