"""Commissioning, led by the page: what `receiver.commissioning` asks, answered in a browser."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import hdrs, web

from protocols.records import LogLine
from receiver.live import told
from receiver.web.answers import Refused, answer, body_of
from receiver.web.headers import DOCUMENT_POLICY
from receiver.web.parts import StationParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from receiver.commissioning.machine import Commissioning
    from receiver.commissioning.state import Moment

_Told = TypeVar("_Told")


class CommissionRoutes:
    """The routes of /api/commission. One thread leads through it: files and ports are looked at."""

    def __init__(self, parts: StationParts) -> None:
        self._parts = parts
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commissioning")
        self._commissioning: Commissioning | None = None
        self._looked_at = 0

    async def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def state(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /api/commission."""
        return answer(await self._led(lambda leads, moment: leads.state(moment)))

    async def step(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /api/commission/STEP."""
        answers = await body_of(request, dict[str, Any])
        name = request.match_info["step"]
        return answer(await self._led(lambda leads, moment: leads.step(name, answers, moment)))

    async def report_html(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /api/commission/report.html."""
        report = await self._led(lambda leads, moment: leads.report_html(moment))
        return web.Response(
            text=report,
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": DOCUMENT_POLICY},
        )

    async def report_text(self, _: web.Request) -> web.StreamResponse:
        """Answer GET /api/commission/report.txt."""
        report = await self._led(lambda leads, moment: leads.report_text(moment))
        name = f"{self._parts.settings().station.id}-commissioning.txt"
        return web.Response(
            text=report,
            content_type="text/plain",
            charset="utf-8",
            headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'},
        )

    async def _led(self, ask: "Callable[[Commissioning, Moment], _Told]") -> _Told:
        from receiver.commissioning.state import (  # noqa: PLC0415  Rarely used, so loaded late.
            CommissioningError,
            Moment,
        )

        live = self._parts.live
        names, known = self._parts.names(), self._parts.known()
        heard = tuple(told(each, names, known) for each in live.since(self._looked_at))
        self._looked_at = live.count
        moment = Moment(snapshot=self._parts.snapshot(), heard=heard)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._ask, ask, moment, loop)
        except CommissioningError as error:
            # The new text, where it could not be written, is there for somebody else to save.
            also = {"text_to_save": error.text_to_save} if error.text_to_save else None
            raise Refused(409, str(error), error.do, also=also) from error

    def _ask(
        self,
        ask: "Callable[[Commissioning, Moment], _Told]",
        moment: "Moment",
        loop: asyncio.AbstractEventLoop,
    ) -> _Told:
        if self._commissioning is None:
            self._commissioning = self._made(loop)
        return ask(self._commissioning, moment)

    def _made(self, loop: asyncio.AbstractEventLoop) -> "Commissioning":
        from receiver.commissioning.machine import (  # noqa: PLC0415  Same.
            SOURCE,
            Commissioning,
        )

        parts = self._parts
        reload = parts.reload
        if parts.configuration is None or reload is None:
            raise Refused(
                409,
                "this station runs without a configuration file",
                "run `stopover init` and `stopover run`",
            )

        def keep(line: LogLine) -> None:
            loop.call_soon_threadsafe(parts.keep, line, SOURCE)

        def read_again() -> None:
            loop.call_soon_threadsafe(reload)

        return Commissioning(parts.configuration, note=keep, reload=read_again)
