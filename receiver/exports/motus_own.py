"""What a station heard itself, and what came from files of other makers, as SensorGnome's files."""

import datetime as dt
import heapq
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from protocols.ctt.files import parse_station_name
from protocols.sensorgnome import ClockCode
from receiver.exports.line_files import LineFiles
from receiver.exports.motus_lines import clock_line, fix_line, pulse_line, tag_line
from receiver.exports.motus_rows import KEYS, Kept, Trusted, filters
from receiver.exports.ports import Ports
from receiver.exports.received_packet import received_packet
from receiver.exports.request import Report, Request
from receiver.store.queries import Reader
from receiver.store.schema import CLOCK_QUALITIES
from receiver.whereabouts import GPSD_LINK, STATION_LINK

HOUR_NS: Final = 3600 * 10**9
"""SensorGnome begins a new file each hour."""

NAMED_IMPORTS: Final = "SELECT id FROM imports WHERE kind LIKE 'SensorGnome %'"
"""Imports whose name says station, boot, time and clock: they go back into files of that name."""
OWN_ROWS: Final = f"(import_id IS NULL OR import_id NOT IN ({NAMED_IMPORTS}))"

_GOOD_CLOCKS: Final = frozenset(("pps", "gps", "ntp", "file", "corrected"))
_BOTH: Final = ("ctt", "all")
_STREAMS_OF_KIND: Final = {"T": ("ctt",), "G": _BOTH, "C": _BOTH}


class _Line(NamedTuple):
    """One line, in the order of the store's life: boot, time since the boot, time."""

    boot: int
    mono_ns: int
    time_ns: int
    streams: tuple[str, ...]
    serial: str
    code: ClockCode
    text: str


class OwnLines:
    """The lines of one store that no SensorGnome wrote into a file of a telling name."""

    def __init__(self, request: Request, trusted: Trusted, report: Report) -> None:
        self._request = request
        self._connection = request.reader.connection
        self._trusted = trusted
        self._report = report
        self._ports = Ports(request.reader, request.station)
        self._serial = request.metadata.motus.serial.removeprefix("SG-")
        self._serial_of: dict[int, str] = {}
        self._cards: set[int] = set()
        for number, name, kind in self._connection.execute(
            "SELECT id, name, kind FROM imports WHERE kind NOT LIKE 'SensorGnome %'"
        ):
            station = parse_station_name(name)
            if station is not None:
                self._serial_of[number] = f"CTT-{station.station_id}"
            if kind.startswith("CTT card"):
                self._cards.add(number)
        self._boots = _boots(request.reader)
        self._whole_from_ns = Kept(request.reader).whole_from_ns
        self._names: dict[tuple[str, int, ClockCode, int, str], str] = {}

    def write(self, files: LineFiles) -> None:
        """Write them, merged, into the files of their hours."""
        streams = [self._tags(), self._pulses(), self._events()]
        wanted = self._request.wanted
        if wanted.tag_id is None and wanted.antenna is None:
            streams += [self._fixes(), self._clock()]
        for line in heapq.merge(*streams):
            if not line.serial:
                if line.streams != _BOTH:
                    self._report.left_out["heard by a receiver without a serial"] += 1
                continue
            hour_ns = line.time_ns - line.time_ns % HOUR_NS
            for stream in line.streams:
                key = (line.serial, line.boot, line.code, hour_ns, stream)
                name = self._names.get(key) or self._names.setdefault(key, self._name(*key))
                files.write(name, line.text)
            self._report.rows[f"{line.text[:1]} records"] += 1
        if self._names:
            self._report.notes += self._ports.note()

    def _name(self, serial: str, boot: int, code: ClockCode, hour_ns: int, stream: str) -> str:
        begun = dt.datetime.fromtimestamp(hour_ns // 10**9, dt.UTC)
        motus = self._request.metadata.motus
        count = motus.first_boot + max(0, boot - 1)
        is_kept = hour_ns >= self._whole_from_ns
        is_whole = is_kept and self._request.is_whole(hour_ns, hour_ns + HOUR_NS)
        suffix = ".gz" if is_whole else ""
        return (
            f"{begun:%Y-%m-%d}/{motus.label}-{serial}-{count:03d}"
            f"-{begun:%Y-%m-%dT%H-%M-%S}.0000{code}-{stream}.txt{suffix}"
        )

    def _rows(self, table: str, columns: str) -> Iterator[Any]:
        where, values = filters(self._request, table)
        if where is None:
            return iter(())
        key = KEYS[table]
        return self._request.counting(
            self._connection.execute(
                f"SELECT {key}, boot, mono_ns, time_ns, time_quality, import_id, link, antenna,"  # noqa: S608  Our own names.
                f" raw, {columns} FROM readable_{table} WHERE {OWN_ROWS}{where} ORDER BY {key}",
                values,
            )
        )

    def _line(self, row: Any, streams: tuple[str, ...], text: str) -> _Line:  # noqa: ANN401  A row.
        boot = row["boot"]
        number = 0 if boot is None else self._boots.setdefault(boot, len(self._boots) + 1)
        return _Line(
            number,
            row["mono_ns"] or 0,
            row["time_ns"],
            streams,
            self._serial_of.get(row["import_id"], self._serial),
            "Z" if row["time_quality"] in _GOOD_CLOCKS else "P",
            text,
        )

    def _tags(self) -> Iterator[_Line]:
        left_out = self._report.left_out
        for row in self._rows(
            "detections", "protocol, tag_id, integrity, rssi_dbm, relay_id, decoder"
        ):
            if row["seq"] not in self._trusted:
                continue
            if row["protocol"] != "ctt-434":
                left_out[no_record(row["protocol"])] += 1
                continue
            if row["relay_id"] is not None or row["import_id"] in self._cards:
                left_out["heard by a node, not by the station"] += 1
                continue
            raw = row["raw"] or b""
            if row["decoder"].startswith("sensorgnome/") and raw.startswith(b"T"):
                yield self._line(row, ("ctt",), raw.decode("ascii", "surrogateescape"))
                continue
            packet = received_packet(row["tag_id"], row["integrity"], raw)
            if packet is None:
                left_out["checksum wrong, and what was received is not kept"] += 1
                continue
            port = self._ports.number(row["link"], row["antenna"])
            text = tag_line(port, row["time_ns"], packet, row["rssi_dbm"])
            yield self._line(row, ("ctt",), text)

    def _pulses(self) -> Iterator[_Line]:
        for row in self._rows("pulses", "frequency_offset_hz, signal_db, noise_db, snr_db"):
            raw = row["raw"] or b""
            noise_db, snr_db = row["noise_db"], row["snr_db"]
            if raw[:1] in (b"p", b"n"):
                text = raw.decode("ascii", "surrogateescape")
            elif noise_db is None and snr_db is None:
                self._report.left_out["pulses without a noise level"] += 1
                continue
            else:
                text = pulse_line(
                    self._ports.number(row["link"], row["antenna"]),
                    row["time_ns"],
                    offset_hz=row["frequency_offset_hz"],
                    signal_db=row["signal_db"],
                    noise_db=row["signal_db"] - snr_db if noise_db is None else noise_db,
                    snr_db=snr_db,
                )
            yield self._line(row, ("all",), text)

    def _fixes(self) -> Iterator[_Line]:
        links = [
            row[0]
            for row in self._connection.execute(
                "SELECT DISTINCT link FROM sources WHERE import_id IS NULL AND link <> ?"
                " AND id IN (SELECT source FROM gps_fixes WHERE relay IS NULL)",
                (STATION_LINK,),
            )
        ]
        # Receivers on MQTT may stand elsewhere: where several links tell, gpsd's word is ours.
        own = {GPSD_LINK} if GPSD_LINK in links else set(links if len(links) == 1 else ())
        for row in self._rows("gps_fixes", "latitude, longitude, altitude_m, gps_ns, relay_id"):
            raw = row["raw"] or b""
            if raw.startswith(b"G,"):
                yield self._line(row, _BOTH, raw.decode("ascii", "surrogateescape"))
                continue
            is_ours = row["import_id"] is not None or row["link"] in own
            if row["relay_id"] is not None or row["latitude"] is None or not is_ours:
                continue
            text = fix_line(
                row["gps_ns"] or row["time_ns"],
                row["latitude"],
                row["longitude"],
                row["altitude_m"],
            )
            yield self._line(row, _BOTH, text)

    def _events(self) -> Iterator[_Line]:
        """Yield settings, clock records and counts of SensorGnome files without a telling name."""
        for row in self._rows("events", "decoder"):
            if not row["decoder"].startswith("sensorgnome/") or not row["raw"]:
                continue
            text = row["raw"].decode("utf-8", "surrogateescape")
            yield self._line(row, _STREAMS_OF_KIND.get(text[:1], ("all",)), text)

    def _clock(self) -> Iterator[_Line]:
        """Yield the state of the station's own clock, from the samples of both its clocks."""
        wanted = self._request.wanted
        before: dict[str, int] = {}
        for row in self._connection.execute(
            "SELECT texts.text AS boot, mono_ns, utc_ns, clock, reason, NULL AS import_id"
            " FROM clock_samples JOIN texts ON texts.id = boot WHERE reason <> 'gpsd'"
            " ORDER BY clock_samples.id"
        ):
            offset_ns = row["utc_ns"] - row["mono_ns"]
            stepped_ns = offset_ns - before.get(row["boot"], offset_ns)
            before[row["boot"]] = offset_ns
            time_ns = row["utc_ns"]
            if not (wanted.since_utc_ns or 0) <= time_ns < (wanted.until_utc_ns or time_ns + 1):
                continue
            quality = CLOCK_QUALITIES[row["clock"]]
            text = clock_line(time_ns, quality, stepped_ns if row["reason"] == "step" else 0)
            stamp = {
                "boot": row["boot"],
                "mono_ns": row["mono_ns"],
                "time_ns": time_ns,
                "time_quality": quality,
                "import_id": None,
            }
            yield self._line(stamp, _BOTH, text)


def no_record(protocol: str) -> str:
    """Return the reason why detections of a protocol are in no tag record."""
    return f"{protocol}: no tag record of Motus holds them"


def _boots(reader: Reader) -> dict[str, int]:
    """Return the count of each boot, from 1, in the order in which the store saw them."""
    rows = reader.connection.execute(
        "SELECT text FROM clock_samples JOIN texts ON texts.id = boot"
        " GROUP BY boot ORDER BY min(clock_samples.id)"
    )
    return {row[0]: number for number, row in enumerate(rows, 1)}
