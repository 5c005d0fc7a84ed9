"""What was done and heard in one commissioning: kept in memory, from its begin to its report."""

import datetime as dt
from typing import Final

import msgspec

from receiver.commissioning.state import Moment
from receiver.live import LiveDetection
from receiver.settings import MqttLink, Settings

PACKETS_WANTED: Final = 3
"""Packets of the test tag that an antenna must hear, unless told otherwise: one may be luck."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an antenna is on: a link with one radio, or a subscription."""

    key: str
    """`ch1`, or `field#0` for the first subscription of an MQTT link: the answers' own name."""
    link: str
    topic: int | None = None
    antenna: str | None

    @property
    def name(self) -> str:
        """What it is called: its antenna, or its link where that has no name yet."""
        return self.antenna or self.link


def places(settings: Settings) -> tuple[Place, ...]:
    """Return every place of a configuration that an antenna may be on."""
    found: list[Place] = []
    for link in settings.links:
        if isinstance(link, MqttLink):
            found += (
                Place(key=f"{link.name}#{number}", link=link.name, topic=number, antenna=t.antenna)
                for number, t in enumerate(link.topics)
            )
        else:
            found.append(Place(key=link.name, link=link.name, antenna=link.antenna))
    return tuple(found)


class HeardTag(msgspec.Struct, kw_only=True):
    """What one antenna heard of the test tag."""

    packets: int = 0
    best_dbm: float | None = None
    newest_dbm: float | None = None
    last: str = ""


class Progress:
    """One commissioning."""

    def __init__(self, begun: dt.datetime) -> None:
        self.begun = begun
        self.tag_id = ""
        self.packets_wanted = PACKETS_WANTED
        self.heard: dict[str, HeardTag] = {}
        """By antenna, or link where the antenna has no name."""
        self.skipped: dict[str, str] = {}
        """Why, by the name of the step."""
        self.technician = ""
        self.remarks = ""
        self.visit_is_told = False
        self.station_is_told = False
        self.needs_restart: set[str] = set()
        self._newest = 0
        self._life = ""

    def test_with(self, tag_id: str, packets_wanted: int) -> None:
        """Listen for this tag from now on."""
        if tag_id != self.tag_id:
            self.heard.clear()
        self.tag_id, self.packets_wanted = tag_id, packets_wanted

    def look(self, moment: Moment) -> None:
        """Take what was heard since the last moment."""
        life = moment.snapshot.started if moment.snapshot else self._life
        if life != self._life:  # Another daemon counts from 1, and has read everything anew.
            if self._life:
                self.needs_restart.clear()
            self._life, self._newest = life, 0
        for detection in moment.heard:
            if detection.number > self._newest:
                self._newest = detection.number
                if detection.tag_id == self.tag_id:
                    self._count(detection)

    def _count(self, detection: LiveDetection) -> None:
        """Count a packet that the station's own antenna heard, with a checksum that held."""
        if detection.relay_id is not None or detection.integrity == "failed":
            return
        heard = self.heard.setdefault(detection.antenna or detection.link, HeardTag())
        heard.packets += 1
        heard.last = detection.time
        heard.newest_dbm = level = detection.rssi_dbm
        if level is not None and (heard.best_dbm is None or level > heard.best_dbm):
            heard.best_dbm = level
