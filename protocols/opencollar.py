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
    Int8ul,
    Int16ub,
    Int16ul,
    Int32sl,
    Int32ul,
    Struct,
)

from protocols.errors import EncodeError, PacketError
from protocols.layouts import build, counted, parse
from protocols.records import Measurements

HEADER_BYTES: Final = 2
_E7: Final = 1e7
_COURSE_ZERO: Final = 18_000
_MAX_DEVICES: Final = 20
"""A LoRaWAN payload of 222 bytes holds 24 seen devices at most; the largest payload of data rate 0
is 51 bytes."""

_REST = "rest" / GreedyBytes
"""What firmware to come may add."""


def _mac_tail(mac: bytes) -> str:
    """Return the three bytes that collars send of an address, the last first, as people write."""
    return mac[::-1].hex(":")


_MAC_TAIL = ExprAdapter(
    Bytes(3),
    lambda parsed, _: _mac_tail(bytes(parsed)),
    lambda text, _: bytes.fromhex(text.replace(":", ""))[::-1],
)
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
    "satellites" / GreedyBytes,
)
"""Port 5: id and carrier-to-noise ratio of each satellite follow."""

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


def _fix(fields: Any) -> Measurements:  # noqa: ANN401  construct is untyped.
    told: Measurements = {
        **_position(fields),
        "altitude_m": fields.altitude_mm / 1000,
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
    return {
        **told,
        "course_deg": (fields.course_cdeg - _COURSE_ZERO) / 100,
        "speed_m_s": fields.speed_m_s,
    }
