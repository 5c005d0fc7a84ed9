"""What an antenna hears as I/Q samples: packets and pulses of given levels in white noise.

CTT packets are 2-FSK, 25 kbit/s, +25 kHz for a one and -25 kHz for a zero, phase continuous, behind
three bytes of preamble and the sync word. Coded-ID pulses are a carrier of 2.5 ms. Levels count
against the noise in the whole sampled bandwidth. Files: `.cu8` unsigned bytes, `.cf32` floats, I
and Q in turn. Needs numpy, the extra `stopover[sdr]`.

Source of the air parameters: radiojay.org, "Extending the Motus protocol"; of the pulses: public
recordings of coded-ID tags; of the file formats: rtl_433's documentation.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.ctt.packet import PREAMBLE, SYNC_WORD

RATE_HZ: Final = 250_000
"""What rtl_433 takes by default, and enough for +-25 kHz."""

BIT_RATE: Final = 25_000
DEVIATION_HZ: Final = 25_000.0
PULSE_S: Final = 0.002_5

NOISE_RMS: Final = 0.15
"""Of full scale. A stick's gain is set so that noise fills some of its eight bits; rtl_433 looks at
nothing that stays 12 dB below full scale, so that less noise than this would hide weak packets."""

Samples: TypeAlias = npt.NDArray[np.complex64]
IqFormat: TypeAlias = Literal["cu8", "cf32"]


class Burst(NamedTuple):
    """Something on the air."""

    at_s: float
    """When it begins, since the recording began."""
    samples: Samples
    """At an amplitude of 1."""
    snr_db: float


def fsk_samples(
    packet: bytes,
    *,
    offset_hz: float = 0.0,
    rate_hz: int = RATE_HZ,
    bit_rate: float = BIT_RATE,
    deviation_hz: float = DEVIATION_HZ,
) -> Samples:
    """Return a whole transmission, preamble and sync word before the packet, amplitude 1."""
    bits = np.unpackbits(np.frombuffer(PREAMBLE + SYNC_WORD + packet, dtype=np.uint8))
    count = round(len(bits) * rate_hz / bit_rate)
    # Bits end between samples too: what counts is the time spent at each tone so far.
    place = np.arange(1, count + 1) * bit_rate / rate_hz
    bit_at = np.minimum(place.astype(np.int64), len(bits) - 1)
    signs = np.where(bits == 1, 1.0, -1.0)
    swing = np.concatenate([[0.0], np.cumsum(signs)])[bit_at] + (place - bit_at) * signs[bit_at]
    phase = 2 * np.pi * (deviation_hz * swing / bit_rate + offset_hz * place / bit_rate)
    samples: Samples = np.exp(1j * phase).astype(np.complex64)
    return samples


def pulse_samples(offset_hz: float, *, rate_hz: int = RATE_HZ) -> Samples:
    """Return one pulse of a coded tag, so far from the tuned frequency, amplitude 1."""
    count = round(PULSE_S * rate_hz)
    phase = 2 * np.pi * offset_hz * np.arange(count) / rate_hz
    samples: Samples = np.exp(1j * phase).astype(np.complex64)
    return samples


def noise_samples(dice: np.random.Generator, count: int) -> Samples:
    """Return white noise, amplitude 1 in the mean of its power."""
    pairs = dice.standard_normal((count, 2), dtype=np.float32)
    # Half of the noise's power is in I, half in Q.
    samples: Samples = (pairs * np.float32(np.sqrt(0.5))).view(np.complex64)[:, 0]
    return samples


def coded_bursts(
    at_s: float, gaps_ms: Iterable[float], offset_hz: float, snr_db: float
) -> Iterator[Burst]:
    """Yield the four pulses of a coded tag's burst."""
    pulse = pulse_samples(offset_hz)
    for gap_ms in (*gaps_ms, 0.0):
        yield Burst(at_s, pulse, snr_db)
        at_s += gap_ms / 1000


class IqTape:
    """Samples in order: bursts are put on it as they are known, blocks are taken off as they end.

    The same seed, the same samples: noise is drawn block by block in order.
    """

    def __init__(self, seed: int, *, rate_hz: int = RATE_HZ, noise_rms: float = NOISE_RMS) -> None:
        self.rate_hz = rate_hz
        self.samples_taken = 0
        self._noise_rms = noise_rms
        self._noise = np.random.Generator(np.random.PCG64(seed))
        self._bursts: list[tuple[int, Samples, float]] = []

    def put(self, burst: Burst) -> None:
        """Put a burst on the tape; what would lie before the place it is at is cut off."""
        begin = round(burst.at_s * self.rate_hz)
        amplitude = self._noise_rms * 10 ** (burst.snr_db / 20)
        self._bursts.append((begin, burst.samples, amplitude))

    def take(self, until_s: float) -> Samples:
        """Return the samples up to a time, noise and all bursts added up."""
        begin, end = self.samples_taken, round(until_s * self.rate_hz)
        count = max(0, end - begin)
        block = noise_samples(self._noise, count) * np.float32(self._noise_rms)
        later = []
        for at, samples, amplitude in self._bursts:
            first, last = max(at, begin), min(at + len(samples), end)
            if first < last:
                block[first - begin : last - begin] += amplitude * samples[first - at : last - at]
            if at + len(samples) > end:
                later.append((at, samples, amplitude))
        self._bursts = later
        self.samples_taken = begin + count
        return block


def encoded(samples: Samples, form: IqFormat) -> bytes:
    """Return samples as a file or a stick has them; `cu8` clips at full scale, as a stick does."""
    pairs = samples.view(np.float32)
    if form == "cf32":
        return bytes(pairs.astype("<f4").data)
    steps = np.clip(np.rint(pairs * 127.5 + 127.5), 0, 255)
    return bytes(steps.astype(np.uint8).data)
