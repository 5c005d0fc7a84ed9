"""The burst that a confirmed run expects, found where and when it should be.

Since time and frequency are known beforehand, three of its four pulses suffice, and a flood in
which the open search has given up can still be looked through.
"""

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.code_book import Code
from protocols.coded_id.tolerances import NS_PER_S

_WHOLE: Final = ((0, 1, 2, 3),)
_ONE_LOST: Final = ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))
"""Which pulses may have been heard."""
_THREE: Final = 3
_MOST_ACCIDENTS: Final = 0.01
"""Bursts of three pulses that noise may be expected to make up, per expected burst."""
_MOST_PER_SLOT: Final = 8
"""Pulses that may stand for one of the burst's: bounds the search to 8⁴ steps."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """When, where and what."""

    code: Code
    time_ns: int
    """Of the first pulse…"""
    phase_ns: int
    """…give or take this."""
    frequency_hz: float
    range_hz: float
    gap_ns: int


class ExpectedBurst(msgspec.Struct, frozen=True, kw_only=True):
    """Three or four pulses that fit an expectation."""

    pulses: tuple[HeardPulse, ...]
    time_ns: int
    """Of the first pulse, computed where that is the lost one."""
    slop_ns: int


def find_expected(window: Sequence[HeardPulse], expectation: Expectation) -> ExpectedBurst | None:
    """Return the expected burst: whole if it can be, and of several the one that fits best.

    Where so much noise lies about that three pulses would fit by accident more often than once in
    a hundred bursts, the frequency limit is narrowed; if that does not help, only a whole burst
    counts. Pulses that a run has claimed do not count.
    """
    code, phase_ns, gap_ns = expectation.code, expectation.phase_ns, expectation.gap_ns
    begin_ns = expectation.time_ns - phase_ns
    end_ns = expectation.time_ns + code.offsets_ns[3] + phase_ns
    free = [pulse for pulse in window if begin_ns <= pulse.time_ns <= end_ns and not pulse.claimed]
    range_hz = expectation.range_hz
    is_quiet = False
    for _ in range(3):
        free = [
            pulse
            for pulse in free
            if abs(pulse.frequency_offset_hz - expectation.frequency_hz) <= range_hz
        ]
        if len(free) < _THREE:
            return None
        noise_per_s = max(len(free) - _THREE - 1, 0) * NS_PER_S / (end_ns - begin_ns)
        in_phase = noise_per_s * 2 * phase_ns / NS_PER_S
        in_gap = noise_per_s * 2 * gap_ns / NS_PER_S
        is_quiet = 4 * in_phase * in_gap**2 <= _MOST_ACCIDENTS
        if is_quiet:
            break
        range_hz /= 2
    slots = [
        [pulse for pulse in free if abs(pulse.time_ns - expectation.time_ns - offset) <= phase_ns]
        for offset in code.offsets_ns
    ]
    if max(len(slot) for slot in slots) > _MOST_PER_SLOT:
        return None
    whole = _best(slots, code, _WHOLE, gap_ns)
    return whole or (_best(slots, code, _ONE_LOST, gap_ns) if is_quiet else None)


def _best(
    slots: list[list[HeardPulse]], code: Code, choices: Sequence[tuple[int, ...]], gap_ns: int
) -> ExpectedBurst | None:
    """Return the burst with the least slop, of those that have the pulses of one of `choices`."""
    best: ExpectedBurst | None = None
    for heard in choices:
        chains: list[tuple[int, tuple[HeardPulse, ...]]] = [
            (0, (pulse,)) for pulse in slots[heard[0]]
        ]
        for before, slot in itertools.pairwise(heard):
            gap = code.offsets_ns[slot] - code.offsets_ns[before]
            chains = [
                (slop + error, (*pulses, pulse))
                for slop, pulses in chains
                for pulse in slots[slot]
                if (error := abs(pulse.time_ns - pulses[-1].time_ns - gap)) <= gap_ns
            ]
        for slop, pulses in chains:
            if best is None or slop < best.slop_ns:
                begin_ns = pulses[0].time_ns - code.offsets_ns[heard[0]]
                best = ExpectedBurst(pulses=pulses, time_ns=begin_ns, slop_ns=slop)
    return best
