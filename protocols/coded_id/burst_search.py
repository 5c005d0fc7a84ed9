"""Four pulses whose gaps fit a code, found backwards from the newest.

The newest pulse is taken for the last of a burst. Of the pulses within one burst's length only
those of like frequency and level matter: usually none. Among them the last gap is looked up in a
bit map, last and middle gap in a table of codes, and the first pulse is sought where the code wants
it. So a pulse costs a comparison per recent pulse, and little more than that in noise.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.code_book import Code, CodeBook

_MOST_PER_SLOT: Final = 16
"""Pulses that may stand for one pulse of an incomplete burst: with more than that any three fit,
and the search would cost 16³ steps."""


class FoundBurst(msgspec.Struct, frozen=True, eq=False):
    """Four pulses and the code that they fit."""

    code: Code
    pulses: tuple[HeardPulse, HeardPulse, HeardPulse, HeardPulse]
    slop_ns: int
    """Sum of the three gaps' errors."""


def narrowed(last: HeardPulse, near: list[HeardPulse], book: CodeBook) -> list[HeardPulse]:
    """Return at most `search_pulses` of `near`: nearer in frequency first, then the newest.

    In a flood the frequency limit is halved, twice at most: a tag's own pulses lie within tens of
    hertz, so most of them stay while noise goes.
    """
    limit = book.tolerances.search_pulses
    range_hz = book.tolerances.frequency_range_hz
    for _ in range(2):
        if len(near) <= limit:
            break
        range_hz /= 2
        low, high = last.frequency_offset_hz - range_hz, last.frequency_offset_hz + range_hz
        near = [pulse for pulse in near if low <= pulse.frequency_offset_hz <= high]
    return near[-limit:]


def _is_one_transmitter(pulses: tuple[HeardPulse, ...], book: CodeBook) -> bool:
    frequencies = [pulse.frequency_offset_hz for pulse in pulses]
    if max(frequencies) - min(frequencies) > book.tolerances.frequency_range_hz:
        return False
    signals = [pulse.signal_db for pulse in pulses]
    return max(signals) - min(signals) <= book.tolerances.signal_range_db


def find_bursts(
    last: HeardPulse, near: Sequence[HeardPulse], book: CodeBook
) -> list[FoundBurst]:
    """Return the bursts that `last` completes with three of `near`, which is in time order."""
    found: list[FoundBurst] = []
    cells = book.third_cells
    cell_ns = book.cell_ns
    pair_ns = book.pair_cell_ns
    pairs = book.pairs
    shortest, longest = book.shortest_third_ns, book.longest_third_ns
    most = book.tolerances.bursts_per_pulse
    last_ns = last.time_ns
    for third_at in range(len(near) - 1, 1, -1):
        third = near[third_at]
        third_gap = last_ns - third.time_ns
        if third_gap < shortest:
            continue
        if third_gap > longest:
            break
        if not cells[third_gap // cell_ns]:
            continue
        third_cell = third_gap // pair_ns
        third_ns = third.time_ns
        for second_at in range(third_at - 1, 0, -1):
            second_ns = near[second_at].time_ns
            second_gap = third_ns - second_ns
            for pair in pairs.get((third_cell, second_gap // pair_ns), ()):
                if not (
                    pair.third_from_ns <= third_gap <= pair.third_to_ns
                    and pair.second_from_ns <= second_gap <= pair.second_to_ns
                ):
                    continue
                latest = second_ns - pair.first_from_ns
                earliest = second_ns - pair.first_to_ns
                for first_at in range(second_at - 1, -1, -1):
                    first = near[first_at]
                    if first.time_ns > latest:
                        continue
                    if first.time_ns < earliest:
                        break
                    pulses = (first, near[second_at], third, last)
                    if _is_one_transmitter(pulses, book):
                        gaps_ns = pair.code.gaps_ns
                        slop_ns = (
                            abs(second_ns - first.time_ns - gaps_ns[0])
                            + abs(second_gap - gaps_ns[1])
                            + abs(third_gap - gaps_ns[2])
                        )
                        found.append(FoundBurst(pair.code, pulses, slop_ns))
                        if len(found) >= most:
                            return found
    return found


def find_incomplete(
    window: Sequence[HeardPulse],
    code: Code,
    *,
    expected_ns: int,
    phase_ns: int,
    frequency_hz: float,
    range_hz: float,
    gap_ns: int,
) -> tuple[int, tuple[HeardPulse, HeardPulse, HeardPulse], int] | None:
    """Return three pulses of a burst whose first pulse is expected at `expected_ns` ± `phase_ns`.

    Of several choices the one that fits the code best; with them the time of the burst's first
    pulse, heard or computed, comes first, and their slop last. Pulses that a run has claimed do not count.
    """
    low, high = frequency_hz - range_hz, frequency_hz + range_hz
    begin = expected_ns - phase_ns - gap_ns
    end = expected_ns + code.offsets_ns[3] + phase_ns + gap_ns
    free = [
        pulse
        for pulse in window
        if low <= pulse.frequency_offset_hz <= high
        and begin <= pulse.time_ns <= end
        and not pulse.claimed
    ]
    if len(free) < 3:  # noqa: PLR2004  Three pulses of four.
        return None
    slots = [
        [pulse for pulse in free if abs(pulse.time_ns - expected_ns - offset) <= phase_ns]
        for offset in code.offsets_ns
    ]
    if max(len(slot) for slot in slots) > _MOST_PER_SLOT:
        return None
    best: tuple[int, int, tuple[HeardPulse, HeardPulse, HeardPulse]] | None = None
    for heard in ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)):
        offsets = [code.offsets_ns[slot] for slot in heard]
        for first in slots[heard[0]]:
            start = first.time_ns - offsets[0]
            for second in slots[heard[1]]:
                second_error = abs(second.time_ns - start - offsets[1])
                if second_error > gap_ns:
                    continue
                for third in slots[heard[2]]:
                    third_error = abs(
                        third.time_ns - second.time_ns - offsets[2] + offsets[1]
                    )
                    error = second_error + third_error
                    if third_error <= gap_ns and (best is None or error < best[0]):
                        best = (error, start, (first, second, third))
    return None if best is None else (best[1], best[2], best[0])
