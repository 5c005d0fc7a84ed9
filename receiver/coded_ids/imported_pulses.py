"""Imported pulses read back from the store, antenna by antenna, in order of time.

Nothing here writes. A connection of its own lets what is read stand still while the import itself,
and a running daemon, write.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from protocols.coded_id import HeardPulse
from protocols.records import Setting, UnlistedInterval
from receiver.arrivals import Source, Stamp
from receiver.coded_ids.runs import DECODER, PROTOCOL, tuned_mhz
from receiver.store.schema import CLOCK_QUALITIES

_OF_SOURCES: Final = "source IN (SELECT value FROM json_each(?))"


class StoredPulse(msgspec.Struct, frozen=True, gc=False):
    """What a pulse in a decoder is remembered by: its row."""

    id: int
    clock: int
    source: int


def read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that reads the store at `path`."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def imported_windows(
    reading: sqlite3.Connection, import_ids: Iterable[int]
) -> dict[tuple[str, str | None], list[tuple[int, int]]]:
    """Return for each antenna the times from first to last pulse of each of the imports."""
    windows: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
    for link, antenna, first_ns, last_ns in reading.execute(
        "SELECT link, antenna, min(utc_ns), max(utc_ns) FROM pulses"
        " JOIN sources ON sources.id = pulses.source"
        " WHERE import_id IN (SELECT value FROM json_each(?))"
        " GROUP BY sources.id ORDER BY link, antenna, 3",
        (json_array(import_ids),),
    ):
        windows.setdefault((link, antenna), []).append((first_ns, last_ns))
    return windows


class PulseStream:
    """The imported pulses of one antenna, and what was decoded from them before."""

    def __init__(self, reading: sqlite3.Connection, link: str, antenna: str | None) -> None:
        self.link = link
        self.antenna = antenna
        self._reading = reading
        self._import_of = dict(
            reading.execute(
                "SELECT id, import_id FROM sources WHERE link = ? AND antenna IS ?"
                " AND import_id IS NOT NULL",
                (link, antenna),
            ).fetchall()
        )
        self._sources = json_array(self._import_of)
        self._source_of: dict[int, Source] = {}

    def times_ns(self) -> Iterator[int]:
        """Yield when its pulses were, in order."""
        rows = self._reading.execute(
            f"SELECT utc_ns FROM pulses WHERE {_OF_SOURCES} ORDER BY utc_ns",  # noqa: S608  Constant.
            (self._sources,),
        )
        return (row[0] for row in rows)

    def pulses(self, first_ns: int, last_ns: int) -> Iterator[HeardPulse]:
        """Yield its pulses in order of time; a pulse that two files have comes once."""
        rows = self._reading.execute(
            "SELECT id, utc_ns, clock, source, frequency_offset_hz, signal_db, noise_db"  # noqa: S608  Constant.
            f" FROM pulses WHERE {_OF_SOURCES} AND utc_ns BETWEEN ? AND ?"
            " ORDER BY utc_ns, frequency_offset_hz, signal_db, id",
            (self._sources, first_ns, last_ns),
        )
        before = None
        for row_id, utc_ns, clock, source, offset_hz, signal_db, noise_db in rows:
            same = (utc_ns, offset_hz, signal_db)
            if same != before:
                origin = StoredPulse(row_id, clock, source)
                yield HeardPulse(utc_ns, offset_hz, signal_db, noise_db, origin)
            before = same

    def tunings(self) -> list[tuple[int, float]]:
        """Return when its radio was tuned, and to how many MHz, in order of time."""
        settings = self._reading.execute(
            f"SELECT utc_ns, body FROM events WHERE {_OF_SOURCES} AND kind = 'Setting'"  # noqa: S608  Constant.
            " ORDER BY utc_ns, id",
            (self._sources,),
        )
        told = (
            (at_ns, tuned_mhz(msgspec.json.decode(body, type=Setting))) for at_ns, body in settings
        )
        return [(at_ns, mhz) for at_ns, mhz in told if mhz is not None]

    def detections(
        self, first_ns: int, last_ns: int
    ) -> dict[tuple[int, str], tuple[int, int | None]]:
        """Return what is stored: (time, tag) → (seq, run)."""
        rows = self._reading.execute(
            "SELECT seq, utc_ns, texts.text, run FROM detections"  # noqa: S608  Constant.
            " JOIN sources ON sources.id = source JOIN texts ON texts.id = tag"
            f" WHERE {_OF_SOURCES} AND protocol = ? AND decoder = ? AND utc_ns BETWEEN ? AND ?",
            (self._sources, PROTOCOL, DECODER, first_ns, last_ns),
        )
        return {(utc_ns, tag_id): (seq, run) for seq, utc_ns, tag_id, run in rows}

    def mismatches(self, first_ns: int, last_ns: int) -> set[tuple[int, str]]:
        """Return the events of intervals not on the list: (time, body)."""
        rows = self._reading.execute(
            f"SELECT utc_ns, body FROM events WHERE {_OF_SOURCES}"  # noqa: S608  Constant.
            " AND kind = ? AND utc_ns BETWEEN ? AND ?",
            (self._sources, UnlistedInterval.__name__, first_ns, last_ns),
        )
        return {(utc_ns, body) for utc_ns, body in rows}

    def raw_of(self, pulse: HeardPulse) -> bytes:
        """Return the line that a pulse was read from."""
        row = self._reading.execute(
            "SELECT raw FROM pulses WHERE id = ?", (_row_of(pulse).id,)
        ).fetchone()
        return bytes(row[0]) if row and row[0] else b""

    def source_of(self, pulse: HeardPulse) -> Source:
        """Return the source of a detection whose first pulse this is."""
        import_id = self._import_of[_row_of(pulse).source]
        source = self._source_of.get(import_id)
        if source is None:
            source = Source(link=self.link, decoder=DECODER, import_id=import_id)
            self._source_of[import_id] = source
        return source


def stamp_of(time_ns: int, first: HeardPulse) -> Stamp:
    """Return the stamp of a burst at `time_ns` whose first pulse is `first`."""
    return Stamp(time_ns, CLOCK_QUALITIES[_row_of(first).clock])


def json_array(numbers: Iterable[int]) -> str:
    """Return numbers as SQLite's `json_each` takes them."""
    return msgspec.json.encode(sorted(numbers)).decode()


def _row_of(pulse: HeardPulse) -> StoredPulse:
    assert isinstance(pulse.origin, StoredPulse)  # noqa: S101  `PulseStream.pulses` made it so.
    return pulse.origin
