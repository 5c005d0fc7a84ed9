"""The channel out of what a stick samples: its middle to 0 Hz, its rate down to 200-400 kS/s.

A stick is tuned beside the channel, so that the spike which it shows at its own middle misses it,
and may sample faster than the channel needs. What comes out is counted in the stick's own samples
again by `source_index`.
"""

from typing import Final

import numpy as np

from protocols.errors import ProtocolError
from protocols.radio.samples import Samples
from protocols.radio.turns import oscillation

MIN_RATE_HZ: Final = 160_000
"""Two tones 25 kHz off, tags 25 kHz off, and a bit's bandwidth at each side."""
_MIN_OUTPUT_HZ: Final = 200_000
_TAPS_PER_STEP: Final = 10
"""Length of the low pass, in output samples: 60 dB down where it folds into the channel."""
_LOUDEST: Final = np.float32(1e9)
"""Full scale is 1; more is a file with another scale, or damage. Squares of it still are floats."""


class Channel:
    """Turns samples, cut anywhere, into samples of the channel."""

    def __init__(self, rate_hz: int, centre_offset_hz: float = 0.0) -> None:
        """Take a channel whose middle is `centre_offset_hz` above what the stick is tuned to.

        Raises:
            ProtocolError: the rate is too low for the channel, or the channel is not in it.
        """
        if rate_hz < MIN_RATE_HZ or abs(centre_offset_hz) > rate_hz / 2:
            raise ProtocolError(
                f"a channel {centre_offset_hz:g} Hz off needs more than {rate_hz} samples a second:"
                f" {MIN_RATE_HZ} at least, and the channel within half of them"
            )
        self._step = max(1, rate_hz // _MIN_OUTPUT_HZ)
        self.rate_hz = rate_hz / self._step
        self._turns = centre_offset_hz / rate_hz
        self._taps = _low_pass(self._step)
        self._delay = _TAPS_PER_STEP * self._step / 2 if self._step > 1 else 0.0
        self._taken = 0
        self._rest = np.zeros(0, dtype=np.complex64)

    def feed(self, samples: Samples) -> Samples:
        """Return the channel's samples that are complete now. What is no number counts as 0."""
        moved = _finite(samples)
        if self._turns:
            moved *= oscillation(-self._turns, self._taken, len(moved))
        self._taken += len(moved)
        if self._step == 1:
            return moved
        stream = np.concatenate([self._rest, moved])
        count = max(0, len(stream) // self._step - len(self._taps) + 1)
        self._rest = stream[count * self._step :]
        if not count:
            return np.zeros(0, dtype=np.complex64)
        blocks = stream[: (count + len(self._taps) - 1) * self._step].reshape(-1, self._step)
        parts = blocks @ self._taps.T
        slower: Samples = parts[:count, 0].copy()
        for place in range(1, len(self._taps)):
            slower += parts[place : place + count, place]
        return slower

    def source_index(self, index: float) -> float:
        """Return where among the samples fed the channel's sample `index` is."""
        return index * self._step + self._delay


def _low_pass(step: int) -> Samples:
    """Return a low pass in blocks of `step` taps; the last block is one tap and silence."""
    count = _TAPS_PER_STEP * step + 1
    taps = np.zeros((_TAPS_PER_STEP + 1) * step, dtype=np.complex64)
    taps[:count] = np.sinc((np.arange(count) - count // 2) / step) * np.kaiser(count, 6.0)
    blocks: Samples = (taps / taps.sum()).reshape(-1, step)
    return blocks


def _finite(samples: Samples) -> Samples:
    # A copy: whoever feeds may use the same memory for what comes next.
    pairs = np.array(samples, dtype=np.complex64, order="C").view(np.float32)
    if len(pairs) and not np.abs(pairs).max() < _LOUDEST:
        pairs = np.where(np.abs(pairs) < _LOUDEST, pairs, np.float32(0))
    finite: Samples = pairs.view(np.complex64)
    return finite
