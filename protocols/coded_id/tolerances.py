"""How far pulses, bursts and runs may differ from the tag list, and how much is searched.

Sources: find_tags (jbrzusto/find_tags, motusWTS/find_tags) for the customary limits; measured on
public SensorGnome recordings of 2017 and 2021 (839 bursts of two real tags): gap errors up to
0.45 ms, interval errors up to 1.3 ms, frequencies of one burst within 111 Hz of each other, levels
within 5.2 dB.
"""

from typing import Final

import msgspec

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


class Tolerances(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one antenna's decoder; the defaults meet the published field files."""

    gap_ms: float = 1.5
    """Half width around each gap of the code. Codes differ by 4.88 ms at least: never above 2.4."""
    frequency_range_hz: float = 200.0
    """Largest minus smallest frequency within a burst. Accidental bursts grow with its third power,
    weak tags scatter: 100 loses bursts of weak tags, 2000 is what find_tags allows."""
    signal_range_db: float = 10.0
    """Largest minus smallest signal within a burst, as in find_tags."""
    repeat_gap_ms: float = 0.75
    """Two bursts of one transmitter repeat each other's gaps more exactly than the list does."""
    repeat_frequency_hz: float = 120.0
    """How far the mean frequencies of two bursts may lie apart to begin a run."""
    follow_frequency_hz: float = 200.0
    """How far a burst's mean frequency may lie from the one that its run follows."""
    interval_ms: float = 4.0
    """Error of the list's burst interval, as in the Motus production settings."""
    phase_ms: float = 3.0
    """Error of a confirmed run's prediction, whose interval is measured and not the list's."""
    drift_ppm: float = 60.0
    """Both grow by this share of the time since the last burst: crystals in sun and frost."""
    silence_intervals: int = 20
    """A run ends after this many intervals without a burst…"""
    silence_least_s: float = 60.0
    silence_most_s: float = 300.0
    """…but not sooner than the first, and not later than the second (and than five intervals)."""
    lateness_s: float = 0.5
    """A pulse that is stamped earlier than the newest one by up to this is put in its place; what
    is later still is counted and left out. Everything but `BurstSeen` waits for it."""
    clock_step_s: float = 10.0
    """A pulse earlier than the allowed lateness by more than this says that the clock was stepped
    back (Motus drops what goes back more than 10 s)."""
    mismatch_bursts: int = 3
    """Equally spaced bursts of a code that make "interval does not match the list"."""

    search_pulses: int = 32
    """Pulses of like frequency and level within one burst's length that are searched through, at
    most: 32 cost about 0.1 ms a pulse. A colony of 200 tags (82 pulses/s over 3 kHz) puts 6
    there."""
    accidents_per_pulse: float = 0.05
    """Accidental bursts that a search may be expected to find; where more would come, it is
    narrowed. With N codes, n pulses in the time T and gaps accepted over w: N (n w / T)³, the
    formula of accidental bursts for one last pulse."""
    bursts_per_pulse: int = 8
    """Codes that one pulse may complete at once."""
    held_pulses: int = 8192
    """Pulses waiting for late ones: 10 s at 800 pulses/s, about 2 MB."""
    window_pulses: int = 1024
    """Pulses within one burst's length (0.5 s): 2000 pulses/s."""
    pending_bursts: int = 128
    """Bursts waiting for their pulses' other claimants: 0.5 s at 256 accidental bursts/s."""
    lone_bursts: int = 1000
    """Bursts waiting for their second, of all codes, about 2 kB each."""
    lone_bursts_per_code: int = 12
    runs: int = 512
    """Open runs."""

    def silence_ns(self, interval_ns: int) -> int:
        """Return how long a run of tags with `interval_ns` may be silent."""
        most = max(self.silence_most_s * NS_PER_S, 5 * interval_ns)
        wanted = max(self.silence_least_s * NS_PER_S, self.silence_intervals * interval_ns)
        return round(min(most, wanted))
