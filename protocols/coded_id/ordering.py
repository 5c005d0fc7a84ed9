"""Pulses put in order of time, late ones within reason; a clock that goes back is noticed.

Recordings release pulses up to 7 s late and radios interleave; within one antenna the public files
are up to 0.07 s out of order.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator

import msgspec

from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.tolerances import NS_PER_S, Tolerances

_LARGEST_NS = 2**63 - 1
_LARGEST_OFFSET_HZ = 10_000_000.0
_LARGEST_LEVEL_DB = 1000.0


class OrderCounts(msgspec.Struct):
    """What became of pulses before the search."""

    pulses: int = 0
    """All that were fed."""
    implausible: int = 0
    """Not a number, or out of all range: left out."""
    late: int = 0
    """Older than the allowed lateness: left out."""
    released_early: int = 0
    """Could wait no longer, for too many were waiting."""
    clock_steps: int = 0


def _order(pulse: HeardPulse) -> tuple[int, float, float]:
    return pulse.time_ns, pulse.frequency_offset_hz, pulse.signal_db


def _time(pulse: HeardPulse) -> int:
    return pulse.time_ns


class PulseOrder:
    """Holds pulses for the allowed lateness and hands them on in order."""

    def __init__(self, tolerances: Tolerances) -> None:
        self.lateness_ns = round(tolerances.lateness_s * NS_PER_S)
        self.counts = OrderCounts()
        self.newest_ns: int | None = None
        self._step_ns = self.lateness_ns + round(tolerances.clock_step_s * NS_PER_S)
        self._most = tolerances.held_pulses
        self._held: list[HeardPulse] = []
        self._released_ns = -1

    def feed(
        self, pulses: Iterable[HeardPulse]
    ) -> Iterator[tuple[list[HeardPulse], tuple[int, int] | None]]:
        """Yield (pulses in order, None), and (those before it, (from, to)) at a clock step back."""
        held = self._held
        counts = self.counts
        newest = self.newest_ns
        lateness = self.lateness_ns
        fed = 0
        for pulse in pulses:
            fed += 1
            time_ns = pulse.time_ns
            # Chains of comparisons are False for what is not a number.
            if not (
                0 <= time_ns <= _LARGEST_NS
                and -_LARGEST_OFFSET_HZ < pulse.frequency_offset_hz < _LARGEST_OFFSET_HZ
                and -_LARGEST_LEVEL_DB < pulse.signal_db < _LARGEST_LEVEL_DB
            ):
                counts.implausible += 1
            elif newest is None or time_ns > newest:
                newest = time_ns
                held.append(pulse)
            elif time_ns < newest - self._step_ns:
                counts.clock_steps += 1
                before = held.copy()
                held.clear()
                self._released_ns = -1
                yield before, (newest, time_ns)
                newest = time_ns
                held.append(pulse)
            elif time_ns < newest - lateness or time_ns < self._released_ns:
                counts.late += 1
            else:
                insort(held, pulse, key=_order)
            if len(held) > self._most:
                yield self._release(newest - lateness if newest is not None else 0), None
                if len(held) > self._most:
                    counts.released_early += 1
                    self._released_ns = held[0].time_ns
                    yield [held.pop(0)], None
        counts.pulses += fed
        self.newest_ns = newest
        if newest is not None:
            yield self._release(newest - lateness), None

    def _release(self, until_ns: int) -> list[HeardPulse]:
        """Take those before `until_ns`: one of that very time may still find company."""
        held = self._held
        if not held or held[0].time_ns >= until_ns:
            return []
        count = bisect_right(held, until_ns - 1, key=_time)
        released = held[:count]
        del held[:count]
        return released

    def flush(self, until_ns: int | None = None) -> list[HeardPulse]:
        """Return what is held, up to `until_ns` (None: all), though late ones may still come."""
        if until_ns is None:
            released = self._held.copy()
            self._held.clear()
        else:
            released = self._release(until_ns)
        if released:
            self._released_ns = max(self._released_ns, released[-1].time_ns)
        return released
