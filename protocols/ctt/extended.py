"""CTT's packet with data behind it, as proposed for data tags, and which of the two was heard.

Like the short packet it follows the sync word D3 91 on 434.000 MHz; there is no length byte.

    offset  size  field
    0       4     tag id, dictionary words
    4       1     CRC-8/SMBUS over the id
    5       1     format, high nibble: names the length; sub-format, low nibble
    6       n     data: formats 1-4 2 bytes, 5-8 4, 9-12 6, 13-15 10
    6+n     2     CRC-16/DNP over everything before it, low byte first

A receiver takes the full 18 bytes after every sync word and lets the two CRCs tell: CRC-16 right
at one of the four lengths, a long packet; else CRC-8 right, a short one with noise behind it; else
noise, or a packet with an error.

Source: radiojay.org, "Extending the Motus protocol" (T. von Eicken, 2024). The byte order of the
CRC-16 is not stated there; the DNP standard (IEEE 1815) sends the low byte first. What the data
mean is not standardised: owners declare it by format (`PayloadCodecs`).
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Final, Self

import msgspec
from construct import BitStruct, Bytes, Int8ub, Int16ul, Nibble, Struct, this

from protocols.checksums import crc8_smbus, crc16_dnp
from protocols.ctt.packet import ID_BYTES, PACKET_BYTES, id_bytes_of, id_legal, identify
from protocols.ctt.readings import PROTOCOL_434
from protocols.declared_payloads import DeclaredPayload, layouts_of
from protocols.errors import EncodeError, ProtocolError
from protocols.layouts import build, parse
from protocols.payload_codec import PayloadCodec
from protocols.records import Integrity, Measurements

OVERHEAD_BYTES: Final = 8
DATA_BYTES_BY_FORMAT: Final[Mapping[int, int]] = {
    **dict.fromkeys(range(1, 5), 2),
    **dict.fromkeys(range(5, 9), 4),
    **dict.fromkeys(range(9, 13), 6),
    **dict.fromkeys(range(13, 16), 10),
}
"""Format 0 is unassigned."""

LENGTHS: Final = tuple(
    sorted({OVERHEAD_BYTES + data for data in DATA_BYTES_BY_FORMAT.values()}, reverse=True)
)
"""18, 14, 12 and 10 bytes after the sync word, the longest first."""

_REMEMBERED_PACKETS: Final = 4096
"""A tag repeats one packet for months; about 200 bytes each, under 1 MB."""

EXTENDED_PACKET = Struct(
    "tag_id" / Bytes(ID_BYTES),
    "crc8" / Int8ub,
    "kind" / BitStruct("format" / Nibble, "subformat" / Nibble),
    "data" / Bytes(this._params.data_bytes),  # noqa: SLF001  construct's name for it.
    "crc16" / Int16ul,
)


class AirPacket(msgspec.Struct, frozen=True, kw_only=True):
    """A CTT packet, short or long, judged by its checksums."""

    tag_id: str
    integrity: Integrity
    id_legal: bool
    packet_bytes: int
    """How many of the received bytes are the packet; what follows is noise."""
    format: int | None = None
    """None for a short packet, which has no format, sub-format and payload."""
    subformat: int | None = None
    payload: bytes | None = None


class PayloadCodecs:
    """Which declared payload belongs to which format, for owners to add to."""

    def __init__(self, codecs: Mapping[tuple[int, int | None], PayloadCodec] | None = None) -> None:
        """Take codecs by (format, sub-format); sub-format None serves all that have none of own.

        Raises:
            ProtocolError: a format or sub-format is not 0 to 15.
        """
        self._codecs = dict(codecs or {})
        for form, subform in self._codecs:
            if form not in range(16) or (subform is not None and subform not in range(16)):
                raise ProtocolError(f"format: {form}/{subform} must be two numbers of 0 to 15")

    @classmethod
    def of(cls, declared: Sequence[DeclaredPayload]) -> Self:
        """Return those of an owner's payload layouts that are of data tags.

        Raises:
            ProtocolError: as the constructor.
        """
        return cls(layouts_of(declared, PROTOCOL_434))

    def measurements(self, packet: AirPacket) -> Measurements | None:
        """Return what the packet's payload tells; None where it has none or nobody declared it."""
        if packet.format is None or packet.payload is None:
            return None
        told: Measurements = {"format": packet.format, "subformat": packet.subformat or 0}
        codec = self._codecs.get((packet.format, packet.subformat)) or self._codecs.get(
            (packet.format, None)
        )
        return {**told, **((codec and codec.measurements(packet.payload)) or {})}


@functools.lru_cache(maxsize=_REMEMBERED_PACKETS)
def read_air_packet(after_sync: bytes) -> AirPacket | None:
    """Return the packet at the start of what followed a sync word, or None below four bytes.

    Four bytes are an id without a CRC. From ten bytes on a long packet is looked for, its format's
    own length first; a right CRC-16 makes it `verified`.
    """
    if len(after_sync) < ID_BYTES:
        return None
    for length in _lengths_to_try(after_sync):
        if crc16_dnp(after_sync[: length - 2]) == int.from_bytes(
            after_sync[length - 2 : length], "little"
        ):
            return _long_packet(after_sync[:length])
    short = after_sync[:PACKET_BYTES]
    crc = short[ID_BYTES] if len(short) == PACKET_BYTES else None
    return AirPacket(**identify(short[:ID_BYTES], crc)._asdict(), packet_bytes=len(short))


def _lengths_to_try(after_sync: bytes) -> list[int]:
    if len(after_sync) < LENGTHS[-1]:
        return []
    own = OVERHEAD_BYTES + DATA_BYTES_BY_FORMAT.get(after_sync[PACKET_BYTES] >> 4, 0)
    lengths = [length for length in LENGTHS if length <= len(after_sync)]
    return sorted(lengths, key=lambda length: length != own)


def _long_packet(packet: bytes) -> AirPacket:
    fields = parse(EXTENDED_PACKET, packet, data_bytes=len(packet) - OVERHEAD_BYTES)
    return AirPacket(
        tag_id=fields.tag_id.hex().upper(),
        integrity="verified",
        id_legal=id_legal(fields.tag_id),
        packet_bytes=len(packet),
        format=fields.kind.format,
        subformat=fields.kind.subformat,
        payload=fields.data,
    )


def build_extended_packet(tag_id: str, *, form: int, subform: int = 0, payload: bytes) -> bytes:
    """Return a long packet, as it follows the sync word, with both CRCs right.

    Raises:
        EncodeError: the id is not eight hex digits, the nibbles do not fit, or the format's length
            is another.
    """
    if DATA_BYTES_BY_FORMAT.get(form) != len(payload):
        raise EncodeError(
            f"payload: {len(payload)} bytes do not fit format {form}; "
            "formats 1-4 carry 2 bytes, 5-8 4, 9-12 6, 13-15 10"
        )
    id_bytes = id_bytes_of(tag_id)
    fields = {
        "tag_id": id_bytes,
        "crc8": crc8_smbus(id_bytes),
        "kind": {"format": form, "subformat": subform},
        "data": payload,
        "crc16": 0,
    }
    covered = build(EXTENDED_PACKET, fields, data_bytes=len(payload))[:-2]
    return covered + crc16_dnp(covered).to_bytes(2, "little")
