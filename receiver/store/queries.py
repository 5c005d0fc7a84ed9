"""Reading the store: opened read-only, detections and tags out. It never disturbs the writer.

What else may be asked of it stands in `activity_queries`, `run_queries`, `sink_queries` and
`status_queries` beside it.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from receiver.confidence import Confidence, at_least
from receiver.store.detection_rows import detection_of
from receiver.store.errors import StoreMissingError, StoreOlderError
from receiver.store.read_only import connect_read_only, explained
from receiver.store.redecoded import verdicts
from receiver.store.schema import VERSIONS
from receiver.utc_text import iso_utc
from receiver.whereabouts import StoredFix, Whereabouts

_VERSIONS_QUERY = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'stopover'"


class DetectionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which detections; None leaves a bound open."""

    since_utc_ns: int | None = None
    until_utc_ns: int | None = None
    """This instant is not included."""
    tag_id: str | None = None
    antenna: str | None = None
    min_confidence: Confidence = "false"
    """The least that is taken."""


class Reader:
    """Reads one store, read-only; several may, while the daemon writes."""

    def __init__(self, path: Path) -> None:
        """Open the store at `path`.

        Raises:
            StoreMissingError: there is none.
            StoreOlderError: it lacks tables that this version reads.
            StoreError: it cannot be read.
        """
        if not path.exists():
            raise StoreMissingError(f"{path}: there is no store here; name one with --db FILE")
        self.path = path
        self.connection = connect_read_only(path)
        try:
            self.connection.row_factory = sqlite3.Row
            row = self.connection.execute("SELECT station_id, store_uuid FROM station").fetchone()
            versions = {name for (name,) in self.connection.execute(_VERSIONS_QUERY)}
        except sqlite3.Error as error:
            self.close()
            raise explained(path, error) from error
        if not versions >= VERSIONS:
            self.close()
            raise StoreOlderError(
                f"{path}: an older version of stopover wrote this store; bring it up to date with"
                f" `stopover redecode --db {path}`, or run the station with it"
            )
        self.station_id: str = row["station_id"] if row else "unnamed"
        self.store_uuid: str = row["store_uuid"] if row else ""
        self._whereabouts: tuple[object, Whereabouts] | None = None

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Return the reader; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def detections(self, wanted: DetectionFilter) -> Iterator[dict[str, Any]]:
        """Yield detections by `seq`, each a mapping of `detection_rows.DETECTION_KEYS`."""
        where, values = _conditions(wanted)
        whereabouts = self.whereabouts()
        believed = at_least(wanted.min_confidence)
        for row in self.connection.execute(
            f"SELECT * FROM readable_detections{where} ORDER BY seq", values
        ):
            detection = detection_of(row, self.station_id, whereabouts)
            if detection["confidence"] in believed:
                yield detection

    def tags(self, wanted: DetectionFilter) -> Iterator[dict[str, Any]]:
        """Yield each tag heard: how often, when first and last, on which antennas, best level."""
        where, values = _conditions(wanted)
        for row in self.connection.execute(
            "SELECT tag_id, protocol, count(*) AS detections,"
            " sum(integrity IN ('verified', 'repaired')) AS verified,"
            " min(time_ns) AS first_ns, max(time_ns) AS last_ns, max(rssi_dbm) AS best_rssi_dbm,"
            " json_group_array(DISTINCT coalesce(antenna, link)) AS antennas"
            f" FROM readable_detections{where} GROUP BY tag_id, protocol"
            " ORDER BY detections DESC, tag_id",
            values,
        ):
            yield {
                "tag_id": row["tag_id"],
                "protocol": row["protocol"],
                "detections": row["detections"],
                "verified": row["verified"],
                "first": iso_utc(row["first_ns"]),
                "last": iso_utc(row["last_ns"]),
                "best_rssi_dbm": row["best_rssi_dbm"],
                "antennas": sorted(msgspec.json.decode(row["antennas"])),
            }

    def counts(self) -> dict[str, int]:
        """Return how many rows each table of records holds."""
        tables = (
            "detections",
            "pulses",
            "gps_fixes",
            "relay_health",
            "events",
            "unknown_frames",
        )
        return {
            table: self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables
        }

    def rows_pruned(self) -> dict[str, dict[str, int]]:
        """Return for each table how many `acknowledged` and `unacknowledged` rows were deleted."""
        return {
            row["kept_in"]: {
                "acknowledged": row["acknowledged"],
                "unacknowledged": row["unacknowledged"],
            }
            for row in self.connection.execute("SELECT * FROM rows_pruned ORDER BY kept_in")
        }

    def verdicts(self, seq: int) -> list[dict[str, Any]]:
        """Return what newer decoders said of the raw bytes of a detection."""
        return [
            {"decoder": each.decoder, "read_at": iso_utc(each.read_utc_ns), **each.verdict}
            for each in verdicts(self.connection, seq)
        ]

    def whereabouts(self) -> Whereabouts:
        """Return what tells where rows were heard; read again only where fixes were added."""
        newest = tuple(
            self.connection.execute(
                "SELECT (SELECT max(id) FROM gps_fixes), (SELECT max(id) FROM clock_samples)"
            ).fetchone()
        )
        if self._whereabouts is None or self._whereabouts[0] != newest:
            rows = self.connection.execute(
                "SELECT time_ns, time_quality, boot, link, import_id IS NOT NULL, latitude,"
                " longitude, accuracy_m FROM readable_gps_fixes WHERE relay_id IS NULL"
            )
            fixes = (
                StoredFix(
                    time_ns=row[0],
                    time_quality=row[1],
                    boot=row[2],
                    link=row[3],
                    is_imported=bool(row[4]),
                    latitude=row[5],
                    longitude=row[6],
                    accuracy_m=row[7],
                )
                for row in rows
            )
            self._whereabouts = (newest, Whereabouts(fixes))
        return self._whereabouts[1]


def _conditions(wanted: DetectionFilter) -> tuple[str, list[object]]:
    """Return the WHERE clause of the bounds that are given, and their values."""
    bounds = (
        ("time_ns >= ?", wanted.since_utc_ns),
        ("time_ns < ?", wanted.until_utc_ns),
        ("tag_id = ?", wanted.tag_id),
        ("antenna = ?", wanted.antenna),
    )
    given = [(clause, value) for clause, value in bounds if value is not None]
    where = f" WHERE {' AND '.join(clause for clause, _ in given)}" if given else ""
    return where, [value for _, value in given]
