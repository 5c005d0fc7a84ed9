"""The collector's rows in an SQLite file: for a project with a few stations, nothing else needed.

Times are ISO 8601 text in UTC with microseconds, which sort as they are.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path

from receiver.collector.rows import Contents
from receiver.collector.store import DatabaseAwayError, Written, rows_by_table
from receiver.collector.tables import (
    STORE_CONFLICTS,
    STORES,
    TABLES,
    Column,
    Table,
    create,
    on_conflict,
)
from receiver.limits import TWO_STORES_WINDOW_S


class SqliteStore:
    """One file; several collectors on one machine may write to it."""

    def __init__(
        self, path: Path, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        self._path = path
        self._now = now
        self._connection: sqlite3.Connection | None = None

    def write(self, contents: Contents) -> Written:
        """Store a batch; see `receiver.collector.store.CollectorStore`."""
        try:
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                new = sum(
                    _insert(connection, table, rows)
                    for table, rows in rows_by_table(
                        contents, time=_text, binary=bytes.fromhex
                    ).items()
                )
                other = self._note_store(connection, contents)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self.close()
            raise DatabaseAwayError(f"{self._path}: {error}") from error
        return Written(rows=contents.rows, new=new, other_store=other)

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=30.0, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # What is acknowledged is on the disk: the station forgets it.
        connection.execute("PRAGMA synchronous = FULL")
        for table in (*TABLES, STORES, STORE_CONFLICTS):
            connection.execute(create(table, _type_of))
        self._connection = connection
        return connection

    def _note_store(self, connection: sqlite3.Connection, contents: Contents) -> str | None:
        now = self._now()
        header = contents.header
        values = {
            "station": header.station_id,
            "store": header.store_uuid,
            "now": _text(now),
            "last_seq": header.last_seq,
            "rows": contents.rows,
            "since": _text(now - dt.timedelta(seconds=TWO_STORES_WINDOW_S)),
        }
        # Somebody else sent since this store last did, and that is not long ago.
        other = connection.execute(
            "SELECT other.store_uuid FROM stores AS own JOIN stores AS other"
            " ON other.station_id = own.station_id AND other.store_uuid <> own.store_uuid"
            " WHERE own.station_id = :station AND own.store_uuid = :store"
            " AND own.last_batch_at > :since AND other.last_batch_at >= own.last_batch_at"
            " ORDER BY other.last_batch_at DESC LIMIT 1",
            values,
        ).fetchone()
        connection.execute(
            "INSERT INTO stores VALUES (:station, :store, :now, :now, :last_seq, :rows)"
            " ON CONFLICT (station_id, store_uuid) DO UPDATE SET last_batch_at = :now,"
            " last_seq = max(coalesce(last_seq, 0), coalesce(:last_seq, 0)), rows = rows + :rows",
            values,
        )
        if other is None:
            return None
        first, second = sorted((header.store_uuid, str(other[0])))
        connection.execute(
            "INSERT INTO store_conflicts VALUES (:station, :first, :second, :now, :now, 1)"
            " ON CONFLICT (station_id, store_uuid, other_store_uuid)"
            " DO UPDATE SET last_at = :now, times = times + 1",
            {**values, "first": first, "second": second},
        )
        return str(other[0])


def _insert(connection: sqlite3.Connection, table: Table, rows: list[tuple[object, ...]]) -> int:
    before = connection.total_changes
    connection.executemany(
        f"INSERT INTO {table.name} ({', '.join(table.names)})"  # noqa: S608  Our own names.
        f" VALUES ({', '.join('?' * len(table.columns))}) {on_conflict(table)}",
        rows,
    )
    return connection.total_changes - before


def _type_of(column: Column) -> str:
    return column.sqlite


def _text(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
