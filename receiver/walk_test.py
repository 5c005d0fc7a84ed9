"""Walking around a station with one test tag: what each antenna hears of it, and marks kept.

A mark says "the tag is here now": it goes into the store as an event, with the position and with
the best level of each antenna so far, so that the range of an antenna can be mapped afterwards. The
phone on the page and `stopover listen --walk-test` both make it here.
"""

import time
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from protocols.records import LogLine
from receiver.arrivals import Source
from receiver.live import LiveDetection, drawn_dbm
from receiver.whereabouts import STATION_LINK

SOURCE: Final = Source(link=STATION_LINK, decoder="walk-test/1")
"""Where marks come from, as rows tell it."""

LONGEST_NOTE: Final = 500
"""Characters of a technician's note; the rest is cut."""

PositionFrom: TypeAlias = Literal["given", "phone", "gpsd", "station"]

MISSED_AFTER_S: Final = 30.0
"""A level that is older counts for nothing: test tags beep every 2 to 15 s."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The test tag was here."""

    tag_id: str
    latitude: float | None = None
    longitude: float | None = None
    accuracy_m: float | None = None
    position_from: PositionFrom | None = None
    levels_dbm: dict[str, float] = {}
    """The newest level of each antenna that heard the tag in the last half minute."""
    best_dbm: dict[str, float] = {}
    """The best level of each antenna since the walk began."""
    levels_snr_db: dict[str, float] = {}
    best_snr_db: dict[str, float] = {}
    """The same above the noise, of antennas whose radio knows no dBm."""
    text: str = ""


def note(mark: Mark) -> LogLine:
    """Return a mark as the record that is kept: words in `message`, the mark itself in `raw`."""
    words = [f"walk test: {mark.tag_id}"]
    if mark.latitude is not None and mark.longitude is not None:
        words.append(f"at {mark.latitude:.6f},{mark.longitude:.6f}")
        if mark.accuracy_m is not None:
            words.append(f"within {mark.accuracy_m:.0f} m")
        if mark.position_from is not None:
            words.append(f"({mark.position_from})")
    heard = [f"{antenna} {level:.0f} dBm" for antenna, level in sorted(mark.levels_dbm.items())]
    heard += [f"{antenna} {level:.0f} dB" for antenna, level in sorted(mark.levels_snr_db.items())]
    words.append("heard by " + ", ".join(heard) if heard else "heard by no antenna")
    if mark.text:
        words.append(f"- {mark.text[:LONGEST_NOTE]}")
    kept = msgspec.structs.replace(mark, text=mark.text[:LONGEST_NOTE])
    return LogLine(message=" ".join(words), level="info", raw=msgspec.json.encode(kept))


def mark_of(record: LogLine) -> Mark | None:
    """Return the mark that a kept record holds, None where it holds none."""
    try:
        return msgspec.json.decode(record.raw, type=Mark)
    except (msgspec.MsgspecError, ValueError):
        return None


class AntennaOnWalk(msgspec.Struct, kw_only=True):
    """What one antenna heard of the tag since the walk began."""

    antenna: str
    heard: int = 0
    newest_dbm: float | None = None
    best_dbm: float | None = None
    newest_snr_db: float | None = None
    best_snr_db: float | None = None
    """Above the noise, where the radio knows no dBm."""
    heard_s: float = 0.0
    """When it was heard last, by the walk's own steady clock."""

    @property
    def drawn_dbm(self) -> float | None:
        """Where the newest level is drawn: see `receiver.live.drawn_dbm`."""
        return drawn_dbm(self.newest_dbm, self.newest_snr_db)


class Walk:
    """One walk with one tag; the order of its antennas is that in which they first heard it."""

    def __init__(self, tag_id: str) -> None:
        self.tag_id = tag_id
        self.antennas: dict[str, AntennaOnWalk] = {}

    def heard(self, detection: LiveDetection, now_s: float | None = None) -> AntennaOnWalk | None:
        """Take a detection; return its antenna, None where it is of another tag.

        What a relay passed on counts for the relay, since it is not the station's antenna that
        heard the tag.
        """
        if detection.tag_id != self.tag_id:
            return None
        place = detection.relay_id or detection.antenna or detection.link
        antenna = self.antennas.setdefault(place, AntennaOnWalk(antenna=place))
        antenna.heard += 1
        antenna.heard_s = time.monotonic() if now_s is None else now_s
        antenna.newest_dbm = detection.rssi_dbm
        antenna.newest_snr_db = detection.snr_db if detection.rssi_dbm is None else None
        antenna.best_dbm = _higher(antenna.best_dbm, antenna.newest_dbm)
        antenna.best_snr_db = _higher(antenna.best_snr_db, antenna.newest_snr_db)
        return antenna

    def strongest(self, now_s: float | None = None) -> AntennaOnWalk | None:
        """Return the antenna that hears it best now, None where none does."""
        return max(self._hearing(now_s), key=lambda each: each.drawn_dbm or -999.0, default=None)

    def mark(
        self,
        *,
        latitude: float | None = None,
        longitude: float | None = None,
        accuracy_m: float | None = None,
        position_from: PositionFrom | None = None,
        text: str = "",
        now_s: float | None = None,
    ) -> Mark:
        """Return a mark of this moment."""
        return Mark(
            tag_id=self.tag_id,
            latitude=latitude,
            longitude=longitude,
            accuracy_m=accuracy_m,
            position_from=position_from,
            levels_dbm={
                each.antenna: each.newest_dbm
                for each in self._hearing(now_s)
                if each.newest_dbm is not None
            },
            best_dbm={
                each.antenna: each.best_dbm
                for each in self.antennas.values()
                if each.best_dbm is not None
            },
            levels_snr_db={
                each.antenna: each.newest_snr_db
                for each in self._hearing(now_s)
                if each.newest_snr_db is not None
            },
            best_snr_db={
                each.antenna: each.best_snr_db
                for each in self.antennas.values()
                if each.best_snr_db is not None
            },
            text=text,
        )

    def _hearing(self, now_s: float | None) -> Iterable[AntennaOnWalk]:
        now = time.monotonic() if now_s is None else now_s
        return (each for each in self.antennas.values() if now - each.heard_s <= MISSED_AFTER_S)


def _higher(before: float | None, now: float | None) -> float | None:
    return max((each for each in (before, now) if each is not None), default=None)
