"""Chrony and gpsd watched as the configuration says: for the clock's quality, and the position."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from protocols.records import GpsFix
from receiver.clock import Clock
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState
from receiver.references.chrony import ChronyWatch
from receiver.references.fix_sieve import FixSieve
from receiver.references.gpsd import DEFAULT_ADDRESS, GpsdClient
from receiver.settings import ClockSettings

log = structlog.get_logger()


class ClockWatch:
    """Runs what tells about the clock; `keep` takes each fix that is worth a row."""

    def __init__(self, clock: Clock, keep: Callable[[GpsFix], None]) -> None:
        self._clock = clock
        self._keep = keep
        self._sieve = FixSieve()
        self._settings: ClockSettings | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._gpsd: GpsdClient | None = None
        self._told_disagreement = False

    async def change(self, settings: ClockSettings) -> None:
        """Watch as these settings say from now on; the same ones change nothing."""
        if settings == self._settings:
            return
        await self.stop()
        self._settings = settings
        if settings.gpsd:
            is_auto = settings.gpsd == "auto"
            self._gpsd = GpsdClient(
                DEFAULT_ADDRESS if is_auto else settings.gpsd,
                self._clock,
                self._take_fix,
                expected=not is_auto,
            )
            self._tasks.append(asyncio.create_task(_kept_running("gpsd", self._gpsd.run)))
        if settings.chrony == "auto":
            chrony = ChronyWatch(self._clock.chrony_said)
            self._tasks.append(asyncio.create_task(_kept_running("chrony", chrony.run)))

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._gpsd = None
        self._clock.chrony_said(None)

    @property
    def gps(self) -> str | None:
        """`gps fix` or `no gps fix`; None where there is no gpsd."""
        if self._gpsd is None or self._gpsd.status.state is LinkState.FAILED:
            return None
        return "gps fix" if self._gpsd.status.state is LinkState.HEARING else "no gps fix"

    def look(self) -> None:
        """Tell once where the clock and the receiver disagree, and once when they no longer do."""
        ahead_s = self._clock.references.gps_disagrees_s
        if ahead_s is not None and not self._told_disagreement:
            log.warning(
                "clock and GPS disagree",
                clock_ahead_s=ahead_s,
                clock=self._clock.quality,
                do="see `chronyc sources`: one of the two is wrong",
            )
        elif ahead_s is None and self._told_disagreement:
            log.warning("clock and GPS agree again")
        self._told_disagreement = ahead_s is not None

    def _take_fix(self, fix: GpsFix) -> None:
        stamp = self._clock.stamp()
        if self._sieve.wants(fix, (stamp.mono_ns or 0) / 1e9):
            self._keep(fix)


async def _kept_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run it again whenever a fault in the program ended it; an ordinary end is its end."""
    backoff = Backoff()
    while True:
        backoff.works()
        try:
            await run()
        except Exception:
            log.exception("failed by a fault in the program", what=name)
            await asyncio.sleep(backoff.failed())
        else:
            return
