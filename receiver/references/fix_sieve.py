"""Which of the fixes that come every second are kept: those that say something new."""

from typing import Final

from protocols.records import GpsFix
from receiver.positions import UNTOLD_ACCURACY_M, distance_m

MOVING_EVERY_S: Final = 30.0
"""Between kept fixes of a station that moves: a ship at 10 m/s is then at most 150 m from the
nearest one, and a year at sea takes a million rows, 70 MB."""

STILL_EVERY_S: Final = 3600.0
"""Between kept fixes of one that stays: 9,000 a year, and proof that it stayed."""

_MOVED_M: Final = 50.0


class FixSieve:
    """Keeps a fix as soon as the station moved, and one an hour while it does not."""

    def __init__(self) -> None:
        self._kept: tuple[float, float, float] | None = None
        self._kept_at_s = 0.0

    def wants(self, fix: GpsFix, now_s: float) -> bool:
        """Tell whether to keep a fix that came at `now_s` (seconds of a steady clock)."""
        if fix.latitude is None or fix.longitude is None:
            return False
        accuracy_m = UNTOLD_ACCURACY_M if fix.accuracy_m is None else fix.accuracy_m
        if self._kept is not None:
            latitude, longitude, kept_accuracy_m = self._kept
            moved_m = distance_m(latitude, longitude, fix.latitude, fix.longitude)
            has_moved = moved_m > max(_MOVED_M, accuracy_m + kept_accuracy_m)
            if now_s - self._kept_at_s < (MOVING_EVERY_S if has_moved else STILL_EVERY_S):
                return False
        self._kept = (fix.latitude, fix.longitude, accuracy_m)
        self._kept_at_s = now_s
        return True
