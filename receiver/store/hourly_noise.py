"""What receptions told of the noise: its mean in each hour, by link and antenna."""

import sqlite3
from collections.abc import Iterator
from typing import Any

_HOUR_NS = 3600 * 10**9
_TOLD = "CASE kind WHEN 'StationHealth' THEN json_extract(body, '$.measurements.{}') END"


def hourly_noise(
    connection: sqlite3.Connection, since_utc_ns: int | None, until_utc_ns: int | None
) -> Iterator[dict[str, Any]]:
    """Yield `hour_ns`, `link`, `antenna`, and a mean of each of these where any is known.

    `noise_dbm` of the packets' receptions; `pulse_noise_db` of the pulses that were kept, and
    `noise_dbfs` and `occupied` as a software radio tells them, relative to its full scale. Hours
    are whole from that of `since_utc_ns` on.
    """
    since_ns = 0 if since_utc_ns is None else since_utc_ns // _HOUR_NS * _HOUR_NS
    until_ns = 2**63 - 1 if until_utc_ns is None else until_utc_ns
    found: dict[tuple[int, str, str | None], dict[str, Any]] = {}
    for table, column, key, digits in (
        ("detections", "noise_dbm", "noise_dbm", 1),
        ("pulses", "noise_db", "pulse_noise_db", 1),
        ("events", _TOLD.format("noise_dbfs"), "noise_dbfs", 1),
        ("events", _TOLD.format("occupancy"), "occupied", 5),
    ):
        for hour, link, antenna, mean in connection.execute(
            f"SELECT time_ns / {_HOUR_NS} AS hour, link, antenna, avg({column}) AS mean"
            f" FROM readable_{table} WHERE time_ns >= ? AND time_ns < ?"
            " GROUP BY hour, link, antenna HAVING mean IS NOT NULL",
            (since_ns, until_ns),
        ):
            row = found.setdefault(
                (hour, link, antenna),
                {
                    "hour_ns": hour * _HOUR_NS,
                    "link": link,
                    "antenna": antenna,
                    "noise_dbm": None,
                    "pulse_noise_db": None,
                    "noise_dbfs": None,
                    "occupied": None,
                },
            )
            row[key] = round(mean, digits)
    yield from found.values()
