"""`ctt`: a CTT station's CSV files, one of each kind a day.

    CTT-<station id>-raw-data.<YYYY-MM-DD_HHmmss>.csv.gz
    Time,RadioId,TagId,TagRSSI,NodeId,Validated

    CTT-<station id>-node-health.….csv.gz
    Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,
    CumulativeSolarCurrent,Latitude,Longitude,UpTime,AverageChargerCurrentMa,EnergyUsed,SdFree,
    Detections,Errors

    CTT-<station id>-gps.….csv.gz
    recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes

CR LF, no quoting, UTC in whole seconds; the date in the name is when the file ends. `TagId` is what
was received, without its CRC; `Validated` is 1 where the CRC was right, else 0. A beep that a node
passed on has the node's time where that can be. Every row has all cells of its header, where CTT's
own are shorter at times.

Source: CTT station software 1.1 and 2.3, file formats; celltracktech (R).
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from protocols.ctt.files import parse_station_name
from receiver.exports.line_files import LineFiles
from receiver.exports.ports import Ports
from receiver.exports.received_packet import received_packet
from receiver.exports.request import Report, Request
from receiver.exports.staging import Staging
from receiver.store.detection_rows import json_or_empty
from receiver.whereabouts import STATION_LINK

RAW_DATA: Final = "Time,RadioId,TagId,TagRSSI,NodeId,Validated"
NODE_HEALTH: Final = (
    "Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,SolarCurrent,"
    "CumulativeSolarCurrent,Latitude,Longitude,UpTime,AverageChargerCurrentMa,EnergyUsed,SdFree,"
    "Detections,Errors"
)
GPS: Final = "recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes"

_DAY_S: Final = 86_400
_ID_BYTES: Final = 4
_UNSAFE = re.compile(r"[^0-9A-Za-z_.:/+ -]")


def missing(request: Request) -> list[str]:
    """Return what is missing: the station's id, where no imported file told it."""
    return [] if _station_id(request) else ["ctt.station_id (as CTT knows the station)"]


def _station_id(request: Request) -> str:
    if request.metadata.ctt.station_id:
        return request.metadata.ctt.station_id
    names = request.reader.connection.execute("SELECT name FROM imports WHERE kind LIKE 'CTT %'")
    told = {named.station_id for row in names if (named := parse_station_name(row[0]))}
    return told.pop() if len(told) == 1 else ""


def write(request: Request, staging: Staging) -> Report:
    """Write the files; detections that they have no place for are counted by reason."""
    report = Report()
    days = _Days(request, _station_id(request))
    ports = Ports(request.reader, request.station)
    with LineFiles(staging, b"\r\n", RAW_DATA.encode() + b"\r\n") as files:
        for row in request.detections(report):
            line = _beep(row, ports, report)
            if line is not None:
                files.write(days.name("raw-data", row["time"]), line)
                report.rows["beeps"] += 1
    if not request.chooses_rows:
        with LineFiles(staging, b"\r\n", NODE_HEALTH.encode() + b"\r\n") as files:
            for row in _rows_of(request, "relay_health", "TRUE"):
                files.write(days.name("node-health", _second(row["time_ns"])), _health(row, ports))
                report.rows["node health rows"] += 1
        with LineFiles(staging, b"\r\n", GPS.encode() + b"\r\n") as files:
            for row in _rows_of(
                request, "gps_fixes", f"relay_id IS NULL AND link <> '{STATION_LINK}'"
            ):
                files.write(days.name("gps", _second(row["time_ns"])), _fix(row))
                report.rows["GPS rows"] += 1
    report.notes += ports.note()
    return report


class _Days:
    """Names of files by day."""

    def __init__(self, request: Request, station_id: str) -> None:
        self._station_id = station_id
        self._now_s = request.now_ns // 10**9
        self._known: dict[tuple[str, str], str] = {}

    def name(self, suffix: str, time: str) -> str:
        """Return the file that rows of a time (ISO, or as CTT writes it) go to."""
        key = (suffix, time[:10])
        name = self._known.get(key)
        if name is None:
            midnight = dt.datetime.fromisoformat(time[:10]).replace(tzinfo=dt.UTC)
            began_s = int(midnight.timestamp())
            end_s = min(began_s + _DAY_S, max(self._now_s, began_s))
            end = dt.datetime.fromtimestamp(end_s, dt.UTC)
            name = f"CTT-{self._station_id}-{suffix}.{end:%Y-%m-%d_%H%M%S}.csv.gz"
            self._known[key] = name
        return name


def _beep(row: Mapping[str, Any], ports: Ports, report: Report) -> str | None:
    if row["protocol"] != "ctt-434":
        report.left_out[f"{row['protocol']}: raw-data holds 434 MHz tags only"] += 1
        return None
    raw = bytes.fromhex(row["raw"] or "")
    packet = received_packet(row["tag_id"], row["integrity"], raw)
    tag_id = row["tag_id"] if packet is None else packet[:_ID_BYTES].hex().upper()
    time, node = row["time"], row["relay_id"] or ""
    if node and row["recorded_at_quality"] == "relay":
        time = row["recorded_at"]
    radio = ports.number(row["link"], row["antenna"])
    level = "" if row["rssi_dbm"] is None else str(round(row["rssi_dbm"]))
    validated = int(row["integrity"] == "verified")
    return f"{time[:10]} {time[11:19]},{radio},{tag_id},{level},{_bare(node)},{validated}"


def _rows_of(request: Request, table: str, condition: str) -> Any:  # noqa: ANN401  Rows.
    wanted = request.wanted
    return request.counting(
        request.reader.connection.execute(
            f"SELECT * FROM readable_{table} WHERE {condition}"  # noqa: S608  Our own names.
            " AND time_ns >= ? AND time_ns < ? ORDER BY id",
            (wanted.since_utc_ns or 0, wanted.until_utc_ns or 2**63 - 1),
        )
    )


def _health(row: Any, ports: Ports) -> str:  # noqa: ANN401  A row.
    more = json_or_empty(row["measurements"])
    cells = (
        _second(row["time_ns"]),
        ports.number(row["link"], row["antenna"]),
        _bare(row["relay_id"]),
        _whole(row["relay_rssi_dbm"]),
        row["battery_v"],
        row["temperature_c"],
        _second(row["sent_at_ns"]),
        row["firmware"],
        row["solar_v"],
        row["solar_ma"],
        more.get("solar_ma_total"),
        row["latitude"],
        row["longitude"],
        more.get("uptime_s"),
        more.get("charge_ma"),
        more.get("energy_used_mah"),
        more.get("sd_free_percent"),
        more.get("detections"),
        more.get("errors"),
    )
    return _joined(cells)


def _fix(row: Any) -> str:  # noqa: ANN401  A row.
    more = json_or_empty(row["measurements"])
    cells = (
        _second(row["time_ns"]),
        _second(row["gps_ns"]),
        row["latitude"],
        row["longitude"],
        row["altitude_m"],
        row["fix_mode"],
        more.get("mean_latitude"),
        more.get("mean_longitude"),
        more.get("fixes"),
    )
    return _joined(cells)


def _joined(cells: tuple[object, ...]) -> str:
    """Return cells as a line; nothing is quoted, so nothing may need it."""
    return ",".join("" if cell is None else _bare(str(cell)) for cell in cells)


def _bare(cell: str) -> str:
    return _UNSAFE.sub("_", cell)


def _second(time_ns: int | None) -> str:
    if time_ns is None:
        return ""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=time_ns // 10**9)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
