"""Numbered detections for tests of the store: what went in is told by what comes out."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from protocols.records import Detection
from receiver.arrivals import Arrival, Source, Stamp

_connect = sqlite3.connect
"""As it is before a test lets it fail."""

SOURCE = Source(link="ch1", decoder="ctt/1", antenna="north")
AT_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def numbered(number: int) -> Arrival:
    """Return the detection of a number: 6 tags take turns, one beep a second."""
    detection = Detection(
        protocol="ctt-434",
        tag_id=f"{number % 6:08X}",
        integrity="verified",
        rssi_dbm=-60 - number % 40,
        raw=b"%d" % number,
    )
    at_ns = number * 10**9
    return Arrival(detection, SOURCE, Stamp(AT_NS + at_ns, "ntp", 5 + at_ns, "boot-a"))


def numbers(wanted: Iterable[int]) -> list[Arrival]:
    """Return the detections of several numbers."""
    return [numbered(number) for number in wanted]


def stored(path: Path) -> list[int]:
    """Return the numbers of the detections in a store, by `seq`; none if it is not made."""
    connection = _connect(path)
    try:
        made = "SELECT 1 FROM sqlite_schema WHERE name = 'detections'"
        if connection.execute(made).fetchone() is None:
            return []
        return [
            int(raw) for (raw,) in connection.execute("SELECT raw FROM detections ORDER BY seq")
        ]
    finally:
        connection.close()


def stored_and_sound(path: Path) -> tuple[list[int], bool]:
    """Return what `stored` and `is_sound` do, at the price of one opening."""
    connection = _connect(path)
    try:
        sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        rows = connection.execute("SELECT raw FROM detections ORDER BY seq").fetchall()
        return [int(raw) for (raw,) in rows], sound
    finally:
        connection.close()


def is_sound(path: Path) -> bool:
    """Return whether SQLite finds nothing wrong, the indexes included."""
    connection = _connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    finally:
        connection.close()
