"""What a pulse that drives the receiver to full scale sounds like elsewhere in the band.

Converters cut off I and Q each by itself. Of a carrier f above the middle that leaves, beside f,
-3f, 5f, -7f and so on, each k at most 1/k as strong; and since what lies over the end of what is
sampled comes back at the other, they may be anywhere. With the spike at 0 Hz all other multiples
come too, twenty decibels weaker, and the spike itself is less meanwhile. A harmonic begins
with its pulse: who does not look for it hears the near tag twice.

Source: the Fourier series of a square wave; with spike and noise, computed for carriers of -1 to
40 dB over full scale.
"""

from typing import Final

import numpy as np

from protocols.radio.pulse_places import Mask

_FULL_SCALE: Final = 0.9
"""Amplitude from which some of a pulse is cut off: noise comes on top."""
_STRONGER: Final = 1.2
"""1.6 dB, for noise."""
_OF_SPIKE: Final = 0.1
"""What multiples that only the spike makes are of the others: of a spike up to a fifth of full
scale."""
_TOGETHER: Final = 0.3
"""Pulse lengths: the edges of weak pulses are told no better."""
_NEAR: Final = 0.25
"""Of 1/length, 100 Hz for 2.5 ms: four times the error of the weakest pulse's frequency."""
_NEARER: Final = 0.01
"""The same for the stronger pulse, which its multiples multiply."""
_MULTIPLES: Final = np.array([each for each in range(-63, 64) if each != 1])
_STRONGEST: Final = np.where(_MULTIPLES % 4 == 1, 1.0, _OF_SPIKE) / np.maximum(
    np.abs(_MULTIPLES), 1
)


class Harmonics:
    """Tells what may be a harmonic, by how the samples came about."""

    def __init__(self, length: int, *, sampled: float, middle: float) -> None:
        """Know pulses of so many samples.

        `sampled` is the rate of the converter and `middle` where its 0 Hz is now, both in cycles a
        sample: 1 and 0 where nothing was done to its samples.
        """
        self._length = length
        self._sampled = sampled
        self._middle = middle

    def may_be_one(self, strong: Mask, edge: float, frequency: float, power: float) -> bool:
        """Say whether a pulse of that beginning and frequency may be but a harmonic of another."""
        if strong.power < (_FULL_SCALE * self._length) ** 2:
            return False
        if abs(edge - strong.begin) > _TOGETHER * self._length:
            return False
        expected = self._middle + _MULTIPLES * (strong.frequency - self._middle)
        half = self._sampled / 2
        beside = np.abs((frequency - expected + half) % self._sampled - half)
        near = (_NEAR + _NEARER * np.abs(_MULTIPLES)) / self._length
        powers = strong.power * (_STRONGER * _STRONGEST) ** 2
        return bool(((beside < near) & (power < powers)).any())
