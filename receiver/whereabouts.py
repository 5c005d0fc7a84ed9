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

    def __init__(self) -> None:
        self._said: list[StoredFix] = []
        self._statements: _Statements | None = None
        self._tracks: dict[tuple[str, bool], Track] = {}

    def add(self, fix: StoredFix) -> None:
        if fix.link == STATION_LINK and not fix.is_imported:
            self._said.append(fix)
        elif fix.latitude is not None and fix.longitude is not None:
            track = self._tracks.setdefault((fix.link, fix.is_imported), Track())
            track.add(Fix(fix.time_ns, fix.latitude, fix.longitude, fix.accuracy_m))

    def at(self, link: str, time_ns: int, *, is_imported: bool) -> Position | None:
        own = self._tracks.get((link, is_imported))
        if own is not None or is_imported:
            return own.at(time_ns) if own else None
        if self._statements is None:
            self._statements = _Statements(self._said)
        position = self._statements.at(time_ns)
        if position is not None:
            return position
        track = self._tracks.get((GPSD_LINK, False)) or self._only_track()
        return track.at(time_ns) if track else None

    def _only_track(self) -> Track | None:
        telling = [track for (_, is_imported), track in self._tracks.items() if not is_imported]
        return telling[0] if len(telling) == 1 else None


class Whereabouts:
    """Answers where a row was heard."""

    def __init__(self, fixes: Iterable[StoredFix]) -> None:
        self._timelines: dict[str | None, _Timeline] = {}
        for fix in fixes:
            clock = _wrong_clock(fix.boot, fix.time_quality)
            self._timelines.setdefault(clock, _Timeline()).add(fix)

    def at(
        self, link: str, time_ns: int, *, time_quality: str, boot: str | None, is_imported: bool
    ) -> Position | None:
        """Return where something of this link was heard, None where nothing tells."""
        timeline = self._timelines.get(_wrong_clock(boot, time_quality))
        return timeline.at(link, time_ns, is_imported=is_imported) if timeline else None


def _wrong_clock(boot: str | None, time_quality: str) -> str | None:
    """Return the boot whose time is known to be wrong; None for times that are right."""
    return boot if time_quality in _NEVER_RIGHT else None


def _time(fix: StoredFix) -> int:
    return fix.time_ns
