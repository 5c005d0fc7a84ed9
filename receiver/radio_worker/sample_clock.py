"""When a sample was: by its number, on the host's clock, for ever.

Samples come at the pace of the stick's crystal, up to 100 ppm off, and arrive late: a stick hands
them over in portions of half a second, and a busy processor reads them later still. What can be
trusted is that no sample arrives before it was made. So of each second the arrival with the
smallest lag counts (its lag: arrival less what its number says); the smallest lags of a minute lie
on a line, whose slope is the crystal's error, and the line that no arrival is below tells the time:

    lag │      ·        ·            · arrivals, late by any amount
        │ ·  ·     ·  ·    · ·   ·
        │________·_____________·____ the line: nothing arrives sooner
        └──────────────────────────── sample number

What is told follows that line by turning, never by jumping, so that gaps between pulses stay right
to 0.2 ms. It jumps (`steps`) where it is wrong by more than `STEP_NS`: when samples were lost on
the way, every later one has a larger lag; when that has lasted some seconds without exception it is
no delay, and what is missing is counted (`samples_lost`). The smallest lag itself, some
milliseconds of USB, is not known and stays in the times.
"""

from bisect import bisect_right
from collections import deque
from itertools import combinations
from statistics import median
from typing import Final, NamedTuple

_NS_PER_S: Final = 1_000_000_000
STEP_NS: Final = 20_000_000
"""A larger error is corrected at once."""
_SETTLES_NS: Final = 2 * _NS_PER_S
"""So long after the first arrival the line is simply the smallest lag: a stick's first portions."""
_BUCKET_NS: Final = _NS_PER_S
"""A stick's portions are complete about twice a second."""
_BUCKETS: Final = 60
_GROUP: Final = 5
"""Seconds that together give one point for the slope."""
_POINTS_FOR_A_SLOPE: Final = 4
_LOST_BUCKETS: Final = 4
"""So many seconds in a row in which everything was late: samples were lost."""
_MOST_PPM: Final = 200.0
_TURN_PPM: Final = 300.0
"""How much faster or slower than the samples the time told may run: 0.15 ms in half a second."""
_PIECES: Final = 32
"""Seconds of the past whose times are told as they were told then."""


class _Point(NamedTuple):
    """The smallest lag of a second, and the sample that had it."""

    sample: int
    lag_ns: float


class _Piece(NamedTuple):
    """From a sample on, the lag that is told."""

    sample: int
    lag_ns: float
    slope: float
    """Nanoseconds of lag for each sample."""

    def at(self, sample: float) -> float:
        return self.lag_ns + (sample - self.sample) * self.slope


class SampleClock:
    """The time of each sample of one stream; samples are counted from 0."""

    def __init__(self, rate_hz: float) -> None:
        self.steps = 0
        """Jumps of the time told, those after lost samples included."""
        self.samples_lost = 0
        """As their absence shows, in whole samples of the rate."""
        self._period_ns = _NS_PER_S / rate_hz
        self._first_mono_ns: int | None = None
        self._buckets: deque[_Point] = deque(maxlen=_BUCKETS)
        self._bucket: _Point | None = None
        self._bucket_ends_ns = 0
        self._slope = 0.0
        self._pieces: deque[_Piece] = deque(maxlen=_PIECES)

    @property
    def is_settled(self) -> bool:
        """Whether times are as good as they get; before that they may be half a second late."""
        return self._first_mono_ns is not None and bool(self._buckets)

    @property
    def crystal_ppm(self) -> float:
        """How much faster the samples come than their rate says, as `rtl_test -p` counts it."""
        return -self._slope / self._period_ns * 1e6

    def arrived(self, samples: int, mono_ns: int) -> None:
        """Tell that a read at `mono_ns` ended with sample number `samples` (all until then)."""
        point = _Point(samples, mono_ns - samples * self._period_ns)
        if self._first_mono_ns is None:
            self._first_mono_ns = mono_ns
            self._bucket_ends_ns = mono_ns + _SETTLES_NS
        if self._bucket is None or point.lag_ns < self._bucket.lag_ns:
            self._bucket = point
        if not self._buckets:
            self._pieces.clear()
            self._pieces.append(_Piece(0, self._bucket.lag_ns, 0.0))
        if mono_ns >= self._bucket_ends_ns:
            self._bucket_ends_ns = mono_ns + _BUCKET_NS
            self._buckets.append(self._bucket)
            self._bucket = None
            self._turn(samples)

    def mono_ns(self, sample: float) -> int:
        """Return when a sample was, by CLOCK_BOOTTIME; call it once something has arrived."""
        place = bisect_right(self._pieces, sample, key=lambda piece: piece.sample) - 1
        piece = self._pieces[max(0, place)]
        return round(sample * self._period_ns + piece.at(sample))

    def _turn(self, sample: int) -> None:
        """Follow the line from this sample on."""
        if self._is_lost(sample):
            return
        self._slope = self._measured_slope()
        goal_ns = self._least(sample)
        told_ns = self._pieces[-1].at(sample)
        if abs(goal_ns - told_ns) > STEP_NS:
            self._step(sample, goal_ns)
            return
        rate_ns = _BUCKET_NS / self._period_ns
        most = _TURN_PPM * 1e-6 * self._period_ns
        turn = (goal_ns - told_ns) / rate_ns
        slope = self._slope + max(-most, min(most, turn))
        self._pieces.append(_Piece(sample, told_ns, slope))

    def _is_lost(self, sample: int) -> bool:
        """Notice that samples are missing, and begin anew behind the gap."""
        recent = list(self._buckets)[-_LOST_BUCKETS:]
        if len(self._buckets) <= _LOST_BUCKETS:
            return False
        told = self._pieces[-1]
        excess_ns = min(point.lag_ns - told.at(point.sample) for point in recent)
        if excess_ns <= STEP_NS:
            return False
        self.samples_lost += round(excess_ns / self._period_ns)
        self._buckets.clear()
        self._buckets.extend(recent)
        self._step(sample, self._least(sample))
        return True

    def _step(self, sample: int, lag_ns: float) -> None:
        self.steps += 1
        told = self._pieces[-1].at(sample)
        if lag_ns < told:
            # Sooner than thought: what was known before is void.
            newest = self._buckets[-1]
            self._buckets.clear()
            self._buckets.append(newest)
        self._pieces.append(_Piece(sample, lag_ns, self._slope))

    def _least(self, sample: int) -> float:
        """Return the lag at a sample by the line that no arrival is below."""
        return min(point.lag_ns + (sample - point.sample) * self._slope for point in self._buckets)

    def _measured_slope(self) -> float:
        """Return the crystal's error as nanoseconds a sample: the median slope between points."""
        buckets = list(self._buckets)
        points = []
        for begin in range(0, len(buckets) - _GROUP + 1, _GROUP):
            group = buckets[begin : begin + _GROUP]
            points.append(min(group, key=lambda each: each.lag_ns - each.sample * self._slope))
        if len(points) < _POINTS_FOR_A_SLOPE:
            return self._slope
        most = _MOST_PPM * 1e-6 * self._period_ns
        slopes = (
            (later.lag_ns - sooner.lag_ns) / (later.sample - sooner.sample)
            for sooner, later in combinations(points, 2)
        )
        return max(-most, min(most, median(slopes)))
