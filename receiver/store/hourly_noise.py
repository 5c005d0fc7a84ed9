"""What receptions told of the noise: its mean in each hour, by link and antenna."""

import sqlite3
from collections.abc import Iterator
from typing import Any

_HOUR_NS = 3600 * 10**9


def hourly_noise(
    connection: sqlite3.Connection, since_utc_ns: int | None, until_utc_ns: int | None
) -> Iterator[dict[str, Any]]:
    """Yield `hour_ns`, `link`, `antenna`, `noise_dbm` and `pulse_noise_db` where any is known.

    Means of the decibels: `noise_dbm` of the packets' receptions, `pulse_noise_db` of the pulses
    that were kept, relative to the receiver's full scale. Hours are whole from that of
    `since_utc_ns` on.
    """
    since_ns = 0 if since_utc_ns is None else since_utc_ns // _HOUR_NS * _HOUR_NS
    until_ns = 2**63 - 1 if until_utc_ns is None else until_utc_ns
    found: dict[tuple[int, str, str | None], dict[str, Any]] = {}
    for table, column, key in (
        ("detections", "noise_dbm", "noise_dbm"),
        ("pulses", "noise_db", "pulse_noise_db"),
    ):
        for hour, link, antenna, mean in connection.execute(
            f"SELECT time_ns / {_HOUR_NS} AS hour, link, antenna, avg({column})"
            f" FROM readable_{table} WHERE {column} IS NOT NULL AND time_ns >= ? AND time_ns < ?"
            " GROUP BY hour, link, antenna",
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
                },
            )
            row[key] = round(mean, 1)
    yield from found.values()
