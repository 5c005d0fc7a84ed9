"""What samples go through before an ear has them, and what their bytes tell of the gain."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from protocols.radio.samples import Samples

_TAPS_PER_SAMPLE: Final = 12
"""Length of the filter in samples that come out: 60 dB against what would fold in."""
_PASSED_PART: Final = 0.8
"""Of the rate that comes out, what passes unharmed."""
_KAISER_BETA: Final = 6.0
_MIDDLE: Final = np.float32(127.5)
_LAST_STEP: Final = 255


class Decimator:
    """Shifts a frequency to the middle and makes one sample of every `count`.

    Sample m that comes out belongs to the instant of sample `m * count - delay` that went in.
    """

    def __init__(self, rate_hz: int, offset_hz: int, count: int) -> None:
        self.count = count
        self.delay = (_TAPS_PER_SAMPLE * count - 1) / 2 - (count - 1)
        turns = np.arange(rate_hz // math.gcd(rate_hz, offset_hz)) * (offset_hz / rate_hz)
        self._turn: Samples = np.exp(-2j * np.pi * turns).astype(np.complex64)
        self._fed = 0
        self._rest: Samples = np.zeros((_TAPS_PER_SAMPLE - 1) * count, dtype=np.complex64)
        self._taps = _low_pass(count)

    def feed(self, samples: Samples) -> Samples:
        """Return what comes out now; how samples are portioned makes no difference but rounding."""
        at = np.arange(self._fed, self._fed + len(samples)) % len(self._turn)
        self._fed += len(samples)
        shifted = samples * self._turn[at]
        waiting = np.concatenate((self._rest, shifted))
        rows = len(waiting) // self.count
        come_out = max(0, rows - _TAPS_PER_SAMPLE + 1)
        self._rest = waiting[come_out * self.count :]
        table = waiting[: rows * self.count].reshape(rows, self.count)
        heard: Samples = np.zeros(come_out, dtype=np.complex64)
        for place, taps in enumerate(self._taps):
            heard += table[place : place + come_out] @ taps
        return heard


class ByteLevels:
    """How a stick's bytes use its converter: the noise in its steps, and what is cut off."""

    def __init__(self, rate_hz: int) -> None:
        self._piece = max(64, rate_hz // 1000)
        # A product with this is the mean of I and that of Q: sums over every second byte are slow.
        self._of_i_and_q = np.tile(np.eye(2, dtype=np.float32) / self._piece, (self._piece, 1))

    def of(self, chunk: bytes) -> tuple[float, float, bool]:
        """Return noise (RMS of I or Q, in steps), part cut off, and whether the end is busy.

        The noise is that of the quieter pieces of a millisecond: packets do not count.
        """
        steps = np.frombuffer(chunk, dtype=np.uint8)
        at_the_ends = np.count_nonzero(steps == 0) + np.count_nonzero(steps == _LAST_STEP)
        clipped = float(at_the_ends / max(1, len(steps)))
        pieces = len(steps) // (2 * self._piece)
        if not pieces:
            return 0.0, clipped, False
        table = steps[-2 * self._piece * pieces :].reshape(pieces, -1) - _MIDDLE
        # Spread about each piece's own mean: the spike in the middle is no noise.
        means = table @ self._of_i_and_q
        squares = np.einsum("ij,ij->i", table, table) / (2 * self._piece)
        powers = np.maximum(squares - (means * means).mean(axis=1), 0)
        floor = float(np.quantile(powers, 0.3))
        is_busy = bool((powers[-10:] > 2 * floor).any())
        return floor**0.5, clipped, is_busy


def _low_pass(count: int) -> npt.NDArray[np.complex64]:
    """Return a filter that passes the middle of what comes out, as rows of `count` taps."""
    length = _TAPS_PER_SAMPLE * count
    at = np.arange(length) - (length - 1) / 2
    cut = (1 + _PASSED_PART) / 4 / count
    taps = np.sinc(2 * cut * at) * np.kaiser(length, _KAISER_BETA)
    taps /= taps.sum()
    shaped: npt.NDArray[np.complex64] = taps.reshape(-1, count).astype(np.complex64)
    return shaped
