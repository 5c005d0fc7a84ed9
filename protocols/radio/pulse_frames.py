"""Short transforms of samples: the matched filter for a pulse of any frequency, place by place.

A frame is one pulse length of samples. Frames begin a quarter of that apart, and are transformed at
frequencies half of 1/length apart or a little closer. So a pulse has at least 62 % of its power (at
worst an eighth of its length and a quarter of 1/length off: 0.875^2 x 0.81) in one place.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from protocols.radio.pulse_noise import Powers
from protocols.radio.samples import Samples

HOPS_PER_PULSE: Final = 4
_OVERSAMPLING: Final = 2
_FACTORS: Final = (1, 3, 5, 9, 15)
_SHORTEST, _LONGEST = 16, 1_000_000

Indices: TypeAlias = npt.NDArray[np.int64]


class FrameShape:
    """How samples of one rate are cut and transformed."""

    def __init__(
        self, rate_hz: int, *, pulse_s: float, band_hz: tuple[float, float] | None
    ) -> None:
        """Expect pulses of `pulse_s` in a band around the tuned frequency, None for all of it.

        Raises:
            ValueError: a pulse has fewer than 16 samples or more than a million, or nothing of the
                band is sampled.
        """
        self.rate_hz = rate_hz
        self.length = round(rate_hz * pulse_s)
        """Samples of a pulse, and of a frame."""
        if not _SHORTEST <= self.length <= _LONGEST:
            raise ValueError(
                f"a pulse of {pulse_s} s at {rate_hz} samples a second has {self.length} samples; "
                f"{_SHORTEST} to {_LONGEST} would do"
            )
        self.hop = self.length // HOPS_PER_PULSE
        self.size = _fast_size(_OVERSAMPLING * self.length)
        """Bins of a transform, the frames being filled up with silence."""
        self.bins = self._bins_of(band_hz)
        """Those that are listened to, in order of frequency, around the end if need be."""
        self.is_whole = len(self.bins) == self.size

    @property
    def band_hz(self) -> float:
        """How wide the band is that is listened to."""
        return len(self.bins) * self.rate_hz / self.size

    def span(self, frames: int) -> int:
        """Return how many samples so many frames are."""
        return (frames - 1) * self.hop + self.length

    def frequency(self, column: int) -> float:
        """Return what a column of the powers is at, in cycles a sample."""
        return float(self.bins[column]) / self.size

    def holds(self, frequency: float) -> bool:
        """Say whether a frequency, in cycles a sample, is in the band."""
        column = (frequency * self.size - float(self.bins[0])) % self.size
        return self.is_whole or 0 < column < len(self.bins) - 1

    def powers(self, samples: Samples, *, every: int = 1) -> Powers:
        """Return the powers of every so many frames (rows) in the samples, by bins (columns)."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.length)
        frames = windows[:: every * self.hop]
        spectra = np.fft.fft(frames, n=self.size, axis=1)
        if not self.is_whole:
            spectra = spectra[:, self.bins]
        return (spectra.real**2 + spectra.imag**2).astype(np.float32, copy=False)

    def _bins_of(self, band_hz: tuple[float, float] | None) -> Indices:
        """Return the bins within a band, and one more at each end to compare with."""
        everything = np.arange(self.size, dtype=np.int64)
        if band_hz is None:
            return everything
        offsets = everything - self.size // 2
        hertz = offsets * (self.rate_hz / self.size)
        inside = offsets[(hertz >= band_hz[0]) & (hertz <= band_hz[1])]
        if not len(inside):
            raise ValueError(
                f"nothing between {band_hz[0]} and {band_hz[1]} Hz is sampled at {self.rate_hz} "
                f"samples a second; offsets go to +-{self.rate_hz / 2:g} Hz"
            )
        if len(inside) + 2 >= self.size:
            return everything
        bins: Indices = np.arange(inside[0] - 1, inside[-1] + 2) % self.size
        return bins


def _fast_size(least: int) -> int:
    """Return the smallest size from `least` on that is transformed quickly."""
    return min(factor << max(0, (-(-least // factor) - 1).bit_length()) for factor in _FACTORS)
