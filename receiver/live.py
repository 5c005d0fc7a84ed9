"""What is heard now: the newest detections, numbered, for eyes that look while the station runs.

Kept in memory only, written at every detection and read by whoever looks, several at once: nothing
waits for a reader, and a reader that was away too long misses what the ring no longer has.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from protocols.records import Detection
from receiver.arrivals import Arrival
from receiver.limits import LIVE_DETECTIONS_KEPT, LIVE_PLACES, TAGS_REMEMBERED
from receiver.utc_text import iso_utc

_USUAL_NOISE_DBM: Final = -114.0
"""Of a good receiver of 250 kHz."""


def drawn_dbm(rssi_dbm: float | None, snr_db: float | None) -> float | None:
    """Return where a level is drawn and how it sounds; it is never told as a number.

    A radio that knows no dBm, as a software radio that is not calibrated, is drawn as far above a
    good receiver's noise as it hears the tag above its own.
    """
    if rssi_dbm is not None:
        return rssi_dbm
    return None if snr_db is None else _USUAL_NOISE_DBM + snr_db


class LiveDetection(msgspec.Struct, frozen=True, kw_only=True):
    """One detection as `stopover listen` and the page show it."""

    number: int
    """Counts the detections since the daemon started, from 1."""
    time: str
    time_quality: str
    link: str
    antenna: str | None
    protocol: str
    tag_id: str
    tag_name: str | None
    """The owner's name for the tag (`tags.names_file`)."""
    is_known: bool
    """Whether the tag is on one of the station's lists."""
    integrity: str
    id_legal: bool | None
    rssi_dbm: float | None
    snr_db: float | None
    noise_dbm: float | None
    frequency_offset_hz: float | None
    relay_id: str | None
    interval_s: float | None
    """Since the same antenna (or relay) last heard this tag."""
    measurements: Mapping[str, object] = {}

    @property
    def drawn_dbm(self) -> float | None:
        """Where its level is drawn, by `drawn_dbm`."""
        return drawn_dbm(self.rssi_dbm, self.snr_db)


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One detection in the ring."""

    number: int
    arrival: Arrival
    interval_s: float | None


class LiveRing:
    """The newest detections; `heard` costs less than a microsecond."""

    def __init__(self, kept: int = LIVE_DETECTIONS_KEPT) -> None:
        self.count = 0
        """Detections since the start: the newest one's number."""
        self._ring: deque[Heard] = deque(maxlen=kept)
        self._last_mono_ns: dict[tuple[str, str | None, str], int] = {}
        self.newest: dict[tuple[str, str | None], Heard] = {}
        """By link and antenna; those of relays are the antenna's that heard the relay."""
        self.listeners: set[Callable[[], None]] = set()
        """Called at each detection; all they do is to note that there is something new."""

    def heard(self, arrival: Arrival) -> None:
        """Take a detection; other records are passed over."""
        record, source = arrival.record, arrival.source
        if not isinstance(record, Detection):
            return
        antenna = source.antenna_of(record.antenna)
        mono_ns = arrival.stamp.mono_ns or 0
        place = (record.tag_id, antenna, record.relay.relay_id if record.relay else source.link)
        before = self._last_mono_ns.get(place)
        if before is None and len(self._last_mono_ns) >= TAGS_REMEMBERED:
            self._last_mono_ns.clear()
        self._last_mono_ns[place] = mono_ns
        self.count += 1
        heard = Heard(self.count, arrival, None if before is None else (mono_ns - before) / 1e9)
        self._ring.append(heard)
        if len(self.newest) >= LIVE_PLACES and (source.link, antenna) not in self.newest:
            self.newest.clear()
        self.newest[source.link, antenna] = heard
        for listener in self.listeners:
            listener()

    def since(self, number: int) -> Iterator[Heard]:
        """Yield what came after that number, oldest first, as far as it is still kept."""
        missing = max(0, self.count - number)
        yield from islice(self._ring, max(0, len(self._ring) - missing), None)


def told(heard: Heard, names: Mapping[str, str], known: frozenset[str]) -> LiveDetection:
    """Return a detection as it is shown; `names` are the owner's, `known` the listed tags."""
    detection, source, stamp = heard.arrival.record, heard.arrival.source, heard.arrival.stamp
    assert isinstance(detection, Detection)  # noqa: S101  The ring takes nothing else.
    tag_id = detection.tag_id
    return LiveDetection(
        number=heard.number,
        time=iso_utc(stamp.utc_ns),
        time_quality=stamp.clock,
        link=source.link,
        antenna=source.antenna_of(detection.antenna),
        protocol=detection.protocol,
        tag_id=tag_id,
        tag_name=names.get(tag_id),
        # The search for coded IDs finds listed tags only.
        is_known=tag_id in known or tag_id in names or detection.protocol == "coded-id",
        integrity=detection.integrity,
        id_legal=detection.id_legal,
        rssi_dbm=detection.rssi_dbm,
        snr_db=detection.snr_db,
        noise_dbm=detection.noise_dbm,
        frequency_offset_hz=detection.frequency_offset_hz,
        relay_id=detection.relay.relay_id if detection.relay else None,
        interval_s=heard.interval_s,
        measurements=detection.measurements or {},
    )
