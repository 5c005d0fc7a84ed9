"""What the store notes of sinks: how far each far end has every kind of row, and what it refused.

Detections have their mark in `sink_marks`, which retention reads; the other kinds theirs in
`sink_marks_beside`. A note names the store that its rows were read from: in another one (the first
was set aside meanwhile) its numbers mean other rows, so it is void there.
"""

import sqlite3
from collections.abc import Mapping

import msgspec

DETECTIONS = "detections"

KEYS: Mapping[str, str] = {
    "gps_fixes": "id",
    "relay_health": "id",
    "clock_samples": "id",
    "activity": "revision",
    "events": "id",
    DETECTIONS: "seq",
    "pulses": "id",
    "unknown_frames": "id",
}
"""What may leave the station, in the order in which a batch is filled; each kind with the column
that tells the order it came in."""


class RefusedRow(msgspec.Struct, frozen=True):
    """A row that a far end did not take, though it took those beside it."""

    kind: str
    key: int
    reason: str


class SinkNote(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a sink; written in one transaction."""

    sink: str
    store_uuid: str | None = None
    """The store it is about; None means whichever is open."""
    marks: Mapping[str, int] = {}
    """By kind: the far end's store has every row up to this one, refused ones excepted."""
    refused: tuple[RefusedRow, ...] = ()
    bytes_sent: int = 0
    day: int | None = None
    """Days since 1970 (UTC) that the bytes belong to."""
    paused: bool | None = None
    """Whether somebody wants it to rest; None leaves that as it is."""


class SinkPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of one sink."""

    marks: Mapping[str, int]
    paused: bool
    day: int | None
    bytes_on_day: int
    rows_refused: int


def write_note(connection: sqlite3.Connection, note: SinkNote, now_utc_ns: int) -> None:
    """Write a note; call it inside a transaction.

    A mark never goes back, and never beyond the last row that was given out: what is heard later
    must not count as acknowledged.
    """
    for kind, key in note.marks.items():
        _move_mark(connection, note.sink, kind, key, now_utc_ns)
    connection.executemany(
        "INSERT OR IGNORE INTO rows_refused (sink, kept_in, id, reason, refused_utc_ns)"
        " VALUES (?, ?, ?, ?, ?)",
        [(note.sink, row.kind, row.key, row.reason, now_utc_ns) for row in note.refused],
    )
    if note.bytes_sent or note.paused is not None:
        connection.execute(
            "INSERT INTO sink_states (sink, paused, day, bytes_on_day)"
            " VALUES (?1, coalesce(?2, 0), ?3, ?4) ON CONFLICT (sink) DO UPDATE SET"
            " paused = coalesce(?2, paused),"
            " bytes_on_day = CASE WHEN ?3 IS NULL OR day IS ?3 THEN bytes_on_day ELSE 0 END + ?4,"
            " day = coalesce(?3, day)",
            (note.sink, note.paused, note.day, note.bytes_sent),
        )


def _move_mark(
    connection: sqlite3.Connection, sink: str, kind: str, key: int, now_utc_ns: int
) -> None:
    if kind == DETECTIONS:
        connection.execute(
            "INSERT INTO sink_marks (sink, acknowledged_seq, updated_utc_ns) VALUES (?1,"
            " min(?2, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'detections'), 0)),"
            " ?3) ON CONFLICT (sink) DO UPDATE SET"
            " acknowledged_seq = max(acknowledged_seq, excluded.acknowledged_seq),"
            " updated_utc_ns = excluded.updated_utc_ns",
            (sink, key, now_utc_ns),
        )
        return
    connection.execute(
        "INSERT INTO sink_marks_beside (sink, kept_in, acknowledged_id) VALUES (?, ?, ?)"
        " ON CONFLICT (sink, kept_in) DO UPDATE SET"
        " acknowledged_id = max(acknowledged_id, excluded.acknowledged_id)",
        (sink, kind, key),
    )


def read_position(connection: sqlite3.Connection, sink: str) -> SinkPosition:
    """Return what the store knows of a sink.

    Raises:
        sqlite3.Error: as sqlite3 does.
    """
    marks = dict(
        connection.execute(
            "SELECT kept_in, acknowledged_id FROM sink_marks_beside WHERE sink = ?1"
            " UNION ALL SELECT 'detections', acknowledged_seq FROM sink_marks WHERE sink = ?1",
            (sink,),
        )
    )
    state = connection.execute(
        "SELECT paused, day, bytes_on_day FROM sink_states WHERE sink = ?", (sink,)
    ).fetchone()
    paused, day, bytes_on_day = state or (0, None, 0)
    (refused,) = connection.execute(
        "SELECT count(*) FROM rows_refused WHERE sink = ?", (sink,)
    ).fetchone()
    return SinkPosition(
        marks=marks,
        paused=bool(paused),
        day=day,
        bytes_on_day=bytes_on_day,
        rows_refused=refused,
    )
