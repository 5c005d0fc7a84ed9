"""OpenCollar Edge payloads (Smart Parks): what the collars send over LoRaWAN, by fPort.

Every payload is a message id, the number of bytes that follow, and these. Little-endian, except
the course over ground.

    fPort  id  message
    2      F2  fix with everything the receiver tells
    4      F4  status
    5      F5  satellites, LR receiver            9   F6  satellites, u-blox receiver
    6      F7  Wi-Fi stations, aggregated         7   F9  BLE devices, aggregated
    10     F8  Wi-Fi stations, one scan           11  FA  BLE devices, one scan
    12     92  electric fence
    13     93  fix, short                         16  95  fix, short, sent again
    14     94  flash memory                       18  97  time
    19     98  switch, activity                   20  99  switch, count
    31     FE  last position

The payloads of ports 1, 3, 15, 21, 22, 27 to 30, 32 and 33 are left as they are.

Source: SmartParksOrg/smartparks-opencollar-edge-fw-public; SmartParksOrg/raw_logs_decoder,
`ttn_decoder-v7.2.0.js`, under which the vectors of the tests were run.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from construct import (
    Bytes,
    ExprAdapter,
    GreedyBytes,
    GreedyRange,
    Int8ul,
    Int16ub,
    Int16ul,
    Int32sl,
    Int32ul,
    Prefixed,
    Struct,
)

from protocols.ctt.readings import measured, position
from protocols.errors import EncodeError, PacketError
from protocols.layouts import build, counted, parse
from protocols.records import Measurements

_E7: Final = 1e7
_COURSE_ZERO: Final = 18_000

_REST = "rest" / GreedyBytes
"""What firmware to come may add."""


_MAC_TAIL = ExprAdapter(
    Bytes(3),
    lambda parsed, _: parsed[::-1].hex(":"),
    lambda text, _: bytes.fromhex(text.replace(":", ""))[::-1],
)
"""The three bytes that collars send of an address, the last first; read as people write them."""

_RSSI = ExprAdapter(Int8ul, lambda parsed, _: parsed - 128, lambda rssi, _: rssi + 128)

_SCALE_100 = ExprAdapter(
    Int8ul,
    lambda parsed, _: parsed * 200 / 255 - 100,
    lambda value, _: round((value + 100) * 255 / 200),
)
"""-100 to 100 in 255 steps."""

FIX = Struct(
    "success" / Int8ul,
    "hot_retry" / Int8ul,
    "cold_retry" / Int8ul,
    "time_to_fix_s" / Int16ul,
    "latitude_1e7" / Int32sl,
    "longitude_1e7" / Int32sl,
    "altitude_mm" / Int32sl,
    "fix_type" / Int8ul,
    "satellites" / Int8ul,
    "accuracy_m" / Int16ul,
    "pdop" / Int8ul,
    "fix_at_unix_s" / Int32ul,
    "active_tracking" / Int8ul,
    "course_cdeg" / Int16ub,
    "speed_m_s" / Int8ul,
    _REST,
)
"""Port 2. `course_cdeg` is 18000 above hundredths of a degree; it and the speed are told only while
tracking actively."""

SHORT_FIX = Struct(
    "fix_at_unix_s" / Int32ul,
    "latitude_1e7" / Int32sl,
    "longitude_1e7" / Int32sl,
    "accuracy_m" / Int16ul,
    _REST,
)
"""Ports 13 and 16."""

STATUS = Struct(
    "reset_cause" / Int8ul,
    "errors" / Int8ul,
    "battery" / Int8ul,
    "operation" / Int8ul,
    "temperature_c" / _SCALE_100,
    "uptime" / Int8ul,
    "acceleration" / Struct("x" / _SCALE_100, "y" / _SCALE_100, "z" / _SCALE_100),
    "hardware" / Int8ul,
    "firmware" / Int8ul,
    "types" / Int8ul,
    "charger" / Int8ul,
    "features" / Int8ul,
    _REST,
)
"""Port 4. Battery in 10 mV above 2.5 V; charger in 100 mV above 5 V, 0 none; versions are major and
minor in the two nibbles."""

SATELLITES_LR = Struct(
    "visible" / Int8ul,
    "satellites" / GreedyRange(Struct("id" / Int8ul, "cnr_db" / Int8ul)),
)
"""Port 5: not all that are visible are told."""

SATELLITES_UBLOX = Struct(
    "visible" / Int8ul,
    "satellites"
    / GreedyRange(
        Struct(
            "id" / Int8ul,
            "cnr_db" / Int8ul,
            "elevation_deg" / Int8ul,
            "azimuth_deg" / Int16ul,
            "constellation" / Int8ul,
        )
    ),
)
"""Port 9; constellations: 1 GPS, 2 GLONASS, 3 combined, 4 Galileo, 5 BeiDou."""

DEVICES_AGGREGATED = Struct(
    "devices"
    / counted(
        Int8ul,
        Struct("mac" / _MAC_TAIL, "rssi_dbm" / _RSSI, "count" / Int8ul, "seen_at_unix_s" / Int32ul),
    ),
    _REST,
)
"""Ports 6, 7 and 10."""

DEVICES_SCANNED = Struct(
    "scanned_at_unix_s" / Int32ul,
    "devices" / counted(Int8ul, Struct("mac" / _MAC_TAIL, "rssi_dbm" / _RSSI)),
    _REST,
)
"""Port 11."""

FENCE = Struct(
    "success" / Int8ul, "pulses" / Int8ul, "voltage" / Int16ul, "energy" / Int16ul, _REST
)
"""Port 12; the units of voltage and energy are not documented."""

FLASH = Struct("used_percent" / Int8ul, "messages" / Int32ul, _REST)
"""Port 14."""

TIME = Struct("unix_s" / Int32ul, _REST)
"""Port 18."""

SWITCH_ACTIVITY = Struct("active" / Int8ul, "duration_ms" / Int32ul, _REST)
"""Port 19."""

SWITCH_COUNT = Struct("state" / Int8ul, "count" / Int32ul, _REST)
"""Port 20: state 2 counts impulses, otherwise activities."""

LAST_POSITION = Struct(
    "latitude_1e7" / Int32sl,
    "longitude_1e7" / Int32sl,
    "altitude_mm" / Int32sl,
    "fix_at_unix_s" / Int32ul,
    _REST,
)
"""Port 31."""

_SWITCH_COUNTS_IMPULSES: Final = 2
_ERRORS: Final = ("lr", "ble", "ublox", "accelerometer", "battery", "ublox_fix", "flash")
"""Names of the error bits of a status, the lowest first."""


def _fix(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    told: Measurements = {
        **_position(fields),
        "altitude_m": fields.altitude_mm / 1000,
        "accuracy_m": fields.accuracy_m,
        "fix_at_unix_s": fields.fix_at_unix_s,
        "fix_ok": bool(fields.success),
        "fix_type": fields.fix_type,
        "satellites": fields.satellites,
        "pdop": fields.pdop,
        "time_to_fix_s": fields.time_to_fix_s,
        "hot_retry": fields.hot_retry,
        "cold_retry": fields.cold_retry,
        "active_tracking": bool(fields.active_tracking),
    }
    if not fields.active_tracking:
        return told
    course_deg = (fields.course_cdeg - _COURSE_ZERO) / 100
    return {**told, "course_deg": course_deg, "speed_m_s": fields.speed_m_s}


def _short_fix(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {
        **_position(fields),
        "accuracy_m": fields.accuracy_m,
        "fix_at_unix_s": fields.fix_at_unix_s,
    }


def _last_position(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {
        **_position(fields),
        "altitude_m": fields.altitude_mm / 1000,
        "fix_at_unix_s": fields.fix_at_unix_s,
    }


def _position(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    latitude, longitude = position(fields.latitude_1e7 / _E7, fields.longitude_1e7 / _E7)
    return measured(latitude=latitude, longitude=longitude)


def _status(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    errors = [name for bit, name in enumerate(_ERRORS) if fields.errors >> bit & 1]
    return {
        "battery_v": (fields.battery * 10 + 2500) / 1000,
        "temperature_c": round(fields.temperature_c, 1),
        "acceleration_x": round(fields.acceleration.x, 1),
        "acceleration_y": round(fields.acceleration.y, 1),
        "acceleration_z": round(fields.acceleration.z, 1),
        "hardware": f"{fields.hardware >> 4}.{fields.hardware & 15}",
        "firmware": f"{fields.firmware >> 4}.{fields.firmware & 15}",
        "reset_cause": fields.reset_cause,
        "uptime": fields.uptime,
        "operation": fields.operation,
        "types": fields.types,
        "features": fields.features,
        **({"charger_v": (fields.charger * 100 + 5000) / 1000} if fields.charger else {}),
        **({"errors": " ".join(errors)} if errors else {}),
    }


def _satellites(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    strongest = max((satellite.cnr_db for satellite in fields.satellites), default=None)
    return {"satellites_visible": fields.visible, **measured(strongest_cnr_db=strongest)}


def _devices(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    """Return how many were seen, and each as `address level` in one line of text."""
    seen = "; ".join(f"{device.mac} {device.rssi_dbm}" for device in fields.devices)
    scanned = fields.get("scanned_at_unix_s")
    return {
        "devices_seen": len(fields.devices),
        **measured(devices=seen or None, scanned_at_unix_s=scanned),
    }


def _fence(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {
        "fence_ok": bool(fields.success),
        "fence_pulses": fields.pulses,
        "fence_voltage": fields.voltage,
        "fence_energy": fields.energy,
    }


def _flash(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {"flash_used_percent": fields.used_percent, "flash_messages": fields.messages}


def _time(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {"tag_unix_s": fields.unix_s}


def _switch_activity(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    return {"switch_active": fields.active, "switch_duration_ms": fields.duration_ms}


def _switch_count(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    if fields.state == _SWITCH_COUNTS_IMPULSES:
        return {"switch_impulses": fields.count}
    return {"switch_active": fields.state, "switch_activities": fields.count}


class _Message(NamedTuple):
    message_id: int
    layout: Any
    tell: Callable[[Any], Measurements]


MESSAGES: Final[Mapping[int, _Message]] = {
    2: _Message(0xF2, FIX, _fix),
    4: _Message(0xF4, STATUS, _status),
    5: _Message(0xF5, SATELLITES_LR, _satellites),
    6: _Message(0xF7, DEVICES_AGGREGATED, _devices),
    7: _Message(0xF9, DEVICES_AGGREGATED, _devices),
    9: _Message(0xF6, SATELLITES_UBLOX, _satellites),
    10: _Message(0xF8, DEVICES_AGGREGATED, _devices),
    11: _Message(0xFA, DEVICES_SCANNED, _devices),
    12: _Message(0x92, FENCE, _fence),
    13: _Message(0x93, SHORT_FIX, _short_fix),
    14: _Message(0x94, FLASH, _flash),
    16: _Message(0x95, SHORT_FIX, _short_fix),
    18: _Message(0x97, TIME, _time),
    19: _Message(0x98, SWITCH_ACTIVITY, _switch_activity),
    20: _Message(0x99, SWITCH_COUNT, _switch_count),
    31: _Message(0xFE, LAST_POSITION, _last_position),
}
"""What is read, by fPort."""

_ENVELOPE = Struct("message_id" / Int8ul, "body" / Prefixed(Int8ul, GreedyBytes), _REST)


def parse_payload(f_port: int, payload: bytes) -> Any:  # noqa: ANN401  construct is untyped.
    """Return the fields of a payload, under the names of its layout.

    Raises:
        PacketError: the port is not one of `MESSAGES`, the message id is not the port's, or the
            payload is too short.
    """
    message = MESSAGES.get(f_port)
    if message is None:
        raise PacketError(f"fPort {f_port}: no layout; there are {sorted(MESSAGES)}")
    envelope = parse(_ENVELOPE, payload)
    if envelope.message_id != message.message_id:
        raise PacketError(f"message id {envelope.message_id:02X} is not fPort {f_port}'s")
    return parse(message.layout, envelope.body)


def build_payload(f_port: int, fields: Mapping[str, object]) -> bytes:
    """Return the payload of these fields, named as in its layout (`rest` may be left out).

    Raises:
        EncodeError: the port is not one of `MESSAGES`, or a field is missing or does not fit.
    """
    message = MESSAGES.get(f_port)
    if message is None:
        raise EncodeError(f"fPort {f_port}: no layout; there are {sorted(MESSAGES)}")
    body = build(message.layout, {"rest": b"", **fields})
    return build(_ENVELOPE, {"message_id": message.message_id, "body": body, "rest": b""})


def measurements(f_port: int, payload: bytes) -> Measurements | None:
    """Return what a payload tells, units in the names; None where it cannot be read."""
    try:
        fields = parse_payload(f_port, payload)
    except PacketError:
        return None
    return MESSAGES[f_port].tell(fields)
