"""The way of a frame: records → stamp → store, and every drop counted under a name.

Each link has an intake of its own (`receiver.intakes`). What they make of their bytes is counted
here, shown to who listens, and waits for the store.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from protocols.declared_payloads import DeclaredPayload
from protocols.records import Detection, Ignored, Pulse, Record, Setting
from receiver.activity import Activity, AntennaActivity, LinkActivity
from receiver.arrivals import Arrival, RunRow, Source, Stamp
from receiver.clock import Clock
from receiver.heard import Heard
from receiver.live import LiveRing
from receiver.store.writer import Writer
from receiver.waiting_rows import WaitingRows


class PulseListener(Protocol):
    """Makes detections of pulses; it hands them back by `Pipeline.take_decoded`."""

    def heard(self, arrival: Arrival, activity: LinkActivity) -> Arrival | None:
        """Take a pulse or a setting; return what is to be stored of it now, if anything."""
        ...


class Pipeline:
    """Takes what intakes made of their bytes; it waits for at most an interval for the writer."""

    def __init__(
        self,
        clock: Clock,
        writer: Writer,
        activity: Activity,
        *,
        commit_interval_s: float,
        payloads: Sequence[DeclaredPayload] = (),
    ) -> None:
        self.clock = clock
        self.payloads = payloads
        """The layouts that the owner declared, for the decoders of the intakes."""
        self.heard = Heard()
        self.live = LiveRing()
        self.pulse_listener: PulseListener | None = None
        self._activity = activity
        self._waiting = WaitingRows(clock, writer, activity, commit_interval_s=commit_interval_s)

    def commit_every(self, commit_interval_s: float) -> None:
        """Hold what is heard for this long at most, from the next batch on."""
        self._waiting.commit_every(commit_interval_s)

    @property
    def waiting_rows(self) -> int:
        """Rows heard that are not yet on the disk."""
        return self._waiting.rows

    def count_activity(self, activity: LinkActivity) -> None:
        """Let the hours count what a link does."""
        self._activity.add(activity)

    def count_frames(self, count: int, antenna: AntennaActivity) -> None:
        """Count frames that were cut from a stream or came as messages."""
        self.heard.frames += count
        antenna.frames += count

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
        if on_durable is None and not self._waiting.has_room(len(kept), raw_bytes):
            self.heard.count_dropped(len(kept), source.antenna, activity)
            return
        self._waiting.add(kept, raw_bytes, on_durable=on_durable, then=then)

    def take_decoded(
        self, arrivals: Sequence[Arrival], runs: Sequence[RunRow], activity: LinkActivity
    ) -> None:
        """Queue what a decoder made of pulses: detections, their runs, pulses kept for them."""
        raw_bytes = 0
        for arrival in arrivals:
            record = arrival.record
            if isinstance(record, Detection):
                self.heard.count(record, arrival.source, activity)
                self.live.heard(arrival)
            raw_bytes += 0 if isinstance(record, Ignored) else len(record.raw)
        if not self._waiting.has_room(len(arrivals), raw_bytes):
            self.heard.count_dropped(len(arrivals), None, activity)
            return
        self._waiting.add(arrivals, raw_bytes, runs=runs)

    def flush(self, *, with_activity: bool = False) -> None:
        """Hand everything that waits to the writer now."""
        self._waiting.flush(with_activity=with_activity)

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
            elif self.heard.count(record, source, activity):
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
