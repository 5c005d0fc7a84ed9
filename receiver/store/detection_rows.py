"""A detection as everybody is told it: the keys, and how each is made from the row in the store."""

import datetime as dt
import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from receiver.confidence import CONFIDENCES, NO_RUN, NOT_SORTED, of_detection, of_unsorted
from receiver.utc_text import iso_utc
from receiver.whereabouts import Whereabouts

_FIRST_RELAY_S = dt.datetime(2018, 1, 1, tzinfo=dt.UTC).timestamp()
_DAY_S = 86_400

DETECTION_KEYS = (
    "seq",
    "time",
    "time_quality",
    "time_stamped",
    "station",
    "link",
    "antenna",
    "protocol",
    "tag_id",
    "integrity",
    "id_legal",
    "rssi_dbm",
    "snr_db",
    "noise_dbm",
    "frequency_offset_hz",
    "relay_id",
    "relay_rssi_dbm",
    "recorded_at",
    "recorded_at_quality",
    "collection",
    "latitude",
    "longitude",
    "position_error_m",
    "run",
    "confidence",
    "confidence_reason",
    "decoder",
    "measurements",
    "payload",
    "raw",
)
"""The keys of a detection in JSON and CSV, in this order."""


def detection_of(row: sqlite3.Row, station_id: str, whereabouts: Whereabouts) -> dict[str, Any]:
    """Return a row of `readable_detections` as a mapping of `DETECTION_KEYS`."""
    id_legal = None if row["id_legal"] is None else bool(row["id_legal"])
    position = whereabouts.at(
        row["link"],
        row["time_ns"],
        time_quality=row["time_quality"],
        boot=row["boot"],
        is_imported=row["import_id"] is not None,
    )
    run_confidence, reason = row["run_confidence"], row["confidence_reason"]
    if run_confidence is None:
        confidence = of_unsorted(row["integrity"], id_legal=id_legal)
    else:
        confidence = of_detection(CONFIDENCES[run_confidence], row["integrity"])
    payload, raw, recorded_ns = row["payload"], row["raw"], row["recorded_at_ns"]
    values = {
        "time": iso_utc(row["time_ns"]),
        "time_stamped": iso_utc(row["time_stamped_ns"]),
        "station": station_id,
        "id_legal": id_legal,
        "confidence": confidence,
        "confidence_reason": reason or (NO_RUN if row["protocol"] == "coded-id" else NOT_SORTED),
        "recorded_at": None if recorded_ns is None else iso_utc(recorded_ns),
        "recorded_at_quality": _recorded_at_quality(
            recorded_ns, row["time_ns"], row["time_quality"]
        ),
        "latitude": position and round(position.latitude, 7),
        "longitude": position and round(position.longitude, 7),
        "position_error_m": position and round(position.error_m, 1),
        "measurements": json_or_empty(row["measurements"]),
        "payload": None if payload is None else payload.hex(),
        "raw": None if raw is None else raw.hex(),
    }
    return {key: values[key] if key in values else row[key] for key in DETECTION_KEYS}


def json_or_empty(text: str | None) -> Mapping[str, Any]:
    """Return the mapping that a column holds, empty where there is none."""
    return msgspec.json.decode(text) if text else {}


def _recorded_at_quality(recorded_ns: int | None, time_ns: int, time_quality: str) -> str | None:
    """Return how far a relay's own clock can be believed.

    `implausible` before 2018 (nodes start in 2017 or 1999 until GPS tells them), more than a day
    after the station's own time, and where that time is implausible itself: nothing vouches for the
    relay's then. Otherwise `relay`, the relay's word.
    """
    if recorded_ns is None:
        return None
    if time_quality == "implausible":
        return "implausible"
    recorded_s = recorded_ns / 1e9
    plausible = _FIRST_RELAY_S <= recorded_s <= time_ns / 1e9 + _DAY_S
    return "relay" if plausible else "implausible"
