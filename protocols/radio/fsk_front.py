"""Matched filters for both tones of 2-FSK, at many carrier offsets at once: samples to soft bits.

For each place in time, five a bit, the filter of each tone sums one bit length of samples turned to
that tone. The difference of the two magnitudes is a soft bit: no slicer, no phase, no threshold. A
carrier offset is a pair of tones 50 kHz apart, so that neighbouring offsets of a grid share tones
and all offsets cost one product of two matrices.

    bit   tone (from the carrier)   in one bit
    1     +25 kHz                   +1 turn
    0     -25 kHz                   -1 turn

Each bit turns the phase by a whole turn, so that all bits of a packet begin at one phase but for
what the carrier is off: what lets `ctt_candidates` and `ctt_words` add bits up before they take a
magnitude.

Source of the air parameters: radiojay.org, "Extending the Motus protocol".
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from protocols.radio.samples import Samples
from protocols.radio.turns import unit

BIT_RATE: Final = 25_000
DEVIATION_HZ: Final = 25_000.0
PHASES: Final = 5
"""Places in time a bit: at most a tenth of a bit off, which costs 0.9 dB at worst."""

Floats: TypeAlias = npt.NDArray[np.float32]

_PIECE: Final = 4096
_SMALL: Final = np.float32(1e-30)


class SoftBits(NamedTuple):
    """What the filters say of a window of samples; frame 0 begins at its first sample."""

    reals: Floats
    """Tones x frames: amplitude, in units in which white noise has the power of one sample."""
    imaginaries: Floats
    powers: Floats
    """The squares of their magnitudes."""
    ones: npt.NDArray[np.intp]
    """Which row is the one of each offset; `zeros` its zero."""
    zeros: npt.NDArray[np.intp]
    late_turns: npt.NDArray[np.float64]
    """How much further than at its exact place the tone of a one is turned in each frame: frames
    begin at whole samples."""

    def tones(self, rows: npt.NDArray[np.intp], frames: npt.NDArray[np.intp]) -> Samples:
        """Return single outputs of the filters."""
        tones: Samples = np.empty(frames.shape, dtype=np.complex64)
        tones.real = self.reals[rows, frames]
        tones.imag = self.imaginaries[rows, frames]
        return tones


class ToneFilters:
    """The filters for one sample rate and one grid of carrier offsets."""

    def __init__(self, rate_hz: float, offsets_hz: Sequence[float]) -> None:
        """Make filters for `offsets_hz`, ascending."""
        self.offsets_hz = np.asarray(offsets_hz, dtype=np.float64)
        self.samples_per_bit = rate_hz / BIT_RATE
        self._length = round(self.samples_per_bit)
        both = (self.offsets_hz + DEVIATION_HZ, self.offsets_hz - DEVIATION_HZ)
        tones_hz = np.unique(np.rint(np.concatenate(both)))
        self._ones, self._zeros = (np.searchsorted(tones_hz, np.rint(each)) for each in both)
        turns = unit(np.outer(tones_hz, np.arange(self._length) * (-1 / rate_hz)))
        taps = turns / np.sqrt(np.float32(self._length))
        # Of pairs of floats: the real parts of all tones, then the imaginary ones.
        self._taps = np.concatenate(
            [taps.conj().view(np.float32), (1j * taps.conj()).view(np.float32)]
        )
        self._turns_per_sample = DEVIATION_HZ / rate_hz

    def frames_in(self, samples: int) -> int:
        """Return how many whole frames so many samples hold."""
        return max(0, int((samples - self._length - 1) * PHASES / self.samples_per_bit))

    def soft_bits(self, window: Samples) -> SoftBits:
        """Return what the filters say of `window`."""
        count = self.frames_in(len(window))
        places = np.arange(count) * (self.samples_per_bit / PHASES)
        begins = np.rint(places).astype(np.intp)
        both = np.empty((len(self._taps), count), dtype=np.float32)
        powers = np.empty((len(self._taps) // 2, count), dtype=np.float32)
        if count:
            pairs = np.ascontiguousarray(window).view(np.float32)
            bits = sliding_window_view(pairs, 2 * self._length)[::2]
            # Piece by piece: what is worked on then stays in the processor's cache.
            for first in range(0, count, _PIECE):
                piece = slice(first, first + _PIECE)
                np.matmul(self._taps, bits[begins[piece]].T, out=both[:, piece])
                real, imaginary = np.split(both[:, piece], 2)
                np.add(real * real, imaginary * imaginary, out=powers[:, piece])
        reals, imaginaries = np.split(both, 2)
        return SoftBits(
            reals=reals,
            imaginaries=imaginaries,
            powers=powers,
            ones=self._ones,
            zeros=self._zeros,
            late_turns=self._turns_per_sample * (begins - places),
        )


class PatternFit(NamedTuple):
    """How well the bits from each frame on fit a pattern, offsets x frames."""

    scores: Floats
    """-1 to 1: the sum of the soft bits, each with the sign of its bit, against the energy. Noise
    scores 0 with a spread of 0.46 / sqrt(bits)."""
    energies: Floats
    """In both tones over all bits of the pattern."""


def pattern_fit(soft: SoftBits, pattern: npt.NDArray[np.bool_]) -> PatternFit:
    """Return how well the bits from each frame on fit `pattern`, of a power of two of bits."""
    count = max(0, soft.powers.shape[1] - PHASES * (len(pattern) - 1))
    shape = (len(soft.ones), count)
    fit = PatternFit(np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32))
    # A few offsets at a time: what is added up then stays in the processor's cache.
    together = max(1, _PIECE * PHASES // max(1, count))
    for first in range(0, len(soft.ones), together):
        rows = slice(first, first + together)
        ones, zeros = soft.powers[soft.ones[rows]], soft.powers[soft.zeros[rows]]
        bits = np.sqrt(ones) - np.sqrt(zeros)
        energies = _summed(bytes(len(pattern)), {b"\0": ones + zeros})
        fits = _summed(pattern.tobytes(), {b"\1": bits, b"\0": -bits})
        fit.energies[rows] = energies
        fit.scores[rows] = fits / np.sqrt(len(pattern) * energies + _SMALL)
    return fit


def _summed(pattern: bytes, sums: dict[bytes, Floats]) -> Floats:
    """Return the sums of as many bits as `pattern` has, from each frame on.

    Halves that come more than once are added up once; `sums` holds those of one bit, and is added
    to.
    """
    if pattern not in sums:
        half = len(pattern) // 2
        first, then = _summed(pattern[:half], sums), _summed(pattern[half:], sums)
        later = then[:, half * PHASES :]
        sums[pattern] = first[:, : later.shape[1]] + later
    return sums[pattern]
