"""Which tags each antenna heard in the last hour, and when each beacon was last heard.

Read from the store's newest rows, a minute's worth at a time, so that a restart forgets nothing and
a saturated site costs no more than its rows. Imported rows do not count.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from receiver.arrivals import Stamp
from receiver.coded_ids.tag_lists import canonical
from receiver.health.moment import Moment
from receiver.limits import (
    BEACON_ROWS_LOOKED_BACK,
    BEACON_ROWS_PER_STEP,
    HEARD_ROWS_PER_LOOK,
    TAGS_TOLD_PER_ANTENNA,
)
from receiver.store.queries import Reader
from receiver.watch_settings import BeaconSettings

_HOUR_S: Final = 3600.0
_MOST_PLACES: Final = 256
"""Antennas of all links whose tags are counted: sixteen links of sixteen radios."""

Place: TypeAlias = tuple[str, str | None]
"""Link and antenna."""


def beacon_id(beacon: BeaconSettings) -> str:
    """Return a beacon's tag as detections carry it."""
    return next(iter(canonical([beacon.tag])), beacon.tag)


class TagsHeard:
    """Follows the store's detections; `look` is called in one thread, about once a minute."""

    def __init__(self) -> None:
        self.beacons: dict[BeaconSettings, Moment] = {}
        """When each was last heard, if it ever was."""
        self._heard_s: dict[Place, dict[int, float]] = {}
        """By antenna: the tags' numbers, each with when it was last heard."""
        self._store_uuid = ""
        self._last_seq = 0
        self._known_beacons: frozenset[BeaconSettings] = frozenset()

    def counts(self) -> dict[Place, int]:
        """Return the different tags of the last hour, by antenna."""
        return {place: len(tags) for place, tags in self._heard_s.items()}

    def look(
        self, reader: Reader, beacons: Sequence[BeaconSettings], now_s: float, now: Stamp
    ) -> None:
        """Read on; `now_s` are the seconds of a steady clock.

        Raises:
            sqlite3.Error: the store cannot be read now.
        """
        connection = reader.connection
        newest = _newest(connection)
        if reader.store_uuid != self._store_uuid:
            # Rows from before the start: those of the last hour, as far as they are few.
            self._store_uuid = reader.store_uuid
            self._last_seq = _first_since(connection, newest, now.utc_ns - int(_HOUR_S * 1e9))
            self._heard_s.clear()
            self._known_beacons = frozenset()
        begin = max(self._last_seq, newest - HEARD_ROWS_PER_LOOK)
        places = _places(connection)
        numbers = _numbers(connection, {beacon_id(beacon) for beacon in beacons})
        heard = list(_heard(connection, places, begin, newest))
        for place, tag, _ in heard:
            self._note(place, tag, now_s)
        self._forget(now_s)
        self._find(connection, beacons, numbers, heard)
        new = [each for each in beacons if each not in self._known_beacons]
        self._look_back(connection, places, numbers, new, begin)
        self._known_beacons = frozenset(beacons)
        self.beacons = {each: at for each, at in self.beacons.items() if each in beacons}
        self._last_seq = newest

    def _note(self, place: Place, tag: int, now_s: float) -> None:
        if place not in self._heard_s and len(self._heard_s) >= _MOST_PLACES:
            return
        tags = self._heard_s.setdefault(place, {})
        if tag in tags or len(tags) < TAGS_TOLD_PER_ANTENNA:
            tags[tag] = now_s

    def _forget(self, now_s: float) -> None:
        """Forget what was heard more than an hour ago."""
        for place, tags in list(self._heard_s.items()):
            left = {tag: at_s for tag, at_s in tags.items() if now_s - at_s < _HOUR_S}
            if left:
                self._heard_s[place] = left
            else:
                del self._heard_s[place]

    def _find(
        self,
        connection: sqlite3.Connection,
        beacons: Sequence[BeaconSettings],
        numbers: Mapping[str, int],
        heard: Sequence[tuple[Place, int, int]],
    ) -> None:
        """Note when the beacons among what was heard were heard last."""
        for beacon in beacons:
            number = numbers.get(beacon_id(beacon))
            found = [seq for place, tag, seq in heard if tag == number and _is_of(beacon, *place)]
            if found:
                self.beacons[beacon] = _moment(connection, max(found))

    def _look_back(
        self,
        connection: sqlite3.Connection,
        places: Mapping[int, Place],
        numbers: Mapping[str, int],
        beacons: Sequence[BeaconSettings],
        end: int,
    ) -> None:
        """Look for beacons that were not looked for before among the rows up to `end`."""
        last = max(0, end - BEACON_ROWS_LOOKED_BACK)
        missing = [
            each for each in beacons if each not in self.beacons and beacon_id(each) in numbers
        ]
        while missing and end > last:
            begin = max(last, end - BEACON_ROWS_PER_STEP)
            wanted = [numbers[beacon_id(beacon)] for beacon in missing]
            heard = list(_heard(connection, places, begin, end, wanted))
            self._find(connection, missing, numbers, heard)
            missing = [beacon for beacon in missing if beacon not in self.beacons]
            end = begin


def _newest(connection: sqlite3.Connection) -> int:
    (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM detections").fetchone()
    return int(newest)


def _first_since(connection: sqlite3.Connection, newest: int, utc_ns: int) -> int:
    """Return the number before the first of the newest rows that is as young as `utc_ns`."""
    (first,) = connection.execute(
        "SELECT min(seq) FROM detections WHERE seq > ? AND utc_ns >= ?",
        (newest - HEARD_ROWS_PER_LOOK, utc_ns),
    ).fetchone()
    return newest if first is None else int(first) - 1


def _places(connection: sqlite3.Connection) -> dict[int, Place]:
    """Return the antenna of each source that was heard, not imported."""
    return {
        number: (link, antenna)
        for number, link, antenna in connection.execute(
            "SELECT id, link, antenna FROM sources WHERE import_id IS NULL"
        )
    }


def _numbers(connection: sqlite3.Connection, tag_ids: Collection[str]) -> dict[str, int]:
    """Return the store's numbers of those tags that it has ever heard of."""
    rows = (
        connection.execute("SELECT text, id FROM texts WHERE text = ?", (tag_id,)).fetchone()
        for tag_id in tag_ids
    )
    return {row[0]: row[1] for row in rows if row is not None}


def _heard(
    connection: sqlite3.Connection,
    places: Mapping[int, Place],
    begin: int,
    end: int,
    tags: Sequence[int] = (),
) -> Iterator[tuple[Place, int, int]]:
    """Yield (antenna, tag, newest `seq`) of the rows after `begin` up to `end`.

    Of these `tags` only, where there are any.
    """
    only = f" AND tag IN ({', '.join(map(str, tags))})" if tags else ""
    for source, tag, seq in connection.execute(
        "SELECT source, tag, max(seq) FROM detections WHERE seq > ? AND seq <= ?"  # noqa: S608  Numbers.
        f"{only} GROUP BY source, tag",
        (begin, end),
    ):
        if source in places:
            yield places[source], tag, seq


def _is_of(beacon: BeaconSettings, link: str, antenna: str | None) -> bool:
    """Tell whether that antenna is the one that must hear a beacon."""
    return beacon.antenna is None or beacon.antenna == (antenna or link)


def _moment(connection: sqlite3.Connection, seq: int) -> Moment:
    time_ns, quality, boot, mono_ns = connection.execute(
        "SELECT time_ns, time_quality, boot, mono_ns FROM readable_detections WHERE seq = ?", (seq,)
    ).fetchone()
    return Moment(utc_ns=time_ns, quality=quality, boot=boot, mono_ns=mono_ns)
