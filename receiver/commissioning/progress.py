"""What was done and heard in one commissioning: kept in memory, from its begin to its report."""

import datetime as dt
from typing import Final

import msgspec

from receiver.commissioning.state import Moment
from receiver.live import LiveDetection

PACKETS_WANTED: Final = 3
"""Packets of the test tag that an antenna must hear, unless told otherwise: one may be luck."""


class HeardTag(msgspec.Struct, kw_only=True):
    """What one antenna heard of the test tag."""

    packets: int = 0
    best_dbm: float | None = None
    best_snr_db: float | None = None
    """Of a radio that knows no dBm, such as a software radio that is not calibrated."""
    last: str = ""

    @property
    def best(self) -> str:
        """The best level in words, empty where no radio told one."""
        if self.best_dbm is not None:
            return f"{self.best_dbm:.0f} dBm"
        return "" if self.best_snr_db is None else f"{self.best_snr_db:.0f} dB over noise"


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
        heard.best_dbm = _higher(heard.best_dbm, detection.rssi_dbm)
        heard.best_snr_db = _higher(heard.best_snr_db, detection.snr_db)


def _higher(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)
