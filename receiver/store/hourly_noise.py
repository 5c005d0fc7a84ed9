"""What receptions told of the noise and radios of their tuning: each hour, link and antenna."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from receiver.utc_text import iso_utc

_HOUR_NS = 3600 * 10**9
_TOLD = "CASE kind WHEN 'StationHealth' THEN json_extract(body, '$.measurements.{}') END"

_OF_RECEPTIONS = (
    ("detections", "noise_dbm", "noise_dbm", 1),
    ("pulses", "noise_db", "pulse_noise_db", 1),
)
_OF_RADIOS = (
    ("events", _TOLD.format("noise_dbfs"), "noise_dbfs", 1),
    ("events", _TOLD.format("occupancy"), "occupied", 5),
)
"""Of which table, what of its rows, under which name, with how many digits."""


def hourly_noise(
    connection: sqlite3.Connection,
    since_utc_ns: int | None,
    until_utc_ns: int | None,
    *,
    of_receptions: bool = True,
) -> Iterator[dict[str, Any]]:
    """Yield `hour_ns`, `link`, `antenna`, and a mean of each of these where any is known.

    `noise_dbm` of the packets' receptions; `pulse_noise_db` of the pulses that were kept, and
    `noise_dbfs` and `occupied` as a software radio tells them, relative to its full scale. Hours
    are whole from that of `since_utc_ns` on. `of_receptions` looks through all of them, which takes
    its time in a large store.
    """
    bounds = _bounds(since_utc_ns, until_utc_ns)
    found: dict[tuple[int, str, str | None], dict[str, Any]] = {}
    for table, column, key, digits in (*(_OF_RECEPTIONS if of_receptions else ()), *_OF_RADIOS):
        for hour, link, antenna, mean in connection.execute(
            f"SELECT time_ns / {_HOUR_NS} AS hour, link, antenna, avg({column}) AS mean"
            f" FROM readable_{table} WHERE time_ns >= ? AND time_ns < ?"
            " GROUP BY hour, link, antenna HAVING mean IS NOT NULL",
            bounds,
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


def with_radio_noise(
    hours: Iterable[dict[str, Any]], connection: sqlite3.Connection, since_utc_ns: int | None
) -> Iterator[dict[str, Any]]:
    """Yield hours of `activity` with the `noise_dbfs` and `occupied` that a software radio told."""
    told = {
        (iso_utc(row["hour_ns"]), row["link"], row["antenna"]): row
        for row in hourly_noise(connection, since_utc_ns, None, of_receptions=False)
    }
    for hour in hours:
        noise = told.get((hour["hour"], hour["link"], hour["antenna"]), {})
        yield {
            **hour,
            "noise_dbfs": noise.get("noise_dbfs"),
            "occupied": noise.get("occupied"),
        }


def hourly_frequencies(
    connection: sqlite3.Connection, since_utc_ns: int | None, until_utc_ns: int | None
) -> Iterator[dict[str, Any]]:
    """Yield `hour_ns`, `link`, `antenna`, `decoder` and each `frequency_hz` that was told then."""
    for hour, *told in connection.execute(
        f"SELECT time_ns / {_HOUR_NS} AS hour, link, antenna, decoder,"
        f" {_TOLD.format('frequency_hz')} AS frequency_hz FROM readable_events"
        " WHERE time_ns >= ? AND time_ns < ? AND frequency_hz IS NOT NULL"
        " GROUP BY hour, link, antenna, decoder, frequency_hz",
        _bounds(since_utc_ns, until_utc_ns),
    ):
        names = ("link", "antenna", "decoder", "frequency_hz")
        yield {"hour_ns": hour * _HOUR_NS, **dict(zip(names, told, strict=True))}


def _bounds(since_utc_ns: int | None, until_utc_ns: int | None) -> tuple[int, int]:
    """Return both, the first at a full hour."""
    return (
        0 if since_utc_ns is None else since_utc_ns // _HOUR_NS * _HOUR_NS,
        2**63 - 1 if until_utc_ns is None else until_utc_ns,
    )
