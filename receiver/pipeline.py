"""The way of a frame: frame → records → stamp → store, and every drop counted under a name.

Each link gets an intake of its own. What the intakes make of their bytes waits in one batch, which
goes to the writer when `commit_interval` is over, when it is large, or sooner where a broker waits.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from protocols import registry
from protocols.declared_payloads import DeclaredPayload
from protocols.framing import Framer, Framing, framer
from protocols.records import (
    Detection,
    Ignored,
    Pulse,
    Record,
    Setting,
    StationHealth,
    Unknown,
)
from receiver.activity import Activity, AntennaActivity, LinkActivity
from receiver.arrivals import Arrival, RunRow, Source, Stamp
from receiver.clock import Clock
from receiver.limits import (
    COMMIT_TIME_PART,
    FIRST_DETECTIONS_LOGGED_PER_MINUTE,
    MAX_BATCH_ROWS,
    MAX_WAITING_RAW_BYTES,
    MAX_WAITING_ROWS,
    MQTT_COMMIT_DELAY_S,
    TAGS_REMEMBERED,
    UNKNOWN_FRAME_SAMPLES_PER_HOUR,
)
from receiver.links.intake import FrameListener, LinkStatus, MessageListener
from receiver.links.topics import TopicRoutes
from receiver.live import LiveRing
from receiver.settings import MqttLink, MqttTopic, SerialLink, SocketLink, labels
from receiver.store.writer import Batch, Writer

log = structlog.get_logger()

_NONE: Mapping[str, MessageListener] = {}


class Heard:
    """What was heard since the start and in the current minute: the in-memory summary."""

    def __init__(self) -> None:
        self.frames = 0
        self.detections = 0
        self.pulses = 0
        self.unknown_frames = 0
        self.dropped_rows = 0
        """Rows that found no room while the disk was away."""
        self.tags: dict[str, int] = {}
        """Detections of each tag since the start (or since there were too many)."""
        self.first_detections_this_minute = 0


class PulseListener(Protocol):
    """Makes detections of pulses; it hands them back by `Pipeline.take_decoded`."""

    def heard(self, arrival: Arrival, activity: LinkActivity) -> Arrival | None:
        """Take a pulse or a setting; return what is to be stored of it now, if anything."""
        ...


class Pipeline:
    """Takes what links read, keeps it in memory for at most an interval, hands it to the writer."""

    def __init__(
        self,
        clock: Clock,
        writer: Writer,
        activity: Activity,
        *,
        commit_interval_s: float,
        payloads: Sequence[DeclaredPayload] = (),
    ) -> None:
        """`payloads` are the layouts that the owner declared, for the decoders."""
        self.clock = clock
        self._payloads = payloads
        self.heard = Heard()
        self.live = LiveRing()
        self.pulse_listener: PulseListener | None = None
        self._writer = writer
        self._activity = activity
        self.commit_every(commit_interval_s)
        self._arrivals: list[Arrival] = []
        self._runs: dict[int, RunRow] = {}
        self._on_durable: list[Callable[[], None]] = []
        self._arrived_raw_bytes = 0
        self._waiting_rows = 0
        self._waiting_raw_bytes = 0
        self._commit_timer: asyncio.TimerHandle | None = None
        self._commit_at = 0.0

    def commit_every(self, commit_interval_s: float) -> None:
        """Hold what is heard for this long at most, from the next batch on."""
        self._commit_delay_s = commit_interval_s * (1 - COMMIT_TIME_PART)

    @property
    def payloads(self) -> Sequence[DeclaredPayload]:
        """The layouts that the owner declared."""
        return self._payloads

    @property
    def waiting_rows(self) -> int:
        """Rows heard that are not yet on the disk."""
        return self._waiting_rows

    def stream_intake(
        self,
        link: SerialLink | SocketLink,
        status: LinkStatus,
        listener: FrameListener | None = None,
    ) -> "StreamIntake":
        """Return the intake of a serial link or socket; `listener` sees each frame first."""
        activity = LinkActivity(status, iter(labels(link)))
        self._activity.add(activity)
        entry = registry.entry(link.decoder)
        source = _source(link.name, entry.identity, link)
        return StreamIntake(
            self,
            activity,
            source,
            cutter=framer(entry.framing),
            decoder=entry.made(self._payloads),
            listener=listener,
        )

    def message_intake(
        self, link: MqttLink, status: LinkStatus, listeners: Mapping[str, MessageListener] = _NONE
    ) -> "MessageIntake":
        """Return the intake of an MQTT link; `listeners`, by decoder, see each message first."""
        told = (label for topic in link.topics for label in labels(topic))
        activity = LinkActivity(status, told)
        self._activity.add(activity)
        routes = []
        for topic in link.topics:
            entry = registry.entry(topic.decoder)
            route = _MessageRoute(
                _source(link.name, entry.identity, topic),
                entry.made(self._payloads).decode,
                entry.framing,
                listeners.get(topic.decoder),
            )
            routes.append((topic.topic, route))
        return MessageIntake(self, activity, TopicRoutes(routes))

    def count_activity(self, activity: LinkActivity) -> None:
        """Let the hours count what this link does, where an intake of another kind takes it."""
        self._activity.add(activity)

    def take(
        self,
        records: Sequence[Record],
        source: Source,
        stamp: Stamp,
        activity: LinkActivity,
        on_durable: Callable[[], None] | None = None,
        *,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Count the records of one frame and queue what is to be kept.

        `on_durable` is called once it is in the store, and soon, since a broker waits; `then` is
        called whenever that is so, and never where there was no room for the records.
        """
        kept, raw_bytes = self._kept_of(records, source, stamp, activity)
        # Messages that wait for their acknowledgement are bounded by the broker.
        if on_durable is None and not self._has_room(len(kept), raw_bytes):
            self.heard.dropped_rows += len(kept)
            activity.of(source.antenna).rejects["store_backlog"] += len(kept)
            return
        if then is not None and not kept and not self._waiting_rows:
            asyncio.get_running_loop().call_soon(then)  # All that came before is in the store.
            then = None
        self._arrivals += kept
        self._arrived_raw_bytes += raw_bytes
        self._waiting_rows += len(kept)
        self._waiting_raw_bytes += raw_bytes
        if then is not None:
            self._on_durable.append(then)
        if on_durable is not None:
            self._on_durable.append(on_durable)
            self._commit_within(MQTT_COMMIT_DELAY_S)
        elif len(self._arrivals) >= MAX_BATCH_ROWS:
            self._commit_within(0)
        elif (kept or then is not None) and self._commit_timer is None:
            self._commit_within(self._commit_delay_s)

    def take_decoded(
        self, arrivals: Sequence[Arrival], runs: Sequence[RunRow], activity: LinkActivity
    ) -> None:
        """Queue what a decoder made of pulses: detections, their runs, pulses kept for them."""
        raw_bytes = 0
        for arrival in arrivals:
            record = arrival.record
            if isinstance(record, Detection):
                self._counted_as_kept(record, arrival.source, activity)
                self.live.heard(arrival)
            raw_bytes += 0 if isinstance(record, Ignored) else len(record.raw)
        if not self._has_room(len(arrivals), raw_bytes):
            self.heard.dropped_rows += len(arrivals)
            activity.of(None).rejects["store_backlog"] += len(arrivals)
            return
        self._runs |= {run.number: run for run in runs}
        self._arrivals += arrivals
        self._arrived_raw_bytes += raw_bytes
        self._waiting_rows += len(arrivals)
        self._waiting_raw_bytes += raw_bytes
        if len(self._arrivals) >= MAX_BATCH_ROWS:
            self._commit_within(0)
        elif self._commit_timer is None:
            self._commit_within(self._commit_delay_s)

    def _kept_of(
        self, records: Sequence[Record], source: Source, stamp: Stamp, activity: LinkActivity
    ) -> tuple[list[Arrival], int]:
        """Count records; return those that become rows now, and how many raw bytes they have."""
        kept = []
        raw_bytes = 0
        activity.records += len(records)
        for record in records:
            if isinstance(record, Ignored):
                activity.of(source.antenna).rejects[record.reason] += 1
            elif self._counted_as_kept(record, source, activity):
                arrival = self._listened(Arrival(record, source, stamp), activity)
                if arrival is not None:
                    self.live.heard(arrival)
                    kept.append(arrival)
                    raw_bytes += len(record.raw)
        return kept, raw_bytes

    def _listened(self, arrival: Arrival, activity: LinkActivity) -> Arrival | None:
        listener = self.pulse_listener
        if listener is None or not isinstance(arrival.record, Pulse | Setting):
            return arrival
        return listener.heard(arrival, activity)

    def count_frames(self, count: int, antenna: AntennaActivity) -> None:
        """Count frames that were cut from a stream or came as messages."""
        self.heard.frames += count
        antenna.frames += count

    def flush(self, *, with_activity: bool = False) -> None:
        """Hand everything that waits to the writer now."""
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        samples = self.clock.take_samples()
        activity = self._activity.rows(self.clock.stamp().utc_ns) if with_activity else []
        if not (self._arrivals or self._runs or self._on_durable or samples or activity):
            return
        arrivals, self._arrivals = self._arrivals, []
        runs, self._runs = list(self._runs.values()), {}
        on_durable, self._on_durable = self._on_durable, []
        rows, raw_bytes, self._arrived_raw_bytes = len(arrivals), self._arrived_raw_bytes, 0
        written = functools.partial(self._written, rows, raw_bytes)
        self._writer.submit(Batch(arrivals, samples, activity, [*on_durable, written], runs))

    def _written(self, rows: int, raw_bytes: int) -> None:
        self._waiting_rows -= rows
        self._waiting_raw_bytes -= raw_bytes

    def _has_room(self, rows: int, raw_bytes: int) -> bool:
        return (
            self._waiting_rows + rows <= MAX_WAITING_ROWS
            and self._waiting_raw_bytes + raw_bytes <= MAX_WAITING_RAW_BYTES
        )

    def _commit_within(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + delay_s
        if self._commit_timer is not None:
            if at >= self._commit_at:
                return
            self._commit_timer.cancel()
        self._commit_at = at
        self._commit_timer = loop.call_at(at, self.flush)

    def _counted_as_kept(self, record: Record, source: Source, activity: LinkActivity) -> bool:
        """Count one record that says something; return whether it becomes a row."""
        if isinstance(record, Detection):
            self.heard.detections += 1
            antenna = source.antenna_of(record.antenna)
            activity.of(antenna).detections += 1
            self._note_tag(record, source.link, antenna)
        elif isinstance(record, Pulse):
            self.heard.pulses += 1
            activity.of(source.antenna_of(record.antenna)).pulses += 1
        elif isinstance(record, Unknown):
            self.heard.unknown_frames += 1
            activity.unknown += 1
            rejects = activity.of(source.antenna).rejects
            rejects[record.reason] += 1
            return rejects[record.reason] <= UNKNOWN_FRAME_SAMPLES_PER_HOUR
        elif isinstance(record, StationHealth) and "noise_dbm" in record.measurements:
            noise_dbm = float(record.measurements["noise_dbm"])
            activity.of(source.antenna_of(record.antenna)).noise_dbm = noise_dbm
        return True

    def _note_tag(self, detection: Detection, link: str, antenna: str | None) -> None:
        tags = self.heard.tags
        count = tags.get(detection.tag_id)
        if count is not None:
            tags[detection.tag_id] = count + 1
            return
        if len(tags) >= TAGS_REMEMBERED:
            tags.clear()
        tags[detection.tag_id] = 1
        self.heard.first_detections_this_minute += 1
        if self.heard.first_detections_this_minute <= FIRST_DETECTIONS_LOGGED_PER_MINUTE:
            level = {"rssi_dbm": detection.rssi_dbm}
            if detection.rssi_dbm is None and detection.snr_db is not None:
                level = {"snr_db": detection.snr_db}  # Of a radio that knows no dBm.
            log.info(
                "tag heard first",
                tag=detection.tag_id,
                antenna=antenna,
                link=link,
                **level,
                integrity=detection.integrity,
            )


def _source(link: str, decoder: str, radios: SerialLink | SocketLink | MqttTopic) -> Source:
    return Source(
        link=link,
        decoder=decoder,
        antenna=radios.antenna,
        antennas=tuple(radios.antennas.items()),
    )


class StreamIntake:
    """Takes the bytes of one serial port or recording."""

    def __init__(
        self,
        pipeline: Pipeline,
        activity: LinkActivity,
        source: Source,
        *,
        cutter: Framer,
        decoder: registry.Decoder,
        listener: FrameListener | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._activity = activity
        self._source = source
        self._framer = cutter
        self._decoder = decoder
        self._decode = decoder.decode
        self._listener = listener
        self._skipped_bytes = 0
        self._lost_lines = 0

    def received(self, chunk: bytes) -> Sequence[Record]:
        """Stamp, frame, decode and queue a chunk just read; return its records in order."""
        return self.received_at(chunk, self._pipeline.clock.stamp())

    def received_at(self, chunk: bytes, stamp: Stamp) -> Sequence[Record]:
        """Take a chunk that was read at another time than now: a recording's."""
        records: list[Record] = []
        frames = self._framer.feed(chunk)
        if frames:
            self._pipeline.count_frames(len(frames), self._activity.of(self._source.antenna))
        if self._listener is not None:
            for frame in frames:
                records += self._listened(frame, stamp, self._listener)
        elif frames:
            for frame in frames:
                records += self._decode(frame)
            self._pipeline.take(records, self._source, stamp, self._activity)
        self._count_skipped()
        return records

    def _listened(self, frame: bytes, stamp: Stamp, listener: FrameListener) -> tuple[Record, ...]:
        """Take one frame of a link whose own protocol knows more of it than its decoder."""
        note = listener(frame, stamp)
        records = (Ignored(reason=note.ignored),) if note.ignored else self._decode(frame)
        self._pipeline.take(records, self._source, note.stamp, self._activity, then=note.on_durable)
        return records

    def interrupted(self) -> None:
        """Forget an unfinished frame: the stream was closed."""
        self._framer.reset()
        self._count_skipped()

    def _count_skipped(self) -> None:
        skipped = self._framer.skipped_bytes - self._skipped_bytes
        if skipped:
            self._skipped_bytes = self._framer.skipped_bytes
            self._activity.of(self._source.antenna).rejects["skipped_bytes"] += skipped
        lost = getattr(self._decoder, "lost_lines", 0) - self._lost_lines
        if lost:
            self._lost_lines += lost
            self._activity.of(self._source.antenna).rejects["lost_lines"] += lost


class _MessageRoute(msgspec.Struct, frozen=True):
    source: Source
    decode: Callable[[bytes], tuple[Record, ...]]
    framing: Framing
    listener: MessageListener | None


class MessageIntake:
    """Takes the messages of one MQTT link; the first matching topic filter names the decoder."""

    def __init__(
        self, pipeline: Pipeline, activity: LinkActivity, routes: TopicRoutes[_MessageRoute]
    ) -> None:
        self._pipeline = pipeline
        self._activity = activity
        self._routes = routes

    def message(self, topic: str, payload: bytes, on_durable: Callable[[], None] | None) -> None:
        """Stamp, decode and queue one message; `on_durable` follows once it is in the store."""
        stamp = self._pipeline.clock.stamp()
        route = self._routes.route(topic)
        if route is None:
            self._activity.of(None).rejects["no_decoder_for_topic"] += 1
            if on_durable is not None:
                on_durable()
            return
        frames = payload.splitlines() if route.framing == "lines" else [payload]
        then = None
        records: list[Record] = []
        for frame in frames or [b""]:
            if route.listener is not None:
                note = route.listener(topic, frame, stamp)
                stamp, then = note.stamp, note.on_durable
                if note.ignored is not None:
                    records.append(Ignored(reason=note.ignored))
                    continue
            records += route.decode(frame)
        self._pipeline.count_frames(len(frames), self._activity.of(route.source.antenna))
        self._pipeline.take(records, route.source, stamp, self._activity, on_durable, then=then)
