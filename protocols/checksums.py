"""The checksums that radios and tags use, each with its published check value.

The check value is the checksum of the nine ASCII bytes `123456789`.
Source of parameters and check values: Greg Cook, "Catalogue of parametrised CRC algorithms",
reveng.sourceforge.io/crc-catalogue.
"""

import binascii
from collections.abc import Iterable

_BYTE_MASK = 0xFF


def _crc8_step(remainder: int) -> int:
    for _ in range(8):
        remainder = (remainder << 1) ^ (0x07 if remainder & 0x80 else 0)
    return remainder & _BYTE_MASK


def _crc16_dnp_step(remainder: int) -> int:
    for _ in range(8):
        remainder = (remainder >> 1) ^ (0xA6BC if remainder & 1 else 0)
    return remainder


_CRC8_TABLE = tuple(map(_crc8_step, range(256)))
_CRC16_DNP_TABLE = tuple(map(_crc16_dnp_step, range(256)))


def crc8_smbus(message: Iterable[int]) -> int:
    """Return CRC-8/SMBUS: polynomial 07, initial 00, not reflected, no final xor. Check F4.

    CTT tags send it over the four id bytes: 78 66 4C 33 gives 04.
    """
    crc = 0
    for byte in message:
        crc = _CRC8_TABLE[crc ^ byte]
    return crc


def crc16_ibm_3740(message: bytes) -> int:
    """Return CRC-16/IBM-3740: polynomial 1021, initial FFFF, not reflected. Check 29B1.

    The station link ends each frame with it.
    """
    return binascii.crc_hqx(message, 0xFFFF)


def crc16_dnp(message: Iterable[int]) -> int:
    """Return CRC-16/DNP: polynomial 3D65 reflected, initial 0000, final xor FFFF. Check EA82.

    The proposed extended tag packet carries it over everything from the id on, low byte first.
    Source: radiojay.org, "Extending the Motus protocol".
    """
    crc = 0
    for byte in message:
        crc = (crc >> 8) ^ _CRC16_DNP_TABLE[(crc ^ byte) & _BYTE_MASK]
    return crc ^ 0xFFFF
