"""A daemon whose time a test moves on: real links, a real store, and a folder for the kernel."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from receiver.clock import Clock
from receiver.daemon import Daemon
from receiver.health.snapshot import AlarmSnapshot
from receiver.settings import ClockSettings, Settings, StationSettings, StoreSettings
from receiver.store.writer import StoreState
from receiver.watch_settings import PageSettings

if TYPE_CHECKING:
    from receiver.arrivals import ClockQuality

S = 10**9
MINUTE_S = 60.0
HOUR_S = 3600.0


class Machine:
    """The clocks of a computer, which a test sets."""

    def __init__(self) -> None:
        self.mono_ns = 50 * S
        self.utc_ns = 1_800_000_000 * S
        self.quality: ClockQuality = "ntp"
        self.boot = "boot-a"

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.mono_ns += round(seconds * S)
        self.utc_ns += round(seconds * S)

    def clock(self) -> Clock:
        """Return a clock that goes by this."""
        return Clock(
            utc_ns=lambda: self.utc_ns,
            mono_ns=lambda: self.mono_ns,
            quality=lambda: self.quality,
            boot=self.boot,
        )


class WatchedStation:
    """One life of a daemon; `look` is what it does once a minute."""

    def __init__(self, settings: Settings, machine: Machine, root: Path) -> None:
        """`root` has the files that the kernel would show."""
        self.machine = machine
        self.daemon = Daemon(settings, clock=machine.clock())
        self.daemon.health._root = root
        self.daemon.health._vcgencmd = lambda: None
        self._now_s = 0.0
        self._running: asyncio.Task[int] | None = None

    async def start(self) -> None:
        """Start it; return when it has looked by itself, and once more by the test's time."""
        self._running = asyncio.create_task(self.daemon.run())
        async with asyncio.timeout(60):
            while self.daemon.health._reading is None:  # noqa: ASYNC110  It tells nobody.
                await asyncio.sleep(0.002)
        self._now_s = asyncio.get_running_loop().time() + MINUTE_S
        await self.look()

    async def end(self) -> None:
        """Stop it."""
        if self._running is not None:
            self.daemon.stop()
            await self._running
            self._running = None

    async def look(self) -> None:
        """Look at everything now, the disk and the store too."""
        await self.read()
        self.daemon.health._read_at_s = None
        await self.daemon.look(self._now_s)
        await self.read()

    async def read(self) -> None:
        """Wait for what is read in a thread."""
        reading = self.daemon.health._reading
        if reading is not None:
            await reading

    async def passes(self, seconds: float, *, every_s: float = MINUTE_S) -> None:
        """Let time pass, with a look each minute."""
        left_s = seconds
        while left_s > 0:
            step_s = min(every_s, left_s)
            left_s -= step_s
            is_writing = self.daemon.writer.state is StoreState.WRITING
            if is_writing:
                await self.kept()
            self._now_s += step_s
            self.machine.passes(step_s)
            if is_writing:  # Else a leap would seem a standstill.
                self.daemon.watchdog.progress._moved_at_s = self._now_s
            await self.look()

    async def leaps(self, seconds: float) -> None:
        """Let time pass in one step, with one look at its end."""
        await self.passes(seconds, every_s=seconds)

    async def kept(self) -> None:
        """Wait until everything is on the disk."""
        self.daemon.pipeline.flush()
        async with asyncio.timeout(60):
            while self.daemon.pipeline.waiting_rows:  # noqa: ASYNC110  As above.
                await asyncio.sleep(0.002)

    @property
    def alarms(self) -> list[tuple[str, str]]:
        """Alarms that are on, as the page tells them."""
        return [(alarm.alarm, alarm.subject) for alarm in self.daemon.health.snapshot().alarms]

    def alarm(self) -> AlarmSnapshot:
        """Return the only alarm that is on."""
        (alarm,) = self.daemon.health.snapshot().alarms
        return alarm


def settings_of(folder: Path, **tables: object) -> Settings:
    """Return settings of a station whose store lies in `folder`, without a page."""
    plain = Settings(
        station=StationSettings(id="marsh"),
        store=StoreSettings(path=str(folder / "marsh.db"), commit_interval=0.05),
        clock=ClockSettings(gpsd="", chrony="never"),
        page=PageSettings(port=0),
    )
    return msgspec.structs.replace(plain, **tables)
