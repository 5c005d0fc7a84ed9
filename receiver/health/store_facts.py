"""What the store and its disk tell of the station: read in a thread, at most once a minute.

Every query here touches the ends of tables or the last day's hours, never a whole table: seconds
on a card must not be spent each minute.
"""

import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from receiver.arrivals import Stamp
from receiver.health.moment import Moment, age_s
from receiver.limits import ACTIVITY_ROWS_TOLD
from receiver.sink_settings import Sink
from receiver.store.outbox import DETECTIONS, KEYS, read_position
from receiver.store.queries import Reader
from receiver.store.schema import CLOCK_QUALITIES

HOURS: Final = 24
_HOUR_S: Final = 3600


class Day(msgspec.Struct, frozen=True):
    """What one antenna did in each of 24 hours, the oldest first."""

    last_hour_utc_s: int
    """Begin of the last one."""
    detections: tuple[int, ...]
    listening: tuple[float, ...]
    """Part of the whole hour that it listened, 0 to 1."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one sink."""

    rows: int
    oldest: Moment | None
    """When the oldest of them came into the store, as far as a clock can tell; None where nothing
    waits but hours of `activity`."""
    acknowledged_utc_ns: int | None
    rows_refused: int
    is_paused: bool


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the store; the counts are 0 while it cannot be read."""

    file_bytes: int
    """The store and its log."""
    used_bytes: int | None
    """Pages that hold something."""
    unused_bytes: int = 0
    """Pages that deletions freed."""
    free_bytes: int
    disk_bytes: int
    detections: int = 0
    rows_pruned: Mapping[str, dict[str, int]] = {}
    set_aside: tuple[str, ...] = ()
    days: Mapping[tuple[str, str], Day] = {}
    """By link and antenna (empty where it has no label)."""
    backlogs: Mapping[str, Backlog] = {}


def read_facts(
    path: Path, reader: Reader | None, sinks: Sequence[Sink], *, now: Stamp, session: str
) -> StoreFacts:
    """Look at the store at `path`, open in `reader` where there is one.

    `session` is this life of the daemon, whose current hour is better known in memory and left out.

    Raises:
        sqlite3.Error: it cannot be read now.
        OSError: the folder is gone.
    """
    now_utc_s = now.utc_ns // 10**9
    disk = shutil.disk_usage(path.parent)
    plain = StoreFacts(
        file_bytes=sum(
            file.stat().st_size
            for file in (path, path.with_name(f"{path.name}-wal"))
            if file.exists()
        ),
        used_bytes=None,
        free_bytes=disk.free,
        disk_bytes=disk.total,
        set_aside=_set_aside(path),
    )
    if reader is None:
        return plain
    connection = reader.connection
    connection.execute("BEGIN")
    try:
        page, pages, unused = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        return msgspec.structs.replace(
            plain,
            used_bytes=page * (pages - unused),
            unused_bytes=page * unused,
            detections=_span(connection, DETECTIONS, 0)[0],
            rows_pruned=reader.rows_pruned(),
            days=_days(connection, now_utc_s, session),
            backlogs={sink.name: _backlog(connection, sink, now) for sink in sinks},
        )
    finally:
        connection.execute("COMMIT")


def _set_aside(path: Path) -> tuple[str, ...]:
    found = (*path.parent.glob(f"{path.name}.damaged-*"), *path.parent.glob(f"{path.name}.newer-*"))
    return tuple(sorted(file.name for file in found if not file.name.endswith(("-wal", "-shm"))))


def _days(
    connection: sqlite3.Connection, now_utc_s: int, session: str
) -> dict[tuple[str, str], Day]:
    last = now_utc_s // _HOUR_S * _HOUR_S
    first = last - (HOURS - 1) * _HOUR_S
    detections: dict[tuple[str, str], list[int]] = {}
    listening: dict[tuple[str, str], list[float]] = {}
    for hour_utc_s, link, antenna, count, listened_s in connection.execute(
        "SELECT hour_utc_s, link, antenna, sum(detections), sum(listening_s) FROM activity"
        " WHERE hour_utc_s >= ?1 AND hour_utc_s <= ?2"
        " AND NOT (hour_utc_s = ?2 AND session = ?3) GROUP BY hour_utc_s, link, antenna LIMIT ?4",
        (first, last, session, ACTIVITY_ROWS_TOLD),
    ):
        place = (link, antenna)
        hour = (hour_utc_s - first) // _HOUR_S
        detections.setdefault(place, [0] * HOURS)[hour] = count
        part = round(min(1.0, listened_s / _HOUR_S), 3)
        listening.setdefault(place, [0.0] * HOURS)[hour] = part
    return {
        place: Day(last, tuple(counts), tuple(listening[place]))
        for place, counts in detections.items()
    }


def _backlog(connection: sqlite3.Connection, sink: Sink, now: Stamp) -> Backlog:
    position = read_position(connection, sink.name)
    acknowledged = connection.execute(
        "SELECT updated_utc_ns FROM sink_marks WHERE sink = ?", (sink.name,)
    ).fetchone()
    rows = 0
    came: list[Moment] = []
    for kind in (DETECTIONS, *sink.also):
        mark = position.marks.get(kind, 0)
        if kind == "activity":
            rows += _waiting_hours(connection, mark, now.utc_ns // 10**9)
            continue
        waiting, first = _span(connection, kind, mark)
        rows += waiting
        if waiting:
            came.append(_came(connection, kind, first))
    return Backlog(
        rows=rows,
        oldest=max(came, key=lambda moment: age_s(moment, now) or 0.0, default=None),
        acknowledged_utc_ns=acknowledged[0] if acknowledged else None,
        rows_refused=position.rows_refused,
        is_paused=position.paused,
    )


def _span(connection: sqlite3.Connection, kind: str, mark: int) -> tuple[int, int]:
    """Return how many rows of a table lie beyond a mark, and the first one's number.

    Numbers are given out without gaps, and rows are deleted at the old end only.
    """
    key = KEYS[kind]
    first, last = connection.execute(
        f"SELECT (SELECT {key} FROM {kind} WHERE {key} > ?1 ORDER BY {key} LIMIT 1),"  # noqa: S608  Our own names.
        f" (SELECT max({key}) FROM {kind})",
        (mark,),
    ).fetchone()
    return (0, 0) if first is None else (last - first + 1, first)


def _waiting_hours(connection: sqlite3.Connection, mark: int, now_utc_s: int) -> int:
    """Return the hours of `activity` that wait; the current one is not sent before its end."""
    (rows,) = connection.execute(
        "SELECT count(*) FROM activity WHERE revision > ? AND hour_utc_s < ?",
        (mark, now_utc_s // _HOUR_S * _HOUR_S),
    ).fetchone()
    return int(rows)


def _came(connection: sqlite3.Connection, kind: str, number: int) -> Moment:
    """Return when a row came into the store; a row of a file, when the file was imported."""
    if kind == "clock_samples":
        utc_ns, mono_ns, boot, clock = connection.execute(
            "SELECT utc_ns, mono_ns, text, clock FROM clock_samples JOIN texts ON texts.id = boot"
            " WHERE clock_samples.id = ?",
            (number,),
        ).fetchone()
        return Moment(utc_ns=utc_ns, quality=CLOCK_QUALITIES[clock], boot=boot, mono_ns=mono_ns)
    row = connection.execute(
        f"SELECT time_ns, time_quality, boot, mono_ns, imported_utc_ns FROM readable_{kind} AS row"  # noqa: S608  Our own names.
        f" LEFT JOIN imports ON imports.id = row.import_id WHERE row.{KEYS[kind]} = ?",
        (number,),
    ).fetchone()
    if row[4] is not None:
        return Moment(utc_ns=row[4], quality="ntp")
    return Moment(utc_ns=row[0], quality=row[1], boot=row[2], mono_ns=row[3])
