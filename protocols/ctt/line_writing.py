"""The grammar that all lines of CTT radios share, for those who print them.

Every function raises `EncodeError` where a line cannot carry the value.
"""

import math
import re

import msgspec

from protocols.ctt.hex_records import Fields, build_record
from protocols.ctt.json_messages import Header, Message
from protocols.ctt.readings import LEVEL_MAX_DBM, LEVEL_MIN_DBM
from protocols.errors import EncodeError

LINE_END = b"\r\n"
_BYTE_MAX = 0xFF
_NODE_DIGITS = re.compile(r"[0-9A-Fa-f]{1,8}")
_ENCODER = msgspec.json.Encoder()


def received_packet(id_bytes: bytes, crc: int | None) -> bytes:
    """Return id and CRC byte one after the other, or the id alone."""
    if crc is None:
        return id_bytes
    if not 0 <= crc <= _BYTE_MAX:
        raise EncodeError(f"crc: {crc} must be 0 to {_BYTE_MAX}")
    return id_bytes + bytes([crc])


def packet_digits(id_bytes: bytes, crc: int | None) -> str:
    """Return an id as radios print it, and its CRC byte where there is one."""
    return received_packet(id_bytes, crc).hex().upper()


def level(rssi_dbm: float) -> int:
    """Return a level in whole dBm, as every radio prints it."""
    if not LEVEL_MIN_DBM <= rssi_dbm <= LEVEL_MAX_DBM:
        raise EncodeError(f"rssi_dbm: {rssi_dbm} must be {LEVEL_MIN_DBM} to {LEVEL_MAX_DBM}")
    return round(rssi_dbm)


def relay_level(rssi_dbm: float | None) -> int | None:
    """Return a relay's level in whole dBm, None where it is not known."""
    return None if rssi_dbm is None else level(rssi_dbm)


def whole(number: float | None) -> int | None:
    """Return a number rounded to a whole one; None stays None."""
    return scaled(number, 1)


def scaled(number: float | None, units_per_whole: int) -> int | None:
    """Return a number in smaller units, rounded to a whole one; None stays None."""
    if number is None:
        return None
    if not math.isfinite(number):
        raise EncodeError(f"{number} is no number that a line can carry")
    return round(number * units_per_whole)


def node_number(relay_id: str) -> int:
    """Return a node's id as the number that hex records carry."""
    if _NODE_DIGITS.fullmatch(relay_id) is None:
        raise EncodeError(f"relay_id: {relay_id!r} must be 1 to 8 hex digits")
    return int(relay_id, 16)


def json_body(shape: msgspec.Struct) -> msgspec.Raw:
    """Return the `data` of a JSON line."""
    return msgspec.Raw(_checked_json(shape))


def protocol_line(header: Header, body: msgspec.Struct) -> bytes:
    """Return a line of JSON protocol 1.0.0 (G4)."""
    return json_line(Message(protocol="1.0.0", meta=header, data=json_body(body)))


def json_line(message: Message) -> bytes:
    """Return a JSON object as a line."""
    return _checked_json(message) + LINE_END


def hex_line(opcode: int, fields: Fields) -> bytes:
    """Return a hex record as a line (G5)."""
    return build_record(opcode, fields).hex().upper().encode() + LINE_END


def _checked_json(shape: msgspec.Struct) -> bytes:
    """Return the JSON of a shape after reading it back, which checks every bound of the shape."""
    try:
        encoded: bytes = _ENCODER.encode(shape)
        msgspec.json.decode(encoded, type=type(shape))
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise EncodeError(f"{type(shape).__name__}: {error}") from error
    return encoded
