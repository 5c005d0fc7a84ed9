"""How much a sink may send: bytes a second on average, bytes in a UTC day."""

import enum

_DAY_S = 86_400
_NEARLY_SPENT = 0.1
"""With less than this part of the day's bytes left, a batch that does not fit waits for tomorrow
instead of being cut into crumbs that are mostly overhead."""


class Verdict(enum.Enum):
    """Whether a batch may be sent now."""

    GO = enum.auto()
    SHRINK = enum.auto()
    """Not this one, but a smaller one may."""
    WAIT = enum.auto()


class Budget:
    """Counts what was sent. Times are seconds: `now_s` on a clock that nobody sets, `utc_s` UTC.

    The day is told by the station's clock as it stands; when that is set to another day, the count
    begins anew.
    """

    def __init__(self, bytes_per_second: int, bytes_per_day: int) -> None:
        self._per_second = bytes_per_second
        self._per_day = bytes_per_day
        self._free_at_s = 0.0
        self._day: int | None = None
        self._spent_on_day = 0

    def restore(self, day: int | None, bytes_on_day: int) -> None:
        """Take over what the store notes of this day, which may be more than this process sent."""
        if day is None:
            return
        if self._day is None:
            self._day = day
        if day == self._day:
            self._spent_on_day = max(self._spent_on_day, bytes_on_day)

    def ask(self, cost: int, rows: int, now_s: float, utc_s: float) -> tuple[Verdict, float]:
        """Return whether a batch may go, and the seconds to wait where it has to."""
        if self._per_second and now_s < self._free_at_s:
            return Verdict.WAIT, self._free_at_s - now_s
        if self._per_day:
            spent = self._spent_on_day if day_of(utc_s) == self._day else 0
            left = self._per_day - spent
            # A single row dearer than a whole day goes on a day of its own.
            if cost > left and (spent or rows > 1):
                if rows > 1 and left > _NEARLY_SPENT * self._per_day:
                    return Verdict.SHRINK, 0.0
                return Verdict.WAIT, _DAY_S - utc_s % _DAY_S
        return Verdict.GO, 0.0

    def spend(self, cost: int, now_s: float, utc_s: float) -> int:
        """Count what was sent, or tried to; return the day it counts for."""
        if self._per_second:
            self._free_at_s = max(self._free_at_s, now_s) + cost / self._per_second
        day = day_of(utc_s)
        if day != self._day:
            self._day, self._spent_on_day = day, 0
        self._spent_on_day += cost
        return day


def day_of(utc_s: float) -> int:
    """Return the days since 1970-01-01 UTC."""
    return int(utc_s // _DAY_S)
