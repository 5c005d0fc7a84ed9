"""The daemon: everything put together, started, watched, changed, drained and stopped.

The order of stopping is the promise of SIGTERM: links first, then what they heard goes into the
store, then the store is closed; all within ten seconds. SIGHUP reads the configuration again.
"""

import asyncio
import gc
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from receiver import payload_codecs
from receiver.activity import Activity
from receiver.clock import Clock
from receiver.coded_ids.listener import CodedIdListener
from receiver.connecting import connect
from receiver.decode_watch import DecodeWatch, LinkTotals
from receiver.health.gather import Watched
from receiver.health.watch import HealthWatch
from receiver.limits import ACTIVITY_INTERVAL_S, DRAIN_S, TICK_S
from receiver.links import usb_reset
from receiver.links.intake import LinkStatus
from receiver.log import configure
from receiver.minute import Minute, states
from receiver.own_records import OwnRecords
from receiver.pipeline import Pipeline
from receiver.references.clock_watch import ClockWatch
from receiver.run_index import RunSorting
from receiver.settings import Link, Settings
from receiver.sinks.uploads import Uploads, noted_by
from receiver.store.lock import hold
from receiver.store.retention import Retention, retention_of
from receiver.store.writer import StoreState, Writer
from receiver.supervision.links import RunsForEver, Supervision
from receiver.supervision.notify import Notifier
from receiver.supervision.own_watches import OwnWatches
from receiver.supervision.progress import Progress, Watchdog
from receiver.supervision.reload import Reload, taken_over
from receiver.web.door import Door
from receiver.web.parts import StationParts

log = structlog.get_logger()

_SUMMARY_INTERVAL_S = 60.0
_READY_LOOK_S = 0.1
_SIGNALS_TO_STOP = (signal.SIGTERM, signal.SIGINT)


class Daemon:
    """One running station.

    Raises:
        StoreInUseError: from `run`, when another daemon has the store.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        load: Callable[[], Settings] | None = None,
        notifier: Notifier | None = None,
        configuration: Path | None = None,
    ) -> None:
        """`load` reads the `configuration` again, for SIGHUP; `notifier` tells systemd."""
        self.settings = settings
        self.clock = clock or Clock()
        self.notifier = notifier or Notifier()
        self.writer = Writer(
            Path(settings.store.path),
            settings.station.id,
            retention=_retention(settings),
            chore=RunSorting(self._known_tags),
        )
        self.activity = Activity(self.clock.stamp().utc_ns, self.clock.boot)
        self.pipeline = Pipeline(
            self.clock,
            self.writer,
            self.activity,
            commit_interval_s=settings.store.commit_interval,
            payloads=payload_codecs.declared(settings.codecs),
        )
        self.coded_ids = CodedIdListener(
            self.pipeline.take_decoded,
            mono_ns=lambda: self.clock.stamp().mono_ns or 0,
            pulses_kept=settings.store.pulses,
        )
        self.pipeline.pulse_listener = self.coded_ids
        self.supervision = Supervision(self._link, reset_of=usb_reset.reset_of)
        self.decode_watch = DecodeWatch()
        self.own_records = OwnRecords(self.clock, self.pipeline)
        self.clock_watch = ClockWatch(self.clock, self.own_records.keep_gpsd_fix)
        self.watchdog = Watchdog(
            Progress(self.writer, lambda: self.pipeline.waiting_rows, self.supervision.dead),
            self.notifier,
        )
        self.uploads = Uploads(
            [sink for sink in settings.sinks if sink.automatic],
            Path(settings.store.path),
            settings.station.id,
            noted_by(self.writer.note),
        )
        self._minute = Minute(self.pipeline.heard)
        self.health = HealthWatch(
            settings,
            Watched(
                clock=self.clock,
                pipeline=self.pipeline,
                writer=self.writer,
                activity=self.activity,
                supervision=self.supervision,
                decode_watch=self.decode_watch,
                clock_watch=self.clock_watch,
                sinks=lambda: self.uploads.statuses,
                standstill=lambda: self.watchdog.standstill,
                keep=self.own_records.keep,
                alarms_are=self.uploads.alarms_are,
            ),
        )
        self._reload = Reload(load, self.change, self.notifier)
        self.door = Door(self._parts_of_the_page(configuration))
        self._watches = OwnWatches()
        self._stop = asyncio.Event()

    @property
    def links(self) -> list[LinkStatus]:
        """How each link is, in the order of the configuration."""
        return self.supervision.statuses

    def stop(self) -> None:
        """Ask the daemon to drain and end; safe to call again."""
        self._stop.set()

    def reload(self) -> None:
        """Ask the daemon to read its configuration again."""
        self._reload.ask()

    async def run(self) -> int:
        """Run until `stop` or a signal; return the rows that could not be kept (0 is good)."""
        lock = hold(Path(self.settings.store.path))
        loop = asyncio.get_running_loop()
        for number in _SIGNALS_TO_STOP:
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            return await self._run()
        finally:
            for number in (*_SIGNALS_TO_STOP, signal.SIGHUP):
                loop.remove_signal_handler(number)
            self.notifier.close()
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
        # What was imported lives as long as the process: full collections that walk through all of
        # it stall the loop for 20 ms and more.
        gc.collect()
        gc.freeze()
        self.writer.start()
        self._state_position()
        self.pipeline.flush()
        await self.coded_ids.change(self.settings.tags.coded_ids)
        await self.supervision.change(self.settings.links)
        await self.clock_watch.change(self.settings.clock)
        await self.door.open()
        watches = [self._keep_activity, self._summarise, self._look_after, self._reload.run]
        if self.uploads.statuses:
            watches.append(self.uploads.run)
        self._watches.start(watches)
        await self._stop.wait()
        self.notifier.stopping()
        log.info("station stops", station=station, waiting_rows=self.pipeline.waiting_rows)
        await self._watches.stop()
        await asyncio.gather(
            self.supervision.stop(),
            self.clock_watch.stop(),
            self.door.close(),
            self.health.stop(),
        )
        self.coded_ids.finish()
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

    def _link(self, settings: Link, status: LinkStatus) -> RunsForEver:
        return connect(
            settings,
            status,
            self.pipeline,
            self.settings.station.id,
            known_tags=self._known_tags,
        )

    def _known_tags(self) -> frozenset[str]:
        """Return the ids on the station's lists, as they were last read."""
        return self.health.names.known

    async def change(self, wanted: Settings) -> None:
        """Take over new settings, as far as can be while the station runs; tell what waits."""
        old = self.settings
        self.settings, waiting = taken_over(old, wanted)
        for key in waiting:
            log.warning("setting waits for a restart", key=key)
        if self.settings.log != old.log:
            configure(self.settings.log.format, self.settings.log.level)
        self.pipeline.commit_every(self.settings.store.commit_interval)
        self.writer.housekeeping.retention = _retention(self.settings)
        self.coded_ids.pulses_kept = self.settings.store.pulses
        await self.coded_ids.change(self.settings.tags.coded_ids)
        if self.settings.station != old.station:
            self._state_position()
        changes = await self.supervision.change(self.settings.links)
        for name in set(changes.stopped) - set(changes.started):
            self.activity.end(name)
        await self.clock_watch.change(self.settings.clock)
        self.health.change(self.settings)
        await self.door.change()
        log.info(
            "configuration read again",
            links_kept=",".join(changes.kept),
            links_stopped=",".join(changes.stopped),
            links_started=",".join(changes.started),
        )

    def _state_position(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self.own_records.state_position(self.settings.station, now_s)

    def _parts_of_the_page(self, configuration: Path | None) -> StationParts:
        return StationParts(
            settings=lambda: self.settings,
            snapshot=self.health.snapshot,
            live=self.pipeline.live,
            names=lambda: self.health.names.names,
            known=lambda: self.health.names.known,
            keep=self.own_records.keep,
            boot=self.clock.boot,
            reload=self.reload if self._reload.is_possible else None,
            configuration=configuration,
        )

    async def _look_after(self) -> None:
        """Look at clock, radios and progress; tell systemd."""
        notifier = self.notifier
        tick_s = min(TICK_S, (notifier.watchdog_s or 2 * TICK_S) / 2)
        if not notifier.is_heard:
            tick_s = _SUMMARY_INTERVAL_S
        while self.writer.state is StoreState.OPENING:
            # A large store is checked for seconds, and links hear meanwhile.
            self.watchdog.look(asyncio.get_running_loop().time())
            await asyncio.sleep(_READY_LOOK_S)
        notifier.ready()
        while True:
            await self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(tick_s)

    async def look(self, now_s: float) -> None:
        """Do what is due at `now_s`, seconds of the loop's clock."""
        self.clock.look()
        if self.clock.has_samples:
            self.pipeline.flush()
        self.clock_watch.look()
        await self.supervision.look(now_s)
        self.decode_watch.look(
            LinkTotals(link.status.name, link.records, link.unknown) for link in self.activity.links
        )
        await self.coded_ids.look()
        self.own_records.look(self.settings.station, now_s)
        self.watchdog.look(now_s)
        self.health.look(now_s)
        self.notifier.status(self.status_line())

    def status_line(self) -> str:
        """Return how the station is, in a line for a technician."""
        parts = [
            f"links: {states(self.links)}",
            self._minute.last,
            f"store {self.writer.state}",
            f"clock {self.clock.quality}",
            self.clock_watch.gps or "",
        ]
        alarms = (*self.supervision.alarms, *self.decode_watch.alarms)
        parts += [f"ALARM {alarm}" for alarm in alarms]
        parts += [f"ALARM {alarm.words}" for alarm in self.health.alarms.not_told_elsewhere]
        if self.watchdog.standstill:
            parts.append(f"STANDSTILL {self.watchdog.standstill}")
        return "; ".join(filter(None, parts))

    async def _keep_activity(self) -> None:
        while True:
            now = self.clock.stamp().utc_ns
            left_s = self.activity.seconds_to_full_hour(now)
            await asyncio.sleep(min(ACTIVITY_INTERVAL_S, left_s + 0.01))
            self.pipeline.flush(with_activity=True)

    async def _summarise(self) -> None:
        while True:
            await asyncio.sleep(_SUMMARY_INTERVAL_S)
            self._minute.tell(self.links, store=str(self.writer.state), clock=self.clock.quality)


def _retention(settings: Settings) -> Retention:
    return retention_of(settings.store, tuple(sink.name for sink in settings.sinks))
