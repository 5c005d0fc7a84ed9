"""Files of CTT stations and of their nodes' SD cards: names, headers, kinds.

Station, `CTT-<station id>-<suffix>[.<YYYY-MM-DD_HHmmss>].csv[.gz]`; CR LF, UTC, no quoting; without
a date it is the live file, which is renamed when it is rotated (hourly, the date is that instant):

    suffix       header
    raw-data     Time,RadioId,TagId,TagRSSI,NodeId,Validated            (V1 `data`: no Validated)
    node-health  Time,RadioId,NodeId,NodeRSSI,Battery,Celsius           (V1 `node-data`: these 6)
                 …,RecordedAt,Firmware,SolarVolts,SolarCurrent,CumulativeSolarCurrent,Latitude,
                 Longitude                                              (13; rows of V2 nodes)
                 …,UpTime,AverageChargerCurrentMa,EnergyUsed,SdFree,Detections,Errors    (19; V3)
    gps          recorded at,gps at,latitude,longitude,altitude,quality (6 cells without a fix)
                 …,mean lat,mean lng,n fixes                            (9)
    telemetry    ReceivedAt,RecordedAt,Id,RadioId,Rssi,Latitude,Longitude,Activity,Hdop,Speed,
                 Altitude,Battery,SolarMa,Celsius,TTFF
    log          msg at,msg                                             (commas in the message)
    (terra)      Time,RadioId,TagId,TagRSSI,NoiseFloor,SNR,FEI_Hz,LNA,RSSISrc,CrcOk
    ble, blu     UsbPort,[BluRadioId,]RadioId,Time,TagRSSI,TagId,Sync,Product,Revision,…

Node card, `beep_0.csv`, `434_mhz_beep_0.csv`, `2p4_ghz_beep_0.csv`, `gps_0.csv`, `health_0.csv`;
LF, ISO times by the node's own clock; the node's id stands nowhere in them:

    beep         time,id,rssi                                           (V2; `tag_id` on V3)
    2p4_ghz_beep time,tag_id,sync,family,payload_version,payload,rssi
    gps          Time,Latitude,Longitude,Altitude,Hdop,Vdop,Pdop,NavigationMode,Satellites,OnTime
                 time,latitude,longitude,altitude,hdop,vdop,pdop,on_time         (V3)
    health       time,up_time(ms),power_ok,batt_mv,temp_battery_c,charge_mv,charge_ma,charge_temp_c,
                 node_temp_c,energy_used_mah,sd_free(%),sub_ghz_det[,ble_det,errors]

Columns are found by their names, in any order; rows may be shorter or longer than their header.

Source: CTT station software 1.1 to 2.3 (file formats), celltracktech (R) `newdb.R` for the other
spellings, data_tools (R), Motus data format notes, user guides of node V2 and V3.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from protocols.recorded import number
from protocols.times import iso_ns

FileKind: TypeAlias = Literal[
    "beeps", "blu", "node-health", "gps", "telemetry", "log", "card-beeps", "card-blu", "card-gps",
    "card-health",
]  # fmt: skip
"""What the rows of a file are, whatever it is called."""

CARD_KINDS: Final[frozenset[FileKind]] = frozenset(
    ("card-beeps", "card-blu", "card-gps", "card-health")
)
"""Files of a node's SD card: their times are the node's own."""


class Columns(msgspec.Struct, frozen=True):
    """Which cell of a row is what."""

    kind: FileKind
    names: tuple[str, ...]
    """One for each cell, by the names of this package; "" for a column that nobody documented."""


class StationFileName(msgspec.Struct, frozen=True, kw_only=True):
    """What the name of a CTT station's file tells."""

    station_id: str
    suffix: str
    rotated: str | None
    """When it was rotated, as the name has it; None for a live file."""


_STATION_NAME = re.compile(
    r"CTT-(?P<station_id>V?[0-9A-F]+)-(?P<suffix>[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)"
    r"(?:\.(?P<rotated>[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{6}))?\.csv(?:\.gz)?",
    re.IGNORECASE | re.ASCII,
)
_CARD_NAME = re.compile(
    r"(?P<stem>beep|434_mhz_beep|2p4_ghz_beep|gps|health)(?:_?[0-9]+)?\.csv(?:\.gz)?", re.IGNORECASE
)


def parse_station_name(name: str) -> StationFileName | None:
    """Return what a base name tells, None where it is no CTT station file's name."""
    match = _STATION_NAME.fullmatch(name)
    if match is None:
        return None
    return StationFileName(
        station_id=match["station_id"].upper(),
        suffix=match["suffix"].lower(),
        rotated=match["rotated"],
    )


def is_card_name(name: str) -> bool:
    """Tell whether a base name is one that every node's card uses, and so names no node."""
    return _CARD_NAME.fullmatch(name) is not None


_STATION_HEADERS: Final[Mapping[str, bytes]] = {
    "raw-data": b"Time,RadioId,TagId,TagRSSI,NodeId,Validated",
    "data": b"Time,RadioId,TagId,TagRSSI,NodeId",
    "node-health": b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius,RecordedAt,Firmware,SolarVolts,"
    b"SolarCurrent,CumulativeSolarCurrent,Latitude,Longitude,UpTime,AverageChargerCurrentMa,"
    b"EnergyUsed,SdFree,Detections,Errors",
    "node-data": b"Time,RadioId,NodeId,NodeRSSI,Battery,Celsius",
    "gps": b"recorded at,gps at,latitude,longitude,altitude,quality,mean lat,mean lng,n fixes",
    "telemetry": b"ReceivedAt,RecordedAt,Id,RadioId,Rssi,Latitude,Longitude,Activity,Hdop,Speed,"
    b"Altitude,Battery,SolarMa,Celsius,TTFF",
    "log": b"msg at,msg",
    "blu": b"UsbPort,BluRadioId,RadioId,Time,TagRSSI,TagId,Sync,Product,Revision,NodeId,Payload",
    "ble": b"UsbPort,RadioId,Time,TagRSSI,TagId,Sync,Product,Revision,VCC,Temp,Payload,NodeId",
}
_CARD_HEADERS: Final[tuple[bytes, ...]] = (
    b"time,tag_id,rssi",
    b"time,tag_id,sync,family,payload_version,payload,rssi",
    b"Time,Latitude,Longitude,Altitude,Hdop,Vdop,Pdop,NavigationMode,Satellites,OnTime",
    b"time,latitude,longitude,altitude,hdop,vdop,pdop,on_time",
    (
        b"time,up_time(ms),power_ok,batt_mv,temp_battery_c,charge_mv,charge_ma,charge_temp_c,"
        b"node_temp_c,energy_used_mah,sd_free(%),sub_ghz_det,ble_det,errors"
    ),
)

_SPELLINGS: Final[Mapping[str, str]] = {
    spelling: name
    for name, spellings in {
        "time": "time,recorded at,receivedat,msg at",
        "message": "msg",
        "radio": "radioid",
        "tag_id": "tagid,tag_id,id",
        "rssi_dbm": "tagrssi,rssi",
        "node_id": "nodeid",
        "validated": "validated,crcok",
        "noise_dbm": "noisefloor",
        "snr_db": "snr",
        "frequency_offset_hz": "fei_hz",
        "usb_port": "usbport",
        "blu_radio": "bluradioid",
        "sync": "sync",
        "family": "family,product",
        "payload_version": "payload_version,revision",
        "payload": "payload",
        "node_rssi_dbm": "noderssi",
        "battery": "battery",
        "temperature_c": "celsius,node_temp_c",
        "recorded_at": "recordedat",
        "firmware": "firmware",
        "solar_v": "solarvolts",
        "solar_ma": "solarcurrent,solarma",
        "solar_ma_total": "cumulativesolarcurrent",
        "latitude": "latitude",
        "longitude": "longitude",
        "altitude_m": "altitude",
        "uptime": "uptime",
        "uptime_ms": "up_time(ms),up_time",
        "charge_ma": "averagechargercurrentma,charge_ma",
        "energy_used_mah": "energyused,energy_used_mah",
        "sd_free_percent": "sdfree,sd_free(%),sd_free",
        "detections": "detections,sub_ghz_det,434_det",
        "detections_2g4": "ble_det,blu_det",
        "errors": "errors",
        "gps_at": "gps at",
        "fix_mode": "quality,navigationmode",
        "mean_latitude": "mean lat",
        "mean_longitude": "mean lng",
        "fixes": "n fixes",
        "activity": "activity",
        "hdop": "hdop",
        "vdop": "vdop",
        "pdop": "pdop",
        "satellites": "satellites",
        "on_time_s": "ontime,on_time",
        "speed": "speed",
        "ttff_s": "ttff",
        "power_ok": "power_ok",
        "battery_mv": "batt_mv",
        "battery_temperature_c": "temp_battery_c",
        "charge_mv": "charge_mv",
        "charge_temperature_c": "charge_temp_c",
    }.items()
    for spelling in spellings.split(",")
}

_SIGNS: Final[tuple[tuple[frozenset[str], FileKind], ...]] = (
    (frozenset(("message",)), "log"),
    (frozenset(("gps_at", "latitude")), "gps"),
    (frozenset(("node_id", "node_rssi_dbm", "battery")), "node-health"),
    (frozenset(("tag_id", "activity", "recorded_at")), "telemetry"),
    (frozenset(("tag_id", "rssi_dbm", "sync", "radio")), "blu"),
    (frozenset(("tag_id", "rssi_dbm", "sync")), "card-blu"),
    (frozenset(("tag_id", "rssi_dbm", "radio")), "beeps"),
    (frozenset(("tag_id", "rssi_dbm")), "card-beeps"),
    (frozenset(("uptime_ms",)), "card-health"),
    (frozenset(("battery_mv",)), "card-health"),
    (frozenset(("latitude", "longitude")), "card-gps"),
)
"""Columns that make a file of a kind, tried in this order; `time` is needed by each."""


def columns_of_header(line: bytes) -> Columns | None:
    """Return the columns that a header line names, None where it is no header that we know."""
    try:
        cells = line.removeprefix(b"\xef\xbb\xbf").decode("ascii").lower().split(",")
    except UnicodeDecodeError:
        return None
    names = tuple(_SPELLINGS.get(cell.strip(), "") for cell in cells)
    if "time" not in names:
        return None
    for needed, kind in _SIGNS:
        # Positions beside tags are somebody's table of detections, not where a node was.
        if needed <= set(names) and not (kind == "card-gps" and "tag_id" in names):
            return Columns(kind, _with_later_columns(kind, names))
    return None


def _with_later_columns(kind: FileKind, names: tuple[str, ...]) -> tuple[str, ...]:
    """Add the columns that newer software appends to a file which older software began."""
    for later in _later_columns.get(kind, ()):
        if names == later[: len(names)]:
            return later
    return names


def _known(header: bytes) -> Columns:
    columns = columns_of_header(header)
    assert columns is not None  # noqa: S101  The tables of this file agree.
    return columns


_later_columns: dict[FileKind, list[tuple[str, ...]]] = {}
_known_headers: dict[str, Columns] = {}
for _suffix, _header in _STATION_HEADERS.items():
    _known_headers[_suffix] = _known(_header)
for _suffix in ("raw-data", "node-health", "gps"):
    _later_columns[_known_headers[_suffix].kind] = [_known_headers[_suffix].names]
_CARD_COLUMNS: Final = tuple(_known(header) for header in _CARD_HEADERS)


def columns_of_headerless(line: bytes, name: str) -> Columns | None:
    """Return the columns of a file without a header, by its name and the shape of one row.

    None where the row does not tell.
    """
    cells = line.split(b",")
    station_file = parse_station_name(name)
    if station_file is not None and station_file.suffix in _known_headers:
        columns = _known_headers[station_file.suffix]
        is_row = len(cells) <= len(columns.names) or columns.kind == "log"
        at = columns.names.index("time")
        return columns if is_row and len(cells) > at and iso_ns(cells[at]) is not None else None
    if iso_ns(cells[0]) is None:
        return None
    suffix = _station_shape(cells)
    if suffix is not None:
        return _known_headers[suffix]
    return next((each for each in _CARD_COLUMNS if _fits_card(each, cells)), None)


_TAG_ID = re.compile(rb"(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{10})")
_NODE_ID = re.compile(rb"[0-9A-Fa-f]{3,8}")
_BEEP_CELLS: Final = (5, 6)
_HEALTH_CELLS: Final = (6, 13, 19)
_GPS_CELLS: Final = (6, 9)


def _station_shape(cells: list[bytes]) -> str | None:
    count = len(cells)
    if count in _GPS_CELLS and (iso_ns(cells[1]) is not None or not any(cells[1:])):
        return "gps"
    if count < _BEEP_CELLS[0] or number(cells[3]) is None:
        return None
    is_beep = _TAG_ID.fullmatch(cells[2]) and (not cells[4] or _NODE_ID.fullmatch(cells[4]))
    if count in _BEEP_CELLS and is_beep and cells[5:] in ([], [b""], [b"0"], [b"1"]):
        return "raw-data"
    if count in _HEALTH_CELLS and _NODE_ID.fullmatch(cells[2]) and number(cells[4]) is not None:
        return "node-health"
    return None


def _fits_card(columns: Columns, cells: list[bytes]) -> bool:
    if len(cells) != len(columns.names):
        return False
    if "tag_id" in columns.names:
        return _TAG_ID.fullmatch(cells[1]) is not None and number(cells[-1]) is not None
    return all(number(cell) is not None for cell in cells[1:] if cell)
