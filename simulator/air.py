"""What distance and noise do to a packet: a simple model, each number in one place."""

import functools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

AirFault: TypeAlias = Literal["bit-errors", "bit-7", "lost-tail", "collision"]

Band: TypeAlias = Literal["434", "2g4", "vhf", "lora"]
"""434: CTT tags and nodes; 2g4: CTT Blu tags; vhf: coded-ID pulses; lora: 868 MHz."""

FREQUENCY_HZ: Final[Mapping[Band, int]] = {
    "434": 434_000_000,
    "2g4": 2_440_000_000,
    "vhf": 166_380_000,
    "lora": 868_100_000,
}
_LIGHT_M_S: Final = 299_792_458.0

LOSS_AT_1_M_DB: Final[Mapping[Band, float]] = {
    band: round(20 * math.log10(4 * math.pi * hertz / _LIGHT_M_S), 1)
    for band, hertz in FREQUENCY_HZ.items()
}
"""Free-space loss over one metre: 20 log10(4 pi / wavelength); 25.2 dB at 434 MHz."""

ID_BITS: Final = 32
_TAIL_WORD: Final = 0
"""A lost tail reads as zeros: 61330766 was recorded as 61330000."""

SYNC_BITS: Final = 16
"""All of the sync word must be right for a radio chip to take a packet."""

HALF_LOST_EBN0: Final = 7.41
"""Energy per bit over noise density at which half of all CTT packets (sync word, id and CRC: 56
bits) have a wrong bit: 2 ln(0.5 / 0.0123), 8.7 dB."""

_SLEEPS_BELOW: Final = 1e-9
"""A bit error rate that a season does not show."""

_HORIZON_M_PER_ROOT_M: Final = 4_124.0
"""Radio horizon: 4.12 km times the root of the height in metres (4/3 earth, ITU-R P.310)."""
_BEYOND_HORIZON_DB_PER_KM: Final = 1.0
"""About what a smooth earth costs at 434 MHz beyond it (ITU-R P.526, read off its curves)."""

Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class Air(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the air of a world treats what is sent through it.

    Bit 7 of an id byte stands outside the dictionary's code, and so its flips are the commonest
    false ids of the field; a lost tail is the other kind that is known by name.
    """

    path_loss_exponent: Annotated[
        float, Meta(ge=1.5, le=6, description="2 is free space; near the ground among reeds more.")
    ] = 2.6
    fading_db: Annotated[
        float, Meta(ge=0, le=20, description="Standard deviation of each reception's level, dB.")
    ] = 2.0
    bit_error_rate: Annotated[
        Rate, Meta(description="Chance that a bit of a tag's packet is wrong, level or not.")
    ] = 0.0
    bit7_flip_rate: Annotated[
        Rate, Meta(description="Chance, per reception, that bit 7 of one id byte is wrong besides.")
    ] = 0.0
    lost_tail_rate: Annotated[
        Rate, Meta(description="Chance, per reception, that the last id bytes read as zeros.")
    ] = 0.0
    errors_from_level: Annotated[
        bool,
        Meta(
            description="Whether weak packets have wrong bits and are lost as the error curve of "
            "2-FSK says; else the sensitivity is a threshold."
        ),
    ] = False
    capture_db: Annotated[
        Annotated[float, Meta(ge=0, le=30)] | None,
        Meta(
            description="How much stronger a packet must be to survive another on the channel; "
            "without it packets do not disturb each other.",
        ),
    ] = None

    def mean_level_dbm(
        self,
        power_dbm: float,
        distance_m: float,
        *,
        band: Band = "434",
        heights_m: tuple[float, float] | None = None,
    ) -> float:
        """Return the level at an antenna without gain, before fading.

        With the heights of both ends the ground's reflection and the horizon count too: at least
        the loss over a plane earth, 40 log d - 20 log(h1 h2), and 1 dB for each km beyond the
        horizon.
        """
        apart_m = max(1.0, distance_m)
        decades = math.log10(apart_m)
        lost_db = LOSS_AT_1_M_DB[band] + 10 * self.path_loss_exponent * decades
        if heights_m is not None:
            gain_db, horizon_m = _of_heights(heights_m)
            plane_db = 40 * decades - gain_db
            lost_db = max(lost_db, plane_db)
            if apart_m > horizon_m:
                lost_db += _BEYOND_HORIZON_DB_PER_KM * (apart_m - horizon_m) / 1000
        return power_dbm - lost_db

    def packet_error_rate(self, bits: int) -> float:
        """Return the chance that a packet of so many bits has any wrong, at any level."""
        return 1 - (1 - self.bit_error_rate) ** bits

    def bit_error_rate_at(self, above_sensitivity_db: float) -> float:
        """Return the chance that a bit is wrong so many dB above a radio's sensitivity."""
        if not self.errors_from_level:
            return self.bit_error_rate
        rate = fsk_bit_error_rate(above_sensitivity_db)
        rate = rate if rate > _SLEEPS_BELOW else 0.0
        return min(0.5, rate + self.bit_error_rate)

    def corrupt(
        self, packet: bytes, dice: random.Random, bit_error_rate: float | None = None
    ) -> tuple[bytes, tuple[AirFault, ...]]:
        """Return a packet as one receiver took it, and what went wrong with it."""
        rate = self.bit_error_rate if bit_error_rate is None else bit_error_rate
        faults: list[AirFault] = []
        if rate:
            mask = _wrong_bits(8 * len(packet), rate, dice)
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


@functools.lru_cache(maxsize=4096)
def _of_heights(heights_m: tuple[float, float]) -> tuple[float, float]:
    """Return what two heights gain over a plane earth in dB, and how far their horizon is."""
    low_m, high_m = (max(0.3, height_m) for height_m in heights_m)
    horizon_m = _HORIZON_M_PER_ROOT_M * (math.sqrt(low_m) + math.sqrt(high_m))
    return 20 * math.log10(low_m * high_m), horizon_m


def fsk_bit_error_rate(above_sensitivity_db: float) -> float:
    """Return the bit error rate of 2-FSK without phase, 1/2 exp(-Eb/N0 / 2).

    At a radio's sensitivity half of the packets are lost. Source: Proakis, Digital Communications,
    non-coherent detection of binary orthogonal signals.
    """
    energy = HALF_LOST_EBN0 * 10 ** (above_sensitivity_db / 10)
    return 0.5 * math.exp(-energy / 2)


def packet_chance(above_sensitivity_db: float, bits: int) -> float:
    """Return the chance that so many bits all arrive right, by the error curve alone."""
    return (1 - fsk_bit_error_rate(above_sensitivity_db)) ** bits


def summed_dbm(*levels_dbm: float) -> float:
    """Return the level of several powers together."""
    return 10 * math.log10(sum(10 ** (level / 10) for level in levels_dbm))


def overlaid(packet: bytes, from_bit: int, dice: random.Random) -> bytes:
    """Return a packet whose bits from `from_bit` on are another sender's: right by chance only."""
    bits = 8 * len(packet) - max(0, from_bit)
    return _flipped(packet, dice.getrandbits(bits)) if bits > 0 else packet


def wrong_bits(sent: bytes, received: bytes) -> int:
    """Return how many bits differ in the bytes that both have."""
    return sum((one ^ other).bit_count() for one, other in zip(sent, received, strict=False))


def _wrong_bits(bits: int, rate: float, dice: random.Random) -> int:
    return sum(1 << bit for bit in _positions(bits, rate, dice))


def _positions(bits: int, rate: float, dice: random.Random) -> Iterator[int]:
    return (bit for bit in range(bits) if dice.random() < rate)


def _flipped(packet: bytes, mask: int) -> bytes:
    return (int.from_bytes(packet, "big") ^ mask).to_bytes(len(packet), "big")
