"""Asking the plots from the daemon's loop: one thread does it, and nobody waits for ever."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from aiohttp import hdrs, web

from receiver.limits import PLOTS_WAIT_S
from receiver.web.answers import Refused, answer, moment_ns, one_of, whole_number
from receiver.web.parts import StationParts
from receiver.web.plots.history import history
from receiver.web.plots.sidecar import Plots, PlotsError, PlotsStopped
from receiver.web.plots.tag_list import Asked, tag_list

_Told = TypeVar("_Told")

_MOST_TAGS: Final = 1_000
_MOST_OFFSET: Final = 10**9
_MOST_WAITING: Final = 32


class Plotting:
    """The routes of /api/history and /api/tags."""

    def __init__(
        self,
        parts: StationParts,
        *,
        now_s: Callable[[], float] = time.time,
        wait_s: float = PLOTS_WAIT_S,
    ) -> None:
        self._parts = parts
        self._now_s = now_s
        self._wait_s = wait_s
        self._plots = Plots(parts.store)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plots")
        self._waiting = 0

    async def rest(self) -> None:
        """Close the file until somebody asks again: SQLite then keeps nothing of it in memory."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._plots.close)

    async def close(self) -> None:
        """Give up what is being counted, and close the file."""
        self._plots.stop()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._plots.close)
        self._thread.shutdown(wait=False)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /api/history."""
        period = one_of(request, "period", ("day", "hour", "week", "month"))
        now_s = self._now_s()
        end_ns = moment_ns(request, "end")
        end_s = int(now_s) if end_ns is None else end_ns // 10**9
        names = self._parts.names()
        return answer(await self._asked(lambda: history(self._plots, period, end_s, now_s, names)))

    async def tags(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /api/tags."""
        asked = Asked(
            search=request.query.get("search", ""),
            offset=whole_number(request, "offset", 0, _MOST_OFFSET),
            limit=whole_number(request, "limit", 100, _MOST_TAGS),
            sort=one_of(request, "sort", ("last", "detections", "tag")),
        )
        names, known, now_s = self._parts.names(), self._parts.known(), self._now_s()
        return answer(await self._asked(lambda: tag_list(self._plots, asked, now_s, names, known)))

    async def _asked(self, ask: Callable[[], _Told]) -> _Told:
        """Ask in the plots' thread; say how far it is where that takes too long.

        Raises:
            Refused: the plots are not ready, or cannot be had.
        """
        if self._waiting >= _MOST_WAITING:
            raise Refused(
                503, "others ask for plots too", "wait a little", headers={hdrs.RETRY_AFTER: "3"}
            )
        self._waiting += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(
                self._thread, self._plots.asked, ask
            )
            future.add_done_callback(self._answered)
        except RuntimeError:  # The thread has ended: the daemon stops.
            self._waiting -= 1
            raise Refused(503, "the station stops", "") from None
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(future)
        except TimeoutError:
            plots = self._plots
            done = 100 * plots.rows_counted // max(1, plots.rows_to_count)
            raise Refused(
                503,
                f"the plots are being made: {min(done, 99)} % done",
                "wait; it goes on by itself",
                headers={hdrs.RETRY_AFTER: "3"},
            ) from None
        except PlotsError as error:
            raise Refused(503, str(error), error.do) from error
        except PlotsStopped:
            raise Refused(503, "the station stops", "ask again when it runs") from None

    def _answered(self, future: "asyncio.Future[_Told]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # Nobody may wait for it any more.
