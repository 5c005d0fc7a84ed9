"""Where the station was when it heard something: between its fixes, with an error.

Between two fixes the position lies on the great circle, as far along as the time is. How wrong it
can be, for a time t between the fixes a and b (or beyond the last one):

    position_error_m = accuracy + speed x (time to the nearer fix)

    accuracy  the worse one of the two fixes; UNTOLD_ACCURACY_M where a receiver does not tell
    speed     (distance a-b - both accuracies) / (time b - time a), not below 0: what cannot be
              the receiver's noise. In a gap of more than LONGEST_GAP_S, and before the first and
              after the last fix, nobody watched: there it is the fastest of the whole track.

So the error of a station that never moved stays its receiver's, for ever, and that of a ship whose
receiver failed grows by a ship's speed. Source of the mean radius: IUGG, 6,371,008.8 m.
"""

import bisect
import math
from array import array
from collections.abc import Iterable
from typing import Final

import msgspec

EARTH_RADIUS_M: Final = 6_371_008.8

UNTOLD_ACCURACY_M: Final = 20.0
"""What a position is taken for that comes without an accuracy: a receiver under open sky is better,
and coordinates that people read off a map or a phone are about that."""

LONGEST_GAP_S: Final = 2 * 3600.0
"""A still station's fixes are kept every hour: more than twice that means that there were none."""

FASTEST_M_S: Final = 70.0
"""No car or ship is faster; a receiver that jumps is."""

_BRIEF_S: Final = 10.0
"""Fixes that follow each other faster tell no speed: their times are good to a second."""


class Fix(msgspec.Struct, frozen=True):
    """One position of a track."""

    time_ns: int
    latitude: float
    """Degrees, WGS 84."""
    longitude: float
    accuracy_m: float | None = None


class Position(msgspec.Struct, frozen=True):
    """Where something was heard, and how far that may be off."""

    latitude: float
    longitude: float
    error_m: float


class Track:
    """The fixes of one receiver, in any order; a million of them take 32 MB."""

    def __init__(self, fixes: Iterable[Fix] = ()) -> None:
        self._times_ns = array("q")
        self._latitudes = array("d")
        self._longitudes = array("d")
        self._accuracies_m = array("d")
        self._fastest_m_s: float | None = None
        """None until all fixes are there and in order."""
        for fix in fixes:
            self.add(fix)

    def __len__(self) -> int:
        return len(self._times_ns)

    def add(self, fix: Fix) -> None:
        """Take one more fix."""
        self._fastest_m_s = None
        self._times_ns.append(fix.time_ns)
        self._latitudes.append(fix.latitude)
        self._longitudes.append(fix.longitude)
        self._accuracies_m.append(UNTOLD_ACCURACY_M if fix.accuracy_m is None else fix.accuracy_m)

    def at(self, time_ns: int) -> Position | None:
        """Return the position at a time, None where there is no fix at all."""
        if not self._times_ns:
            return None
        if self._fastest_m_s is None:
            self._settle()
        after = bisect.bisect_left(self._times_ns, time_ns)
        if after in (0, len(self._times_ns)):
            return self._beyond(0 if after == 0 else after - 1, time_ns)
        return self._between(after - 1, time_ns)

    def _settle(self) -> None:
        """Bring the fixes into order, and find the fastest speed among them."""
        times_ns = self._times_ns
        places = range(len(times_ns))
        if any(times_ns[place] > times_ns[place + 1] for place in places[:-1]):
            order = sorted(places, key=times_ns.__getitem__)
            self._times_ns = array("q", (times_ns[place] for place in order))
            for name in ("_latitudes", "_longitudes", "_accuracies_m"):
                values: array[float] = getattr(self, name)
                setattr(self, name, array("d", (values[place] for place in order)))
        self._fastest_m_s = max(map(self._speed_m_s, places[:-1]), default=0.0)

    def _fastest(self) -> float:
        return self._fastest_m_s or 0.0

    def _beyond(self, nearest: int, time_ns: int) -> Position:
        away_s = abs(time_ns - self._times_ns[nearest]) / 1e9
        error_m = self._accuracies_m[nearest] + self._fastest() * away_s
        return Position(self._latitudes[nearest], self._longitudes[nearest], error_m)

    def _between(self, before: int, time_ns: int) -> Position:
        after = before + 1
        before_s = (time_ns - self._times_ns[before]) / 1e9
        after_s = (self._times_ns[after] - time_ns) / 1e9
        watched = before_s + after_s <= LONGEST_GAP_S
        speed_m_s = self._speed_m_s(before) if watched else self._fastest()
        accuracy_m = max(self._accuracies_m[before], self._accuracies_m[after])
        latitude, longitude = on_the_way(
            self._latitudes[before],
            self._longitudes[before],
            self._latitudes[after],
            self._longitudes[after],
            before_s / (before_s + after_s),
        )
        return Position(latitude, longitude, accuracy_m + speed_m_s * min(before_s, after_s))

    def _speed_m_s(self, before: int) -> float:
        """Return the mean speed between a fix and the next that is not its receiver's noise."""
        after = before + 1
        took_s = (self._times_ns[after] - self._times_ns[before]) / 1e9
        if took_s < _BRIEF_S:
            return 0.0
        moved_m = distance_m(
            self._latitudes[before],
            self._longitudes[before],
            self._latitudes[after],
            self._longitudes[after],
        )
        noise_m = self._accuracies_m[before] + self._accuracies_m[after]
        return min(max(0.0, moved_m - noise_m) / took_s, FASTEST_M_S)


def distance_m(
    from_latitude: float, from_longitude: float, to_latitude: float, to_longitude: float
) -> float:
    """Return the great-circle distance of two positions in degrees (haversine)."""
    from_rad, to_rad = math.radians(from_latitude), math.radians(to_latitude)
    half_up = (to_rad - from_rad) / 2
    half_across = math.radians(to_longitude - from_longitude) / 2
    haversine = (
        math.sin(half_up) ** 2 + math.cos(from_rad) * math.cos(to_rad) * math.sin(half_across) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(haversine)))


def on_the_way(
    from_latitude: float,
    from_longitude: float,
    to_latitude: float,
    to_longitude: float,
    fraction: float,
) -> tuple[float, float]:
    """Return the position (degrees) at a fraction of the great circle from one to the other.

    For positions on opposite sides of the globe, which no way joins, it is the first one.
    """
    start = _unit(from_latitude, from_longitude)
    end = _unit(to_latitude, to_longitude)
    angle = distance_m(from_latitude, from_longitude, to_latitude, to_longitude) / EARTH_RADIUS_M
    if math.sin(angle) < 1e-12:  # noqa: PLR2004  The same place to a micrometre, or its antipode.
        return from_latitude, from_longitude
    near, far = math.sin((1 - fraction) * angle), math.sin(fraction * angle)
    x, y, z = (near * a + far * b for a, b in zip(start, end, strict=True))
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def _unit(latitude: float, longitude: float) -> tuple[float, float, float]:
    up, across = math.radians(latitude), math.radians(longitude)
    return math.cos(up) * math.cos(across), math.cos(up) * math.sin(across), math.sin(up)
