"""The packet that CTT tags send on 434 MHz, its dictionary, and what can be mended in it.

On air: 434.000 MHz, 2-FSK, 25 kbit/s, deviation 25 kHz, most significant bit first, no whitening.

    offset  size  field
    -5      3     preamble AA AA AA (some tags send two)
    -2      2     sync word D3 91
    0       4     tag id, each byte one of 32 dictionary words (20 bits in all)
    4       1     CRC-8/SMBUS over the id; PowerTags and first LifeTags send none

The low seven bits of a word are a systematic Hamming(7,4) code: any two words differ in at least
three of them. Bit 7 is outside that code, so a flip of bit 7 turns one word into another word: the
commonest false id.

Source: radiojay.org, "Extending the Motus protocol"; MotusDev test-tag firmware; celltracktech.com
user guides. Verified on 4864 field records of 78664C33, which all carry 04.
"""

import string
from typing import NamedTuple

from construct import Bytes, Const, Int8ub, Struct

from protocols.checksums import crc8_smbus
from protocols.errors import EncodeError, PacketError
from protocols.records import Integrity

ID_BYTES = 4
PACKET_BYTES = 5
ID_DIGITS = 2 * ID_BYTES
ID_NUMBER_BITS = 20

PREAMBLE = bytes.fromhex("AAAAAA")
SYNC_WORD = bytes.fromhex("D391")

TAG_PACKET = Struct(
    "tag_id" / Bytes(ID_BYTES),
    "crc" / Int8ub,
)
"""What follows the sync word. The CRC is a plain field: its verdict is stored, never enforced."""

ON_AIR_FRAME = Struct(
    "preamble" / Const(PREAMBLE),
    "sync_word" / Const(SYNC_WORD),
    "packet" / TAG_PACKET,
)
"""One transmission as the test tags send it, with three bytes of preamble."""

DICTIONARY = bytes.fromhex(
    "00 07 19 1E 2A 2D 33 34 4B 4C 52 55 61 66 78 7F80 87 99 9E AA AD B3 B4 CB CC D2 D5 E1 E6 F8 FF"
)
"""Word number 0 to 31; the upper sixteen are the lower sixteen with bit 7 set."""

_WORD_BITS = 5
_WORD_MASK = (1 << _WORD_BITS) - 1
_HEX_DIGITS = frozenset(string.hexdigits)


def _single_bit_syndromes() -> dict[int, bytes]:
    """Map the CRC difference of each single flipped id bit to the mask of that bit."""
    masks = ((1 << bit).to_bytes(ID_BYTES, "big") for bit in range(8 * ID_BYTES))
    return {crc8_smbus(mask): mask for mask in masks}


_FLIP_BY_SYNDROME = _single_bit_syndromes()


class TagIdentity(NamedTuple):
    """Who sent a packet, and how far that can be trusted."""

    tag_id: str
    """Eight upper-case hex digits: the mended id where one bit was mended, else as received."""
    integrity: Integrity
    id_legal: bool
    """Every byte of `tag_id` is a dictionary word."""


def id_legal(id_bytes: bytes) -> bool:
    """Tell whether these are four bytes and each is one of the 32 dictionary words.

    An id that is not may still be a tag of another family: flag it, keep it.
    """
    return len(id_bytes) == ID_BYTES and not id_bytes.translate(None, DICTIONARY)


def mended_id(id_bytes: bytes, crc: int) -> bytes | None:
    """Return the id with its one wrong bit mended, or None where that cannot be known.

    One bit of one id byte is mended only where the received CRC then agrees and every byte is then
    a dictionary word. At most one bit can satisfy the CRC, because the CRC differences of the 32
    single id bits are distinct. The dictionary alone would prove nothing: its code is perfect, so
    it "mends" any noise. A packet whose CRC already agrees has nothing to mend: None.
    """
    flip = _FLIP_BY_SYNDROME.get(crc8_smbus(id_bytes) ^ crc)
    if flip is None:
        return None
    mended = bytes(byte ^ bit for byte, bit in zip(id_bytes, flip, strict=True))
    return mended if id_legal(mended) else None


def identify(id_bytes: bytes, crc: int | None) -> TagIdentity:
    """Judge four received id bytes by the received CRC byte; None where the line carries none."""
    if crc is None:
        return TagIdentity(id_bytes.hex().upper(), "unverified", id_legal(id_bytes))
    if crc8_smbus(id_bytes) == crc:
        return TagIdentity(id_bytes.hex().upper(), "verified", id_legal(id_bytes))
    mended = mended_id(id_bytes, crc)
    if mended is not None:
        return TagIdentity(mended.hex().upper(), "repaired", id_legal=True)
    return TagIdentity(id_bytes.hex().upper(), "failed", id_legal(id_bytes))


def id_bytes_of(tag_id: str) -> bytes:
    """Return the four bytes of an id of eight hex digits.

    Raises:
        EncodeError: the text is not eight hex digits.
    """
    if len(tag_id) != ID_DIGITS or not _HEX_DIGITS.issuperset(tag_id):
        raise EncodeError(f"tag_id: {tag_id!r} must be {ID_DIGITS} hex digits, such as 78664C33")
    return bytes.fromhex(tag_id)


def id_from_number(number: int) -> str:
    """Return the legal id that carries a 20-bit number, its lowest five bits in the first byte.

    The order is that of the MotusDev test tags; other programs count from the other end, so the
    eight hex digits are the identity, not the number.

    Raises:
        EncodeError: the number does not fit 20 bits.
    """
    if not 0 <= number < 1 << ID_NUMBER_BITS:
        raise EncodeError(f"number: {number} must be 0 to {(1 << ID_NUMBER_BITS) - 1}")
    words = ((number >> shift) & _WORD_MASK for shift in range(0, ID_NUMBER_BITS, _WORD_BITS))
    return bytes(DICTIONARY[word] for word in words).hex().upper()


def build_packet(tag_id: str) -> bytes:
    """Return the five bytes that follow the sync word: the id and its right CRC.

    Raises:
        EncodeError: the id is not eight hex digits.
    """
    id_bytes = id_bytes_of(tag_id)
    packet: bytes = TAG_PACKET.build({"tag_id": id_bytes, "crc": crc8_smbus(id_bytes)})
    return packet


def split_packet(packet: bytes) -> tuple[bytes, int]:
    """Return the id bytes and the CRC byte of the five bytes that follow the sync word.

    Raises:
        PacketError: the packet is not five bytes.
    """
    if len(packet) != PACKET_BYTES:
        raise PacketError(f"a tag packet is {PACKET_BYTES} bytes, these are {len(packet)}")
    return packet[:ID_BYTES], packet[ID_BYTES]


def build_on_air_frame(packet: bytes) -> bytes:
    """Return a whole transmission: preamble, sync word and the five bytes of `packet`.

    The CRC goes out as it stands in `packet`, right or wrong.

    Raises:
        PacketError: the packet is not five bytes.
    """
    id_bytes, crc = split_packet(packet)
    frame: bytes = ON_AIR_FRAME.build({"packet": {"tag_id": id_bytes, "crc": crc}})
    return frame
