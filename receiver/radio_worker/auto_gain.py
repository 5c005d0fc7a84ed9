"""Automatic gain: the noise is kept where a stick's eight bits serve best.

With too little gain the noise falls between the steps of the converter, and weak packets with it;
with too much, strong signals are cut off and what they mix hides the weak ones. Noise of about ten
steps (RMS) loses 0.01 dB to the converter and leaves 20 dB above it.
"""

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Final

QUIETEST_LSB: Final = 8.0
LOUDEST_LSB: Final = 20.0
"""Noise between these is left alone: 8 dB, more than twice the largest step of a usual tuner, so
that one step never leads to the step back."""
_LOOKED_AT: Final = 8
"""Blocks whose median decides: two seconds."""
_CLIPPED: Final = 0.05
"""Part of the samples at the converter's ends in most blocks that means too much gain, whatever the
noise is: something strong is there nearly all the time. Packets of near tags, ten a second take
3 %, are no reason: they are heard although they are cut off, and less gain would cost weak ones."""
_PATIENCE: Final = 120
"""Blocks after less gain because of clipping before more is tried again: half a minute."""


class AutoGain:
    """Chooses among a tuner's gains; told of each block of samples, says what to set, if anything.

    A change waits for a block in whose last part nothing is on the air, so that it falls into no
    packet, as well as that can be known: the stick hears of it a moment later.
    """

    def __init__(self, gains_db: Sequence[float]) -> None:
        """Choose among gains in ascending order; begin above the middle, where most end."""
        self._gains_db = tuple(gains_db)
        self._step = 2 * len(self._gains_db) // 3
        self._noise: deque[float] = deque(maxlen=_LOOKED_AT)
        self._clipped: deque[float] = deque(maxlen=_LOOKED_AT)
        self._patience = 0

    @property
    def gain_db(self) -> float:
        """What is set."""
        return self._gains_db[self._step]

    def heard(self, noise_lsb: float, clipped_part: float, *, is_busy: bool) -> float | None:
        """Tell of a block: its noise (RMS of I or Q, in steps of the converter), what was cut off.

        `is_busy`: something is on the air at its end. Returns the gain to set now.
        """
        self._noise.append(noise_lsb)
        self._clipped.append(clipped_part)
        self._patience = max(0, self._patience - 1)
        if is_busy or len(self._noise) < _LOOKED_AT:
            return None
        wanted = self._wanted()
        if wanted == self._step:
            return None
        self._step = wanted
        self._noise.clear()
        self._clipped.clear()
        return self.gain_db

    def _wanted(self) -> int:
        step = self._step
        if median(self._clipped) > _CLIPPED:
            self._patience = _PATIENCE
            return max(0, step - 2)
        noise_lsb = median(self._noise)
        if noise_lsb > LOUDEST_LSB:
            return max(0, step - 1)
        if noise_lsb < QUIETEST_LSB and not self._patience:
            return min(len(self._gains_db) - 1, step + 1)
        return step
