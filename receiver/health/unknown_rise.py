"""Noticing that a link hears much more that it cannot read than it used to.

The unknown frames of the last ten minutes are compared with the mean of all the ten minutes of the
last day, in which those of the present rise count too: what goes on for half a day has become the
usual. It is an alarm from `UNKNOWN_RISE_FACTOR` times the usual and `UNKNOWN_RISE_LEAST` frames on,
and stays one down to half of either. Nothing is said in the first hour of a link, for then nobody
knows what is usual.

A change of a radio's or a tag's firmware shows like this where the rest can still be read; where
nothing can be read any more, `receiver.decode_watch` tells.
"""

from collections import deque
from typing import Final

import msgspec

from receiver.limits import UNKNOWN_RISE_FACTOR, UNKNOWN_RISE_LEAST, UNKNOWN_RISE_WINDOW_S

_WINDOWS_OF_A_DAY: Final = round(86_400 / UNKNOWN_RISE_WINDOW_S)
_WINDOWS_TO_JUDGE: Final = round(3600 / UNKNOWN_RISE_WINDOW_S)
_KEPT_PART: Final = 0.5


class Rise(msgspec.Struct, frozen=True):
    """How a link's unknown frames are."""

    lately: int
    """In the last ten minutes."""
    usual: float | None
    """In ten minutes of the last day; None while that is not known."""

    @property
    def raises(self) -> bool:
        """Whether it is an alarm."""
        return self._is_above(1.0)

    @property
    def keeps(self) -> bool:
        """Whether it stays one; also while it cannot be told."""
        return self.usual is None or self._is_above(_KEPT_PART)

    def _is_above(self, part: float) -> bool:
        if self.usual is None:
            return False
        least = max(UNKNOWN_RISE_LEAST, UNKNOWN_RISE_FACTOR * self.usual)
        return self.lately >= part * least


class UnknownFrames:
    """Follows one link; `look` is called about once a minute with what it counted so far."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, int]] = deque()
        """Of the last window: when, and how many then."""
        self._windows: deque[int] = deque(maxlen=_WINDOWS_OF_A_DAY)
        self._window_began: tuple[float, int] | None = None

    def look(self, unknown: int, now_s: float) -> Rise:
        """Take the link's count of now."""
        if self._counted and unknown < self._counted[-1][1]:
            self._counted.clear()  # It was started anew.
            self._window_began = None
        self._counted.append((now_s, unknown))
        while len(self._counted) > 1 and now_s - self._counted[1][0] >= UNKNOWN_RISE_WINDOW_S:
            self._counted.popleft()
        began_s, before = self._window_began or (now_s, unknown)
        if self._window_began is None or now_s - began_s >= UNKNOWN_RISE_WINDOW_S:
            if self._window_began is not None:
                self._windows.append(unknown - before)
            self._window_began = now_s, unknown
        return Rise(unknown - self._counted[0][1], self._usual())

    def _usual(self) -> float | None:
        if len(self._windows) < _WINDOWS_TO_JUDGE:
            return None
        return sum(self._windows) / len(self._windows)
