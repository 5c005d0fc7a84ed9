"""Pulses as an antenna heard them, and what four of them tell when they are one burst.

The statistics are those of find_tags (both programs), with the unit in each name:

    frequency_offset_hz   mean f
    frequency_sd_hz       sqrt((n Σf² - (Σf)²) / (n (n - 1)))
    signal_db             10 log10 mean P,  P = 10^(signal / 10)
    signal_sd_percent     100 sd(P) / mean(P): a percentage, not decibels
    noise_db              10 log10 mean 10^(noise / 10)
    slop_ms               Σ |observed gap - listed gap|   (find_tags writes seconds)
    interval_error_ms     fmod(first pulse - last pulse of the previous burst, BI) - g4, with
                          g4 = BI - (g1 + g2 + g3)        (find_tags writes seconds)

Source: find_tags, `Tag_Candidate::dump_bogus_burst` and `Bounded_Range`; its documentation of the
columns freq.sd, sig.sd, slop and burst.slop.
"""

from math import log10, sqrt

import msgspec

from protocols.coded_id.tolerances import NS_PER_MS
from protocols.records import Pulse


class HeardPulse(msgspec.Struct, eq=False):
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


class Burst(msgspec.Struct, frozen=True, kw_only=True, eq=False):
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
    interval_error_ms: float | None = None
    """None for the first burst of a run and for a burst of no run."""


def _root_of_variance(values: list[float], mean: float) -> float:
    return sqrt(sum([(value - mean) ** 2 for value in values]) / (len(values) - 1))


def measure(pulses: tuple[HeardPulse, ...], *, time_ns: int, slop_ns: int) -> Burst:
    """Return the burst that `pulses` (three or four, in time order) are."""
    count = len(pulses)
    frequencies = [pulse.frequency_offset_hz for pulse in pulses]
    powers = [10.0 ** (pulse.signal_db * 0.1) for pulse in pulses]
    noises = [
        10.0 ** (pulse.noise_db * 0.1)
        for pulse in pulses
        if pulse.noise_db is not None and -1000.0 < pulse.noise_db < 1000.0  # noqa: PLR2004
    ]
    frequency = sum(frequencies) / count
    power = sum(powers) / count
    return Burst(
        time_ns=time_ns,
        pulse_count=count,
        pulses=pulses,
        frequency_offset_hz=frequency,
        frequency_sd_hz=_root_of_variance(frequencies, frequency),
        signal_db=10.0 * log10(power),
        signal_sd_percent=100.0 * _root_of_variance(powers, power) / power,
        noise_db=10.0 * log10(sum(noises) / len(noises)) if noises else None,
        slop_ms=slop_ns / NS_PER_MS,
    )
