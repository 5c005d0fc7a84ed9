"""Heron tags, an example: their receiver prints one line for each packet.

`protocols/README.md` explains it piece by piece.
"""

import binascii
from collections.abc import Mapping, Sequence
from typing import Final, Self

import msgspec
from construct import Bytes, Int8ub, Int16ub

from protocols.declared_payloads import DeclaredPayload, layouts_of
from protocols.errors import PacketError
from protocols.layouts import build, parse, valued
from protocols.payload_codec import PayloadCodec
from protocols.records import Detection, Record, Unknown
from protocols.registry import register

PROTOCOL: Final = "heron"


class HeronPacket(msgspec.Struct, frozen=True, kw_only=True):
    """What a Heron tag sends."""

    tag: bytes
    battery: int
    kind: int
    readings: bytes
    crc: int


HERON_PACKET = valued(
    HeronPacket,
    "tag" / Bytes(3),
    "battery" / Int8ub,
    "kind" / Int8ub,
    "readings" / Bytes(2),
    "crc" / Int16ub,
)


@register("heron", version="1", framing="lines", takes="lines of Heron receivers (9600 baud)")
class HeronDecoder:
    """Lines of Heron receivers: the packet in hexadecimal, a blank, the level in dBm.

    00a1f3b401b400abd5 -87

    offset  size  field
    0       3     tag number
    3       1     battery, 20 mV
    4       1     kind of readings
    5       2     readings
    7       2     CRC-16/XMODEM over everything before, high byte first

    Source: Heron Telemetry, "Receiver output", page 3.
    """

    def __init__(self, layouts: Mapping[int, PayloadCodec] | None = None) -> None:
        self._layouts = layouts or {}

    @classmethod
    def with_payloads(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return a decoder that reads the kinds of readings which an owner declared."""
        layouts = layouts_of(declared, PROTOCOL)
        return cls({kind: layout for (kind, _), layout in layouts.items()})

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the records in one line; never raises, never returns an empty tuple."""
        packet, _, level = frame.partition(b" ")
        try:
            heard: HeronPacket = parse(HERON_PACKET, binascii.unhexlify(packet))
            rssi_dbm = int(level)
        except PacketError:
            return (Unknown(reason="length", raw=frame),)
        except ValueError:
            return (Unknown(reason="not-a-heron-line", raw=frame),)
        layout = self._layouts.get(heard.kind)
        readings = layout.measurements(heard.readings) if layout else None
        return (
            Detection(
                protocol=PROTOCOL,
                tag_id=heard.tag.hex().upper(),
                integrity="verified" if heard.crc == crc_of(heard) else "failed",
                rssi_dbm=rssi_dbm,
                measurements={"battery_v": heard.battery / 50, **(readings or {})},
                payload=heard.readings,
                raw=frame,
            ),
        )


def crc_of(packet: HeronPacket) -> int:
    """Return the checksum that a packet should have."""
    return binascii.crc_hqx(build(HERON_PACKET, packet)[:-2], 0)
