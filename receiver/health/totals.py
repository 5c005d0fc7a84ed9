"""Counts since the start, made of those that `activity` begins anew with every hour and link.

Garbled or hostile lines may name any radio, so that links are told apart by a bounded number of
antennas; what is beyond counts as the antenna `other`.
"""

from collections import Counter
from collections.abc import Iterable

from receiver.activity import AntennaActivity, LinkActivity, told_apart


class AntennaTotal:
    """What one antenna did since the start."""

    def __init__(self) -> None:
        self.frames = 0
        self.detections = 0
        self.noise_dbm: float | None = None
        """The last that the radio told."""
        self.noise_dbfs: float | None = None
        """The same of a software radio, relative to its full scale."""
        self.gain_db: float | None = None


class LinkTotal:
    """What one link did since the start."""

    def __init__(self) -> None:
        self.frames = 0
        self.unknown = 0
        self.rejects: Counter[str] = Counter()
        self.antennas: dict[str | None, AntennaTotal] = {}
        """None is the antenna of a link that has only one, without a label."""

    def antenna(self, name: str | None) -> AntennaTotal:
        """Return the counts of one antenna."""
        known = self.antennas.get(name)
        if known is None:
            known = self.antennas.setdefault(told_apart(name, self.antennas), AntennaTotal())
        return known


class _Seen:
    """One hour's counts of an antenna as they were when they were last added."""

    def __init__(self, counts: AntennaActivity) -> None:
        self.counts = counts
        self.frames = 0
        self.detections = 0
        self.rejects: Counter[str] = Counter()

    def add_to(self, link: LinkTotal, antenna: AntennaTotal) -> None:
        """Add what came since."""
        counts = self.counts
        link.frames += counts.frames - self.frames
        antenna.frames += counts.frames - self.frames
        antenna.detections += counts.detections - self.detections
        self.frames, self.detections = counts.frames, counts.detections
        if counts.rejects != self.rejects:
            link.rejects.update(counts.rejects - self.rejects)
            self.rejects = counts.rejects.copy()
        if counts.noise_dbm is not None:
            antenna.noise_dbm = counts.noise_dbm
        if counts.noise_dbfs is not None:
            antenna.noise_dbfs, antenna.gain_db = counts.noise_dbfs, counts.gain_db


class Totals:
    """Adds up; `look` is called at least twice an hour, and before the totals are read."""

    def __init__(self) -> None:
        self.links: dict[str, LinkTotal] = {}
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._unknown: dict[str, tuple[LinkActivity, int]] = {}

    def of(self, link: str) -> LinkTotal:
        """Return the counts of one link."""
        return self.links.setdefault(link, LinkTotal())

    def look(self, activity: Iterable[LinkActivity]) -> None:
        """Add what came since the last look."""
        before, self._seen = self._seen, {}
        for link in activity:
            name = link.status.name
            total = self.of(name)
            self._add_unknown(name, link, total)
            for radio, counts in link.antennas.items():
                antenna = total.antenna(radio or None)
                seen = before.get((name, radio))
                if seen is None or seen.counts is not counts:
                    if seen is not None:
                        seen.add_to(total, antenna)  # The last of the hour that is over.
                    seen = _Seen(counts)
                seen.add_to(total, antenna)
                self._seen[name, radio] = seen

    def _add_unknown(self, name: str, link: LinkActivity, total: LinkTotal) -> None:
        counted, unknown = self._unknown.get(name, (link, 0))
        if counted is not link:  # It was started anew, with other settings perhaps.
            total.unknown += counted.unknown - unknown
            unknown = 0
        total.unknown += link.unknown - unknown
        self._unknown[name] = (link, link.unknown)
