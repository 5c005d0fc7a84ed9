"""Whether the processor keeps up, and what is given up first where it does not.

First the frequencies between those that are listened to grow wider (`thinned`); only when the
fewest are left and still too much waits, samples are dropped.
"""

from collections.abc import Sequence
from typing import Final

from receiver.limits import RADIO_DROP_S, RADIO_THIN_S

_LOOKS_AGAIN_S: Final = 2.0
"""Between one thinning and the next: what waits must have had time to become less."""
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
        self._thinnest = levels - 1
        self._looked_s = now_s
        self._changed_s = now_s
        self._tries_after_s = _TRIES_AGAIN_S

    def look(self, waiting_s: float, now_s: float) -> bool:
        """Take how many seconds of samples wait; return whether some are to be dropped now."""
        if self.level:
            self.thinned_s += now_s - self._looked_s
        self._looked_s = now_s
        if waiting_s >= RADIO_THIN_S and self.level < self._thinnest:
            if not self.level or now_s - self._changed_s >= _LOOKS_AGAIN_S:
                self._tries_after_s = (
                    min(2 * self._tries_after_s, _TRIES_AGAIN_LONGEST_S)
                    if now_s - self._changed_s < self._tries_after_s
                    else _TRIES_AGAIN_S
                )
                self._change(self.level + 1, now_s)
        elif self.level and waiting_s < RADIO_THIN_S / 2:
            if now_s - self._changed_s >= self._tries_after_s:
                self._change(self.level - 1, now_s)
        elif self.level == self._thinnest and waiting_s >= RADIO_DROP_S:
            return True
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
