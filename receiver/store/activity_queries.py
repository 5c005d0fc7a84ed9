"""The hours that each antenna listened, out of the store."""

from collections.abc import Iterator
from typing import Any

from receiver.arrivals import SET_CLOCKS
from receiver.store.detection_rows import json_or_empty
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.schema import CLOCK_QUALITIES
from receiver.store.true_hours import SampledClock, TrueHours
from receiver.utc_text import iso_utc


def hours_listened(reader: Reader, wanted: DetectionFilter) -> Iterator[dict[str, Any]]:
    """Yield hours listened, one row an hour, link and antenna, silent hours included.

    Hours that were counted by a wrong clock are moved to where they belong, to the nearest.
    """
    since_ns, until_ns = wanted.since_utc_ns, wanted.until_utc_ns
    true_hours = _true_hours(reader)
    hours: dict[tuple[int, str, str], dict[str, Any]] = {}
    for row in reader.connection.execute(
        "SELECT * FROM activity WHERE (:antenna IS NULL OR antenna = :antenna)"
        " ORDER BY hour_utc_s, link, antenna",
        {"antenna": wanted.antenna},
    ):
        hour_utc_s = true_hours.of(row["session"], row["hour_utc_s"])
        if since_ns is not None and hour_utc_s + 3600 <= since_ns // 10**9:
            continue
        if until_ns is not None and hour_utc_s >= until_ns // 10**9:
            continue
        key = (hour_utc_s, row["link"], row["antenna"])
        hour = hours.setdefault(
            key,
            {
                "hour": iso_utc(hour_utc_s * 10**9),
                "station": reader.station_id,
                "link": row["link"],
                "antenna": row["antenna"] or None,
                "listening_s": 0.0,
                "frames": 0,
                "detections": 0,
                "pulses": 0,
                "noise_dbm": None,
                "rejects": {},
            },
        )
        for count in ("listening_s", "frames", "detections", "pulses"):
            hour[count] += row[count]
        if row["noise_dbm"] is not None:
            hour["noise_dbm"] = row["noise_dbm"]
        for reason, count in json_or_empty(row["rejects"]).items():
            hour["rejects"][reason] = hour["rejects"].get(reason, 0) + count
    for key in sorted(hours):
        yield hours[key]


def _true_hours(reader: Reader) -> TrueHours:
    return TrueHours(
        SampledClock(row[0], row[1], row[2], CLOCK_QUALITIES[row[3]] in SET_CLOCKS)
        for row in reader.connection.execute(
            "SELECT text, mono_ns, utc_ns, clock FROM clock_samples JOIN texts ON texts.id = boot"
        )
    )
