"""Letting go of what answers needed, once none of the kind was asked for a while."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import structlog

log = structlog.get_logger()


class Rest:
    """Calls `let_go` when nothing was in work for `after_s`; belongs to the loop."""

    def __init__(self, let_go: Callable[[], Awaitable[None]], after_s: float) -> None:
        self._let_go = let_go
        self._after_s = after_s
        self._in_work = 0
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def disturbed(self) -> Iterator[None]:
        """Put rest off while something is in work, and for a while after."""
        self._in_work += 1
        self._forget_timer()
        try:
            yield
        finally:
            self._in_work -= 1
            if not self._in_work:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._after_s, self._begin)

    async def close(self) -> None:
        """Rest no more; what waits behind long work is given up."""
        self._forget_timer()
        if self._resting is not None:
            self._resting.cancel()
            await asyncio.gather(self._resting, return_exceptions=True)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._timer = None
        self._resting = asyncio.create_task(self._rest())

    async def _rest(self) -> None:
        try:
            await self._let_go()
        except Exception:
            log.exception("failed by a fault in the program", what="rest of the page")
