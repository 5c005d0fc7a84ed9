"""How a station was lately, out of the store: for `status` and whoever examines it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from receiver.store.queries import Reader
from receiver.store.redecoded import STILL_UNKNOWN
from receiver.unknown_shapes import shape
from receiver.utc_text import iso_utc


def last_heard(reader: Reader) -> list[dict[str, Any]]:
    """Return for each link and antenna its newest detection's time and tag.

    Files are imported in any order, so of the last rows of several the latest time counts; one that
    cannot be counts only where there is no other.
    """
    return [
        {
            "link": row["link"],
            "antenna": row["antenna"],
            "time": iso_utc(row["time_ns"]),
            "tag_id": row["tag_id"],
            "rssi_dbm": row["rssi_dbm"],
            "snr_db": row["snr_db"],
        }
        for row in reader.connection.execute(
            "SELECT * FROM (SELECT link, antenna, time_ns, tag_id, rssi_dbm, snr_db, row_number()"
            " OVER (PARTITION BY link, antenna"
            " ORDER BY time_quality = 'implausible', time_ns DESC, seq DESC) AS place"
            " FROM readable_detections WHERE seq IN (SELECT max(seq) FROM detections"
            " GROUP BY source)) WHERE place = 1 ORDER BY link, antenna"
        )
    ]


def unknown_frame_groups(reader: Reader) -> list[dict[str, Any]]:
    """Return the kept unknown frames by link, reason and shape, the most frequent first.

    Each with how many there are and the newest one. Those that a newer decoder has read since
    are left out.
    """
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for link, reason, raw in reader.connection.execute(
        f"SELECT link, reason, raw FROM readable_unknown_frames WHERE {STILL_UNKNOWN} ORDER BY id"
    ):
        key = (link, reason, shape(raw))
        group = groups.setdefault(key, {"link": link, "reason": reason, "shape": key[2], "kept": 0})
        group["kept"] += 1
        group["raw"] = raw.hex()
    return sorted(groups.values(), key=lambda group: -group["kept"])


def radios(reader: Reader) -> list[dict[str, Any]]:
    """Return for each link and antenna what its radio last said that it is."""
    return [
        {"link": link, "antenna": antenna, **_named(msgspec.json.decode(body))}
        for link, antenna, body, _ in reader.connection.execute(
            "SELECT link, antenna, body, max(id) FROM readable_events"
            " WHERE kind = 'RadioInfo' GROUP BY link, antenna ORDER BY link, antenna"
        )
    ]


def last_clock_sample(reader: Reader) -> dict[str, Any] | None:
    """Return the newest sample of the system clock: its time, quality code and reason."""
    row = reader.connection.execute(
        "SELECT utc_ns, clock, reason FROM clock_samples WHERE reason != 'gpsd'"
        " ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return dict(row) if row else None


def _named(radio: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": radio.get("name"), "firmware": radio.get("firmware")}
