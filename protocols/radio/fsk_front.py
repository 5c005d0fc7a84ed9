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

from protocols.radio.samples import Samples

BIT_RATE: Final = 25_000
DEVIATION_HZ: Final = 25_000.0
PHASES: Final = 5
"""Places in time a bit: at most a tenth of a bit off, which costs 0.9 dB at worst."""

Floats: TypeAlias = npt.NDArray[np.float32]
Turns: TypeAlias = npt.NDArray[np.complex64]

_SMALL: Final = np.float32(1e-30)


class SoftBits(NamedTuple):
    """What the filters say of a window of samples; frame 0 begins at its first sample."""

    tones: Turns
    """Tones x frames: amplitude, in units in which white noise has the power of one sample."""
    powers: Floats
    """The squares of their magnitudes."""
    ones: npt.NDArray[np.intp]
    """Which row is the one of each offset; `zeros` its zero."""
    zeros: npt.NDArray[np.intp]
    late: Turns
    """How much further than at its exact place the tone of a one is turned in each frame: frames
    begin at whole samples."""

    def differences(self) -> Floats:
        """Return the soft bits, offsets x frames: above zero for a one."""
        magnitudes = np.sqrt(self.powers)
        bits: Floats = magnitudes[self.ones] - magnitudes[self.zeros]
        return bits

    def energies(self) -> Floats:
        """Return the power in both tones, offsets x frames."""
        both: Floats = self.powers[self.ones] + self.powers[self.zeros]
        return both


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
        turns = np.outer(tones_hz / rate_hz, np.arange(self._length))
        self._kernel: Turns = np.exp(-2j * np.pi * turns).astype(np.complex64) / np.sqrt(
            np.float32(self._length)
        )
        self._turns_per_sample = DEVIATION_HZ / rate_hz

    def frames_in(self, samples: int) -> int:
        """Return how many whole frames so many samples hold."""
        return max(0, int((samples - self._length - 1) * PHASES / self.samples_per_bit))

    def soft_bits(self, window: Samples) -> SoftBits:
        """Return what the filters say of `window`."""
        places = np.arange(self.frames_in(len(window))) * (self.samples_per_bit / PHASES)
        begins = np.rint(places).astype(np.intp)
        frames = window[begins[np.newaxis] + np.arange(self._length)[:, np.newaxis]]
        tones: Turns = self._kernel @ frames
        late = np.exp(2j * np.pi * self._turns_per_sample * (begins - places))
        return SoftBits(
            tones=tones,
            powers=tones.real**2 + tones.imag**2,
            ones=self._ones,
            zeros=self._zeros,
            late=late.astype(np.complex64),
        )


def pattern_scores(soft: SoftBits, pattern: npt.NDArray[np.bool_]) -> Floats:
    """Return how well the bits from each frame on fit `pattern`: offsets x frames, -1 to 1.

    The sum of the soft bits, each with the sign of its bit, against the energy in both tones over
    all of them. Noise scores 0 with a spread of 0.46 / sqrt(bits).
    """
    differences, energies = soft.differences(), soft.energies()
    count = max(0, differences.shape[1] - PHASES * (len(pattern) - 1))
    fit = np.zeros((len(differences), count), dtype=np.float32)
    energy = np.zeros_like(fit)
    for place, one in enumerate(pattern):
        bits = slice(place * PHASES, place * PHASES + count)
        if one:
            fit += differences[:, bits]
        else:
            fit -= differences[:, bits]
        energy += energies[:, bits]
    scores: Floats = fit / np.sqrt(np.float32(len(pattern)) * energy + _SMALL)
    return scores
