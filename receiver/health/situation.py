"""What the rules of alarms look at: the station at one moment, facts only."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from receiver.arrivals import Stamp
from receiver.health.alarm_notes import Key
from receiver.health.growth import Growth
from receiver.health.moment import Moment
from receiver.health.snapshot import HostSnapshot
from receiver.health.store_facts import StoreFacts
from receiver.links.intake import LinkStatus
from receiver.settings import Settings
from receiver.store.writer import StoreState
from receiver.watch_settings import BeaconSettings


class FrameCounts(msgspec.Struct, frozen=True):
    """What one link has heard since it was started."""

    records: int
    unknown: int


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the station."""

    now_s: float
    """Seconds of a steady clock."""
    stamp: Stamp
    settings: Settings
    links: Sequence[LinkStatus]
    silent: Mapping[str, str]
    """Links whose radio somebody must look after, with the words of the supervision."""
    unreadable: Collection[str]
    """Links that hear what they cannot read any more."""
    frames: Mapping[str, FrameCounts]
    store_state: StoreState
    lost_store: str = ""
    """Where the store was that is still written, but lies there no more."""
    standstill: str | None
    facts: StoreFacts
    growth: Growth
    host: HostSnapshot
    beacons: Mapping[BeaconSettings, Moment]
    """When each was last heard, if it ever was."""
    expected: Mapping[Key, Moment]
    """Since when beacons and sinks are expected to be heard of."""
    on: Collection[Key]
    """Alarms that are on."""


class Lasting:
    """How long something has been so, by subject."""

    def __init__(self) -> None:
        self._since_s: dict[object, float] = {}

    def so(self, subject: object, now_s: float, *, is_so: bool) -> float:
        """Take how it is now; return the seconds since it became so, 0 where it is not."""
        if not is_so:
            self._since_s.pop(subject, None)
            return 0.0
        return now_s - self._since_s.setdefault(subject, now_s)


def in_words(seconds: float) -> str:
    """Return a span as people say it: `7 min`, `26 h`, `3 days`."""
    minutes = seconds / 60
    if minutes < 120:  # noqa: PLR2004  Two hours.
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"  # noqa: PLR2004  Three days.
