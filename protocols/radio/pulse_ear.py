"""Pulses of coded-ID tags out of I/Q: a matched filter over the whole band, then a close look.

    samples ─► blocks ─► short transforms ─► places that stand out ─► fit ─► pulses
                                └─► noise by bin      strongest first, taken off the samples,
                                                      then looked at again for what it hid

A place that is within some decibels of the threshold is fitted; the fit's power decides.
"""

from typing import Final

import numpy as np

from protocols.radio.pulse_frames import HOPS_PER_PULSE, FrameShape
from protocols.radio.pulse_harmonics import Harmonics
from protocols.radio.pulse_noise import NoiseByBin, threshold
from protocols.radio.pulse_records import HeardPulse, pulse_of
from protocols.radio.pulse_search import BLOCK_FRAMES, PulseSearch, decibels
from protocols.radio.samples import Samples

__all__ = ["PULSE_S", "HeardPulse", "PulseEar", "pulse_of"]

PULSE_S: Final = 0.002_5
"""What most tags send; old ones send 5 and 7.5 ms."""

_PRIMING_BLOCKS: Final = 12
"""Half a second is heard before the noise is known and the first pulse told."""
_SPIKE_BLOCKS: Final = np.float32(25)
"""The spike at 0 Hz is followed over a second."""
_LARGEST_SAMPLE: Final = np.float32(1e6)


class PulseEar:
    """Hears the pulses of one receiver.

    No samples raise: what is no number, infinite or beyond a million is taken for silence. How the
    stream is portioned makes no difference to what is heard. Memory is that of half a second of
    samples and some megabytes, and does not grow.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        pulse_s: float = PULSE_S,
        band_hz: tuple[float, float] | None = None,
        false_per_minute: float = 1.0,
        most_pulses_per_s: int = 400,
        sampled_hz: int | None = None,
        middle_hz: float = 0.0,
    ) -> None:
        """Listen to samples of a rate, within a band around the tuned frequency.

        `band_hz` is lowest and highest offset, None everything. `false_per_minute` is how often
        noise alone may pass for a pulse, over the whole band. Where samples were shifted and
        thinned out, `sampled_hz` is the rate they were taken at, and `middle_hz` where the middle
        of what was sampled is now: what is cut off at full scale has harmonics around that.

        Raises:
            ValueError: a pulse has fewer than 16 samples or more than a million, or nothing of the
                band is sampled.
        """
        self.rate_hz = rate_hz
        shape = FrameShape(rate_hz, pulse_s=pulse_s, band_hz=band_hz)
        self._shape = shape
        self._noise = NoiseByBin(
            len(shape.bins),
            full_scale=float(shape.length) ** 2,
            windows_per_block=BLOCK_FRAMES / HOPS_PER_PULSE,
        )
        self._search = PulseSearch(
            shape,
            self._noise,
            Harmonics(
                shape.length, sampled=(sampled_hz or rate_hz) / rate_hz, middle=middle_hz / rate_hz
            ),
            threshold=threshold(shape.band_hz, false_per_minute),
        )
        self._block = np.zeros(BLOCK_FRAMES * shape.hop, dtype=np.complex64)
        self._filled = 0
        self._waiting: list[Samples] | None = []
        """Blocks that came before the noise was known; None since it is."""
        self._spike = np.complex64(0)
        """What the receiver adds at 0 Hz; taken off, for its skirts would cover kilohertz."""
        self._most_pulses_per_s = most_pulses_per_s
        self._allowance = float(most_pulses_per_s)
        self._pulses_left_out = 0

    @property
    def noise_dbfs(self) -> float:
        """The noise in the bandwidth of a pulse (400 Hz for 2.5 ms), the median over the band."""
        return decibels(float(np.median(self._noise.mean)) / self._shape.length**2)

    @property
    def left_out(self) -> int:
        """Pulses that were too many for a second, and places not looked at for the same reason."""
        return self._pulses_left_out + self._search.left_out

    def feed(self, samples: Samples) -> list[HeardPulse]:
        """Take samples; return the pulses that have become known, about in order of time.

        They become known some 80 ms after they were, in the first half second later.
        """
        heard: list[HeardPulse] = []
        at = 0
        while at < len(samples):
            count = min(len(samples) - at, len(self._block) - self._filled)
            self._block[self._filled : self._filled + count] = samples[at : at + count]
            self._filled += count
            at += count
            if self._filled == len(self._block):
                self._filled = 0
                heard += self._take(_sound(self._block))
        return heard

    def finish(self) -> list[HeardPulse]:
        """Return the last pulses: nothing is fed after this."""
        rest = _sound(self._block[: self._filled])
        heard = self._begin_hearing(rest) if self._waiting is not None else []
        silence = np.zeros_like(self._block)
        last = silence.copy()
        last[: len(rest)] = rest - self._spike
        for block in (last, silence):
            self._search.take(block, learns=False)
            heard += self._told(len(block))
        self._filled = 0
        return heard

    def _take(self, block: Samples) -> list[HeardPulse]:
        if self._waiting is None:
            return self._hear(block)
        self._waiting.append(block)
        return self._begin_hearing(block[:0]) if len(self._waiting) == _PRIMING_BLOCKS else []

    def _begin_hearing(self, rest: Samples) -> list[HeardPulse]:
        """Learn the noise of what has been fed so far, then hear it."""
        waiting, self._waiting = self._waiting or [], None
        stretch = np.concatenate([*waiting, rest])
        if len(stretch) >= self._shape.length:
            self._spike = stretch.mean()
            powers = self._shape.powers(stretch - self._spike, every=HOPS_PER_PULSE)
            self._noise.begin(powers, blocks=len(waiting))
        heard: list[HeardPulse] = []
        for block in waiting:
            self._search.take(block - self._spike, learns=False)
            heard += self._told(len(block))
        return heard

    def _hear(self, block: Samples) -> list[HeardPulse]:
        self._search.take(block - self._spike, learns=True)
        heard = self._told(len(block))
        self._spike += (block.mean() - self._spike) / _SPIKE_BLOCKS
        return heard

    def _told(self, samples: int) -> list[HeardPulse]:
        """Return the pulses that the last block made known, as many as are allowed."""
        gained = self._most_pulses_per_s * samples / self.rate_hz
        self._allowance = min(float(self._most_pulses_per_s), self._allowance + gained)
        heard = self._search.pulses()
        told = heard[: int(self._allowance)]
        self._allowance -= len(told)
        self._pulses_left_out += len(heard) - len(told)
        return sorted(told, key=lambda pulse: pulse.first_sample)


def _sound(samples: Samples) -> Samples:
    """Return a copy in which what cannot be a sample is silence."""
    sound = samples.copy()
    parts = sound.view(np.float32)
    parts[~(np.abs(parts) <= _LARGEST_SAMPLE)] = 0
    return sound
