"""Times as recorded files write them, made exact nanoseconds, and what of them cannot be.

Nothing here reads a clock: who judges a time brings its own `now_ns`.
"""

import datetime as dt
import functools
import re
from typing import Final

NS_PER_S: Final = 1_000_000_000

_MAX_WHOLE_S: Final = (2**63 - 1) // NS_PER_S
"""Year 2262: the last second whose nanoseconds fit 64 bits, as every store keeps them."""

_SECOND_DIGITS: Final = 9
_NS_PER_UNIT: Final[tuple[int, ...]] = tuple(
    int(10 ** (_SECOND_DIGITS - digits)) for digits in range(_SECOND_DIGITS + 1)
)

_USUAL_LENGTH, _POINT_AT, _POINT = len("1639614305.186"), 10, ord(".")
_USUAL_END: Final = b"9223372036"
_NS_PER_MS: Final = 1_000_000
"""Milliseconds of the years 2001 to 2262 are what nearly all files write: worth a short way."""

FIRST_STATION_NS: Final = 1_262_304_000 * NS_PER_S
"""2010-01-01. Older times are a clock's default: a BeagleBone boots in 2000, a GPS receiver whose
week counter rolled over says 1999. Motus draws the same line (find_tags, `SG_EPOCH`)."""

FIRST_RELAY_NS: Final = 1_514_764_800 * NS_PER_S
"""2018-01-01. CTT's first nodes are of 2019, those with a clock of their own of 2020; that clock
says 2017-01-01 01:01:03 until GPS sets it (541 rows of one card)."""

FUTURE_SLACK_NS: Final = 86_400 * NS_PER_S
"""A recording from more than a day ahead of the importing computer cannot be; less may be the
computer's own clock. Nodes without a GPS fix also say 2080."""


def unix_ns(text: bytes) -> int | None:
    """Return decimal Unix seconds (`1639614305.186`) as nanoseconds, without rounding.

    None where `text` is no such number, is negative, or lies beyond the year 2262. Digits after
    the ninth decimal are dropped.
    """
    if len(text) == _USUAL_LENGTH and text[_POINT_AT] == _POINT:
        digits = text[:_POINT_AT] + text[_POINT_AT + 1 :]
        return int(digits) * _NS_PER_MS if digits.isdigit() and text < _USUAL_END else None
    whole, _, fraction = text.partition(b".")
    if not whole.isdigit() or len(whole) > len(str(_MAX_WHOLE_S)):
        return None
    seconds = int(whole)
    if seconds >= _MAX_WHOLE_S:
        return None
    if not fraction:
        return seconds * NS_PER_S
    if not fraction.isdigit():
        return None
    fraction = fraction[:_SECOND_DIGITS]
    return seconds * NS_PER_S + int(fraction) * _NS_PER_UNIT[len(fraction)]


_ISO = re.compile(
    rb"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)?", re.IGNORECASE
)
_HOURS: Final = 24
_SIXTY: Final = 60


@functools.lru_cache(maxsize=1024)
def iso_ns(text: bytes) -> int | None:
    """Return a UTC time (`2021-10-26 18:29:52`, `2019-08-17T03:09:27.458Z`) as nanoseconds.

    None where `text` is no such time, names another zone, or lies before 1970.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    day, hour, minute, second, fraction = match.groups()
    midnight_s = _midnight_s(day)
    h, m, s = int(hour), int(minute), int(second)
    if midnight_s is None or h >= _HOURS or m >= _SIXTY or s > _SIXTY:
        return None
    seconds = midnight_s + (h * _SIXTY + m) * _SIXTY + s
    if not 0 <= seconds < _MAX_WHOLE_S:
        return None
    ns = seconds * NS_PER_S
    return ns + int(fraction) * _NS_PER_UNIT[len(fraction)] if fraction else ns


@functools.lru_cache(maxsize=1024)
def _midnight_s(day: bytes) -> int | None:
    try:
        midnight = dt.datetime.fromisoformat(day.decode()).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return round(midnight.timestamp())


def is_plausible(utc_ns: int, *, now_ns: int, earliest_ns: int = FIRST_STATION_NS) -> bool:
    """Tell whether a recording can be of this time: not a clock's default, not the future."""
    return earliest_ns <= utc_ns <= now_ns + FUTURE_SLACK_NS
