"""Reading the store: rows out, for commands and exports. Reading never disturbs the writer."""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from receiver.confidence import (
    CONFIDENCES,
    NO_RUN,
    NOT_SORTED,
    Confidence,
    at_least,
    of_detection,
    of_unsorted,
)
from receiver.store.errors import StoreError, StoreMissingError, StoreOlderError
from receiver.store.redecoded import STILL_UNKNOWN, verdicts
from receiver.store.schema import CLOCK_QUALITIES, VERSIONS
from receiver.store.true_hours import SampledClock, TrueHours
from receiver.unknown_shapes import shape
from receiver.whereabouts import StoredFix, Whereabouts

_FIRST_RELAY_S = dt.datetime(2018, 1, 1, tzinfo=dt.UTC).timestamp()
_DAY_S = 86_400
_GOOD_CLOCKS = frozenset(("pps", "gps", "ntp"))
_NOT_PERMITTED = frozenset(
    ("SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT", "SQLITE_READONLY")
)
"""SQLite must make a file beside a store in WAL mode that nobody has open, also to read it."""
_VERSIONS_QUERY = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'stopover'"
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  Text of UTC is made from it, and quickly.

DETECTION_KEYS = (
    "seq",
    "time",
    "time_quality",
    "time_stamped",
    "station",
    "link",
    "antenna",
    "protocol",
    "tag_id",
    "integrity",
    "id_legal",
    "rssi_dbm",
    "snr_db",
    "noise_dbm",
    "frequency_offset_hz",
    "relay_id",
    "relay_rssi_dbm",
    "recorded_at",
    "recorded_at_quality",
    "collection",
    "latitude",
    "longitude",
    "position_error_m",
    "run",
    "confidence",
    "confidence_reason",
    "decoder",
    "measurements",
    "payload",
    "raw",
)
"""The keys of a detection in JSON and CSV, in this order."""


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
        try:
            self.connection = _read_only(path)
            self.connection.row_factory = sqlite3.Row
            row = self.connection.execute("SELECT station_id, store_uuid FROM station").fetchone()
            versions = {name for (name,) in self.connection.execute(_VERSIONS_QUERY)}
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in _NOT_PERMITTED:
                raise StoreError(
                    f"{path}: you may not open it while the station is stopped ({error}); use sudo,"
                    " or start the station"
                ) from error
            raise StoreError(f"{path}: is no store of stopover: {error}") from error
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
        """Yield detections by `seq`, each a mapping of `DETECTION_KEYS`."""
        where, values = _conditions(wanted)
        whereabouts = self.whereabouts()
        believed = at_least(wanted.min_confidence)
        for row in self.connection.execute(
            f"SELECT * FROM readable_detections{where} ORDER BY seq", values
        ):
            detection = self._detection(row, whereabouts)
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

    def activity(self, wanted: DetectionFilter) -> Iterator[dict[str, Any]]:
        """Yield hours listened, one row an hour, link and antenna, silent hours included.

        Hours that were counted by a wrong clock are moved to where they belong, to the nearest.
        """
        since_ns, until_ns = wanted.since_utc_ns, wanted.until_utc_ns
        where, values = _where(("antenna = ?", wanted.antenna))
        true_hours = self._true_hours()
        hours: dict[tuple[int, str, str], dict[str, Any]] = {}
        for row in self.connection.execute(
            f"SELECT * FROM activity{where} ORDER BY hour_utc_s, link, antenna", values
        ):
            hour_utc_s = true_hours.of(row["session"], row["hour_utc_s"])
            if since_ns is not None and hour_utc_s + 3600 <= since_ns // 10**9:
                continue
            if until_ns is not None and hour_utc_s >= until_ns // 10**9:
                continue
            key = (hour_utc_s, row["link"], row["antenna"])
            hour = hours.setdefault(
                key,
                {
                    "hour": iso_utc(hour_utc_s * 10**9),
                    "station": self.station_id,
                    "link": row["link"],
                    "antenna": row["antenna"] or None,
                    "listening_s": 0.0,
                    "frames": 0,
                    "detections": 0,
                    "pulses": 0,
                    "noise_dbm": None,
                    "rejects": {},
                },
            )
            for count in ("listening_s", "frames", "detections", "pulses"):
                hour[count] += row[count]
            if row["noise_dbm"] is not None:
                hour["noise_dbm"] = row["noise_dbm"]
            for reason, count in json_or_empty(row["rejects"]).items():
                hour["rejects"][reason] = hour["rejects"].get(reason, 0) + count
        for key in sorted(hours):
            yield hours[key]

    def _true_hours(self) -> TrueHours:
        return TrueHours(
            SampledClock(row[0], row[1], row[2], CLOCK_QUALITIES[row[3]] in _GOOD_CLOCKS)
            for row in self.connection.execute(
                "SELECT text, mono_ns, utc_ns, clock FROM clock_samples"
                " JOIN texts ON texts.id = boot"
            )
        )

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

    def sink_marks(self) -> dict[str, int]:
        """Return for each sink the `seq` up to which its far end has the detections."""
        return dict(
            self.connection.execute("SELECT sink, acknowledged_seq FROM sink_marks").fetchall()
        )

    def last_heard(self) -> list[dict[str, Any]]:
        """Return for each link and antenna its newest detection's time and tag."""
        return [
            {
                "link": row["link"],
                "antenna": row["antenna"],
                "time": iso_utc(row["time_ns"]),
                "tag_id": row["tag_id"],
                "rssi_dbm": row["rssi_dbm"],
            }
            for row in self.connection.execute(
                "SELECT link, antenna, time_ns, tag_id, rssi_dbm FROM readable_detections"
                " WHERE seq IN (SELECT max(seq) FROM detections GROUP BY source)"
                " ORDER BY link, antenna"
            )
        ]

    def unknown_frames(self) -> list[dict[str, Any]]:
        """Return the kept unknown frames by link, reason and shape, the most frequent first.

        Each with how many there are and the newest one. Those that a newer decoder has read since
        are left out.
        """
        groups: dict[tuple[str, str, str], dict[str, Any]] = {}
        for link, reason, raw in self.connection.execute(
            f"SELECT link, reason, raw FROM readable_unknown_frames WHERE {STILL_UNKNOWN}"
            " ORDER BY id"
        ):
            key = (link, reason, shape(raw))
            group = groups.setdefault(
                key, {"link": link, "reason": reason, "shape": key[2], "kept": 0}
            )
            group["kept"] += 1
            group["raw"] = raw.hex()
        return sorted(groups.values(), key=lambda group: -group["kept"])

    def radios(self) -> list[dict[str, Any]]:
        """Return for each link and antenna what its radio last said that it is."""
        return [
            {"link": link, "antenna": antenna, **_named(msgspec.json.decode(body))}
            for link, antenna, body, _ in self.connection.execute(
                "SELECT link, antenna, body, max(id) FROM readable_events"
                " WHERE kind = 'RadioInfo' GROUP BY link, antenna ORDER BY link, antenna"
            )
        ]

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

    def last_clock_sample(self) -> dict[str, Any] | None:
        """Return the newest sample of the system clock: its time, quality code and reason."""
        row = self.connection.execute(
            "SELECT utc_ns, clock, reason FROM clock_samples WHERE reason != 'gpsd'"
            " ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return dict(row) if row else None

    def _detection(self, row: sqlite3.Row, whereabouts: Whereabouts) -> dict[str, Any]:
        id_legal = None if row["id_legal"] is None else bool(row["id_legal"])
        position = whereabouts.at(
            row["link"],
            row["time_ns"],
            time_quality=row["time_quality"],
            boot=row["boot"],
            is_imported=row["import_id"] is not None,
        )
        run_confidence, reason = row["run_confidence"], row["confidence_reason"]
        if run_confidence is None:
            confidence = of_unsorted(row["integrity"], id_legal=id_legal)
        else:
            confidence = of_detection(CONFIDENCES[run_confidence], row["integrity"])
        payload, raw, recorded_ns = row["payload"], row["raw"], row["recorded_at_ns"]
        values = {
            "time": iso_utc(row["time_ns"]),
            "time_stamped": iso_utc(row["time_stamped_ns"]),
            "station": self.station_id,
            "id_legal": id_legal,
            "confidence": confidence,
            "confidence_reason": reason
            or (NO_RUN if row["protocol"] == "coded-id" else NOT_SORTED),
            "recorded_at": None if recorded_ns is None else iso_utc(recorded_ns),
            "recorded_at_quality": _recorded_at_quality(recorded_ns, row["time_ns"]),
            "latitude": position and round(position.latitude, 7),
            "longitude": position and round(position.longitude, 7),
            "position_error_m": position and round(position.error_m, 1),
            "measurements": json_or_empty(row["measurements"]),
            "payload": None if payload is None else payload.hex(),
            "raw": None if raw is None else raw.hex(),
        }
        return {key: values[key] if key in values else row[key] for key in DETECTION_KEYS}


def iso_utc(utc_ns: int) -> str:
    """Return a time as ISO 8601 UTC with microseconds and Z; fractions of a µs are cut off."""
    moment = _EPOCH + dt.timedelta(microseconds=utc_ns // 1000)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _named(radio: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": radio.get("name"), "firmware": radio.get("firmware")}


def json_or_empty(text: str | None) -> Mapping[str, Any]:
    """Return the mapping that a column holds, empty where there is none."""
    return msgspec.json.decode(text) if text else {}


def _recorded_at_quality(recorded_ns: int | None, time_ns: int) -> str | None:
    """Return how far a relay's own clock can be believed.

    `implausible` before 2018 (nodes start in 2017 or 1999 until GPS tells them) and more than a day
    after the station's own time; otherwise `relay`, the relay's word.
    """
    if recorded_ns is None:
        return None
    recorded_s = recorded_ns / 1e9
    plausible = _FIRST_RELAY_S <= recorded_s <= time_ns / 1e9 + _DAY_S
    return "relay" if plausible else "implausible"


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _conditions(wanted: DetectionFilter) -> tuple[str, list[object]]:
    return _where(
        ("time_ns >= ?", wanted.since_utc_ns),
        ("time_ns < ?", wanted.until_utc_ns),
        ("tag_id = ?", wanted.tag_id),
        ("antenna = ?", wanted.antenna),
    )


def _where(*conditions: tuple[str, object]) -> tuple[str, list[object]]:
    """Return the WHERE clause of the conditions whose value is given, and the values."""
    given = [(clause, value) for clause, value in conditions if value is not None]
    where = f" WHERE {' AND '.join(clause for clause, _ in given)}" if given else ""
    return where, [value for _, value in given]
