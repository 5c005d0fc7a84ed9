"""The bytes of one serial port, socket or recording: cut into frames, decoded, queued."""

from collections.abc import Sequence

from protocols import registry
from protocols.framing import framer
from protocols.records import Ignored, Record
from receiver.activity import LinkActivity
from receiver.arrivals import Source, Stamp
from receiver.links.intake import FrameListener, LinkStatus
from receiver.pipeline import Pipeline
from receiver.settings import SerialLink, SocketLink, labels


class StreamIntake:
    """Takes the bytes of one link."""

    def __init__(
        self,
        pipeline: Pipeline,
        link: SerialLink | SocketLink,
        status: LinkStatus,
        listener: FrameListener | None = None,
    ) -> None:
        """`listener` sees each frame first."""
        self._pipeline = pipeline
        self._activity = LinkActivity(status, iter(labels(link)))
        pipeline.count_activity(self._activity)
        entry = registry.entry(link.decoder)
        self._source = Source(
            link=link.name,
            decoder=entry.identity,
            antenna=link.antenna,
            antennas=tuple(link.antennas.items()),
        )
        self._framer = framer(entry.framing)
        self._decoder = entry.made(pipeline.payloads)
        self._decode = self._decoder.decode
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
