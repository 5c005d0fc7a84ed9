"""Matched filters once more, for candidates: at their own frequency, start and bit rate.

The grid's filters are up to 5 kHz and a tenth of a bit off. Here the samples of each candidate are
turned to its own carrier and summed up for each tone; differences of the running sums at any two
places, between samples too, are the filters' outputs for any start and any bit rate.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from protocols.radio.fsk_front import BIT_RATE, DEVIATION_HZ
from protocols.radio.samples import Samples
from protocols.radio.turns import unit

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

    def of(self, candidates: Sequence[int]) -> Self:
        """Return those of some of the candidates."""
        return type(self)(self.ones[list(candidates)], self.zeros[list(candidates)])

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
    samples = _stretches(window, begins, count)

    at = np.arange(count)
    still = samples * unit(carriers_hz[:, np.newaxis] * (-1 / rate_hz) * at)
    tone = unit(at * (-DEVIATION_HZ / rate_hz))
    tones = np.stack([still * tone, still * tone.conj()], axis=1)
    edges = (starts - begins + anchor_bit * samples_per_bit)[:, np.newaxis, np.newaxis] + (
        np.arange(bits + 1) - anchor_bit
    ) * (samples_per_bit / (1 + rate_errors))[:, np.newaxis]
    sums = _between(tones, edges)
    # A tone turns by whole turns in a bit: counted from the bit's beginning it tells the phase.
    turned = unit((DEVIATION_HZ / rate_hz) * edges[:, :, :-1]) / np.sqrt(samples_per_bit)
    return BitSums(ones=sums[:, 0] * turned, zeros=sums[:, 1] * turned.conj())


def _stretches(window: Samples, begins: npt.NDArray[np.intp], count: int) -> Samples:
    """Return so many samples from each place on; outside the window there is silence."""
    if not len(begins):
        return np.zeros((0, count), dtype=np.complex64)
    if begins.min() < 0 or begins.max() + count > len(window):
        silence = np.zeros(count, dtype=np.complex64)
        begins = np.clip(begins + count, 0, len(window) + count)
        window = np.concatenate([silence, window, silence])
    stretches: Samples = sliding_window_view(window, count)[begins]
    return stretches


def _between(tones: Samples, edges: FloatArray) -> ComplexArray:
    """Return the sums of samples between neighbouring edges.

    `tones` are candidates x tones x samples, `edges` candidates x bit rates x bits + 1, the sums
    candidates x tones x bit rates x bits.
    """
    candidates, kinds, count = tones.shape
    running = np.zeros((candidates, kinds, count + 1), dtype=np.complex128)
    np.cumsum(tones, axis=2, out=running[:, :, 1:])
    whole = np.minimum(edges.astype(np.intp), count - 1)
    part = (edges - whole)[:, np.newaxis]
    flat = whole.reshape(candidates, 1, -1)
    shape = (candidates, kinds, *whole.shape[1:])
    before = np.take_along_axis(running, flat, axis=2).reshape(shape)
    behind = np.take_along_axis(running, flat + 1, axis=2).reshape(shape)
    return np.diff(before + (behind - before) * part, axis=3)


def _power(outputs: ComplexArray) -> FloatArray:
    power: FloatArray = outputs.real**2 + outputs.imag**2
    return power
