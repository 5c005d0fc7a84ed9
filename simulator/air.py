"""What distance and noise do to a packet: a simple model, each number in one place."""

import math
import random
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

AirFault: TypeAlias = Literal["bit-errors", "bit-7", "lost-tail"]

LOSS_AT_1_M_DB: Final = 25.2
"""Free-space loss over one metre at 434 MHz: 20 log10(4 pi / 0.691 m)."""

ID_BITS: Final = 32
_TAIL_WORD: Final = 0
"""A lost tail reads as zeros: 61330766 was recorded as 61330000."""


class Air(msgspec.Struct, frozen=True, kw_only=True):
    """How the air of a world treats what is sent through it.

    Bit 7 of an id byte stands outside the dictionary's code, and so its flips are the commonest
    false ids of the field; a lost tail is the other kind that is known by name.
    """

    path_loss_exponent: float = 2.6
    """2 is free space; near the ground among reeds more."""
    fading_db: float = 2.0
    """Standard deviation of each reception's level."""
    bit_error_rate: float = 0.0
    """Chance that one bit of a tag's packet is wrong, each bit by itself."""
    bit7_flip_rate: float = 0.0
    """Chance, per reception, that bit 7 of one id byte is wrong besides."""
    lost_tail_rate: float = 0.0
    """Chance, per reception, that one to three of the last id bytes read as zeros."""

    def mean_level_dbm(self, power_dbm: float, distance_m: float) -> float:
        """Return the level at an antenna without gain, before fading."""
        lost_db = LOSS_AT_1_M_DB + 10 * self.path_loss_exponent * math.log10(max(distance_m, 1.0))
        return power_dbm - lost_db

    def packet_error_rate(self, bits: int) -> float:
        """Return the chance that a packet of so many bits has any wrong."""
        return 1 - (1 - self.bit_error_rate) ** bits

    def corrupt(self, packet: bytes, dice: random.Random) -> tuple[bytes, tuple[AirFault, ...]]:
        """Return a packet as one receiver took it, and what went wrong with it."""
        faults: list[AirFault] = []
        if self.bit_error_rate:
            mask = _wrong_bits(8 * len(packet), self.bit_error_rate, dice)
            if mask:
                packet = _flipped(packet, mask)
                faults.append("bit-errors")
        if self.bit7_flip_rate and dice.random() < self.bit7_flip_rate:
            bit = 8 * dice.randrange(len(packet) - ID_BITS // 8, len(packet)) + 7
            packet = _flipped(packet, 1 << bit)
            faults.append("bit-7")
        if self.lost_tail_rate and dice.random() < self.lost_tail_rate:
            kept = dice.randrange(1, ID_BITS // 8)
            packet = packet[:kept].ljust(ID_BITS // 8, bytes([_TAIL_WORD])) + packet[ID_BITS // 8 :]
            faults.append("lost-tail")
        return packet, tuple(faults)


def wrong_bits(sent: bytes, received: bytes) -> int:
    """Return how many bits differ in the bytes that both have."""
    return sum((one ^ other).bit_count() for one, other in zip(sent, received, strict=False))


def _wrong_bits(bits: int, rate: float, dice: random.Random) -> int:
    return sum(1 << bit for bit in _positions(bits, rate, dice))


def _positions(bits: int, rate: float, dice: random.Random) -> Iterator[int]:
    return (bit for bit in range(bits) if dice.random() < rate)


def _flipped(packet: bytes, mask: int) -> bytes:
    return (int.from_bytes(packet, "big") ^ mask).to_bytes(len(packet), "big")
