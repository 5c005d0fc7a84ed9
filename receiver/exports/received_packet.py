"""The five bytes that a tag's packet had when it arrived, for formats that print them.

A row keeps the tag's id, mended where one bit was wrong, and the raw frame. What was received is
known from the checksum where that was right, and found in the frame where it was wrong.
"""

import functools
import re

from protocols.checksums import crc8_smbus
from protocols.ctt.packet import ID_BYTES, ID_DIGITS
from protocols.records import Integrity

_HEX_ID = re.compile(r"[0-9A-F]{8}")


def received_packet(tag_id: str, integrity: Integrity, raw: bytes) -> bytes | None:
    """Return the id and, where one was received, its CRC byte.

    None where the checksum was wrong and the frame does not show the packet, and where `tag_id` is
    no id of a 434 MHz tag.
    """
    if _HEX_ID.fullmatch(tag_id) is None:
        return None
    id_bytes = bytes.fromhex(tag_id)
    if integrity == "unverified":
        return id_bytes
    if integrity == "verified":
        return _with_crc(id_bytes)
    return _found(id_bytes, integrity, raw)


@functools.lru_cache(maxsize=20_000)
def _with_crc(id_bytes: bytes) -> bytes:
    return id_bytes + bytes([crc8_smbus(id_bytes)])


@functools.lru_cache(maxsize=2_000)
def _found(id_bytes: bytes, integrity: Integrity, raw: bytes) -> bytes | None:
    if integrity == "failed":
        in_text = re.search(re.escape(id_bytes.hex().encode()) + rb"([0-9a-f]{2})", raw.lower())
        if in_text is not None:
            return id_bytes + bytes.fromhex(in_text[1].decode())
        at = raw.find(id_bytes)
        packet = raw[at : at + ID_BYTES + 1] if at >= 0 else b""
        return packet if len(packet) > ID_BYTES else None
    crc = bytes([crc8_smbus(id_bytes)])
    text = raw.lower()
    for bit in range(4 * ID_DIGITS):
        flip = (1 << bit).to_bytes(ID_BYTES, "big")
        packet = bytes(a ^ b for a, b in zip(id_bytes, flip, strict=True)) + crc
        if packet.hex().encode() in text or packet in raw:
            return packet
    return None
