"""The collector's rows in PostgreSQL: COPY to a staging table, then one INSERT that keeps singles.

Large tables are cut by month of the stamped time. A partition is made when its first row comes, for
any month from 2000 to 2099; the rows of clocks that are further off go to the default partition.
Several collectors may write to one database: rows come in the order of their keys, so that they
never wait for each other in a circle, and partitions are made one at a time.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg

from receiver.collector.rows import Contents
from receiver.collector.store import DatabaseAwayError, Row, Written, rows_by_table
from receiver.collector.tables import (
    CLOCK_SAMPLES,
    STORE_CONFLICTS,
    STORES,
    TABLES,
    Column,
    Table,
    create,
    on_conflict,
)
from receiver.limits import TWO_STORES_WINDOW_S
from receiver.sinks.batches import BatchError

_LAYOUT_LOCK = 7_867_867
"""Any number that is ours: who makes tables and partitions holds this lock of the database."""

_YEARS = range(2000, 2100)
_CONNECT_S = 10

_CORRECTED = f"""
CREATE VIEW corrected_detections AS
SELECT detection.*, CASE WHEN near.id IS NULL THEN detection.time ELSE near.time_stamped
    + (detection.mono_ns - near.mono_ns) / 1000 * interval '1 microsecond' END AS time_corrected
FROM detections AS detection LEFT JOIN LATERAL (
    SELECT sample.id, sample.time_stamped, sample.mono_ns FROM {CLOCK_SAMPLES.name} AS sample
    WHERE sample.station_id = detection.station_id AND sample.store_uuid = detection.store_uuid
        AND sample.boot = detection.boot AND sample.time_quality IN ('pps', 'gps', 'ntp')
    ORDER BY abs(sample.mono_ns - detection.mono_ns) LIMIT 1
) AS near ON detection.time_quality IN ('unsynchronised', 'implausible')
"""  # noqa: S608  Our own names.
"""Times that a station could not correct itself yet when it sent them, from what it sent later."""


class PostgresStore:
    """One connection; it is made anew after every failure."""

    def __init__(
        self, url: str, *, password_file: str | None = None, partitions: bool = True
    ) -> None:
        self._url = url
        self._password_file = password_file
        self._partitions = partitions
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._known_partitions: set[str] = set()

    def write(self, contents: Contents) -> Written:
        """Store a batch; see `receiver.collector.store.CollectorStore`."""
        try:
            connection = self._connection or self._open()
            rows = rows_by_table(contents, time=_same, binary=_bytea)
            if self._partitions:
                self._make_partitions(connection, rows)
            with connection.transaction(), connection.cursor() as cursor:
                new = sum(_insert(cursor, table, some) for table, some in rows.items())
                other = _note_store(cursor, contents)
        except psycopg.DataError as error:
            raise BatchError(str(error).partition("\n")[0]) from error
        except psycopg.Error as error:
            self.close()
            raise DatabaseAwayError(str(error).partition("\n")[0]) from error
        except OSError as error:
            raise DatabaseAwayError(str(error)) from error
        return Written(rows=contents.rows, new=new, other_store=other)

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        self._known_partitions.clear()
        if connection is not None:
            connection.close()

    def _open(self) -> "psycopg.Connection[tuple[object, ...]]":
        password = None
        if self._password_file is not None:
            password = Path(self._password_file).read_text(encoding="utf-8").splitlines()[0]
        connection = psycopg.connect(
            self._url,
            password=password,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            application_name="stopover collect",
        )
        try:
            self._lay_out(connection)
        except psycopg.Error:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _lay_out(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        connection.execute("SET timezone TO 'UTC'")
        # An acknowledged row must survive the machine's power cut, whatever the server's default.
        connection.execute("SET synchronous_commit TO on")
        connection.execute("SET client_min_messages TO warning")
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LAYOUT_LOCK])
            for table in (*TABLES, STORES, STORE_CONFLICTS):
                cut = self._partitions and table.cut_by
                more = f" PARTITION BY RANGE ({table.cut_by})" if cut else ""
                connection.execute(create(table, _type_of, more))
                if cut:
                    connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {table.name}_other"
                        f" PARTITION OF {table.name} DEFAULT"
                    )
            if not _exists(connection, "corrected_detections"):
                connection.execute(_CORRECTED)
        for table in TABLES:
            connection.execute(
                f"CREATE TEMP TABLE staged_{table.name} (LIKE {table.name}) ON COMMIT DELETE ROWS"
            )

    def _make_partitions(
        self,
        connection: "psycopg.Connection[tuple[object, ...]]",
        rows: dict[Table, list[Row]],
    ) -> None:
        for table, some in rows.items():
            if table.cut_by is None:
                continue
            place = table.names.index(table.cut_by)
            for month in sorted(_months(row[place] for row in some)):
                name = f"{table.name}_{month:%Y_%m}"
                if name not in self._known_partitions:
                    _make_partition(connection, table, name, month)
                    self._known_partitions.add(name)


def _make_partition(
    connection: "psycopg.Connection[tuple[object, ...]]", table: Table, name: str, month: dt.date
) -> None:
    """Make the partition of a month where there is none."""
    if _exists(connection, name):
        return
    after = (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LAYOUT_LOCK])
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table.name}"
            f" FOR VALUES FROM ('{month} 00:00+00') TO ('{after} 00:00+00')"
        )


def _exists(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> bool:
    found = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
    return found is not None and found[0] is not None


def _insert(cursor: "psycopg.Cursor[tuple[object, ...]]", table: Table, rows: Sequence[Row]) -> int:
    columns = ", ".join(table.names)
    with cursor.copy(f"COPY staged_{table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.execute(
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM staged_{table.name}"  # noqa: S608  Our own names.
        f" ORDER BY {', '.join(table.key)} {on_conflict(table)}"
    )
    return cursor.rowcount


def _note_store(cursor: "psycopg.Cursor[tuple[object, ...]]", contents: Contents) -> str | None:
    """Note that a store sent; return the other one that sends under the same name, if any."""
    header = contents.header
    values = {
        "station": header.station_id,
        "store": header.store_uuid,
        "last_seq": header.last_seq,
        "rows": contents.rows,
        "window": TWO_STORES_WINDOW_S,
    }
    # Somebody else sent since this store last did, and that is not long ago.
    other = cursor.execute(
        "SELECT other.store_uuid FROM stores AS own JOIN stores AS other"
        " ON other.station_id = own.station_id AND other.store_uuid <> own.store_uuid"
        " WHERE own.station_id = %(station)s AND own.store_uuid = %(store)s"
        " AND own.last_batch_at > now() - %(window)s * interval '1 second'"
        " AND other.last_batch_at >= own.last_batch_at ORDER BY other.last_batch_at DESC LIMIT 1",
        values,
    ).fetchone()
    cursor.execute(
        "INSERT INTO stores AS own VALUES"
        " (%(station)s, %(store)s, now(), now(), %(last_seq)s, %(rows)s)"
        " ON CONFLICT (station_id, store_uuid) DO UPDATE SET last_batch_at = now(),"
        " last_seq = greatest(own.last_seq, excluded.last_seq), rows = own.rows + excluded.rows",
        values,
    )
    if other is None:
        return None
    first, second = sorted((header.store_uuid, str(other[0])))
    cursor.execute(
        "INSERT INTO store_conflicts AS known VALUES"
        " (%(station)s, %(first)s, %(second)s, now(), now(), 1)"
        " ON CONFLICT (station_id, store_uuid, other_store_uuid)"
        " DO UPDATE SET last_at = now(), times = known.times + 1",
        {**values, "first": first, "second": second},
    )
    return str(other[0])


def _months(moments: Iterable[dt.datetime]) -> set[dt.date]:
    """Return the first days of the months that partitions are made for."""
    found = {(moment.year, moment.month) for moment in map(_in_utc, moments)}
    return {dt.date(year, month, 1) for year, month in found if year in _YEARS}


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)


def _type_of(column: Column) -> str:
    return column.postgres


def _same(moment: dt.datetime) -> dt.datetime:
    return moment


def _bytea(hexadecimal: str) -> str:
    return f"\\x{hexadecimal}"
