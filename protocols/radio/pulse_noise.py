"""How strong a pulse must be: what noise is in every bin, and what noise alone would reach.

Power of noise in a bin of a short transform is exponentially distributed, so its mean says all of
it. The mean is followed bin by bin over some two seconds, so that a carrier, a spur or the spike at
0 Hz is noise of its own bin. Each power counts at most as four times the mean: pulses and clicks,
which are rare in any one bin, leave it where it is.
"""

from math import exp, log, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Powers: TypeAlias = npt.NDArray[np.float32]

_CLIP: Final = 4.0
_CLIPPED_MEAN: Final = 1.0 - exp(-_CLIP)
"""The mean of an exponential of mean 1 that is cut off at the clip."""
_MEDIAN: Final = log(2.0)
"""The median of an exponential of mean 1."""
_MEMORY_BLOCKS: Final = 50
"""Blocks of 16 pulse lengths: two seconds of pulses of 2.5 ms."""
_MEDIAN_EFFICIENCY: Final = 0.5
"""A median of exponentials scatters like a mean of half as many."""
_KEPT_MAXIMA: Final = 0.63
"""Counted in noise: 0.6 to 0.8 from 48 to 250 kS/s."""
_STRETCH_BINS: Final = 32
"""Half of a stretch over which a frame's level is told: together 64 bins, 12.5 kHz for pulses of
2.5 ms, a channel of speech. As many tell it to 18 %."""
_QUIET: Final = 1.6
"""Means of quiet stretches' clipped powers scatter by three times 18 % and a little."""
_LOUD: Final = 2.0
"""Medians of quiet stretches, told by 32 independent bins, scatter by four times 25 %."""
_UNCERTAINTY: Final = 2.0
"""A level that 32 bins tell is too low by chance so often that a threshold of 20 must be 40."""
_FALLEN: Final = 0.3
"""A bin's mean over a block is this low once in ten thousand blocks, if its noise is as before."""
_LARGEST_CHANGE: Final = 1.25
"""Of the level within a block, 1 dB: what changes more is learnt anew, for a strong carrier that
ends does not leave all bins the same."""
_LEVEL_BINS: Final = 256
"""As many bins tell the level of a block."""
_SMALLEST_POWER: Final = 1e-13
"""-130 dBFS: no receiver of 16 bits is so quiet; digital silence is."""


def independent_cells(band_hz: float, seconds: float) -> float:
    """Return in how many places of a band and a time a pulse can be, apart from one another.

    A window of T seconds tells frequencies 1/T apart: as many cells as band times time.
    """
    return band_hz * seconds


def threshold(band_hz: float, false_per_minute: float) -> float:
    """Return the power, in means of the noise, that noise alone exceeds so often.

    The matched filter is evaluated everywhere and its maxima are taken, not only in independent
    cells. Along time its power is a diffusion (the window's correlation is a triangle), which
    climbs above u at a rate of 2 (u - 1) exp(-u) / T; along frequency it is smooth and crosses u
    sqrt(pi u / 3) T times a hertz and exp(-u). Their product, times what steps in time and the
    test of shape leave of it, is the density of maxima.

    Source: D. Aldous, "Probability Approximations via the Poisson Clumping Heuristic" (diffusions);
    S. O. Rice, "Mathematical Analysis of Random Noise" (level crossings); the last factor is
    measured by `tests/benchmarks/radio_pulses.py`.
    """
    cells = independent_cells(band_hz, 60.0) / false_per_minute
    power = 10.0
    for _ in range(20):
        maxima = _KEPT_MAXIMA * 2.0 * (power - 1.0) * sqrt(np.pi * power / 3.0)
        power = max(2.0, log(max(cells * maxima, 10.0)))
    return power


class NoiseByBin:
    """The mean power of the noise in each bin, block by block."""

    def __init__(self, bins: int, *, full_scale: float, windows_per_block: float) -> None:
        """Begin without any knowledge; `full_scale` is the power of a full-scale carrier.

        `windows_per_block` is how many independent powers of a bin a block has.
        """
        self._floor = np.float32(_SMALLEST_POWER * full_scale)
        self.mean: Powers = np.full(bins, self._floor, dtype=np.float32)
        self._pieces = np.arange(max(1, bins // _STRETCH_BINS)) * _STRETCH_BINS
        # Every other bin: transforms of twice a pulse's length tell nothing new in between.
        stretch = np.arange(0, min(2 * _STRETCH_BINS, bins), 2)
        begins = np.minimum(self._pieces[: max(1, len(self._pieces) - 1)], bins - 1 - stretch[-1])
        self._stretches = begins[:, np.newaxis] + stretch
        self._widths = np.diff(self._pieces, append=bins)
        self.stretches = max(1, len(self._pieces) - 1)
        """Into how many the band is cut; those in the middle overlap by half."""
        self._piece_of_bin = np.repeat(np.arange(len(self._pieces)), self._widths)
        self._windows_per_block = windows_per_block
        self._stride = max(1, bins // _LEVEL_BINS)
        told_by = windows_per_block * min(bins // 2 + 1, _LEVEL_BINS)
        self._change_by_chance = 4 * 1.3 / sqrt(told_by)
        """Four times what the median of a block's frames scatters by."""
        self._blocks = 0

    def begin(self, powers: Powers, *, blocks: int) -> None:
        """Take the medians of frames (rows) for the noise, whatever was before.

        `blocks` is how many blocks' frames they are.
        """
        medians = np.median(powers, axis=0) / np.float32(_MEDIAN)
        self.mean = np.maximum(medians.astype(np.float32), self._floor)
        self._blocks = max(1, round(blocks * _MEDIAN_EFFICIENCY))

    def follow_gain(self, powers: Powers) -> None:
        """Scale all bins where a new block's frames are louder, or softer, as a whole.

        Half of the frames must be so; which leaves out clicks, pulses and packets.
        """
        clipped = np.minimum(powers[:, :: self._stride] / self.mean[:: self._stride], _CLIP)
        change = _unclipped(float(np.median(clipped.mean(axis=1))))
        if change > _LARGEST_CHANGE or change < 1 / _LARGEST_CHANGE:
            self.begin(powers, blocks=1)
        elif abs(change - 1) > self._change_by_chance:
            self.mean = np.maximum(self.mean * np.float32(change), self._floor)

    def levels(self, powers: Powers) -> Powers:
        """Return how loud each frame (row) is in each stretch of the band, in means of its noise.

        1 where no more than noise is heard, or more in a few bins only. A click has the same power
        in all bins, speech and data packets fill a stretch: nothing there stands out by being
        louder than the noise alone. Levels above 1 have 3 dB on top for what is not known of them.
        """
        ratios = powers / self.mean
        sums = np.add.reduceat(np.minimum(ratios, np.float32(_CLIP)), self._pieces, axis=1)
        widths = self._widths
        if len(widths) > 1:
            sums, widths = sums[:, :-1] + sums[:, 1:], widths[:-1] + widths[1:]
        means = sums / (widths * np.float32(_CLIPPED_MEAN))
        levels: Powers = np.ones(means.shape, dtype=np.float32)
        # Medians are dear, and of quiet stretches not needed.
        frames, stretches = np.nonzero(means >= _QUIET)
        if len(frames):
            loud = ratios[frames[:, np.newaxis], self._stretches[stretches]]
            medians = np.median(loud, axis=1) / _MEDIAN
            levels[frames, stretches] = np.where(medians < _LOUD, 1, medians * _UNCERTAINTY)
        return levels

    def raised(self, means: Powers, levels: Powers) -> Powers:
        """Return the noise of some frames' bins, from `means` and from how loud the frames were."""
        if (levels == 1).all():
            return means
        pieces = levels
        if len(self._pieces) > 1:
            # All but the outermost pieces lie in two stretches: the louder one counts.
            inner = np.maximum(levels[:, 1:], levels[:, :-1])
            pieces = np.concatenate([levels[:, :1], inner, levels[:, -1:]], axis=1)
        return means * pieces[:, self._piece_of_bin]

    def follow(self, powers: Powers) -> None:
        """Learn from a block's frames, bin by bin."""
        self._blocks = min(self._blocks + 1, _MEMORY_BLOCKS)
        clipped = np.minimum(powers / self.mean, np.float32(_CLIP)).mean(axis=0)
        step = (clipped - np.float32(_CLIPPED_MEAN)) / np.float32(self._blocks)
        step[clipped < _FALLEN] = -0.5
        self.mean = np.maximum(self.mean * (1 + step), self._floor)

    def corrected(self, power: float) -> float:
        """Return a threshold, raised for what is not known of the noise yet.

        A mean of K exponentials is exceeded u-fold with a probability of (1 + u/K)^-K, which must
        be exp(-threshold).
        """
        windows = max(1.0, self._blocks * self._windows_per_block)
        return windows * (exp(min(power / windows, 50.0)) - 1.0)


def lasting(levels: Powers, frames: int) -> Powers:
    """Return the levels of frames (rows), 1 where fewer than so many of those around are louder.

    What is heard at all is heard in as many frames as hold any one instant. Chance makes one frame
    in a hundred loud, if a pulse is there to help; hardly ever so many.
    """
    is_loud = np.pad(levels > 1, ((frames, frames), (0, 0)), constant_values=True)
    around = np.lib.stride_tricks.sliding_window_view(is_loud, 2 * frames + 1, axis=0)
    lasted: Powers = np.where(around.sum(axis=-1) < frames, np.float32(1), levels)
    return lasted


def _unclipped(mean: float) -> float:
    """Return the mean of an exponential of which the clipped mean is known."""
    scale = 1.0
    for _ in range(20):
        scale = mean / (1.0 - exp(-_CLIP / max(scale, 0.01)))
    return scale
