"""The snapshot of the station put together, of what is in memory and what was last read.

Costs the loop 0.2 ms on a PC with three links, 2 ms with 190 antennas; it waits for no disk.
"""

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from protocols.records import Record
from receiver.activity import Activity
from receiver.arrivals import Source
from receiver.clock import Clock
from receiver.decode_watch import DecodeWatch
from receiver.health.antennas import antenna_snapshot, only_a_link, this_hour
from receiver.health.growth import Growth
from receiver.health.snapshot import (
    AlarmSnapshot,
    AntennaSnapshot,
    ClockSnapshot,
    HostSnapshot,
    LinkSnapshot,
    SinkSnapshot,
    StationSnapshot,
    StoreSnapshot,
)
from receiver.health.store_facts import StoreFacts
from receiver.health.tags_heard import Place
from receiver.health.totals import Totals
from receiver.links.intake import LinkStatus
from receiver.live import LiveRing
from receiver.pipeline import Pipeline
from receiver.references.clock_watch import ClockWatch
from receiver.settings import Link, Settings
from receiver.sink_settings import Sink
from receiver.store.writer import Writer
from receiver.supervision.links import Supervision
from receiver.utc_text import iso_utc

_MINUTE_NS: Final = 60 * 10**9
_BY_HAND: Final = "by hand"
"""The state of a sink that only `stopover upload` sends to."""


class SinkNow(Protocol):
    """How one sink is, as its runner tells."""

    @property
    def name(self) -> str:
        """The sink's name."""
        ...

    @property
    def state(self) -> str:
        """In words."""
        ...

    @property
    def reason(self) -> str | None:
        """Why it does not send."""
        ...

    @property
    def advice(self) -> str | None:
        """What to do about it."""
        ...


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the daemon that are looked at."""

    clock: Clock
    pipeline: Pipeline
    writer: Writer
    activity: Activity
    supervision: Supervision
    decode_watch: DecodeWatch
    clock_watch: ClockWatch
    sinks: Callable[[], Sequence[SinkNow]]
    standstill: Callable[[], str | None]
    keep: Callable[[Record, Source], None]
    """Stores what the station notes of itself."""
    alarms_are: Callable[[Sequence[AlarmSnapshot]], None]
    """Told which alarms are on, at the start and at every change."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was read in the last minute, and what follows from it."""

    facts: StoreFacts = StoreFacts(file_bytes=0, used_bytes=None, free_bytes=0, disk_bytes=0)
    growth: Growth = Growth()
    host: HostSnapshot = HostSnapshot()
    tags: Mapping[Place, int] = {}
    reserve_bytes: int | None = None


class Gatherer:
    """Makes snapshots."""

    def __init__(self, watched: Watched, totals: Totals) -> None:
        self._watched = watched
        self._totals = totals
        self._started = watched.clock.stamp()
        self._version = importlib.metadata.version("stopover")

    def snapshot(
        self,
        settings: Settings,
        known: Known,
        names: Mapping[str, str],
        alarms: Sequence[AlarmSnapshot],
    ) -> StationSnapshot:
        """Return how the station is now."""
        watched, heard = self._watched, self._watched.pipeline.heard
        now = watched.clock.stamp()
        statuses = {status.name: status for status in watched.supervision.statuses}
        self._count(watched.activity)
        started_mono_ns = self._started.mono_ns or 0
        now_mono_ns = now.mono_ns or 0
        return StationSnapshot(
            station=settings.station.id,
            version=self._version,
            started=iso_utc(self._started.utc_ns),
            uptime_s=(now_mono_ns - started_mono_ns) / 1e9,
            latitude=settings.station.latitude,
            longitude=settings.station.longitude,
            links=tuple(
                self._link(link, statuses.get(link.name), now_mono_ns) for link in settings.links
            ),
            antennas=tuple(self._antennas(settings, known, names, now.utc_ns // 10**9)),
            clock=ClockSnapshot(
                time=iso_utc(now.utc_ns),
                quality=now.clock,
                steps=watched.clock.steps,
                gps=watched.clock_watch.gps,
            ),
            store=self._store(known),
            sinks=tuple(_sinks(settings.sinks, watched.sinks(), known.facts)),
            host=known.host,
            alarms=tuple(alarms),
            detections=heard.detections,
            detections_last_minute=_last_minute(watched.pipeline.live, now_mono_ns),
            pulses=heard.pulses,
            unknown_frames=heard.unknown_frames,
            tags=len(heard.tags),
        )

    def _count(self, activity: Activity) -> None:
        for link in activity.links:
            link.add_listening()
        self._totals.look(activity.links)

    def _link(self, link: Link, status: LinkStatus | None, now_mono_ns: int) -> LinkSnapshot:
        total = self._totals.of(link.name)
        status = status or LinkStatus(link.name)
        heard_ns = status.last_heard_mono_ns
        return LinkSnapshot(
            name=link.name,
            kind=str(link.__struct_config__.tag),
            state=str(status.state),
            reason=status.reason,
            firmware=status.firmware,
            opened=status.opened,
            last_heard_s=None if heard_ns is None else max(0.0, (now_mono_ns - heard_ns) / 1e9),
            frames=total.frames,
            unknown_frames=total.unknown,
            rejects=dict(total.rejects),
        )

    def _antennas(
        self, settings: Settings, known: Known, names: Mapping[str, str], now_utc_s: int
    ) -> Iterator[AntennaSnapshot]:
        counting = {link.status.name: link for link in self._watched.activity.links}
        labels = {antenna.name: antenna for antenna in settings.antennas}
        newest = self._watched.pipeline.live.newest
        for link in settings.links:
            antennas = self._totals.of(link.name).antennas
            for antenna, total in antennas.items():
                place = (link.name, antenna)
                if only_a_link(antenna, total.detections, len(antennas)):
                    continue
                yield antenna_snapshot(
                    place,
                    total,
                    this_hour(counting.get(link.name), antenna),
                    day=known.facts.days.get((link.name, antenna or "")),
                    now_utc_s=now_utc_s,
                    label=labels.get(antenna or link.name),
                    newest=newest.get(place),
                    names=names,
                    tags=known.tags.get(place, 0),
                )

    def _store(self, known: Known) -> StoreSnapshot:
        watched, facts = self._watched, known.facts
        return StoreSnapshot(
            path=str(watched.writer.path),
            state=str(watched.writer.state),
            store_uuid=watched.writer.store_uuid or "",
            bytes=facts.file_bytes,
            free_bytes=facts.free_bytes,
            disk_bytes=facts.disk_bytes,
            bytes_per_day=known.growth.bytes_per_day,
            days_left=known.growth.days_left,
            detections=facts.detections,
            waiting_rows=watched.pipeline.waiting_rows,
            dropped_rows=watched.pipeline.heard.dropped_rows,
            rows_pruned=dict(facts.rows_pruned),
            reserve_bytes=known.reserve_bytes,
            set_aside=facts.set_aside,
        )


def _sinks(
    sinks: Sequence[Sink], statuses: Sequence[SinkNow], facts: StoreFacts
) -> list[SinkSnapshot]:
    by_name = {status.name: status for status in statuses}
    found = []
    for sink in sinks:
        status = by_name.get(sink.name)
        backlog = facts.backlogs.get(sink.name)
        acknowledged_ns = backlog.acknowledged_utc_ns if backlog else None
        oldest = backlog.oldest if backlog else None
        found.append(
            SinkSnapshot(
                name=sink.name,
                kind=str(sink.__struct_config__.tag),
                state=str(status.state) if status else _BY_HAND,
                reason=status.reason if status else None,
                advice=status.advice if status else f"`stopover upload --sink {sink.name}`",
                waiting_rows=backlog.rows if backlog else 0,
                oldest_waiting=iso_utc(oldest.utc_ns) if oldest else None,
                acknowledged_at=None if acknowledged_ns is None else iso_utc(acknowledged_ns),
                rows_refused=backlog.rows_refused if backlog else 0,
                is_paused=backlog.is_paused if backlog else False,
            )
        )
    return found


def _last_minute(live: LiveRing, now_mono_ns: int) -> int:
    """Return the detections of the last minute; where the ring is too short, by its pace."""
    moments = [heard.arrival.stamp.mono_ns or 0 for heard in live.since(0)]
    if not moments:
        return 0
    reach_ns = now_mono_ns - moments[0]
    if len(moments) < live.count and 0 < reach_ns < _MINUTE_NS:
        return round(len(moments) * _MINUTE_NS / reach_ns)
    return sum(now_mono_ns - moment < _MINUTE_NS for moment in moments)
