"""When pulses were, on a time line that nobody sets.

The gaps of a coded-ID burst must be right to a millisecond, which arrivals are not: lines wait in
buffers. What detects pulses tells its own time of them, exact but by a clock that may be stepped
(the system clock of the same machine, for vamp-alsa-host), that begins again at a boot (a
receiver's uptime), or that is set wrong (another machine). Here such times become a line that runs
on through all of that, and stamps of this station.
"""

from collections import deque
from typing import Final

import msgspec

from protocols.records import Pulse
from receiver.arrivals import Stamp

_NS_PER_US: Final = 1000
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000

_STEP_NS: Final = 20 * _NS_PER_MS
"""A smaller change between system clock and CLOCK_BOOTTIME is the time between two readings."""

_EARLY_NS: Final = 50 * _NS_PER_MS
"""No pulse is heard before it was sent; NTP keeps two machines of one network closer than this."""

_LATE_NS: Final = 10 * _NS_PER_S
"""SensorGnome's programs hand pulses on up to 7 s late."""

_LOST_NS: Final = 30 * _NS_PER_S
"""What seems to have been under way for longer was not: the other clock was set back."""

_WINDOW_NS: Final = 600 * _NS_PER_S
"""The quickest way of ten to twenty minutes tells how the clocks stand: crystals that differ by
100 ppm are then 0.1 s apart at the most."""


class _LeastLag:
    """The smallest lag of the last ten to twenty minutes."""

    def __init__(self) -> None:
        self._window: int | None = None
        self._before: int | None = None
        self._now: int | None = None

    @property
    def lag_ns(self) -> int | None:
        """The smallest; None before any."""
        known = [lag for lag in (self._before, self._now) if lag is not None]
        return min(known) if known else None

    def add(self, lag_ns: int, at_ns: int) -> int:
        """Take a lag; return the smallest."""
        window = at_ns // _WINDOW_NS
        if self._window != window:
            # After a long silence what was known before is better than nothing.
            self._before = self._now if self._now is not None else self._before
            self._window, self._now = window, lag_ns
        now_ns = lag_ns if self._now is None else min(self._now, lag_ns)
        self._now = now_ns
        return now_ns if self._before is None else min(self._before, now_ns)


class PulseTimes:
    """The time line of one radio's pulses.

    A clock that agrees with this station's system clock is taken to be that clock: its steps are
    then known exactly, since the station sees them too. Any other clock is followed from the first
    pulse on; the quickest arrivals tell what it shows.
    """

    def __init__(self) -> None:
        self.steps = 0
        """How often the other clock was found to show something else than before."""
        self._offsets: deque[int] = deque(maxlen=2)
        """Device time less time line: now, and before the last step."""
        self._is_system_clock = False
        self._least = _LeastLag()

    def place(self, pulse: Pulse, stamp: Stamp) -> tuple[int, Stamp]:
        """Return when a pulse was: on the line, in ns, and as the station's stamp of it.

        `stamp` is that of its arrival, or better where the link's protocol knows better.
        """
        arrived_ns = stamp.utc_ns if stamp.mono_ns is None else stamp.mono_ns
        heard_ns = arrived_ns - _NS_PER_US * (pulse.age_us or 0)
        if pulse.device_time_ns is None:
            return heard_ns, _earlier(stamp, arrived_ns - heard_ns)
        if stamp.mono_ns is not None:
            self._look_at_system_clock(stamp.utc_ns - stamp.mono_ns)
        line_ns = self._fitting(pulse.device_time_ns, heard_ns)
        if line_ns is None:
            line_ns = self._anchor(pulse.device_time_ns, heard_ns, stamp)
        if self._is_system_clock:
            return line_ns, _earlier(stamp, arrived_ns - line_ns)
        least_ns = self._least.add(heard_ns - line_ns, heard_ns)
        return line_ns, _earlier(stamp, arrived_ns - line_ns - least_ns)

    def _look_at_system_clock(self, offset_ns: int) -> None:
        if self._is_system_clock and abs(offset_ns - self._offsets[-1]) > _STEP_NS:
            self.steps += 1
            self._offsets.append(offset_ns)

    def _fitting(self, device_ns: int, heard_ns: int) -> int | None:
        """Return the place on the line that a device's time can mean, the latest if two do."""
        least_ns = 0 if self._is_system_clock else self._least.lag_ns or 0
        early_ns = _EARLY_NS if self._is_system_clock else _LATE_NS
        earliest_ns, latest_ns = heard_ns - least_ns - _LOST_NS, heard_ns - least_ns + early_ns
        places = [device_ns - offset for offset in self._offsets]
        return max(
            (place for place in places if earliest_ns <= place <= latest_ns),
            default=None,
        )

    def _anchor(self, device_ns: int, heard_ns: int, stamp: Stamp) -> int:
        """Take up a clock that is new, or shows something new."""
        self.steps += bool(self._offsets)
        lag_ns = stamp.utc_ns - device_ns
        self._is_system_clock = stamp.mono_ns is not None and -_EARLY_NS <= lag_ns <= _LATE_NS
        if self._is_system_clock and stamp.mono_ns is not None:
            line_ns = device_ns - (stamp.utc_ns - stamp.mono_ns)
        else:
            line_ns = heard_ns - (self._least.lag_ns or 0)
        self._offsets.clear()
        self._offsets.append(device_ns - line_ns)
        return line_ns


def _earlier(stamp: Stamp, by_ns: int) -> Stamp:
    mono_ns = None if stamp.mono_ns is None else stamp.mono_ns - by_ns
    return msgspec.structs.replace(stamp, utc_ns=stamp.utc_ns - by_ns, mono_ns=mono_ns)
