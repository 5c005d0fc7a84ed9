"""`motus`: files as a SensorGnome writes them, in `YYYY-MM-DD/` folders.

    <label>-<serial>-<boot>-YYYY-MM-DDTHH-MM-SS.ssss<clock code>-<ctt|all>.txt.gz

`ctt` holds the tag records, `all` the pulses, both the fixes and the clock's state. What was
imported from SensorGnome files goes back into files of their names, every line as it was. What a
station heard itself is cut into its hours; rows whose clock was never right go to files of code P,
all others to Z. Boots are counted in the order in which the store saw them.

A file that may not be whole yet, because its hour is not over, because it was imported damaged or
because rows were chosen, ends in `.txt`: Motus lets a longer file replace that, but never one that
ends in `.gz`.

Source: tve/sensorgnome-control, datasaver.js; MotusWTS/motusServer, parseFilenames.R,
handleNewFiles.R.
"""

import datetime as dt
import heapq
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from protocols.ctt.files import parse_station_name
from protocols.sensorgnome import parse_name
from receiver.exports.line_files import LineFiles
from receiver.exports.motus_lines import clock_line, fix_line, pulse_line, tag_line
from receiver.exports.ports import Ports
from receiver.exports.received_packet import received_packet
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging
from receiver.store.queries import Reader
from receiver.store.schema import CLOCK_QUALITIES
from receiver.whereabouts import GPSD_LINK, STATION_LINK

_HOUR_NS: Final = 3600 * 10**9
_GOOD: Final = frozenset(("pps", "gps", "ntp", "file", "corrected"))

_NAMED: Final = "SELECT id FROM imports WHERE kind LIKE 'SensorGnome %'"
"""Imports whose name says station, boot, time and clock: they go back into files of that name."""
_OWN: Final = f"(import_id IS NULL OR import_id NOT IN ({_NAMED}))"
_TABLES: Final = ("detections", "pulses", "gps_fixes", "events")
_KEYS: Final = {"detections": "seq", "pulses": "id", "gps_fixes": "id", "events": "id"}

_STREAMS: Final = {"T": ("ctt",), "p": ("all",), "n": ("all",), "S": ("all",), "F": ("all",)}
_BOTH: Final = ("ctt", "all")


def missing(request: Request) -> list[str]:
    """Return what is missing: the serial, where anything is to be written under it."""
    if request.metadata.motus.serial:
        return []
    needs_it = request.reader.connection.execute(
        "SELECT 1 FROM sources LEFT JOIN imports ON imports.id = sources.import_id"
        f" WHERE {_OWN} AND coalesce(imports.kind, '') NOT LIKE 'CTT %' AND (protocol = 'ctt-434'"  # noqa: S608  Our own names.
        " OR sources.id IN (SELECT source FROM pulses WHERE source = sources.id LIMIT 1)) LIMIT 1"
    ).fetchone()
    return ["motus.serial (as registered at Motus)"] if needs_it else []


def write(request: Request, staging: Staging) -> Report:
    """Write the files; what is no record of theirs is counted by reason."""
    report = Report()
    with LineFiles(staging, b"\n") as files:
        trusted = _Trusted(request, report)
        _give_back(request, trusted, files, report)
        _Own(request, trusted, report).write(files)
    unread = request.reader.connection.execute(
        f"SELECT count(*) FROM unknown_frames WHERE source IN (SELECT id FROM sources"  # noqa: S608  Our own names.
        f" WHERE import_id IN ({_NAMED}))"
    ).fetchone()[0]
    if unread:
        report.left_out["lines of imported files that nobody could read"] += unread
    if any(name.suffix == ".txt" for name in staging.final_paths()):
        report.notes.append("files that end in .txt are not whole yet: export them again later")
    return report


class _Trusted:
    """Which detections are trusted enough: one bit for each, 1.25 MB for ten million."""

    def __init__(self, request: Request, report: Report) -> None:
        self._bits: bytearray | None = None
        if request.min_confidence is None:
            return
        newest = request.reader.connection.execute("SELECT max(seq) FROM detections").fetchone()[0]
        self._bits = bytearray((newest or 0) // 8 + 1)
        for row in request.detections(report):
            self._bits[row["seq"] >> 3] |= 1 << (row["seq"] & 7)

    def __contains__(self, seq: int) -> bool:
        return self._bits is None or bool(self._bits[seq >> 3] >> (seq & 7) & 1)


def _give_back(request: Request, trusted: _Trusted, files: LineFiles, report: Report) -> None:
    """Write what came from SensorGnome files into files of their names."""
    imports = request.reader.connection.execute(
        "SELECT name, min(complete), group_concat(id) FROM imports"
        f" WHERE id IN ({_NAMED}) GROUP BY name ORDER BY name"  # noqa: S608  Our own names.
    )
    for name, is_complete, ids in imports:
        named = parse_name(name)
        if named is None:
            continue
        day = dt.datetime.fromtimestamp(named.started_ns // 10**9, dt.UTC)
        is_over = named.started_ns + 2 * _HOUR_NS <= request.now_ns
        is_whole = is_complete and is_over and request.is_whole(0, 0) and _is_open(request)
        place = f"{day:%Y-%m-%d}/{name}{'.gz' if is_whole else ''}"
        streams = [
            _imported_lines(request, trusted, table, ids, report) for table in _TABLES
        ]
        for _, line in heapq.merge(*streams, key=lambda each: each[0]):
            files.write(place, line)


def _is_open(request: Request) -> bool:
    return request.wanted.since_utc_ns is None and request.wanted.until_utc_ns is None


def _imported_lines(
    request: Request, trusted: _Trusted, table: str, ids: str, report: Report
) -> Iterator[tuple[int, str]]:
    """Yield (time, line) of one table's rows of these imports, in the order of the file."""
    key = _KEYS[table]
    where, values = _filters(request, table)
    if where is None:
        return
    ranges = request.reader.connection.execute(
        f"SELECT first_id, last_id FROM import_rows WHERE kept_in = ? AND import_id IN ({ids})"  # noqa: S608  Numbers.
        " ORDER BY first_id",
        (table,),
    ).fetchall()
    for first, last in ranges:
        rows = request.reader.connection.execute(
            f"SELECT {key}, time_ns, raw FROM readable_{table} WHERE {key} BETWEEN ? AND ?"  # noqa: S608  Our own names.
            f" AND import_id IN ({ids}){where} ORDER BY {key}",
            (first, last, *values),
        )
        for seq, time_ns, raw in request.counting(rows):
            if raw is None or (table == "detections" and seq not in trusted):
                continue
            line = raw.decode("utf-8", "surrogateescape")
            report.rows[f"{line[:1]} records, as imported"] += 1
            yield time_ns, line


def _filters(request: Request, table: str) -> tuple[str | None, list[object]]:
    """Return what is wanted of a table as conditions and values; None for nothing of it."""
    wanted = request.wanted
    conditions: list[tuple[str, object]] = [
        ("time_ns >= ?", wanted.since_utc_ns),
        ("time_ns < ?", wanted.until_utc_ns),
    ]
    if table in ("detections", "pulses"):
        conditions.append(("antenna = ?", wanted.antenna))
    if table == "detections":
        conditions.append(("tag_id = ?", wanted.tag_id))
    if table == "pulses" and wanted.tag_id is not None:
        return None, []
    given = [(clause, value) for clause, value in conditions if value is not None]
    return "".join(f" AND {clause}" for clause, _ in given), [value for _, value in given]


class _Line(NamedTuple):
    """One line of a file that does not exist yet, in the order of the store's life."""

    boot: int
    mono_ns: int
    time_ns: int
    streams: tuple[str, ...]
    serial: str
    code: str
    text: str


class _Own:
    """What the station heard itself, and what came from files of other makers."""

    def __init__(self, request: Request, trusted: _Trusted, report: Report) -> None:
        self._request = request
        self._trusted = trusted
        self._report = report
        self._ports = Ports(request.reader, request.station)
        self._serial = request.metadata.motus.serial.removeprefix("SG-")
        self._serial_of: dict[int, str] = {}
        self._cards: set[int] = set()
        for number, name, kind in request.reader.connection.execute(
            "SELECT id, name, kind FROM imports WHERE kind NOT LIKE 'SensorGnome %'"
        ):
            station = parse_station_name(name)
            if station is not None:
                self._serial_of[number] = f"CTT-{station.station_id}"
            if kind.startswith("CTT card"):
                self._cards.add(number)
        self._boots = _boots(request.reader)
        self._names: dict[tuple[str, int, str, int, str], str] = {}

    def write(self, files: LineFiles) -> None:
        lines = heapq.merge(
            self._tags(), self._pulses(), self._fixes(), self._other_lines(), self._clock()
        )
        waiting: dict[tuple[str, int], list[_Line]] = {}
        for line in lines:
            # A fix or a clock's state alone makes no file: Motus would call it empty.
            key = (line.serial, line.boot)
            if line.streams == _BOTH:
                waiting.setdefault(key, []).append(line)
                if len(waiting[key]) > _MOST_WAITING:
                    waiting[key].pop(0)
                continue
            for earlier in waiting.pop(key, ()):
                self._put(files, earlier)
            self._put(files, line)
        for left in waiting.values():
            for line in left:
                self._put(files, line)
        if self._names:
            self._report.notes += self._ports.note()

    def _put(self, files: LineFiles, line: _Line) -> None:
        hour_ns = line.time_ns - line.time_ns % _HOUR_NS
        for stream in line.streams:
            key = (line.serial, line.boot, line.code, hour_ns, stream)
            name = self._names.get(key)
            if name is None:
                if line.streams == _BOTH and not self._has_records(key):
                    continue
                name = self._names[key] = self._name(*key)
            files.write(name, line.text)
            self._report.rows[f"{line.text[:1]} records"] += 1
