"""Pulses as an antenna heard them, and what four of them tell when they are one burst.

The statistics are those of find_tags (both programs), with the unit in each name:

    frequency_offset_hz   mean f
    frequency_sd_hz       sqrt((n Σf² - (Σf)²) / (n (n - 1)))
    signal_db             10 log10 mean P,  P = 10^(signal / 10)
    signal_sd_percent     100 sd(P) / mean(P): a percentage, not decibels
    noise_db              10 log10 mean 10^(noise / 10)
    slop_ms               Σ |observed gap - listed gap|   (find_tags writes seconds)
    interval error         fmod(first pulse - last pulse of the previous burst, BI) - g4 with
                          g4 = BI - (g1 + g2 + g3)        (see `runs`; find_tags: seconds)

Source: find_tags, `Tag_Candidate::dump_bogus_burst` and `Bounded_Range`; its documentation of the
columns freq.sd, sig.sd, slop and burst.slop.
"""

from math import log10, sqrt
from typing import Final

import msgspec

from protocols.coded_id.tolerances import NS_PER_MS
from protocols.records import Pulse

_LOUDEST_DB: Final = 1000.0
"""Levels beyond this, and what is not a number, are no measurements."""


class HeardPulse(msgspec.Struct, eq=False, gc=False):
    """One pulse of one antenna with its time stamp."""

    time_ns: int
    """UTC, nanoseconds since 1970: of the pulse, not of its arrival."""
    frequency_offset_hz: float
    signal_db: float
    noise_db: float | None = None
    origin: object = None
    """Whatever the caller wants to find again in `Burst.pulses`: the record, a row's number…"""
    claimed: bool = False
    """Set by the decoder once the pulse belongs to a run: no other burst may use it."""

    @classmethod
    def of(cls, time_ns: int, pulse: Pulse) -> "HeardPulse":
        """Return `pulse`, stamped; the record stays reachable as `origin`."""
        return cls(time_ns, pulse.frequency_offset_hz, pulse.signal_db, pulse.noise_db, pulse)


class Burst(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """Three or four pulses whose gaps fit a code."""

    time_ns: int
    """Of the first pulse; computed from the second where the first was lost."""
    pulse_count: int
    """4, or 3 for a burst that continues a confirmed run although one pulse was lost."""
    pulses: tuple[HeardPulse, ...]
    frequency_offset_hz: float
    frequency_sd_hz: float
    signal_db: float
    signal_sd_percent: float
    noise_db: float | None
    slop_ms: float

    def measurements(self, interval_error_ms: float | None = None) -> dict[str, float | int]:
        """Return what a detection's `measurements` tell of the burst; absent is left out."""
        told: dict[str, float | int] = {
            "pulse_count": self.pulse_count,
            "signal_db": self.signal_db,
            "signal_sd_percent": self.signal_sd_percent,
            "frequency_sd_hz": self.frequency_sd_hz,
            "slop_ms": self.slop_ms,
        }
        if self.noise_db is not None:
            told["noise_db"] = self.noise_db
        if interval_error_ms is not None:
            told["interval_error_ms"] = interval_error_ms
        return told


def _mean_level(levels_db: list[float | None]) -> float | None:
    powers = [
        10.0 ** (level * 0.1)
        for level in levels_db
        if level is not None and -_LOUDEST_DB < level < _LOUDEST_DB
    ]
    return 10.0 * log10(sum(powers) / len(powers)) if powers else None


def measure(pulses: tuple[HeardPulse, ...], *, time_ns: int, slop_ns: int) -> Burst:
    """Return the burst that `pulses` (three or four, in time order) are."""
    count = len(pulses)
    frequencies = [pulse.frequency_offset_hz for pulse in pulses]
    powers = [10.0 ** (pulse.signal_db * 0.1) for pulse in pulses]
    frequency = sum(frequencies) / count
    power = sum(powers) / count
    # Deviations from the mean: the sums of squares of find_tags cancel where they are large.
    frequency_squares = power_squares = 0.0
    for value in frequencies:
        off = value - frequency
        frequency_squares += off * off
    for value in powers:
        off = value / power - 1.0
        power_squares += off * off
    return Burst(
        time_ns=time_ns,
        pulse_count=count,
        pulses=pulses,
        frequency_offset_hz=frequency,
        frequency_sd_hz=sqrt(frequency_squares / (count - 1)),
        signal_db=10.0 * log10(power),
        signal_sd_percent=100.0 * sqrt(power_squares / (count - 1)),
        noise_db=_mean_level([pulse.noise_db for pulse in pulses]),
        slop_ms=slop_ns / NS_PER_MS,
    )
