"""Which fixes tell where a row was heard: those of its own link, the configuration's, or gpsd's.

In this order, and the first that there is:

1. Fixes that came over the row's own link: a receiver on MQTT may stand elsewhere, and tells where.
2. The position in the configuration, from each start of the daemon until a start that says
   otherwise; before the first start what that one says.
3. gpsd's fixes.
4. Where only one link tells positions, its fixes.

Imported rows take fixes of their own recording only. Fixes and rows of a boot whose clock was never
right share their wrong time: they are matched with each other and with nothing else.
"""

import bisect
from collections.abc import Iterable
from typing import Final

import msgspec

from receiver.positions import UNTOLD_ACCURACY_M, Fix, Position, Track

STATION_LINK: Final = "station"
"""The link name of rows that state the configured position, or that there is none."""
GPSD_LINK: Final = "gpsd"

_NEVER_RIGHT: Final = ("unsynchronised", "implausible")


class StoredFix(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the store's fixes; a statement without a position says that the station moves."""

    time_ns: int
    time_quality: str
    boot: str | None
    link: str
    is_imported: bool
    latitude: float | None
    longitude: float | None
    accuracy_m: float | None


class _Statements:
    """What the configuration said of the position, start by start."""

    def __init__(self, said: Iterable[StoredFix]) -> None:
        self._said = sorted(said, key=_time)
        self._times_ns = [each.time_ns for each in self._said]

    def at(self, time_ns: int) -> Position | None:
        if not self._said:
            return None
        in_force = self._said[max(0, bisect.bisect_right(self._times_ns, time_ns) - 1)]
        if in_force.latitude is None or in_force.longitude is None:
            return None
        return Position(in_force.latitude, in_force.longitude, UNTOLD_ACCURACY_M)


class _Timeline:
    """The fixes that share one right clock, or one wrong one."""

    def __init__(self, fixes: Iterable[StoredFix]) -> None:
        by_link: dict[tuple[str, bool], list[StoredFix]] = {}
        for fix in fixes:
            by_link.setdefault((fix.link, fix.is_imported), []).append(fix)
        self._statements = _Statements(by_link.pop((STATION_LINK, False), ()))
        self._tracks = {key: _track(stored) for key, stored in by_link.items()}
        telling = [
            track
            for (link, is_imported), track in self._tracks.items()
            if not is_imported and link != GPSD_LINK and len(track)
        ]
        self._only_track = telling[0] if len(telling) == 1 else None

    def at(self, link: str, time_ns: int, *, is_imported: bool) -> Position | None:
        own = self._tracks.get((link, is_imported))
        position = own.at(time_ns) if own else None
        if position or is_imported:
            return position
        position = self._statements.at(time_ns)
        gpsd = self._tracks.get((GPSD_LINK, False))
        for track in (gpsd, self._only_track):
            if position is None and track is not None:
                position = track.at(time_ns)
        return position


class Whereabouts:
    """Answers where a row was heard."""

    def __init__(self, fixes: Iterable[StoredFix]) -> None:
        by_clock: dict[str | None, list[StoredFix]] = {}
        for fix in fixes:
            by_clock.setdefault(_wrong_clock(fix.boot, fix.time_quality), []).append(fix)
        self._timelines = {clock: _Timeline(stored) for clock, stored in by_clock.items()}

    def at(
        self, link: str, time_ns: int, *, time_quality: str, boot: str | None, is_imported: bool
    ) -> Position | None:
        """Return where something of this link was heard, None where nothing tells."""
        timeline = self._timelines.get(_wrong_clock(boot, time_quality))
        return timeline.at(link, time_ns, is_imported=is_imported) if timeline else None


def _wrong_clock(boot: str | None, time_quality: str) -> str | None:
    """Return the boot whose time is known to be wrong; None for times that are right."""
    return boot if time_quality in _NEVER_RIGHT else None


def _track(stored: Iterable[StoredFix]) -> Track:
    return Track(
        Fix(each.time_ns, each.latitude, each.longitude, each.accuracy_m)
        for each in stored
        if each.latitude is not None and each.longitude is not None
    )


def _time(fix: StoredFix) -> int:
    return fix.time_ns
