"""How good the station's clock was, from its samples."""

import sqlite3
from typing import Final

import msgspec

from receiver.arrivals import SET_CLOCKS
from receiver.store.schema import CLOCK_QUALITIES
from receiver.store.true_hours import SampledClock, TrueHours

_GOOD: Final = frozenset(
    number for number, name in enumerate(CLOCK_QUALITIES) if name in SET_CLOCKS
)
_HOLDS_NS: Final = 70 * 60 * 10**9
"""A sample is taken every hour, and at every change: what it says holds until the next one."""


_NOT_ALWAYS_RIGHT: Final = (
    "SELECT boot FROM store.clock_samples WHERE clock NOT IN (0, 1, 2)"  # pps, gps, ntp
)
"""Boots whose samples are not where their own times say; years of the others are passed over."""


class ClockHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The clock, step by step."""

    good: list[int | None]
    """1 where somebody kept it right, 0 where nobody did in some part of the step; null where the
    station did not run."""
    offset_ms: list[float | None]
    """How far the system clock was off, at its worst, by what later became known; null where that
    never was."""


class _Sample(msgspec.Struct, frozen=True):
    boot: int
    mono_ns: int
    utc_ns: int
    is_good: bool


def true_hours(connection: sqlite3.Connection) -> TrueHours:
    """Return what tells to which hour an hour's counts belong; the store is attached as `store`."""
    return TrueHours(
        SampledClock(boot, mono_ns, utc_ns, clock in _GOOD)
        for boot, mono_ns, utc_ns, clock in connection.execute(
            "SELECT text, mono_ns, utc_ns, clock FROM store.clock_samples"
            f" JOIN store.texts ON texts.id = boot WHERE boot IN ({_NOT_ALWAYS_RIGHT})"
        )
    )


def clock_history(
    connection: sqlite3.Connection, start_s: int, step_s: int, steps: int
) -> ClockHistory:
    """Return the clock's state in each step of a time."""
    good: list[int | None] = [None] * steps
    offset_ms: list[float | None] = [None] * steps
    for sample, until_mono_ns, good_sample in _spans(connection, start_s, start_s + step_s * steps):
        true_ns = sample.utc_ns
        if good_sample is not None:
            true_ns = good_sample.utc_ns + sample.mono_ns - good_sample.mono_ns
        begin = (true_ns // 10**9 - start_s) // step_s
        end = ((true_ns + until_mono_ns - sample.mono_ns) // 10**9 - start_s) // step_s
        off_ms = None if good_sample is None else (sample.utc_ns - true_ns) / 1e6
        for step in range(max(0, begin), min(steps, end + 1)):
            is_good = int(sample.is_good)
            before = good[step]
            good[step] = is_good if before is None else min(before, is_good)
            worst = offset_ms[step]
            if off_ms is not None and (worst is None or abs(off_ms) > abs(worst)):
                offset_ms[step] = round(off_ms, 3)
    return ClockHistory(good=good, offset_ms=offset_ms)


def _spans(
    connection: sqlite3.Connection, start_s: int, end_s: int
) -> list[tuple[_Sample, int, _Sample | None]]:
    """Return each sample, until when it holds, and the good sample next to it in its boot."""
    boots: dict[int, list[_Sample]] = {}
    for boot, mono_ns, utc_ns, clock in connection.execute(
        "SELECT boot, mono_ns, utc_ns, clock FROM store.clock_samples WHERE reason != 'gpsd'"
        f" AND ((utc_ns >= ? AND utc_ns < ?) OR boot IN ({_NOT_ALWAYS_RIGHT}))"
        " ORDER BY boot, mono_ns",
        (start_s * 10**9 - _HOLDS_NS, end_s * 10**9),
    ):
        boots.setdefault(boot, []).append(_Sample(boot, mono_ns, utc_ns, clock in _GOOD))
    spans = []
    for samples in boots.values():
        right = _nearest_good(samples)
        for place, sample in enumerate(samples):
            until_ns = sample.mono_ns + _HOLDS_NS
            if place + 1 < len(samples):
                until_ns = min(until_ns, samples[place + 1].mono_ns)
            spans.append((sample, until_ns, right[place]))
    return spans


def _nearest_good(samples: list[_Sample]) -> list[_Sample | None]:
    """Return for each sample of a boot the good one next to it: itself, a later one, the last."""
    found: list[_Sample | None] = [None] * len(samples)
    following: _Sample | None = None
    for place in range(len(samples) - 1, -1, -1):
        if samples[place].is_good:
            following = samples[place]
        found[place] = following
    last: _Sample | None = None
    for place, sample in enumerate(samples):
        if sample.is_good:
            last = sample
        if found[place] is None:
            found[place] = last
    return found
