"""The collector's tables, for PostgreSQL and for SQLite, from one list of columns.

    detections      a row for each detection, keyed by (station_id, store_uuid, seq, time_stamped)
    clock_samples   pairs of a station's clocks, from which times can be corrected later
    activity        hours listened, the newest state of each
    notes           every other kind (fixes, node health, events, pulses), each row as it came
    stores          which stores each station sends from, and when last
    store_conflicts stations whose name is used by two stores at once

`time_stamped` is part of the keys only because PostgreSQL and TimescaleDB want the column they cut
tables by in every unique index; it is the time as first stamped, which never changes, so a row that
comes twice always meets itself.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec


class Column(msgspec.Struct, frozen=True):
    """A column, with its type in either database."""

    name: str
    postgres: str
    sqlite: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that rows of batches go to."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cut_by: str | None = None
    """The column of time that large tables are cut by."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def _columns(*described: str) -> tuple[Column, ...]:
    """Return columns from "name kind" words; a kind that ends in ! may not be absent."""
    columns = []
    for each in described:
        name, kind = each.split()
        postgres, sqlite = _TYPES[kind.rstrip("!")]
        needed = " NOT NULL" if kind.endswith("!") else ""
        columns.append(Column(name, postgres + needed, sqlite + needed))
    return tuple(columns)


_TYPES = {
    "text": ("text", "TEXT"),
    "uuid": ("uuid", "TEXT"),
    "integer": ("bigint", "INTEGER"),
    "number": ("double precision", "REAL"),
    "flag": ("boolean", "INTEGER"),
    "time": ("timestamptz", "TEXT"),
    "json": ("jsonb", "TEXT"),
    "bytes": ("bytea", "BLOB"),
}

_STORE = ("station_id text!", "store_uuid uuid!")

DETECTIONS = Table(
    name="detections",
    columns=_columns(
        *_STORE,
        "seq integer!",
        "time_stamped time!",
        "time time!",
        "time_quality text!",
        "boot text",
        "mono_ns integer",
        "link text!",
        "antenna text",
        "protocol text",
        "tag_id text!",
        "integrity text!",
        "id_legal flag",
        "rssi_dbm number",
        "snr_db number",
        "noise_dbm number",
        "frequency_offset_hz number",
        "relay_id text",
        "relay_rssi_dbm number",
        "recorded_at time",
        "collection text",
        "run integer",
        "decoder text!",
        "measurements json",
        "payload bytes",
        "raw bytes",
    ),
    key=("station_id", "store_uuid", "seq", "time_stamped"),
    cut_by="time_stamped",
)
CLOCK_SAMPLES = Table(
    name="clock_samples",
    columns=_columns(
        *_STORE,
        "id integer!",
        "time_stamped time!",
        "time_quality text!",
        "boot text!",
        "mono_ns integer!",
        "reason text!",
    ),
    key=("station_id", "store_uuid", "id"),
)
ACTIVITY = Table(
    name="activity",
    columns=_columns(
        *_STORE,
        "hour time!",
        "session text!",
        "link text!",
        "antenna text!",
        "revision integer!",
        "listening_s number!",
        "frames integer!",
        "detections integer!",
        "pulses integer!",
        "noise_dbm number",
        "rejects json",
    ),
    key=("station_id", "store_uuid", "hour", "session", "link", "antenna"),
)
NOTES = Table(
    name="notes",
    columns=_columns(*_STORE, "kind text!", "id integer!", "time_stamped time!", "body json!"),
    key=("station_id", "store_uuid", "kind", "id", "time_stamped"),
    cut_by="time_stamped",
)
TABLES = (DETECTIONS, CLOCK_SAMPLES, ACTIVITY, NOTES)

STORES = Table(
    name="stores",
    columns=_columns(
        *_STORE, "first_batch_at time!", "last_batch_at time!", "last_seq integer", "rows integer!"
    ),
    key=("station_id", "store_uuid"),
)
STORE_CONFLICTS = Table(
    name="store_conflicts",
    columns=_columns(
        *_STORE, "other_store_uuid uuid!", "first_at time!", "last_at time!", "times integer!"
    ),
    key=("station_id", "store_uuid", "other_store_uuid"),
)


def create(table: Table, of: Callable[[Column], str], more: str = "") -> str:
    """Return the statement that makes a table where there is none."""
    columns = ", ".join(f"{column.name} {of(column)}" for column in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name}"
        f" ({columns}, PRIMARY KEY ({', '.join(table.key)})){more}"
    )


def on_conflict(table: Table) -> str:
    """Return what happens to a row that is there: nothing, or the newer state takes its place."""
    if table is not ACTIVITY:
        return "ON CONFLICT DO NOTHING"
    changed = [name for name in table.names if name not in table.key]
    sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
    return (
        f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {sets}"
        f" WHERE excluded.revision > {table.name}.revision"
    )


Values = Mapping[str, Sequence[Sequence[object]]]
"""Rows by table, each with the values of the table's columns in order."""
