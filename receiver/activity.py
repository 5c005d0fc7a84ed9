"""Silence is a fact too: what each antenna did in each hour, also when it heard nothing."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sized
from typing import Final, TypeVar

from receiver.arrivals import ActivityRow
from receiver.limits import ANTENNAS_TOLD
from receiver.links.intake import LinkStatus

_Antenna = TypeVar("_Antenna", bound=str | None)

OTHER: Final = "other"
"""A link's antennas beyond `ANTENNAS_TOLD`, together: garbled or hostile lines may name any."""

_HOUR_S = 3600


def told_apart(antenna: _Antenna, known: Sized) -> _Antenna | str:
    """Return the name that an antenna not yet `known` is counted under."""
    return antenna if len(known) < ANTENNAS_TOLD else OTHER


class AntennaActivity:
    """Counts of one antenna in the current hour."""

    __slots__ = (
        "detections",
        "frames",
        "gain_db",
        "listening_s",
        "noise_dbfs",
        "noise_dbm",
        "pulses",
        "rejects",
    )

    def __init__(self) -> None:
        self.listening_s = 0.0
        self.frames = 0
        self.detections = 0
        self.pulses = 0
        self.noise_dbm: float | None = None
        """The last that the radio told."""
        self.noise_dbfs: float | None = None
        """The same of a software radio, relative to its full scale; not in the hour's row."""
        self.gain_db: float | None = None
        """At which gain, where the radio knows it."""
        self.rejects: Counter[str] = Counter()
        """Frames and rows that came to nothing, by reason."""


class LinkActivity:
    """Counts of one link's antennas in the current hour."""

    def __init__(self, status: LinkStatus, antennas: Iterator[str | None]) -> None:
        self.status = status
        self.antennas = {antenna or "": AntennaActivity() for antenna in antennas}
        """What the link is known to have; others join when they are first heard."""
        self.records = 0
        """Of whatever kind, since the start; `receiver.decode_watch` looks at these two."""
        self.unknown = 0
        """Frames since the start that the decoder could not read."""

    def of(self, antenna: str | None) -> AntennaActivity:
        """Return the counts of one antenna."""
        known = self.antennas.get(antenna or "")
        if known is not None:
            return known
        return self.antennas.setdefault(told_apart(antenna or "", self.antennas), AntennaActivity())

    def add_listening(self) -> None:
        """Add the seconds that the link listened since last time to each of its antennas.

        What the link itself turned away is counted with the first of them.
        """
        listened_s = self.status.take_listened_s()
        for counts in self.antennas.values():
            counts.listening_s += listened_s
        turned_away = self.status.take_turned_away()
        if turned_away:
            next(iter(self.antennas.values())).rejects.update(turned_away)

    def rows(self, hour_utc_s: int, session: str) -> Iterator[ActivityRow]:
        """Yield the rows of the hour so far."""
        for antenna, counts in self.antennas.items():
            yield ActivityRow(
                hour_utc_s=hour_utc_s,
                session=session,
                link=self.status.name,
                antenna=antenna,
                listening_s=counts.listening_s,
                frames=counts.frames,
                detections=counts.detections,
                pulses=counts.pulses,
                noise_dbm=counts.noise_dbm,
                rejects=dict(counts.rejects),
            )

    def go_on_from(self, earlier: "LinkActivity") -> None:
        """Take over the hour's counts of a link of the same name that was stopped."""
        earlier.add_listening()
        self.antennas |= earlier.antennas

    def begin_hour(self) -> None:
        """Count from zero again."""
        self.antennas = {antenna: AntennaActivity() for antenna in self.antennas}


class Activity:
    """The hour's counts of every link of one life of the daemon."""

    def __init__(self, now_utc_ns: int, boot: str = "") -> None:
        self.session = f"{boot[:8]}-{uuid.uuid4().hex[:8]}"
        """Tells this life of the daemon from others in the same hour, and of which boot it was:
        hours counted by a wrong clock are found by it."""
        self.links: list[LinkActivity] = []
        self._ended: set[str] = set()
        self._hour_utc_s = _hour(now_utc_ns)

    def add(self, link: LinkActivity) -> None:
        """Count this link too; one that was stopped under the same name is gone on from."""
        name = link.status.name
        self._ended.discard(name)
        for earlier in self.links:
            if earlier.status.name == name:
                link.go_on_from(earlier)
        self.links = [each for each in self.links if each.status.name != name]
        self.links.append(link)

    def end(self, name: str) -> None:
        """Count a link that was stopped to the end of this hour only."""
        self._ended.add(name)

    def rows(self, now_utc_ns: int) -> list[ActivityRow]:
        """Return the rows of the current hour, and begin a new one where the hour has changed.

        Called every few minutes: what is counted just after the full hour and before the next call
        goes to the hour before.
        """
        for link in self.links:
            link.add_listening()
        rows = [row for link in self.links for row in link.rows(self._hour_utc_s, self.session)]
        if _hour(now_utc_ns) != self._hour_utc_s:
            self._hour_utc_s = _hour(now_utc_ns)
            self.links = [link for link in self.links if link.status.name not in self._ended]
            self._ended.clear()
            for link in self.links:
                link.begin_hour()
        return rows

    def seconds_to_full_hour(self, now_utc_ns: int) -> float:
        """Return how long the current hour still lasts."""
        return _HOUR_S - now_utc_ns / 1e9 % _HOUR_S


def _hour(utc_ns: int) -> int:
    return utc_ns // (_HOUR_S * 10**9) * _HOUR_S
