"""Rows of the files that `files.py` describes, as records.

Times: a station's rows carry the station's time, but for beeps that a node relayed: those carry the
node's, as do all rows of a node's card. `Reading.is_relay_clock` tells them apart.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from protocols.ctt.blu import REVISION_0
from protocols.ctt.files import CARD_KINDS, Columns, FileKind, columns_of_header
from protocols.ctt.packet import ID_DIGITS
from protocols.ctt.readings import (
    LEVEL_MAX_DBM,
    LEVEL_MIN_DBM,
    PROTOCOL_2G4,
    PROTOCOL_ES200,
    measured,
    position,
    tag_beep,
)
from protocols.recorded import TAG_LINES_REMEMBERED, Reading, number
from protocols.records import (
    Detection,
    GpsFix,
    Ignored,
    LogLine,
    Record,
    Relay,
    RelayHealth,
    Unknown,
)
from protocols.times import NS_PER_S, iso_ns

DECODER: Final = "ctt-files/1"
"""Name and version of this decoder, as a stored row carries them."""


class _BrokenCellError(ValueError):
    """A cell that does not hold what its column says; never leaves this file."""


class _Row:
    """The cells of one row by the names of their columns."""

    def __init__(self, columns: Columns, cells: list[bytes], node_id: str | None) -> None:
        self.node_id = node_id
        self._cells = dict(zip(columns.names, cells, strict=False))

    def cell(self, name: str) -> bytes:
        return self._cells.get(name, b"").strip()

    def matching(self, name: str, pattern: re.Pattern[bytes]) -> str:
        cell = self.cell(name)
        if pattern.fullmatch(cell) is None:
            raise _BrokenCellError(name)
        return cell.decode("ascii")

    def optional(self, name: str, pattern: re.Pattern[bytes]) -> str | None:
        return self.matching(name, pattern) if self.cell(name) else None

    def number(self, name: str) -> float | int | None:
        cell = self.cell(name)
        if cell.lower() in _ABSENT:
            return None
        value = number(cell)
        if value is None:
            raise _BrokenCellError(name)
        return value

    def code(self, name: str) -> float | int | str | None:
        """Return a number, or the word that some versions write for it."""
        told = self.optional(name, _LABEL)
        value = None if told is None else number(told.encode())
        return told if value is None else value

    def whole(self, name: str) -> int | None:
        value = self.number(name)
        if value is not None and not abs(value) <= _LARGEST_COUNT:
            raise _BrokenCellError(name)
        return None if value is None else round(value)

    def level(self, name: str) -> float | int | None:
        value = self.number(name)
        if value is not None and not LEVEL_MIN_DBM <= value <= LEVEL_MAX_DBM:
            raise _BrokenCellError(name)
        return value

    def unix_s(self, name: str) -> float | None:
        cell = self.cell(name)
        if not cell:
            return None
        ns = iso_ns(cell)
        if ns is None:
            raise _BrokenCellError(name)
        return ns / NS_PER_S

    def position(self) -> tuple[float, float] | tuple[None, None]:
        return position(self.number("latitude"), self.number("longitude"))

    def scaled(self, name: str, divisor: int) -> float | None:
        value = self.number(name)
        return None if value is None else value / divisor


_ABSENT: Final = (b"", b"nan", b"null", b"undefined", b"none", b"na")
_TAG_DIGITS = re.compile(rb"(?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{10})")
_BLU_DIGITS = re.compile(rb"[0-9A-Fa-f]{8}")
_NODE_DIGITS = re.compile(rb"[0-9A-Fa-f]{1,8}")
_LABEL = re.compile(rb"[0-9A-Za-z_.:/-]{1,64}")
_PAYLOAD = re.compile(rb"(?:[0-9A-Fa-f]{2}){1,255}")
_LARGEST_COUNT: Final = 2**31 - 1
_VALIDATED: Final = b"1"


def _relay(row: _Row) -> Relay | None:
    node_id = row.optional("node_id", _NODE_DIGITS)
    return None if node_id is None else Relay(relay_id=node_id.upper())


def _beep(row: _Row) -> Record:
    digits = row.matching("tag_id", _TAG_DIGITS)
    detection = tag_beep(digits, row.level("rssi_dbm"), b"", relay=_relay(row))
    is_verified = row.cell("validated") == _VALIDATED and detection.integrity == "unverified"
    return msgspec.structs.replace(
        detection,
        antenna=row.optional("radio", _LABEL),
        noise_dbm=row.level("noise_dbm"),
        snr_db=row.number("snr_db"),
        frequency_offset_hz=row.number("frequency_offset_hz"),
        # The station writes 8 digits and 1 where its radio found the CRC right.
        integrity="verified" if is_verified else detection.integrity,
    )


def _card_beep(row: _Row) -> Record:
    digits = row.matching("tag_id", _TAG_DIGITS)
    relay = Relay(relay_id=row.node_id) if row.node_id else None
    return tag_beep(digits, row.level("rssi_dbm"), b"", relay=relay)


def _blu(row: _Row) -> Record:
    digits = row.matching("tag_id", _BLU_DIGITS)
    relay = _relay(row)
    if relay is not None:
        # What a node relays, the station prints as a number: the bytes are in reverse.
        digits = bytes.fromhex(digits)[::-1].hex()
    radio = row.optional("blu_radio", _LABEL) or row.optional("radio", _LABEL)
    usb_port = row.optional("usb_port", _LABEL)
    return _blu_detection(row, digits, relay, f"{usb_port}:{radio}" if usb_port else radio)


def _card_blu(row: _Row) -> Record:
    relay = Relay(relay_id=row.node_id) if row.node_id else None
    return _blu_detection(row, row.matching("tag_id", _BLU_DIGITS), relay, None)


def _blu_detection(row: _Row, digits: str, relay: Relay | None, antenna: str | None) -> Record:
    payload = row.optional("payload", _PAYLOAD)
    packed = None if payload is None else bytes.fromhex(payload)
    revision = row.code("payload_version")
    readings = REVISION_0.measurements(packed) if packed and revision == 0 else None
    told = measured(sync=row.number("sync"), family=row.code("family"), revision=revision)
    return Detection(
        protocol=PROTOCOL_2G4,
        tag_id=digits.upper(),
        integrity="unverified",
        antenna=antenna,
        rssi_dbm=row.level("rssi_dbm"),
        relay=relay,
        measurements={**(readings or {}), **told} or None,
        payload=packed,
    )


def _telemetry(row: _Row) -> Record:
    latitude, longitude = row.position()
    return Detection(
        protocol=PROTOCOL_ES200,
        # As radios tell it; the station writes the number without its leading zeros.
        tag_id=row.matching("tag_id", _NODE_DIGITS).upper().zfill(ID_DIGITS),
        integrity="unverified",
        antenna=row.optional("radio", _LABEL),
        rssi_dbm=row.level("rssi_dbm"),
        measurements=measured(
            recorded_at_unix_s=row.unix_s("recorded_at"),
            latitude=latitude,
            longitude=longitude,
            altitude_m=row.number("altitude_m"),
            activity=row.number("activity"),
            hdop=row.number("hdop"),
            speed=row.number("speed"),
            # The station passes on the tag's millivolts.
            battery_v=row.scaled("battery", 1000),
            solar_ma=row.number("solar_ma"),
            temperature_c=row.number("temperature_c"),
            ttff_s=row.number("ttff_s"),
        ),
    )


def _node_health(row: _Row) -> Record:
    latitude, longitude = row.position()
    return RelayHealth(
        relay_id=row.matching("node_id", _NODE_DIGITS).upper(),
        relay_rssi_dbm=row.level("node_rssi_dbm"),
        antenna=row.optional("radio", _LABEL),
        sent_at_unix_s=row.unix_s("recorded_at"),
        latitude=latitude,
        longitude=longitude,
        firmware=row.optional("firmware", _LABEL),
        battery_v=row.number("battery"),
        solar_v=row.number("solar_v"),
        solar_ma=row.number("solar_ma"),
        temperature_c=row.number("temperature_c"),
        measurements=measured(
            solar_ma_total=row.number("solar_ma_total"),
            uptime_s=row.number("uptime"),
            charge_ma=row.number("charge_ma"),
            energy_used_mah=row.number("energy_used_mah"),
            sd_free_percent=row.number("sd_free_percent"),
            detections=row.number("detections"),
            errors=row.number("errors"),
        )
        or None,
    )


def _card_health(row: _Row) -> Record:
    if not row.node_id:
        raise _BrokenCellError("node_id")
    return RelayHealth(
        relay_id=row.node_id,
        battery_v=row.scaled("battery_mv", 1000),
        temperature_c=row.number("temperature_c"),
        measurements=measured(
            uptime_s=row.scaled("uptime_ms", 1000),
            power_ok=row.optional("power_ok", _LABEL),
            battery_temperature_c=row.number("battery_temperature_c"),
            charge_v=row.scaled("charge_mv", 1000),
            charge_ma=row.number("charge_ma"),
            charge_temperature_c=row.number("charge_temperature_c"),
            energy_used_mah=row.number("energy_used_mah"),
            sd_free_percent=row.number("sd_free_percent"),
            detections=row.number("detections"),
            detections_2g4=row.number("detections_2g4"),
            errors=row.number("errors"),
        )
        or None,
    )


def _gps(row: _Row) -> Record:
    latitude, longitude = row.position()
    mean_latitude, mean_longitude = position(
        row.number("mean_latitude"), row.number("mean_longitude")
    )
    return GpsFix(
        latitude=latitude,
        longitude=longitude,
        altitude_m=None if latitude is None else row.number("altitude_m"),
        fix_mode=row.whole("fix_mode"),
        gps_unix_s=row.unix_s("gps_at"),
        measurements=measured(
            mean_latitude=mean_latitude,
            mean_longitude=mean_longitude,
            fixes=row.number("fixes"),
        )
        or None,
    )


def _card_gps(row: _Row) -> Record:
    latitude, longitude = row.position()
    return GpsFix(
        latitude=latitude,
        longitude=longitude,
        altitude_m=None if latitude is None else row.number("altitude_m"),
        fix_mode=row.whole("fix_mode"),
        satellites=row.whole("satellites"),
        gps_unix_s=row.unix_s("time"),
        relay_id=row.node_id,
        measurements=measured(
            hdop=row.number("hdop"),
            vdop=row.number("vdop"),
            pdop=row.number("pdop"),
            on_time_s=row.number("on_time_s"),
        )
        or None,
    )


def _log_line(row: _Row) -> Record:
    return LogLine(message=row.cell("message").decode("utf-8", "backslashreplace"))


_READERS: Final[Mapping[FileKind, Callable[[_Row], Record]]] = {
    "beeps": _beep,
    "blu": _blu,
    "node-health": _node_health,
    "gps": _gps,
    "telemetry": _telemetry,
    "log": _log_line,
    "card-beeps": _card_beep,
    "card-blu": _card_blu,
    "card-gps": _card_gps,
    "card-health": _card_health,
}


class CttFileReader:
    """Reads the rows of one file; never raises, whatever the bytes.

    `node_id` is the node whose card the file is from: the caller knows it, the file does not.
    A header met among the rows (the station writes one again when a rotation goes wrong) gives the
    columns of what follows.
    """

    decoder = DECODER
    time_from = 0
    time_to = (19, 23)
    """`2021-10-26 18:29:52,…`: a station's times; V1 stations wrote three more digits."""
    time_ns = staticmethod(iso_ns)

    def __init__(self, columns: Columns, node_id: str | None = None) -> None:
        self.columns = columns
        self._node_id = node_id
        self._beeps: dict[bytes, Record] = {}

    def read(self, line: bytes) -> Reading:
        """Read one row, without its terminator."""
        if b"\0" in line:
            return Reading(Unknown(reason="nul-bytes", raw=line), None)
        cells = line.split(b",", 1 if self.columns.kind == "log" else -1)
        time_at = self.columns.names.index("time")
        time = cells[time_at].strip() if len(cells) > time_at else b""
        utc_ns = iso_ns(time)
        if utc_ns is None:
            return self._without_time(line)
        try:
            record = self._record(line, cells, len(time) if time_at == 0 else None)
        except _BrokenCellError:
            return Reading(Unknown(reason="broken-cell", raw=line), None)
        if isinstance(record, Detection) and record.relay is not None:
            return _by_relay_clock(record, record.relay, utc_ns)
        return Reading(record, utc_ns, self.columns.kind in CARD_KINDS)

    def _record(self, line: bytes, cells: list[bytes], time_length: int | None) -> Record:
        """Read the cells; beeps that differ in their time only are read once."""
        kind = self.columns.kind
        if time_length is None or kind not in ("beeps", "card-beeps"):
            return _READERS[kind](_Row(self.columns, cells, self._node_id))
        told = line[time_length:]
        known = self._beeps.get(told)
        if known is None:
            if len(self._beeps) >= TAG_LINES_REMEMBERED:
                self._beeps.clear()
            known = _READERS[kind](_Row(self.columns, cells, self._node_id))
            self._beeps[told] = known
        return known

    def _without_time(self, line: bytes) -> Reading:
        if not line.strip():
            return Reading(Ignored(reason="empty-line"), None)
        columns = columns_of_header(line)
        if columns is None or columns.kind != self.columns.kind:
            return Reading(Unknown(reason="broken-time", raw=line), None)
        if columns != self.columns:
            self.columns = columns
            self._beeps.clear()
        return Reading(Ignored(reason="header"), None)


def _by_relay_clock(detection: Detection, relay: Relay, utc_ns: int) -> Reading:
    told = msgspec.structs.replace(relay, recorded_at_unix_s=utc_ns / NS_PER_S)
    return Reading(msgspec.structs.replace(detection, relay=told), utc_ns, is_relay_clock=True)
