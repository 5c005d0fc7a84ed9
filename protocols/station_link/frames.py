"""The station link's frames, both ways: what firmware sends and what the host answers.

Little-endian. On a serial line each frame is COBS-encoded and ends with 00; over MQTT one message
is one frame, without COBS. `deploy/firmware/stopover_link.h` is the other half of this file.

    offset  size  field
    0       1     version = 1
    1       1     type
    2       2     seq, one more with each frame, 0 after a boot, 65535 is followed by 0
    4       8     uptime, us: when what the frame tells of happened
    12      n     body, by type
    12+n    2     CRC-16/IBM-3740 over header and body

A body may be longer than the layouts below: the rest is kept, so that version 1 can grow.
"""

from typing import Final

import msgspec
from construct import Bytes, Int8ul, Int16ul, Int64ul, Struct, this

from protocols.checksums import crc16_ibm_3740
from protocols.layouts import build, parse
from protocols.records import Unknown
from protocols.station_link.bodies import LAYOUTS, TYPE_OF, Body

VERSION: Final = 1
HEADER_BYTES: Final = 12
CRC_BYTES: Final = 2
MIN_FRAME_BYTES: Final = HEADER_BYTES + CRC_BYTES

_ENVELOPE = Struct(
    "version" / Int8ul,
    "type" / Int8ul,
    "seq" / Int16ul,
    "uptime_us" / Int64ul,
    "body" / Bytes(this._params.body_bytes),  # noqa: SLF001  construct's name for it.
    "crc" / Int16ul,
)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame whose CRC was right."""

    type: int
    seq: int
    uptime_us: int
    body: bytes


def parse_frame(encoded: bytes) -> Frame | Unknown:
    """Return the frame in these bytes (COBS undone), or why it is none.

    Reasons: `length` too short for a frame, `crc` checksum wrong, `version` not ours.
    """
    if len(encoded) < MIN_FRAME_BYTES:
        return Unknown(reason="length", raw=encoded)
    envelope = parse(_ENVELOPE, encoded, body_bytes=len(encoded) - MIN_FRAME_BYTES)
    if envelope.crc != crc16_ibm_3740(encoded[:-CRC_BYTES]):
        return Unknown(reason="crc", raw=encoded)
    if envelope.version != VERSION:
        return Unknown(reason="version", raw=encoded)
    return Frame(
        type=envelope.type, seq=envelope.seq, uptime_us=envelope.uptime_us, body=envelope.body
    )


def parse_body(frame: Frame) -> Body | None:
    """Return what a frame says, or None where its type is not ours.

    Raises:
        PacketError: the body is too short for its type; the message says at which field.
    """
    layout = LAYOUTS.get(frame.type)
    if layout is None:
        return None
    body: Body = parse(layout, frame.body)
    return body


def build_frame(body: Body, *, seq: int, uptime_us: int) -> bytes:
    """Return the whole frame that says `body`, CRC and all, without COBS.

    Raises:
        EncodeError: a field does not fit its layout; the message names it.
    """
    frame_type = TYPE_OF[type(body)]
    return build_raw_frame(
        frame_type, build(LAYOUTS[frame_type], body), seq=seq, uptime_us=uptime_us
    )


def build_raw_frame(frame_type: int, body: bytes, *, seq: int, uptime_us: int) -> bytes:
    """Return a frame of any type around body bytes: for types that are yet to be.

    Raises:
        EncodeError: type, seq or uptime do not fit the header.
    """
    envelope = {
        "version": VERSION,
        "type": frame_type,
        "seq": seq,
        "uptime_us": uptime_us,
        "body": body,
        "crc": 0,
    }
    covered = build(_ENVELOPE, envelope, body_bytes=len(body))[:-CRC_BYTES]
    return covered + crc16_ibm_3740(covered).to_bytes(CRC_BYTES, "little")
