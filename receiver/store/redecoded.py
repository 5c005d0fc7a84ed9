"""What newer decoders made of raw bytes that the store keeps: verdicts beside the rows.

A verdict is a mapping:

    of an unknown frame   {"made": {"detections": [seq, …], "gps_fixes": [id, …]}}
                          {"ignored": reason}
    of a detection        {"fields": {name: value that differs}}
                          {"unknown": reason} or {"ignored": reason}
                          {"from": {"unknown_frame": id, "reason": …, "decoder": …}}: it was made
                          of a frame that an older decoder could not read
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from receiver.limits import REDECODE_CHUNK_ROWS

UNKNOWN_FRAMES = "unknown_frames"
DETECTIONS = "detections"

STILL_UNKNOWN = f"id NOT IN (SELECT id FROM redecoded WHERE kept_in = '{UNKNOWN_FRAMES}')"
"""Condition on unknown frames: no decoder has read them since."""


KEYS: Mapping[str, str] = {UNKNOWN_FRAMES: "id", DETECTIONS: "seq"}
"""The tables whose raw bytes are read again, in this order, each with its key."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one decoder says of one row's raw bytes."""

    decoder: str
    read_utc_ns: int
    verdict: Mapping[str, Any]


def note_verdict(
    connection: sqlite3.Connection, kept_in: str, row_id: int, verdict: Verdict
) -> None:
    """Keep a verdict in the place of the same decoder's last one; call it inside a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO redecoded (kept_in, id, decoder, read_utc_ns, verdict)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            kept_in,
            row_id,
            verdict.decoder,
            verdict.read_utc_ns,
            msgspec.json.encode(verdict.verdict, order="sorted").decode(),
        ),
    )


def withdraw_verdict(
    connection: sqlite3.Connection, kept_in: str, row_id: int, decoder: str
) -> None:
    """Delete the verdict of a decoder that now agrees with the row; call it in a transaction."""
    connection.execute(
        "DELETE FROM redecoded WHERE kept_in = ? AND id = ? AND decoder = ?"
        " AND verdict NOT LIKE '{\"from\"%'",
        (kept_in, row_id, decoder),
    )


def verdicts(connection: sqlite3.Connection, seq: int) -> list[Verdict]:
    """Return what decoders said later of a detection, by decoder."""
    return [
        Verdict(decoder=decoder, read_utc_ns=read_utc_ns, verdict=msgspec.json.decode(verdict))
        for decoder, read_utc_ns, verdict in connection.execute(
            "SELECT decoder, read_utc_ns, verdict FROM redecoded"
            " WHERE kept_in = ? AND id = ? ORDER BY decoder",
            (DETECTIONS, seq),
        )
    ]


def forget_deleted(connection: sqlite3.Connection) -> None:
    """Delete verdicts of rows that retention has deleted; call it inside a transaction."""
    for kept_in, key in KEYS.items():
        connection.execute(
            f"DELETE FROM redecoded WHERE kept_in = ?"
            f" AND id < coalesce((SELECT min({key}) FROM {kept_in}), 0)",
            (kept_in,),
        )


def rows_kept(connection: sqlite3.Connection) -> int:
    """Return how many rows there are whose raw bytes can be read again."""
    counts = (connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in KEYS)
    return sum(counts)


class Bounds(NamedTuple):
    """Which rows; None leaves a bound open."""

    since_utc_ns: int | None
    until_utc_ns: int | None
    """This instant is not included."""
    link: str | None

    def given(self) -> dict[str, int | str]:
        """Return the conditions on a readable view, and the value of each."""
        conditions = {
            "time_ns >= ?": self.since_utc_ns,
            "time_ns < ?": self.until_utc_ns,
            "link = ?": self.link,
        }
        return {clause: value for clause, value in conditions.items() if value is not None}


def pulses_kept(connection: sqlite3.Connection, bounds: Bounds) -> int:
    """Return how many pulses there are, none of which is read again."""
    given = bounds.given()
    where = " AND ".join(given)
    counted = f"readable_pulses WHERE {where}" if where else "pulses"
    count: int = connection.execute(
        f"SELECT count(*) FROM {counted}", (*given.values(),)
    ).fetchone()[0]
    return count


def chunks(
    connection: sqlite3.Connection, table: str, bounds: Bounds
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield the rows of a table in order, some at a time, with names as the readable view has them.

    `clock_code` is the clock quality as it was stamped. Rows that are added meanwhile are left out,
    and so are unknown frames that were read since.
    """
    key = KEYS[table]
    given = bounds.given()
    where = "".join(f" AND {clause}" for clause in given)
    if table == UNKNOWN_FRAMES:
        where += f" AND {STILL_UNKNOWN}"
    (last,) = connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()
    after = 0
    while True:
        cursor = connection.execute(
            f"SELECT *, (SELECT clock FROM {table} WHERE {key} = view.{key}) AS clock_code"
            f" FROM readable_{table} AS view WHERE {key} > ? AND {key} <= ?{where}"
            f" ORDER BY {key} LIMIT {REDECODE_CHUNK_ROWS}",
            (after, last, *given.values()),
        )
        names = [column[0] for column in cursor.description]
        chunk = [dict(zip(names, row, strict=True)) for row in cursor]
        if not chunk:
            return
        yield chunk
        after = chunk[-1][key]
