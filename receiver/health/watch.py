"""Looking after the station's health: readings, alarms, and the snapshot that everybody reads.

What takes time (the computer, the disk, the store) is read in a thread once a minute. A disk that
hangs makes what was read old; it never holds up the loop, nor what systemd is told.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from receiver.arrivals import Stamp
from receiver.health import alarm_notes, host_rows, power
from receiver.health.alarm_notes import Key, Note, NotedAlarms
from receiver.health.alarm_rules import all_rules, sink_key
from receiver.health.alarms import AlarmChange, Alarms
from receiver.health.gather import Gatherer, Known, Watched
from receiver.health.growth import DiskSample, GrowthWatch
from receiver.health.host import read_host
from receiver.health.moment import Moment, moment_of
from receiver.health.radio_rules import beacon_key
from receiver.health.situation import FrameCounts, Situation
from receiver.health.snapshot import HostSnapshot, StationSnapshot
from receiver.health.store_facts import StoreFacts, read_facts
from receiver.health.tag_names import TagNames
from receiver.health.tags_heard import TagsHeard
from receiver.health.totals import Totals
from receiver.health.webhook import AlarmMessage, Webhook
from receiver.limits import HEALTH_EVERY_S, HOST_ROW_EVERY_S
from receiver.returned_memory import give_back
from receiver.settings import Settings
from receiver.store import faults
from receiver.store.errors import StoreError
from receiver.store.queries import Reader
from receiver.store.retention import retention_of
from receiver.store.writer import StoreState
from receiver.utc_text import iso_utc

log = structlog.get_logger()

_EARLY_S = 0.5
"""A look that is due in less is done now: the loop's timers are not that regular."""


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What the thread brings."""

    host: HostSnapshot
    facts: StoreFacts | None
    reserve_bytes: int | None
    lost_store: str = ""
    notes: NotedAlarms | None = None
    samples: Sequence[DiskSample] = ()


class HealthWatch:
    """Belongs to the loop; `look` is called every ten to sixty seconds."""

    def __init__(
        self,
        settings: Settings,
        watched: Watched,
        *,
        root: Path = Path("/"),
        vcgencmd: Callable[[], str | None] = power.vcgencmd,
    ) -> None:
        """`root` has the kernel's files; `vcgencmd` asks a Raspberry Pi where they do not tell."""
        self.names = TagNames(settings.tags)
        self.alarms = Alarms()
        self._settings = settings
        self._watched = watched
        self._root = root
        self._vcgencmd = vcgencmd
        self._webhook = Webhook(settings.alarms, self._posted)
        self._totals = Totals()
        self._gatherer = Gatherer(watched, self._totals)
        self._growth = GrowthWatch()
        self._tags_heard = TagsHeard()
        self._rules = all_rules()
        self._known = Known()
        self._lost = ""
        self._expected: dict[Key, Moment] = {}
        self._has_read = False
        self._has_notes = False
        self._read_at_s: float | None = None
        self._row_at_s: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told_fault = ""

    def snapshot(self) -> StationSnapshot:
        """Return how the station is; cheap, and never older than a minute."""
        return self._gatherer.snapshot(
            self._settings, self._known, self.names.names, self.alarms.on
        )

    def change(self, settings: Settings) -> None:
        """Take over new settings: thresholds, beacons, antennas, names, sinks, links."""
        self._settings = settings
        self.names.change(settings.tags)
        self._webhook.change(settings.alarms)

    def look(self, now_s: float) -> None:
        """Do what is due at `now_s`, seconds of the loop's clock; never raises."""
        if self._watched.writer.state is StoreState.OPENING:
            return
        self._totals.look(self._watched.activity.links)
        is_reading = self._reading is not None and not self._reading.done()
        is_due = self._read_at_s is None or now_s - self._read_at_s >= HEALTH_EVERY_S - _EARLY_S
        if is_due and not is_reading:
            self._read_at_s = now_s
            self._reading = asyncio.create_task(self._read_and_judge(now_s))
        elif self._has_read:
            self._guarded(self._judge, now_s)

    async def stop(self) -> None:
        """Look no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._webhook.stop()

    async def _read_and_judge(self, now_s: float) -> None:
        stamp = self._watched.clock.stamp()
        try:
            read = await asyncio.to_thread(self._read, self._settings, now_s, stamp)
        except Exception as error:  # noqa: BLE001  Health must not end the station.
            self._tell_fault(error)
            return
        self._has_read = True
        self._lost = read.lost_store
        self._guarded(self._take, read, now_s)
        self._guarded(self._judge, now_s)

    def _read(self, settings: Settings, now_s: float, stamp: Stamp) -> _Read:
        """Read what takes time; runs in a thread, one at a time."""
        path = self._watched.writer.path
        lost_store = self._lost_store()
        self.names.look()
        host = read_host(path.parent, self._root, vcgencmd=self._vcgencmd)
        reserve = self._watched.writer.housekeeping.reserve
        reserve_bytes = reserve.size_bytes if reserve.is_held else None
        facts: StoreFacts | None = None
        notes: NotedAlarms | None = None
        samples: Sequence[DiskSample] = ()
        reader: Reader | None = None
        try:
            try:
                reader = Reader(path)
            except StoreError as error:
                log.debug("store cannot be looked at", reason=str(error))
            facts = read_facts(
                path, reader, settings.sinks, now=stamp, session=self._watched.activity.session
            )
            if reader is not None:
                self._tags_heard.look(reader, settings.beacons, now_s, stamp)
                if not self._has_notes:
                    notes = alarm_notes.read_notes(reader.connection)
                    samples = host_rows.read_samples(reader.connection, now_s, stamp)
        except (sqlite3.Error, OSError) as error:
            log.debug("store cannot be looked at", reason=str(error))
        finally:
            if reader is not None:
                reader.close()
        if self._row_is_due(now_s):  # A start, an upload after an outage leave much behind.
            give_back()
        return _Read(
            host=host,
            facts=facts,
            reserve_bytes=reserve_bytes,
            lost_store=lost_store,
            notes=notes,
            samples=samples,
        )

    def _lost_store(self) -> str:
        """Return the store's place where it is taken away from the writer that has it open."""
        writer = self._watched.writer
        written = writer.file
        is_lost = faults.file_at(writer.path) != written
        # The writer itself may set a damaged store aside meanwhile.
        return str(writer.path) if is_lost and written and writer.file == written else ""

    def _take(self, read: _Read, now_s: float) -> None:
        if read.notes is not None and not self._has_notes:
            self._has_notes = True
            self._growth.begin_with(read.samples)
            self._expected |= read.notes.expected
            self.alarms.go_on_with(read.notes.on)
            self._watched.alarms_are(self.alarms.on)
            for note in read.notes.to_post:
                self._post(note)
        facts = read.facts or self._known.facts
        growth = self._known.growth
        sample = host_rows.disk_sample(facts, now_s)
        if sample is not None and read.facts is not None:
            growth = self._growth.take(
                sample,
                unused_bytes=facts.unused_bytes,
                most_bytes=retention_of(self._settings.store).max_bytes,
            )
        self._known = Known(
            facts=facts,
            growth=growth,
            host=read.host,
            tags=self._tags_heard.counts(),
            reserve_bytes=read.reserve_bytes,
        )
        if self._row_is_due(now_s):
            self._row_at_s = now_s
            self._watched.keep(host_rows.host_row(read.host, facts), host_rows.SOURCE)

    def _row_is_due(self, now_s: float) -> bool:
        return self._row_at_s is None or now_s - self._row_at_s >= HOST_ROW_EVERY_S - _EARLY_S

    def _judge(self, now_s: float) -> None:
        watched = self._watched
        stamp = watched.clock.stamp()
        self._expect(stamp)
        situation = Situation(
            now_s=now_s,
            stamp=stamp,
            settings=self._settings,
            links=watched.supervision.statuses,
            silent={alarm.partition(":")[0]: alarm for alarm in watched.supervision.alarms},
            unreadable=watched.decode_watch.failing,
            frames={
                link.status.name: FrameCounts(link.records, link.unknown)
                for link in watched.activity.links
            },
            store_state=watched.writer.state,
            lost_store=self._lost,
            standstill=watched.standstill(),
            facts=self._known.facts,
            growth=self._known.growth,
            host=self._known.host,
            beacons=self._tags_heard.beacons,
            expected=self._expected,
            on=self.alarms.keys,
        )
        findings = [finding for rule in self._rules for finding in rule(situation)]
        changes = self.alarms.look(findings, now_s, iso_utc(stamp.utc_ns))
        for change in changes:
            self._tell(change)
        if changes:
            watched.alarms_are(self.alarms.on)

    def _expect(self, stamp: Stamp) -> None:
        """Note since when a beacon or a sink is expected to be heard of."""
        expected = [beacon_key(beacon) for beacon in self._settings.beacons]
        expected += [sink_key(sink.name) for sink in self._settings.sinks if sink.automatic]
        for key in expected:
            if key not in self._expected:
                self._expected[key] = moment_of(stamp)
                self._note(Note(what="expected", alarm=key[0], subject=key[1]))

    def _tell(self, change: AlarmChange) -> None:
        note = alarm_notes.noted("on" if change.is_on else "over", change.alarm)
        self._note(note)
        self._post(note)

    def _post(self, note: Note) -> None:
        about = " ".join(filter(None, (note.alarm, note.subject)))
        station, is_on = self._settings.station.id, note.what == "on"
        words = f"ALARM {about}: {note.message}" if is_on else f"over: {about}"
        self._webhook.post(
            AlarmMessage(
                text=f"{station}: {words}",
                station=station,
                state="on" if is_on else "over",
                alarm=note.alarm,
                subject=note.subject,
                since=note.since,
                time=iso_utc(self._watched.clock.stamp().utc_ns),
                message=note.message,
                do=note.do,
            )
        )

    def _posted(self, message: AlarmMessage) -> None:
        self._note(
            Note(
                what="posted",
                alarm=message.alarm,
                subject=message.subject,
                message=message.state,
            )
        )

    def _note(self, note: Note) -> None:
        self._watched.keep(note.line(), alarm_notes.SOURCE)

    def _guarded(self, act: Callable[..., None], *arguments: object) -> None:
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001  Health must not end the station.
            self._tell_fault(error)

    def _tell_fault(self, error: Exception) -> None:
        fault = f"{type(error).__name__}: {error}"
        if fault != self._told_fault:
            self._told_fault = fault
            log.error("failed by a fault in the program", what="health", exc_info=error)
