"""Four pulses whose gaps fit a code, found backwards from the newest.

The newest pulse is taken for the last of a burst. Of the pulses within one burst's length only
those of like frequency and level matter: usually none. Among them the last gap is looked up in a
bit map, last and middle gap in a table of codes, and the first pulse is sought where the code wants
it. So a pulse costs a comparison per recent pulse, and little more than that in noise.
"""

from collections.abc import Iterator, Sequence

import msgspec

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.code_book import Code, CodeBook, GapPair


class FoundBurst(msgspec.Struct, frozen=True, eq=False):
    """Four pulses and the code that they fit."""

    code: Code
    pulses: tuple[HeardPulse, HeardPulse, HeardPulse, HeardPulse]
    slop_ns: int
    """Sum of the three gaps' errors."""


def slop_ns(pulses: Sequence[HeardPulse], code: Code) -> int:
    """Return the sum of the three gaps' errors."""
    first, second, third, last = pulses
    first_ns, second_ns, third_ns = code.gaps_ns
    return (
        abs(second.time_ns - first.time_ns - first_ns)
        + abs(third.time_ns - second.time_ns - second_ns)
        + abs(last.time_ns - third.time_ns - third_ns)
    )


def narrowed(last: HeardPulse, near: list[HeardPulse], book: CodeBook) -> list[HeardPulse]:
    """Return those of `near` that are worth a search: few enough, nearer in frequency if need be.

    Where a flood puts more than `book.search_pulses` there, the frequency limit is halved, twice at
    most: a tag's own pulses lie within tens of hertz, so most of them stay while noise goes. If
    that is not enough, nothing is left to be searched: what would be found would be accidents.
    """
    range_hz = book.tolerances.frequency_range_hz
    for _ in range(2):
        range_hz /= 2
        low, high = last.frequency_offset_hz - range_hz, last.frequency_offset_hz + range_hz
        near = [pulse for pulse in near if low <= pulse.frequency_offset_hz <= high]
        if len(near) <= book.search_pulses:
            return near
    return []


def _is_one_transmitter(pulses: tuple[HeardPulse, ...], book: CodeBook) -> bool:
    frequencies = [pulse.frequency_offset_hz for pulse in pulses]
    if max(frequencies) - min(frequencies) > book.tolerances.frequency_range_hz:
        return False
    signals = [pulse.signal_db for pulse in pulses]
    return max(signals) - min(signals) <= book.tolerances.signal_range_db


def _first_pulses(
    near: Sequence[HeardPulse], second_at: int, pair: GapPair
) -> Iterator[HeardPulse]:
    """Yield the pulses that come before the second one as the code wants it."""
    second_ns = near[second_at].time_ns
    latest_ns = second_ns - pair.first_from_ns
    earliest_ns = second_ns - pair.first_to_ns
    for at in range(second_at - 1, -1, -1):
        first = near[at]
        if first.time_ns < earliest_ns:
            return
        if first.time_ns <= latest_ns:
            yield first


def find_bursts(last: HeardPulse, near: Sequence[HeardPulse], book: CodeBook) -> list[FoundBurst]:
    """Return the bursts that `last` completes with three of `near`, which is in time order."""
    found: list[FoundBurst] = []
    cells, cell_ns = book.third_cells, book.cell_ns
    pairs, pair_ns = book.pairs, book.pair_cell_ns
    shortest_ns, longest_ns = book.shortest_third_ns, book.longest_third_ns
    for third_at in range(len(near) - 1, 1, -1):
        third = near[third_at]
        third_gap = last.time_ns - third.time_ns
        if third_gap > longest_ns:
            break
        if third_gap < shortest_ns or not cells[third_gap // cell_ns]:
            continue
        third_cell = third_gap // pair_ns
        for second_at in range(third_at - 1, 0, -1):
            second_gap = third.time_ns - near[second_at].time_ns
            for pair in pairs.get((third_cell, second_gap // pair_ns), ()):
                if not (
                    pair.third_from_ns <= third_gap <= pair.third_to_ns
                    and pair.second_from_ns <= second_gap <= pair.second_to_ns
                ):
                    continue
                for first in _first_pulses(near, second_at, pair):
                    pulses = (first, near[second_at], third, last)
                    if _is_one_transmitter(pulses, book):
                        found.append(FoundBurst(pair.code, pulses, slop_ns(pulses, pair.code)))
        if len(found) >= book.tolerances.bursts_per_pulse:
            break
    return found[: book.tolerances.bursts_per_pulse]
