"""What may leave the store, oldest first, and what may not.

A detection is acknowledged when every configured sink's mark has passed its `seq`; without sinks
none is. A row of another table goes with the detections of its time: it counts as acknowledged when
it is older than every detection that is not, and every sink that sends its kind has passed it.
Among what may go, the oldest goes first. Rows that stay are never rewritten, and freed pages are
used again: the file does not shrink, and `used_bytes` is what counts.
"""

import sqlite3

import msgspec

from receiver.limits import PRUNE_CHUNK_ROWS
from receiver.settings import StoreSettings
from receiver.store.database import Store

_KEYS = {
    "detections": "seq",
    "pulses": "id",
    "unknown_frames": "id",
    "events": "id",
    "gps_fixes": "id",
    "relay_health": "id",
}
"""The tables that grow, each with the column that tells the order in which rows came."""

_END_OF_TIME_NS = 2**63 - 1
_OTHERS = tuple(table for table in _KEYS if table != "detections")


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be kept, and what may go."""

    max_bytes: int | None = None
    """Pages in use beyond which rows go; None sets no bound but the disk."""
    sinks: tuple[str, ...] = ()
    """Those whose acknowledgements are needed."""
    delete_unacknowledged: bool = False
    """Whether, when no acknowledged row is left, others may go too; they are counted."""


def retention_of(settings: StoreSettings, sinks: tuple[str, ...] = ()) -> Retention:
    """Return what the owner's settings mean."""
    return Retention(
        max_bytes=settings.max_size_mb * 10**6 or None,
        sinks=sinks,
        delete_unacknowledged=settings.delete_unacknowledged,
    )


class Pruned(msgspec.Struct, frozen=True):
    """Rows deleted in one transaction."""

    table: str
    rows: int
    is_acknowledged: bool


class _Head(msgspec.Struct, frozen=True):
    """The oldest row of a table that may go."""

    utc_ns: int
    table: str
    last_key: int
    """No later row may go in the same step."""


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use; pages that deletions freed are not counted."""
    return _page_bytes(connection) * (
        _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    )


def acknowledged_seq(connection: sqlite3.Connection, sinks: tuple[str, ...]) -> int:
    """Return the `seq` up to which every sink's far end has the detections; 0 without sinks."""
    marks = dict(connection.execute("SELECT sink, acknowledged_seq FROM sink_marks"))
    return min((marks.get(sink, 0) for sink in sinks), default=0)


def prune(store: Store, retention: Retention, at_most: int = PRUNE_CHUNK_ROWS) -> Pruned | None:
    """Delete up to `at_most` of the oldest rows that may go; None where there is none.

    One small synced transaction, so that what was just heard does not wait for long.

    Raises:
        sqlite3.Error: disk full, I/O error; nothing was deleted.
    """
    connection = store.connection
    head = _oldest_acknowledged(connection, retention.sinks, at_most)
    is_acknowledged = head is not None
    if head is None and retention.delete_unacknowledged:
        head = _oldest(connection, at_most)
    if head is None:
        return None
    with store.transaction():
        rows = connection.execute(
            f"DELETE FROM {head.table} WHERE {_KEYS[head.table]} <= ?", (head.last_key,)
        ).rowcount
        connection.execute(
            "DELETE FROM redecoded WHERE kept_in = ? AND id <= ?", (head.table, head.last_key)
        )
        if head.table == "detections":
            _forget_runs(connection, head.last_key, at_most)
        connection.execute(
            "INSERT INTO rows_pruned (kept_in, acknowledged, unacknowledged) VALUES (?, ?, ?)"
            " ON CONFLICT (kept_in) DO UPDATE SET"
            " acknowledged = acknowledged + excluded.acknowledged,"
            " unacknowledged = unacknowledged + excluded.unacknowledged",
            (head.table, *((rows, 0) if is_acknowledged else (0, rows))),
        )
    return Pruned(head.table, rows, is_acknowledged)


def _forget_runs(connection: sqlite3.Connection, last_seq: int, at_most: int) -> None:
    """Delete what says to which runs deleted detections belonged, and the oldest runs themselves.

    A run goes when it ended before the first detection that is kept.
    """
    connection.execute("DELETE FROM detection_runs WHERE seq <= ?", (last_seq,))
    connection.execute(
        "DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY id LIMIT ?) AND last_utc_ns <"
        " coalesce((SELECT utc_ns FROM detections ORDER BY seq LIMIT 1), last_utc_ns + 1)",
        (at_most,),
    )


def _oldest_acknowledged(
    connection: sqlite3.Connection, sinks: tuple[str, ...], at_most: int
) -> _Head | None:
    acknowledged = acknowledged_seq(connection, sinks)
    if acknowledged == 0:
        return None
    heads = [_head(connection, "detections", at_most, f"seq <= {acknowledged}")]
    before_ns = _acknowledged_before(connection, acknowledged)
    if before_ns is not None:
        beside = _marks_beside(connection, sinks)
        heads += [
            _head_before(connection, table, at_most, before_ns, beside.get(table))
            for table in _OTHERS
        ]
    return min((head for head in heads if head), key=lambda head: head.utc_ns, default=None)


def _acknowledged_before(connection: sqlite3.Connection, acknowledged: int) -> int | None:
    """Return the time of the first detection that is not acknowledged, the end of time if all are.

    None where it is not known, since such detections were deleted.
    """
    first_kept = connection.execute(
        "SELECT seq, utc_ns FROM detections WHERE seq > ? ORDER BY seq LIMIT 1", (acknowledged,)
    ).fetchone()
    if first_kept is not None:
        return int(first_kept[1]) if first_kept[0] == acknowledged + 1 else None
    (last_seq,) = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'detections'"
    ).fetchone()
    return _END_OF_TIME_NS if acknowledged >= last_seq else None


def _marks_beside(connection: sqlite3.Connection, sinks: tuple[str, ...]) -> dict[str, int]:
    """Return for each other table how far all sinks are that send it."""
    marks: dict[str, int] = {}
    for sink, table, last in connection.execute(
        "SELECT sink, kept_in, acknowledged_id FROM sink_marks_beside"
    ):
        if sink in sinks:
            marks[table] = min(last, marks.get(table, last))
    return marks


def _oldest(connection: sqlite3.Connection, at_most: int) -> _Head | None:
    heads = (_head(connection, table, at_most) for table in _KEYS)
    return min((head for head in heads if head), key=lambda head: head.utc_ns, default=None)


def _head(
    connection: sqlite3.Connection, table: str, at_most: int, where: str = "TRUE"
) -> _Head | None:
    key = _KEYS[table]
    first = connection.execute(
        f"SELECT utc_ns FROM {table} WHERE {where} ORDER BY {key} LIMIT 1"
    ).fetchone()
    if first is None:
        return None
    (last_key,) = connection.execute(
        f"SELECT max({key}) FROM"
        f" (SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT {at_most})"
    ).fetchone()
    return _Head(first[0], table, last_key)


def _head_before(
    connection: sqlite3.Connection, table: str, at_most: int, utc_ns: int, mark: int | None
) -> _Head | None:
    """Return the head whose rows are all older than `utc_ns`, looking at the first rows only."""
    key = _KEYS[table]
    head = _head(connection, table, at_most, "TRUE" if mark is None else f"{key} <= {mark}")
    if head is None or head.utc_ns >= utc_ns:
        return None
    (first_newer,) = connection.execute(
        f"SELECT min({key}) FROM {table} WHERE {key} <= ? AND utc_ns >= ?",
        (head.last_key, utc_ns),
    ).fetchone()
    return head if first_newer is None else _Head(head.utc_ns, table, first_newer - 1)


def _page_bytes(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
