"""Moments as text, the same everywhere: in JSON, in CSV, on the page and in messages."""

import datetime as dt

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  Text of UTC is made from it, and quickly.


def iso_utc(utc_ns: int) -> str:
    """Return a time as ISO 8601 UTC with microseconds and Z; fractions of a µs are cut off."""
    moment = _EPOCH + dt.timedelta(microseconds=utc_ns // 1000)
    return f"{moment.isoformat(timespec='microseconds')}Z"
