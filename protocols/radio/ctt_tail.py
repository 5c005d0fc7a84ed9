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
from protocols.radio.subtraction import Fit

MAX_BITS: Final = 8 * max(LENGTHS)
WEAK_BITS: Final = 10
"""Pairs of these may be turned: 56 tries against 65536 sums."""
MIN_STRENGTH: Final = 0.7
"""Of the packet's: noise makes half of a packet's that is 6 dB below it."""
_LEAST_BITS: Final = 8 * (min(LENGTHS) - PACKET_BYTES)
_MEMORY: Final = 1 - 1 / 16
"""The phase is that of the last sixteen bits."""
_SMALL: Final = 1e-30


def long_packet(samples: Samples, rate_hz: float, short: Fit, packet: bytes) -> bytes:
    """Return the packet with what belongs to it behind, or as it is.

    `short` is the waveform that ends with the five bytes of `packet`.
    """
    waveform, own_bits = short.waveform, len(short.waveform.bits)
    end = waveform.end(rate_hz)
    tail = samples[round(end) : round(end + _LEAST_BITS * waveform.samples_per_bit(rate_hz))]
    power = float(np.vdot(tail, tail).real) / max(1, len(tail))
    if power < (MIN_STRENGTH * short.amplitude()) ** 2:
        return packet
    sums = bit_sums(
        samples,
        rate_hz,
        np.array([waveform.start]),
        np.array([waveform.carrier_hz]),
        bits=own_bits + MAX_BITS - 8 * PACKET_BYTES,
        anchor_bit=0,
        rate_errors=np.array([waveform.rate_error]),
    )
    ones, zeros = sums.ones[0, 0], sums.zeros[0, 0]
    own = np.where(waveform.bits, ones[:own_bits], zeros[:own_bits])
    phase = complex((own * _MEMORY ** np.arange(own_bits)[::-1]).sum())
    strength = float(np.mean(np.abs(own)))
    soft: list[float] = []
    wanted = 8
    for one, zero in zip(ones[own_bits:].tolist(), zeros[own_bits:].tolist(), strict=True):
        soft.append(((one - zero) * phase.conjugate()).real / (abs(phase) + _SMALL))
        phase = phase * _MEMORY + (one if soft[-1] > 0 else zero)
        if len(soft) == wanted:
            wanted = _tail_bits(np.array(soft))
        if len(soft) >= wanted:
            break
    return checked(packet, np.array(soft), strength) or packet


def checked(packet: bytes, soft: FloatArray, strength: float) -> bytes | None:
    """Return the long packet of a short one and the soft bits behind it; None where it is none.

    `strength` is that of the short packet's bits.
    """
    tail = soft[: _tail_bits(soft)]
    if not len(tail) or float(np.mean(np.abs(tail))) < MIN_STRENGTH * strength:
        return None
    form = _format(tail)
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


def _tail_bits(soft: FloatArray) -> int:
    """Return how many bits there are behind a short packet's, by the first eight; 0 for none."""
    data_bytes = DATA_BYTES_BY_FORMAT.get(_format(soft))
    return 0 if data_bytes is None else 8 * (OVERHEAD_BYTES + data_bytes - PACKET_BYTES)


def _format(soft: FloatArray) -> int:
    return int(np.packbits(soft[:8] > 0)[0]) >> 4
