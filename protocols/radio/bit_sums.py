"""Matched filters once more, for candidates: at their own frequency, start and bit rate.

The grid's filters are up to 5 kHz and a tenth of a bit off. Here the samples of each candidate are
turned to its own carrier and summed up for each tone; differences of the running sums at any two
places, between samples too, are the filters' outputs for any start and any bit rate.
"""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.radio.fsk_front import BIT_RATE, DEVIATION_HZ
from protocols.radio.samples import Samples

RATE_ERRORS: Final = np.array([-0.0035, 0.0, 0.0035])
"""Bit rates that are tried: of one that is 0.5 % off, the last bits are then a tenth of a bit off.
"""

_MARGIN_BITS: Final = 2

ComplexArray: TypeAlias = npt.NDArray[np.complex128]
FloatArray: TypeAlias = npt.NDArray[np.float64]


class BitSums(NamedTuple):
    """Both filters' outputs, candidates x bit rates x bits; noise has the power of one sample."""

    ones: ComplexArray
    zeros: ComplexArray

    def powers(self) -> FloatArray:
        """Return the power in both tones, candidates x bit rates x bits."""
        both: FloatArray = _power(self.ones) + _power(self.zeros)
        return both

    def against(self, bits: npt.NDArray[np.bool_]) -> ComplexArray:
        """Return the output that each bit should be in, for the first bits of the packet."""
        count = len(bits)
        own: ComplexArray = np.where(bits, self.ones[:, :, :count], self.zeros[:, :, :count])
        return own


def bit_sums(
    window: Samples,
    rate_hz: float,
    starts: FloatArray,
    carriers_hz: FloatArray,
    *,
    bits: int,
    anchor_bit: float,
    rate_errors: FloatArray = RATE_ERRORS,
) -> BitSums:
    """Return the sums for `bits` bits from each start on, samples since the window began.

    The bit `anchor_bit` is at one place for all bit rates. What lies outside the window counts as
    silence.
    """
    samples_per_bit = rate_hz / BIT_RATE
    margin = int(_MARGIN_BITS * samples_per_bit) + 1
    count = int(bits * samples_per_bit * 1.01) + 2 * margin
    begins = np.floor(starts).astype(np.intp) - margin
    places = begins[:, np.newaxis] + np.arange(count)
    inside = (places >= 0) & (places < len(window))
    samples = np.where(inside, window[np.clip(places, 0, len(window) - 1)], 0)

    time_s = np.arange(count) / rate_hz
    still = samples * np.exp(-2j * np.pi * carriers_hz[:, np.newaxis] * time_s)
    tone = np.exp(-2j * np.pi * DEVIATION_HZ * time_s)
    edges = (starts - begins + anchor_bit * samples_per_bit)[:, np.newaxis, np.newaxis] + (
        np.arange(bits + 1) - anchor_bit
    ) * (samples_per_bit / (1 + rate_errors))[:, np.newaxis]
    # A tone turns by whole turns in a bit: counted from the bit's beginning it tells the phase.
    turned = np.exp(2j * np.pi * DEVIATION_HZ / rate_hz * edges[:, :, :-1])
    scale = 1 / np.sqrt(samples_per_bit)
    return BitSums(
        ones=_between(still * tone, edges) * turned * scale,
        zeros=_between(still * tone.conj(), edges) * turned.conj() * scale,
    )


def _between(samples: ComplexArray, edges: FloatArray) -> ComplexArray:
    """Return the sums of samples between neighbouring edges, candidates x bit rates x bits."""
    running = np.zeros((samples.shape[0], samples.shape[1] + 1), dtype=np.complex128)
    np.cumsum(samples, axis=1, out=running[:, 1:])
    whole = np.clip(edges.astype(np.intp), 0, samples.shape[1] - 1)
    part = edges - whole
    candidate = np.arange(len(samples))[:, np.newaxis, np.newaxis]
    at_edges = running[candidate, whole] * (1 - part) + running[candidate, whole + 1] * part
    return np.diff(at_edges, axis=2)


def _power(outputs: ComplexArray) -> FloatArray:
    power: FloatArray = outputs.real**2 + outputs.imag**2
    return power
