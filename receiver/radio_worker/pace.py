"""Whether the processor keeps up, and what is given up first where it does not.

First the frequencies between those that are listened to grow wider (`thinned`), by one step or,
where much waits, to the fewest at once; only when these are no help, samples are dropped. What a
stick sent while the worker was loading says nothing of the processor: it has some time to catch up.
"""

from collections.abc import Sequence
from typing import Final

from receiver.limits import RADIO_DROP_S, RADIO_THIN_S, RADIO_WAITING_S

_LOOKS_AGAIN_S: Final = 2.0
"""Between one thinning and the next: what waits must have had time to become less."""
_STARTS_WITHIN_S: Final = 20.0
"""Five seconds of loading are gone through in so long where a quarter of the processor is spare."""
_CAUGHT_UP_S: Final = 2.0
"""Little waits for so long: it has caught up. At first little waits as little has been read."""
_SOON_DROPPED_S: Final = RADIO_WAITING_S - 2
"""More than loading explains, and soon dropped unasked."""
_TRIES_AGAIN_S: Final = 60.0
_TRIES_AGAIN_LONGEST_S: Final = 3600.0
"""Listening on more frequencies again is tried after so long, later each time that it fails."""


class Pace:
    """Told how much waits, says how thin the grid is to be and when to drop samples."""

    def __init__(self, levels: int, now_s: float) -> None:
        """`levels` is how many grids there are: 0 is the whole one, `levels - 1` the thinnest."""
        self.level = 0
        self.thinned_s = 0.0
        """How long the grid was thinned, in all."""
        self.is_starting = True
        """Whether what waits may still be from before the worker began to listen."""
        self._began_s = self._behind_s = now_s
        self._thinnest = levels - 1
        self._looked_s = now_s
        self._changed_s = now_s
        self._tries_after_s = _TRIES_AGAIN_S

    def look(self, waiting_s: float, now_s: float) -> bool:
        """Take how many seconds of samples wait; return whether some are to be dropped now."""
        if self.level:
            self.thinned_s += now_s - self._looked_s
        self._looked_s = now_s
        if waiting_s >= RADIO_THIN_S:
            self._behind_s = now_s
        if self.is_starting:
            self.is_starting = (
                waiting_s < _SOON_DROPPED_S
                and now_s - self._behind_s < _CAUGHT_UP_S
                and now_s - self._began_s < _STARTS_WITHIN_S
            )
            if self.is_starting:
                return False
        is_urgent = waiting_s >= _SOON_DROPPED_S
        has_waited = now_s - self._changed_s >= _LOOKS_AGAIN_S
        if waiting_s >= RADIO_THIN_S and self.level < self._thinnest:
            if not self.level or is_urgent or has_waited:
                self._tries_after_s = (
                    min(2 * self._tries_after_s, _TRIES_AGAIN_LONGEST_S)
                    if now_s - self._changed_s < self._tries_after_s
                    else _TRIES_AGAIN_S
                )
                self._change(self._thinnest if is_urgent else self.level + 1, now_s)
        elif self.level and waiting_s < RADIO_THIN_S / 2:
            if now_s - self._changed_s >= self._tries_after_s:
                self._change(self.level - 1, now_s)
        elif waiting_s >= RADIO_DROP_S:
            return has_waited
        return False

    def _change(self, level: int, now_s: float) -> None:
        self.level = level
        self._changed_s = now_s


def grids(offsets_hz: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the grids that take each other's place, the whole one first, the thinnest last.

    Each has every second frequency of the one before, and always the one nearest to the middle.
    """
    grid = tuple(sorted(offsets_hz))
    found = [grid]
    while len(grid) > 1:
        middle = min(range(len(grid)), key=lambda place: abs(grid[place]))
        grid = grid[middle % 2 :: 2]
        found.append(grid)
    return found
