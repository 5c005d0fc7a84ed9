"""What waits in the store for a sink: read from the disk, in order, in bounded pieces.

The store is opened anew for each batch: when it was set aside meanwhile, what is read is the new
one, and its `store_uuid` says so.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from receiver.limits import SINK_READ_CHUNK_ROWS
from receiver.sinks.batches import SCHEMA_VERSION, BesideRows, Header
from receiver.store.errors import StoreError, StoreMissingError
from receiver.store.outbox import DETECTIONS, KEYS, SinkPosition, read_position
from receiver.store.schema import CLOCK_QUALITIES
from receiver.utc_text import iso_utc

_HOUR_NS = 3600 * 10**9
_BULK = ("pulses", "unknown_frames")

_SELECTS: Mapping[str, str] = {
    "clock_samples": "SELECT sample.id AS id, boot.text AS boot, mono_ns,"
    " utc_ns AS time_stamped_ns, clock, reason FROM clock_samples AS sample"
    " LEFT JOIN texts AS boot ON boot.id = sample.boot"
    " WHERE sample.id > ?1 ORDER BY sample.id LIMIT ?2",
    # Up to the first row that may still change: the rows of the hour that is not over.
    "activity": "SELECT * FROM activity WHERE revision > ?1 AND revision < coalesce("
    "(SELECT min(revision) FROM activity WHERE revision > ?1 AND hour_utc_s = ?3),"
    " 9223372036854775807) ORDER BY revision LIMIT ?2",
}

Lines: TypeAlias = list[bytes]


class Known(msgspec.Struct, frozen=True):
    """How far a far end is known to have rows, beyond what the store notes by now."""

    store_uuid: str
    marks: Mapping[str, int]


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """The next rows for a sink."""

    header: Header
    lines: Sequence[bytes]
    position: SinkPosition
    """What the store notes of the sink."""
    is_all: bool
    """Nothing more waits."""

    @property
    def last(self) -> tuple[str, int] | None:
        """(kind, number) of the row, where it is a single one."""
        if len(self.lines) != 1:
            return None
        if self.header.last_seq is not None:
            return DETECTIONS, self.header.last_seq
        return self.header.beside[0].kind, self.header.beside[0].last


def read(
    path: Path,
    sink: str,
    also: Sequence[str],
    *,
    most_rows: int,
    most_bytes: int,
    now_utc_ns: int,
    known: Known | None = None,
) -> Outgoing:
    """Return the rows that a sink's far end does not have yet, the oldest first.

    Rows beside the detections get at most half of the batch, so that neither waits for the other;
    pulses and unknown frames get what is left. Call it in a thread.

    Raises:
        StoreError: there is no store, or it cannot be read now.
    """
    if not path.exists():
        raise StoreMissingError(f"{path}: there is no store here yet")
    try:
        with closing(_connect(path)) as connection:
            return _Reading(connection, now_utc_ns).outgoing(
                sink, also, most_rows, most_bytes, known
            )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def waiting_rows(path: Path, sink: str, also: Sequence[str]) -> int:
    """Return how many rows a sink's far end does not have yet.

    Raises:
        StoreError: as `read`.
    """
    if not path.exists():
        raise StoreMissingError(f"{path}: there is no store here yet")
    try:
        with closing(_connect(path)) as connection:
            marks = read_position(connection, sink).marks
            return sum(
                connection.execute(
                    f"SELECT count(*) FROM {kind} WHERE {KEYS[kind]} > ?",  # noqa: S608  Our own names.
                    (marks.get(kind, 0),),
                ).fetchone()[0]
                for kind in (DETECTIONS, *also)
            )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def live_rows(path: Path, beyond: int | None, at_most: int) -> tuple[int, Lines]:
    """Return the last `seq` and the newest detections after `beyond`, encoded; none at first.

    Raises:
        sqlite3.Error: the store cannot be read now.
    """
    with closing(_connect(path)) as connection:
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM detections").fetchone()
        if beyond is None or last <= beyond:
            return last, []
        begin = max(beyond, last - at_most)
        reading = _Reading(connection, now_utc_ns=0)
        return last, [line for _, line in reading.rows(DETECTIONS, begin, at_most)]


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
    )


class _Reading:
    """One look at the store, in one transaction."""

    def __init__(self, connection: sqlite3.Connection, now_utc_ns: int) -> None:
        self._connection = connection
        self._now_utc_ns = now_utc_ns

    def outgoing(
        self,
        sink: str,
        also: Sequence[str],
        most_rows: int,
        most_bytes: int,
        known: Known | None,
    ) -> Outgoing:
        """Return what waits for a sink."""
        self._connection.execute("BEGIN")
        station = self._connection.execute("SELECT station_id, store_uuid FROM station").fetchone()
        if station is None:
            raise StoreError("the store is being made")
        station_id, store_uuid = station
        position = read_position(self._connection, sink)
        begins = dict(position.marks)
        if known is not None and known.store_uuid == store_uuid:
            begins = {kind: max(begins.get(kind, 0), known.marks.get(kind, 0)) for kind in KEYS}
        pieces: dict[str, _Piece] = {}
        left_rows, left_bytes, is_all = most_rows, most_bytes, True
        for kind in KEYS:
            if kind not in (DETECTIONS, *also):
                continue
            is_beside = kind != DETECTIONS and kind not in _BULK
            for_this = left_rows - (most_rows // 2 if is_beside else 0)
            piece = self._piece(kind, begins.get(kind, 0), for_this, left_bytes)
            is_all = is_all and piece.is_end
            if piece.lines:
                pieces[kind] = piece
                left_rows -= len(piece.lines)
                left_bytes -= sum(map(len, piece.lines))
        return _outgoing(station_id, store_uuid, pieces, position, is_all=is_all)

    def _piece(self, kind: str, begin: int, most_rows: int, most_bytes: int) -> "_Piece":
        piece = _Piece(begin)
        size = 0
        while len(piece.lines) < most_rows and size < most_bytes:
            wanted = min(SINK_READ_CHUNK_ROWS, most_rows - len(piece.lines))
            count = 0
            for key, line in self.rows(kind, piece.last, wanted):
                if size >= most_bytes:
                    return piece
                count += 1
                piece.add(key, line)
                size += len(line)
            if count < wanted:
                piece.is_end = True
                return piece
        return piece

    def rows(self, kind: str, begin: int, at_most: int) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line) of the rows of a kind that come after `begin`."""
        key = KEYS[kind]
        values: tuple[int, ...] = (begin, at_most)
        if kind == "activity":
            values = (*values, self._now_utc_ns // _HOUR_NS * 3600)
        select = _SELECTS.get(kind) or (
            f"SELECT * FROM readable_{kind} WHERE {key} > ?1 ORDER BY {key} LIMIT ?2"  # noqa: S608  Our own names.
        )
        cursor = self._connection.execute(select, values)
        layout = _Layout([column[0] for column in cursor.description], key)
        for row in cursor:
            yield row[layout.key], _encode(layout.record(row))


class _Piece:
    """Rows of one kind that follow each other."""

    def __init__(self, begin: int) -> None:
        self.first = 0
        self.last = begin
        self.lines: Lines = []
        self.is_end = False
        """There are no more."""

    def add(self, key: int, line: bytes) -> None:
        """Take the next row."""
        self.first = self.first or key
        self.last = key
        self.lines.append(line)


class _Layout:
    """How the columns of one statement become a record: names and units of the documentation."""

    def __init__(self, columns: Sequence[str], key: str) -> None:
        self.key = columns.index(key)
        self._fields = [
            (place, *_CONVERSIONS.get(column, (column, None)))
            for place, column in enumerate(columns)
            if column not in ("time_ns", "import_id")
        ]
        self._times = None
        if "time_ns" in columns:
            self._times = columns.index("time_ns"), columns.index("time_stamped_ns")

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return a row as it travels; absent is left out, and a time that was not corrected."""
        record = {
            name: row[place] if convert is None else convert(row[place])
            for place, name, convert in self._fields
            if row[place] is not None
        }
        if self._times is not None and row[self._times[0]] != row[self._times[1]]:
            record["time"] = iso_utc(row[self._times[0]])
        return record


def _json(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _quality(code: int) -> str:
    return CLOCK_QUALITIES[code]


_CONVERSIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "time_stamped_ns": ("time_stamped", iso_utc),
    "recorded_at_ns": ("recorded_at", iso_utc),
    "sent_at_ns": ("sent_at", iso_utc),
    "fix_at_ns": ("fix_at", iso_utc),
    "gps_ns": ("gps_time", iso_utc),
    "hour_utc_s": ("hour", lambda hour_utc_s: iso_utc(hour_utc_s * 10**9)),
    "clock": ("time_quality", _quality),
    "id_legal": ("id_legal", bool),
    "raw": ("raw", bytes.hex),
    "payload": ("payload", bytes.hex),
    "measurements": ("measurements", _json),
    "rejects": ("rejects", _json),
    "body": ("body", _json),
}

_encode = msgspec.json.Encoder().encode


def _outgoing(
    station_id: str,
    store_uuid: str,
    pieces: Mapping[str, _Piece],
    position: SinkPosition,
    *,
    is_all: bool,
) -> Outgoing:
    detections = pieces.get(DETECTIONS)
    beside = {kind: piece for kind, piece in pieces.items() if kind != DETECTIONS}
    header = Header(
        station_id=station_id,
        store_uuid=store_uuid,
        schema_version=SCHEMA_VERSION,
        first_seq=detections.first if detections else None,
        last_seq=detections.last if detections else None,
        rows=len(detections.lines) if detections else 0,
        beside=tuple(
            BesideRows(kind=kind, first=piece.first, last=piece.last, rows=len(piece.lines))
            for kind, piece in beside.items()
        ),
    )
    lines = detections.lines if detections else []
    return Outgoing(
        header=header,
        lines=lines + [line for piece in beside.values() for line in piece.lines],
        position=position,
        is_all=is_all,
    )
