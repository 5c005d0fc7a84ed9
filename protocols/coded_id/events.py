"""What an antenna's decoder tells, in the order in which it comes to know it."""

from typing import TypeAlias

import msgspec

from protocols.coded_id.bursts import Burst


class BurstSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Four pulses fit a code: told at once, before anything confirms it."""

    burst: Burst
    tag_ids: tuple[str, ...]
    """Every listed tag of that code, whatever its interval."""
    run: int | None = None
    """The open run that it would continue; None for a burst that stands alone so far."""


class RunOpened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bursts repeat as a listed tag would send them: a run is confirmed."""

    run: int
    """Numbered from 1 by this decoder, never reused."""
    tag_ids: tuple[str, ...]
    """More than one where the list holds tags that cannot be told apart."""
    labels: tuple[str, ...]
    """`project#id@MHz:interval` of the same tags."""
    bursts: tuple[Burst, ...]
    """Two or more, in time order; all of them are now detections."""
    interval_errors_ms: tuple[float | None, ...]
    """One a burst; None for the first."""


class RunContinued(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One more burst of an open run."""

    run: int
    tag_ids: tuple[str, ...]
    """May shrink as a longer run tells like intervals apart."""
    burst: Burst
    interval_error_ms: float
    """Distance from the previous burst, less the listed intervals between them."""
    run_length: int
    """Bursts of the run so far, this one included."""
    missed_bursts: int
    """Bursts that the run should have had so far and did not."""


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run has been silent for too long."""

    run: int
    tag_ids: tuple[str, ...]
    first_ns: int
    last_ns: int
    run_length: int
    complete_bursts: int
    """Of these, bursts with all four pulses."""
    missed_bursts: int
    interval_s: float
    """As measured over the run."""
    listed_interval_s: float
    worst_interval_error_ms: float


class IntervalMismatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A code is heard at an interval that the list does not have: told once, then hourly."""

    tag_ids: tuple[str, ...]
    labels: tuple[str, ...]
    measured_interval_s: float
    listed_intervals_s: tuple[float, ...]
    bursts: tuple[Burst, ...]
    """The latest ones that show it."""
    burst_count: int


class ClockStepped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Time stamps went back: all runs have ended, the search begins anew."""

    from_ns: int
    to_ns: int


Event: TypeAlias = BurstSeen | RunOpened | RunContinued | RunEnded | IntervalMismatch | ClockStepped
