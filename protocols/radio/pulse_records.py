"""What a pulse that was heard in samples tells, and the record that it becomes."""

from typing import Final

import msgspec

from protocols.records import Pulse

_NS_PER_S: Final = 1_000_000_000
_US_PER_S: Final = 1_000_000
_LEVEL_DIGITS: Final = 2
_FREQUENCY_DIGITS: Final = 1


class HeardPulse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pulse in a stream of samples."""

    first_sample: float
    """Where its leading edge is, counted from the first sample that was fed."""
    frequency_offset_hz: float
    """From the frequency that the receiver is tuned to."""
    signal_dbfs: float
    """The pulse's power; 0 is a carrier of amplitude 1."""
    noise_dbfs: float
    """Noise at the pulse's frequency, in the bandwidth of the pulse: 400 Hz for 2.5 ms."""
    snr_db: float
    """Signal over noise, which is also the pulse's energy over the noise's density, E/N0."""
    width_us: int
    """How long it was, as well as it can be told: at 13 dB to a millisecond, at 30 dB to 50 us."""


def pulse_of(
    heard: HeardPulse,
    *,
    rate_hz: int,
    antenna: str | None = None,
    tuned_frequency_hz: float | None = None,
    began_ns: int = 0,
    samples_fed: int | None = None,
) -> Pulse:
    """Return the record that the coded-ID decoder takes.

    `device_time_ns` counts samples: `began_ns` is what the clock showed at the first sample fed to
    the ear. With `samples_fed`, how many have been fed by now, the record's `age_us` says how long
    before the last of them the pulse began.
    """
    age_us = None
    if samples_fed is not None:
        age_us = max(0, round((samples_fed - heard.first_sample) * _US_PER_S / rate_hz))
    # Whole samples by themselves: a float of nanoseconds is exact for three months only.
    whole = int(heard.first_sample // 1)
    part_ns = (heard.first_sample - whole) * _NS_PER_S / rate_hz
    return Pulse(
        frequency_offset_hz=round(heard.frequency_offset_hz, _FREQUENCY_DIGITS),
        tuned_frequency_hz=tuned_frequency_hz,
        signal_db=round(heard.signal_dbfs, _LEVEL_DIGITS),
        noise_db=round(heard.noise_dbfs, _LEVEL_DIGITS),
        snr_db=round(heard.snr_db, _LEVEL_DIGITS),
        width_us=heard.width_us,
        antenna=antenna,
        age_us=age_us,
        device_time_ns=began_ns + whole * _NS_PER_S // rate_hz + round(part_ns),
    )
