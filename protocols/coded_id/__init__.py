"""Coded-ID VHF tags: pulses to bursts to runs.

A tag sends bursts of four short pulses; the three gaps between them are its code, and bursts repeat
every burst interval. Code and interval together name a tag of the owner's list.

    book = CodeBook(parse_csv(text).tags)
    antenna = AntennaDecoder(book)
    for event in antenna.feed([HeardPulse.of(time_ns, pulse)]): ...
    for event in antenna.tick(monotonic_ns): ...

No manufacturer's code table is part of this package: the owner supplies the tags.
"""

from protocols.coded_id.bursts import Burst, HeardPulse
from protocols.coded_id.code_book import CodeBook
from protocols.coded_id.confidence import Confidence, HourOfRuns, run_confidence
from protocols.coded_id.decoder import AntennaDecoder, Counters
from protocols.coded_id.events import (
    BurstSeen,
    ClockStepped,
    Event,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
)
from protocols.coded_id.tag_list import CodedTag, TagList, for_antenna, parse_csv, parse_rows
from protocols.coded_id.tolerances import Tolerances

__all__ = [
    "AntennaDecoder",
    "Burst",
    "BurstSeen",
    "ClockStepped",
    "CodeBook",
    "CodedTag",
    "Confidence",
    "Counters",
    "Event",
    "HeardPulse",
    "HourOfRuns",
    "IntervalMismatch",
    "RunContinued",
    "RunEnded",
    "RunOpened",
    "TagList",
    "Tolerances",
    "for_antenna",
    "parse_csv",
    "parse_rows",
    "run_confidence",
]
