"""What was heard, counted: since the start, in the current minute, and in the antennas' hours.

Every record is counted under one name; a tag that was not heard before is told in the log.
"""

import structlog

from protocols.records import Detection, Pulse, Record, StationHealth, Unknown
from receiver.activity import LinkActivity
from receiver.arrivals import Source
from receiver.limits import (
    FIRST_DETECTIONS_LOGGED_PER_MINUTE,
    TAGS_REMEMBERED,
    UNKNOWN_FRAME_SAMPLES_PER_HOUR,
)

log = structlog.get_logger()


class Heard:
    """What was heard since the start and in the current minute: the in-memory summary."""

    def __init__(self) -> None:
        self.frames = 0
        self.detections = 0
        self.pulses = 0
        self.unknown_frames = 0
        self.dropped_rows = 0
        """Rows that found no room while the disk was away."""
        self.tags: dict[str, int] = {}
        """Detections of each tag since the start (or since there were too many)."""
        self.first_detections_this_minute = 0

    def count(self, record: Record, source: Source, activity: LinkActivity) -> bool:
        """Count one record that says something; return whether it becomes a row."""
        if isinstance(record, Detection):
            self.detections += 1
            antenna = source.antenna_of(record.antenna)
            activity.of(antenna).detections += 1
            self._note_tag(record, source.link, antenna)
        elif isinstance(record, Pulse):
            self.pulses += 1
            activity.of(source.antenna_of(record.antenna)).pulses += 1
        elif isinstance(record, Unknown):
            self.unknown_frames += 1
            activity.unknown += 1
            rejects = activity.of(source.antenna).rejects
            rejects[record.reason] += 1
            return rejects[record.reason] <= UNKNOWN_FRAME_SAMPLES_PER_HOUR
        elif isinstance(record, StationHealth) and "noise_dbm" in record.measurements:
            noise_dbm = float(record.measurements["noise_dbm"])
            activity.of(source.antenna_of(record.antenna)).noise_dbm = noise_dbm
        return True

    def count_dropped(self, rows: int, antenna: str | None, activity: LinkActivity) -> None:
        """Count rows that found no room."""
        self.dropped_rows += rows
        activity.of(antenna).rejects["store_backlog"] += rows

    def _note_tag(self, detection: Detection, link: str, antenna: str | None) -> None:
        count = self.tags.get(detection.tag_id)
        if count is not None:
            self.tags[detection.tag_id] = count + 1
            return
        if len(self.tags) >= TAGS_REMEMBERED:
            self.tags.clear()
        self.tags[detection.tag_id] = 1
        self.first_detections_this_minute += 1
        if self.first_detections_this_minute <= FIRST_DETECTIONS_LOGGED_PER_MINUTE:
            level = {"rssi_dbm": detection.rssi_dbm}
            if detection.rssi_dbm is None and detection.snr_db is not None:
                level = {"snr_db": detection.snr_db}  # Of a radio that knows no dBm.
            log.info(
                "tag heard first",
                tag=detection.tag_id,
                antenna=antenna,
                link=link,
                **level,
                integrity=detection.integrity,
            )
