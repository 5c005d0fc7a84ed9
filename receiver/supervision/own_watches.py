"""The daemon's own watches: what it does besides its links, each begun again after a fault."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

log = structlog.get_logger()

_AGAIN_AFTER_S: Final = 60.0


class OwnWatches:
    """Runs them beside each other, each for ever."""

    def __init__(self, *, again_after_s: float = _AGAIN_AFTER_S) -> None:
        """A watch that failed is begun again after so long."""
        self._again_after_s = again_after_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, watches: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Run these too."""
        self._tasks += [asyncio.create_task(self._told_if_it_fails(watch)) for watch in watches]

    async def stop(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _told_if_it_fails(self, watch: Callable[[], Awaitable[None]]) -> None:
        """Run one; a fault in it is told, and it begins again."""
        while True:
            try:
                await watch()
            except Exception:
                log.exception("failed by a fault in the program", what=watch.__qualname__)
                await asyncio.sleep(self._again_after_s)
