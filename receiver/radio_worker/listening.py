"""The worker's loop: samples in, packets and pulses to the daemon, everything counted."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from protocols.records import Detection
from receiver.limits import (
    RADIO_BLOCK_S,
    RADIO_DROP_S,
    RADIO_LEVEL_S,
    RADIO_THIN_S,
)
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.auto_gain import AutoGain
from receiver.radio_worker.channel import Caught, Channel
from receiver.radio_worker.feed import Arrival
from receiver.radio_worker.kept_samples import KeptSamples, Packet
from receiver.radio_worker.messages import HeardDetection, HeardPulse, Level, Opened, Report
from receiver.radio_worker.pace import Pace
from receiver.radio_worker.sample_clock import SampleClock
from receiver.radio_worker.sources import Source, nearest
from receiver.radio_worker.tuning import ByteLevels

_WEAK_SNR_DB: Final = 3.0
"""In the whole sampled band: where receivers that decide bit by bit hear nothing any more."""
_WAITS_S: Final = 1.0
_LEFT_AFTER_A_DROP_S: Final = 0.5
_TOLD_DIGITS: Final = 2


class Feeds(Protocol):
    """Where reads come from: a `Feed`."""

    @property
    def waiting_bytes(self) -> int:
        """What was read and not yet taken."""
        ...

    def take(self, enough_bytes: int, timeout_s: float) -> list[Arrival]:
        """Return what waits, in order, once it is enough, or all there is after `timeout_s`."""
        ...

    def drop(self, left_bytes: int) -> None:
        """Drop the oldest of what waits, until no more than so much is left."""
        ...


class Listening:
    """One stream of samples from its beginning to its end."""

    def __init__(
        self,
        link: SoftwareRadioLink,
        source: Source,
        feed: Feeds,
        channel: Channel,
        *,
        frame_bytes: int,
        tell: Callable[[Report], None],
        known_tags: frozenset[str] = frozenset(),
        level_s: float = RADIO_LEVEL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known_tags = known_tags
        self._new_tags: frozenset[str] | None = None
        self._link = link
        self._source = source
        self._feed = feed
        self._channel = channel
        self._frame_bytes = frame_bytes
        self._tell = tell
        self._monotonic = monotonic
        self._bytes_per_s = link.rate_hz * frame_bytes
        self._clock = SampleClock(link.rate_hz)
        self._pace = Pace(channel.grid_levels, monotonic())
        self._straits: str | None = None
        self._kept = None if link.keep == "none" else KeptSamples(link, frame_bytes, RADIO_DROP_S)
        self._levels = ByteLevels(link.rate_hz)
        self._auto_gain: AutoGain | None = None
        self.gain_db: float | None = None
        """None where it is not known."""
        if link.is_stick:
            self._begin_gain()
        self._held: list[Caught] = []
        self._next_sample = 0
        self._odd = b""
        """Bytes of a sample that is not whole yet."""
        self._dropped = 0
        self._clipped_part = 0.0
        self._waiting_s = 0.0
        self._level_s = level_s
        self._told_s = monotonic()
        self._told_counts: Counter[str] = Counter()

    def run(self) -> None:
        """Listen until there are no more samples.

        Raises:
            SourceError: they have ended; what was heard to the end has been told.
        """
        enough = round(RADIO_BLOCK_S * self._bytes_per_s)
        try:
            while True:
                arrivals = self._feed.take(enough, _WAITS_S)
                if arrivals:
                    if not self._next_sample:
                        self._tell(Opened(self._source.radio, self.gain_db))
                    self._take(arrivals)
                self._take_known_tags()
                self._keep_pace()
                if self._monotonic() - self._told_s >= self._level_s:
                    self._tell_level()
        finally:
            if self._next_sample:
                self._hold(self._channel.finish(self._full_scale_dbm))
                self._tell_held()
                if self._kept is not None:
                    self._kept.write(self.utc_ns)
            self._tell_level()

    def know(self, tags: frozenset[str]) -> None:
        """Believe these tags where a packet is weak, soon; called from another thread."""
        self._new_tags = tags

    def _take_known_tags(self) -> None:
        tags, self._new_tags = self._new_tags, None
        if tags is not None and tags != self._known_tags:
            self._known_tags = tags
            self._hold(self._channel.finish(self._full_scale_dbm))
            self._channel.know(tags)
            self._channel.begin(self._next_sample)

    def _take(self, arrivals: list[Arrival]) -> None:
        """Take reads that follow each other, but for gaps where some were dropped."""
        for arrival in arrivals:
            self._clock.arrived(arrival.end // self._frame_bytes, arrival.mono_ns)
        portion: list[bytes] = []
        follows = arrivals[0].end - len(arrivals[0].chunk)
        begin = follows
        for arrival in arrivals:
            if arrival.end - len(arrival.chunk) != follows:
                self._hear(begin, b"".join(portion))
                portion.clear()
                begin = arrival.end - len(arrival.chunk)
            portion.append(arrival.chunk)
            follows = arrival.end
        self._hear(begin, b"".join(portion))

    def _hear(self, begin: int, chunk: bytes) -> None:
        """Take bytes that begin at a byte of the stream."""
        expected = self._next_sample * self._frame_bytes + len(self._odd)
        if begin > expected:
            # Reads were dropped: a new beginning, at a whole sample.
            skipped = -begin % self._frame_bytes
            chunk = chunk[skipped:]
            sample = (begin + skipped) // self._frame_bytes
            self._dropped += sample - self._next_sample
            self._hold(self._channel.finish(self._full_scale_dbm))
            self._channel.begin(sample)
            self._next_sample = sample
            self._odd = b""
        chunk = self._odd + chunk
        whole = len(chunk) - len(chunk) % self._frame_bytes
        chunk, self._odd = chunk[:whole], chunk[whole:]
        if self._kept is not None:
            self._kept.heard(self._next_sample, chunk, self.utc_ns)
        self._next_sample += whole // self._frame_bytes
        self._hold(self._channel.feed(chunk, self._full_scale_dbm))
        if self._link.is_stick and chunk:
            self._look_at_gain(chunk)

    def _hold(self, caught: list[Caught]) -> None:
        """Tell what was caught, in the first seconds as soon as its time is known."""
        self._held += caught
        if self._clock.is_settled:
            self._tell_held()

    def _tell_held(self) -> None:
        held, self._held = self._held, []
        for each in held:
            if isinstance(each.record, Detection):
                self._tell(HeardDetection(self._clock.mono_ns(each.end), each.record))
                if self._is_to_be_kept(each.record):
                    self._want(each, f"{each.record.tag_id} {each.record.integrity}")
            else:
                self._tell(HeardPulse(self._clock.mono_ns(each.first), each.record))
                if self._link.keep == "all" or (
                    self._link.keep == "weak" and _is_weak(each.record.snr_db)
                ):
                    self._want(each, "pulse")

    def _is_to_be_kept(self, detection: Detection) -> bool:
        keep = self._link.keep
        if keep == "weak":
            return detection.integrity != "verified" or _is_weak(detection.snr_db)
        return keep == "all" or (keep == "unknown" and detection.tag_id not in self._known_tags)

    def _want(self, caught: Caught, label: str) -> None:
        if self._kept is not None:
            self._kept.want(Packet(int(caught.first), round(caught.end), label), self.utc_ns)

    # Gain.

    def _begin_gain(self) -> None:
        wanted = self._link.gain
        if wanted != "auto":
            self.gain_db = nearest(self._source.gains_db, wanted)
        elif self._source.gains_db:
            self._auto_gain = AutoGain(self._source.gains_db)
            self._set_gain(self._auto_gain.gain_db)

    def _set_gain(self, gain_db: float) -> None:
        self._source.set_gain(gain_db)
        self.gain_db = gain_db

    def _look_at_gain(self, chunk: bytes) -> None:
        noise_lsb, self._clipped_part, is_busy = self._levels.of(chunk)
        if self._auto_gain is None:
            return
        wanted_db = self._auto_gain.heard(noise_lsb, self._clipped_part, is_busy=is_busy)
        if wanted_db is not None:
            self._set_gain(wanted_db)

    @property
    def _full_scale_dbm(self) -> float | None:
        if self._link.full_scale_dbm is None:
            return None
        return self._link.full_scale_dbm - (self.gain_db or 0.0)

    # Keeping up.

    def _keep_pace(self) -> None:
        if not self._source.is_live:
            return
        self._waiting_s = self._feed.waiting_bytes / self._bytes_per_s
        level = self._pace.level
        if self._pace.look(self._waiting_s, self._monotonic()):
            self._feed.drop(round(_LEFT_AFTER_A_DROP_S * self._bytes_per_s))
        if self._pace.level != level:
            self._straits = self._channel.thin(self._pace.level)
            self._tell_level()

    # What is told.

    def _tell_level(self) -> None:
        self._told_s = self._monotonic()
        counts = self._counts()
        counted = {name: n for name, n in (counts - self._told_counts).items() if n}
        self._told_counts = counts
        self._tell(Level(self._measurements(), counted, self._straits_now()))

    def _straits_now(self) -> str | None:
        is_behind = self._waiting_s >= RADIO_THIN_S and not self._pace.is_starting
        if self._straits is None and is_behind:
            return f"{self._waiting_s:.1f} s of samples wait"
        return self._straits

    def _measurements(self) -> dict[str, float]:
        channel, full_scale_dbm = self._channel, self._full_scale_dbm
        noise_dbfs = channel.noise_dbfs if self._next_sample else None
        told = {
            "noise_dbfs": noise_dbfs,
            "noise_dbm": (
                None
                if noise_dbfs is None or full_scale_dbm is None
                else noise_dbfs + full_scale_dbm
            ),
            "occupancy": channel.occupancy,
            "gain_db": self.gain_db,
            "clipped_part": self._clipped_part if self._link.is_stick else None,
            "crystal_ppm": self._clock.crystal_ppm if self._clock.is_settled else None,
            "waiting_s": self._waiting_s,
            "kept_files": None if self._kept is None else float(self._kept.files),
        }
        return {
            name: round(value, _TOLD_DIGITS if name != "occupancy" else 4)
            for name, value in told.items()
            if value is not None
        }

    def _counts(self) -> Counter[str]:
        counts = Counter(
            samples_lost=self._clock.samples_lost,
            clock_steps=self._clock.steps,
            samples_dropped=self._dropped,
            grid_thinned_s=round(self._pace.thinned_s),
            pulses_left_out=self._channel.left_out,
        )
        if self._kept is not None:
            counts["kept_files_removed"] = self._kept.files_removed
            counts["packets_not_kept"] = self._kept.packets_not_kept
        return counts

    def utc_ns(self, sample: int) -> int:
        """Return when a sample was, as the system clock says now."""
        ago_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._clock.mono_ns(sample)
        return time.time_ns() - ago_ns


def _is_weak(snr_db: float | None) -> bool:
    return snr_db is not None and snr_db < _WEAK_SNR_DB
