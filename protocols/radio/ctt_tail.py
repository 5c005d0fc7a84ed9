"""The rest of a long packet, bit by bit: data have no dictionary, but the CRC-16 covers them.

Behind a short packet is noise. A tail counts where its bits are about as strong as the packet's
and the CRC-16 is right at the length that the format names; up to two of its weakest bits are
turned for that.
"""

import itertools
from typing import Final

import numpy as np

from protocols.checksums import crc16_dnp
from protocols.ctt.extended import DATA_BYTES_BY_FORMAT, LENGTHS, OVERHEAD_BYTES
from protocols.ctt.packet import PACKET_BYTES
from protocols.radio.bit_sums import FloatArray, bit_sums
from protocols.radio.samples import Samples
from protocols.radio.subtraction import Waveform

MAX_BITS: Final = 8 * max(LENGTHS)
WEAK_BITS: Final = 10
"""Pairs of these may be turned: 56 tries against 65536 sums."""
MIN_STRENGTH: Final = 0.7
"""Of the packet's: noise makes half of a packet's that is 6 dB below it."""
_MEMORY: Final = 1 - 1 / 16
"""The phase is that of the last sixteen bits."""
_SMALL: Final = 1e-30


def long_packet(samples: Samples, rate_hz: float, short: Waveform, packet: bytes) -> bytes:
    """Return the packet with what belongs to it behind, or as it is.

    `short` is the waveform that ends with the five bytes of `packet`.
    """
    tail_bits = MAX_BITS - 8 * PACKET_BYTES
    sums = bit_sums(
        samples,
        rate_hz,
        np.array([short.start]),
        np.array([short.carrier_hz]),
        bits=len(short.bits) + tail_bits,
        anchor_bit=0,
        rate_errors=np.array([short.rate_error]),
    )
    ones, zeros = sums.ones[0, 0], sums.zeros[0, 0]
    own = np.where(short.bits, ones[: len(short.bits)], zeros[: len(short.bits)])
    phase = complex((own * _MEMORY ** np.arange(len(own))[::-1]).sum())
    strength = float(np.mean(np.abs(own)))
    soft: list[float] = []
    pairs = zip(ones[len(own) :].tolist(), zeros[len(own) :].tolist(), strict=True)
    for one, zero in pairs:
        soft.append(((one - zero) * phase.conjugate()).real / (abs(phase) + _SMALL))
        phase = phase * _MEMORY + (one if soft[-1] > 0 else zero)
    return checked(packet, np.array(soft), strength) or packet


def checked(packet: bytes, soft: FloatArray, strength: float) -> bytes | None:
    """Return the long packet of a short one and the soft bits behind it; None where it is none.

    `strength` is that of the short packet's bits.
    """
    form = int(np.packbits(soft[:8] > 0)[0]) >> 4
    if form not in DATA_BYTES_BY_FORMAT:
        return None
    tail = soft[: 8 * (OVERHEAD_BYTES + DATA_BYTES_BY_FORMAT[form] - PACKET_BYTES)]
    if float(np.mean(np.abs(tail))) < MIN_STRENGTH * strength:
        return None
    weak = np.argsort(np.abs(tail), kind="stable")[:WEAK_BITS]
    for count in range(3):
        for turned in itertools.combinations(weak, count):
            bits = tail > 0
            bits[list(turned)] ^= True
            whole = packet + np.packbits(bits).tobytes()
            if whole[PACKET_BYTES] >> 4 == form and crc16_dnp(whole[:-2]) == int.from_bytes(
                whole[-2:], "little"
            ):
                return whole
    return None
