"""What reading one line of a recorded file gives, and the numbers in its cells."""

import math
import re
from typing import Final, NamedTuple, Protocol

from protocols.records import Record


class Reading(NamedTuple):
    """One line, read."""

    record: Record
    """Without `raw` (but for `Unknown`): the caller has the line, and lines that differ in time
    only can share one record."""
    utc_ns: int | None
    """The line's own time; None where it tells none (`G,undefined…`, an unknown line)."""
    is_relay_clock: bool = False
    """The time is of a relay's own clock, not of the station's."""


class LineReader(Protocol):
    """What every reader of recorded text files promises."""

    decoder: str
    """Name and version, as a stored row carries them: `sensorgnome/1`."""

    time_from: int
    time_to: tuple[int, int]
    """Where the time begins in most tag lines, and the two places where it mostly ends. Lines that
    are equal but for these bytes, and whose bytes there are a time by `time_ns`, are equal but for
    their time."""

    def read(self, line: bytes) -> Reading:
        """Read one line, without its terminator; never raises, whatever the bytes."""
        ...

    def time_ns(self, text: bytes) -> int | None:
        """Return a time as the lines write it, nanoseconds since 1970; None where it is none."""
        ...


TAG_LINES_REMEMBERED: Final = 20_000
"""Distinct tag lines that a reader remembers, without their times: about 400 bytes each, so 8 MB.
60 tags at 60 levels are 3,600."""

_LONGEST_NUMBER: Final = 18
"""Digits that a 64-bit integer surely holds."""

_NUMBER = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def number(text: bytes) -> float | int | None:
    """Return a decimal number, whole ones as int; None where `text` is none or has no end."""
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        return None
    if text.lstrip(b"+-").isdigit():
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else None
