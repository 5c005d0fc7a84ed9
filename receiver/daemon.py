"""The daemon: everything put together, started, watched, drained and stopped.

The order of stopping is the promise of SIGTERM: links first, then what they heard goes into the
store, then the store is closed; all within ten seconds.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO

import structlog

from receiver.activity import Activity
from receiver.clock import Clock
from receiver.limits import (
    ACTIVITY_INTERVAL_S,
    DRAIN_S,
    FIRST_DETECTIONS_LOGGED_PER_MINUTE,
    SERIAL_REOPEN_LONGEST_S,
)
from receiver.links.intake import LinkState, LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import Link, MqttLink, SerialLink, Settings
from receiver.store.writer import Writer

log = structlog.get_logger()

_SUMMARY_INTERVAL_S = 60.0


class StoreInUseError(Exception):
    """Another daemon writes to the store; the message names it."""


class Daemon:
    """One running station.

    Raises:
        StoreInUseError: from `run`, when another daemon has the store.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.writer = Writer(Path(settings.store.path), settings.station.id)
        self.activity = Activity(self.clock.stamp().utc_ns)
        self.pipeline = Pipeline(
            self.clock,
            self.writer,
            self.activity,
            commit_interval_s=settings.store.commit_interval,
        )
        self.links: list[LinkStatus] = []
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask the daemon to drain and end; safe to call again."""
        self._stop.set()

    async def run(self) -> int:
        """Run until `stop` or a signal; return the rows that could not be kept (0 is good)."""
        lock = _lock(Path(self.settings.store.path))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            return await self._run()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            lock.close()

    async def _run(self) -> int:
        station = self.settings.station.id
        log.info(
            "station starts",
            station=station,
            store=self.settings.store.path,
            links=len(self.settings.links),
            clock=self.clock.quality,
            commit_interval_s=self.settings.store.commit_interval,
        )
        self.writer.start()
        self.pipeline.flush()
        tasks = [asyncio.create_task(self._watched(link)) for link in self.settings.links]
        tasks.append(asyncio.create_task(self._keep_activity()))
        tasks.append(asyncio.create_task(self._summarise()))
        await self._stop.wait()
        log.info("station stops", station=station, waiting_rows=self.pipeline.waiting_rows)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.pipeline.flush(with_activity=True)
        lost = await self.writer.stop(DRAIN_S)
        # What the writer still had to tell the loop is told now.
        await asyncio.sleep(0)
        if lost:
            log.error("rows could not be kept", rows=lost, state=str(self.writer.state))
        log.info("station stopped", station=station, detections=self.pipeline.heard.detections)
        return lost

    def _signalled(self, number: int) -> None:
        log.info("asked to stop", signal=signal.Signals(number).name)
        self.stop()

    async def _watched(self, settings: Link) -> None:
        """Run one link for ever; its failure is its own, whatever it is."""
        status = LinkStatus(settings.name)
        self.links.append(status)
        run = self._link(settings, status)
        while True:
            try:
                await run()
            except Exception:  # A fault in one link must not end the others.
                log.exception("link failed by a fault in the program", link=settings.name)
            status.state = LinkState.FAILED
            status.listening(now=False)
            await asyncio.sleep(SERIAL_REOPEN_LONGEST_S)

    def _link(self, settings: Link, status: LinkStatus) -> Callable[[], Awaitable[None]]:
        if isinstance(settings, SerialLink):
            from receiver.links.serial import SerialLink as Serial  # noqa: PLC0415  Loaded if used.

            return Serial(settings, self.pipeline.stream_intake(settings, status), status).run
        from receiver.links.mqtt import MqttLink as Mqtt  # noqa: PLC0415  Loaded where used.

        assert isinstance(settings, MqttLink)  # noqa: S101  There are two kinds.
        intake = self.pipeline.message_intake(settings, status)
        return Mqtt(settings, intake, status, self.settings.station.id).run

    async def _keep_activity(self) -> None:
        while True:
            now = self.clock.stamp().utc_ns
            left_s = self.activity.seconds_to_full_hour(now)
            await asyncio.sleep(min(ACTIVITY_INTERVAL_S, left_s + 0.01))
            self.pipeline.flush(with_activity=True)

    async def _summarise(self) -> None:
        heard = self.pipeline.heard
        before = (heard.detections, heard.pulses, heard.unknown_frames, heard.dropped_rows)
        while True:
            await asyncio.sleep(_SUMMARY_INTERVAL_S)
            self.clock.look()
            now = (heard.detections, heard.pulses, heard.unknown_frames, heard.dropped_rows)
            detections, pulses, unknown, dropped = (
                after - earlier for after, earlier in zip(now, before, strict=True)
            )
            before = now
            log.info(
                "last minute",
                detections=detections,
                **({"pulses": pulses} if pulses else {}),
                tags_since_start=len(heard.tags),
                links=_states(self.links),
                store=str(self.writer.state),
                clock=self.clock.quality,
            )
            if unknown:
                log.warning("unknown frames", count=unknown, do="see `stopover status`")
            if dropped:
                log.error("rows dropped: no room while the store is away", rows=dropped)
            quiet = heard.first_detections_this_minute - FIRST_DETECTIONS_LOGGED_PER_MINUTE
            if quiet > 0:
                log.info("more tags heard first", tags=quiet)
            heard.first_detections_this_minute = 0


def _states(links: Sequence[LinkStatus]) -> str:
    """Return `3 hearing, 1 failed`."""
    counts: dict[str, int] = {}
    for link in links:
        counts[link.state] = counts.get(link.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _lock(store: Path) -> IO[str]:
    """Hold the store for one daemon; the lock ends with the process, however it ends."""
    path = store.with_name(store.name + ".lock")
    try:
        file = path.open("w", encoding="ascii")
    except OSError as error:
        raise StoreInUseError(
            f"{path}: cannot be written: {error.strerror}; check the folder of `store.path`"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreInUseError(
            f"{store}: another `stopover run` has this store; stop it first"
        ) from None
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
