"""Runs out of the store."""

from collections.abc import Iterator
from typing import Any

from receiver.confidence import CONFIDENCES, at_least
from receiver.store.queries import DetectionFilter, Reader
from receiver.utc_text import iso_utc

RUN_KEYS = (
    "run",
    "station",
    "protocol",
    "tag_id",
    "place",
    "first",
    "last",
    "detections",
    "verified",
    "missed",
    "interval_s",
    "interval_error_ms",
    "confidence",
    "confidence_reason",
)
"""The keys of a run in JSON and CSV, in this order."""


def runs(reader: Reader, wanted: DetectionFilter) -> Iterator[dict[str, Any]]:
    """Yield the runs that overlap the wanted time, each a mapping of `RUN_KEYS`.

    `place` is the antenna, or the relay that passed the detections on; `wanted.antenna` is held
    against it.
    """
    believed = at_least(wanted.min_confidence)
    for row in reader.connection.execute(
        "SELECT runs.*, tag.text AS tag_id FROM runs JOIN texts AS tag ON tag.id = runs.tag"
        " WHERE (:since IS NULL OR last_utc_ns >= :since)"
        " AND (:until IS NULL OR first_utc_ns < :until)"
        " AND (:tag_id IS NULL OR tag.text = :tag_id) AND (:place IS NULL OR place = :place)"
        " ORDER BY first_utc_ns, runs.id",
        {
            "since": wanted.since_utc_ns,
            "until": wanted.until_utc_ns,
            "tag_id": wanted.tag_id,
            "place": wanted.antenna,
        },
    ):
        confidence = CONFIDENCES[row["confidence"]]
        if confidence not in believed:
            continue
        told = {
            "run": row["id"],
            "station": reader.station_id,
            "first": iso_utc(row["first_utc_ns"]),
            "last": iso_utc(row["last_utc_ns"]),
            "confidence": confidence,
            "confidence_reason": row["reason"],
        }
        yield {key: told[key] if key in told else row[key] for key in RUN_KEYS}
