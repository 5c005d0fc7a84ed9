"""A receiver's uptime told in the host's time, drift corrected.

A frame arrives some time after what it tells of: never before. So each arrival bounds the host's
time of an uptime from above, and each TIME token, which the receiver cannot have echoed before it
was sent, bounds it from below. The receiver's clock is a straight line between the two for half an
hour (an outdoor crystal changes its rate by some 0.02 ppm a minute, 0.2 ms in that window); the
line along the lowest arrivals forgets every late one. Where both bounds exist, the truth lies
midway as far as the shortest ways there and back take equally long.

Source of the method: Moon, Skelly and Towsley, "Estimation and removal of clock skew from network
delay measurements", IEEE INFOCOM 1999.
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from protocols.station_link.sequence import REORDER_US

BUCKET_US: Final = 60_000_000
BUCKETS: Final = 32
"""One arrival and one token are kept for each of the last 32 minutes that had any: 64 points."""

MAX_DRIFT: Final = 500e-6
"""The crystals of such boards are off by 10 to 100 ppm; five times that leaves room for the host's
own and for the cold. It bounds what a buffer that lets its frames go all at once looks like."""

MIN_SPAN_NS: Final = 150e9
"""Below this span 20 ms of jitter look like more than 100 ppm of drift: the last drift is kept."""

JUMP_NS: Final = 50e6
"""Bounds that cross by more than drift and jitter can explain tell of an uptime that jumped (a
sleep that stopped it): what was known before is forgotten."""

SLACK_PER_SCATTER: Final = 2.0
"""Of n waiting times spread evenly from 0 to J the median lies J/2, the least J/(n+1) above 0: the
least is off by twice the scatter over n."""

MAX_SLACK_NS: Final = 5e6
"""Twice 20 ms over eight points; more scatter than that is a buffer being emptied, not jitter."""

MIN_TOKEN_BUCKETS: Final = 8
"""With fewer tokens the lower bound is too loose to say how long a way takes."""

WAYS_AVERAGED: Final = 64
"""How long a way takes at least is a property of the link: it is averaged over an hour or so."""

MAX_ROUND_TRIP_NS: Final = 10_000_000_000
"""An echo older than this is of an earlier connection."""

_NS_PER_US: Final = 1000


class _Point(NamedTuple):
    elapsed_ns: float
    """Uptime since the boot's first frame."""
    lag_ns: float
    """Host time since that frame, less `elapsed_ns`."""


class _Bounds:
    """The tightest point of each bucket on one side: `sign` 1 bounds from above, -1 from below."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._points: dict[int, _Point] = {}
        self.samples = 0

    def add(self, bucket: int, point: _Point, drift: float) -> bool:
        """Take a point, tell whether it is the tightest of its bucket."""
        self.samples += 1
        known = self._points.get(bucket)
        if known and self._excess(point, drift) >= self._excess(known, drift):
            return False
        self._points[bucket] = point
        return True

    def forget_before(self, bucket: int) -> None:
        for old in [known for known in self._points if known < bucket]:
            del self._points[old]

    def _excess(self, point: _Point, drift: float) -> float:
        return self._sign * (point.lag_ns - drift * point.elapsed_ns)

    def __len__(self) -> int:
        return len(self._points)

    def span_ns(self) -> float:
        elapsed = [point.elapsed_ns for point in self._points.values()]
        return max(elapsed) - min(elapsed) if elapsed else 0.0

    def drift(self) -> float:
        """Return the slope of the line along this side's points that is tightest over all."""
        mirrored = [_Point(p.elapsed_ns, self._sign * p.lag_ns) for p in self._points.values()]
        left, right = _edge_below_centre(sorted(mirrored))
        slope = self._sign * (right.lag_ns - left.lag_ns) / (right.elapsed_ns - left.elapsed_ns)
        return max(-MAX_DRIFT, min(MAX_DRIFT, slope))

    def tightest(self, drift: float) -> float:
        """Return the lag at elapsed 0 of the line with this drift that touches the points."""
        return self._sign * min(self._excess(point, drift) for point in self._points.values())

    def offset(self, drift: float) -> float:
        """Return the lag at elapsed 0 of the line with this drift along the tightest points.

        The points still stand off the truth by what the quickest way took, and by a little more
        that grows with their scatter and shrinks with their number; that little is taken off.
        """
        excesses = [self._excess(point, drift) for point in self._points.values()]
        tightest = min(excesses)
        scatter = statistics.median_low(excesses) - tightest
        slack = min(SLACK_PER_SCATTER * scatter / len(excesses), MAX_SLACK_NS)
        return self._sign * (tightest - slack)


def _edge_below_centre(points: Sequence[_Point]) -> tuple[_Point, _Point]:
    """Return the edge of the lower convex hull that spans the mean of the points."""
    hull: list[_Point] = []
    for point in points:
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    centre = sum(point.elapsed_ns for point in points) / len(points)
    for left, right in itertools.pairwise(hull):
        if right.elapsed_ns >= centre:
            return left, right
    return hull[-2], hull[-1]


def _turns_right(first: _Point, second: _Point, third: _Point) -> bool:
    return (second.lag_ns - first.lag_ns) * (third.elapsed_ns - first.elapsed_ns) >= (
        third.lag_ns - first.lag_ns
    ) * (second.elapsed_ns - first.elapsed_ns)


class UptimeClock:
    """Maps `uptime_us` of one receiver to nanoseconds of the host's monotonic clock.

    Feed it each HELLO (`boot_count`), each TIME echo (`echoed`) and each other frame (`heard`), but
    none that `SequenceCounter` calls `repeated` or `late`: their uptime is of long ago. What it
    calls `boot` is a `begin_boot` here. Memory is bounded by `BUCKETS`.

    Half an hour after the first frame it is within 1 ms, where a frame a second comes with up to
    20 ms of jitter and 50 ppm of drift, and a token goes out every ten to sixty seconds.
    """

    def __init__(self) -> None:
        self.boots = 0
        """Boots seen after the first frame."""
        self.jumps = 0
        """Times that the uptime jumped within a boot."""
        self._latest = (0, 0)
        self._way_ns = 0.0
        self._way_bucket = 0
        self._ways_averaged = 0
        self.drift = 0.0
        """By how much the host's clock runs faster than the receiver's: 50e-6 is 50 ppm. It
        outlives a boot, since the crystal does."""
        self._boot_count: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._origin: tuple[int, int] | None = None
        self._newest_uptime_us = 0
        self._arrivals = _Bounds(1)
        self._tokens = _Bounds(-1)
        self._offset_ns: float | None = None

    def _forget_jump(self) -> None:
        uptime_us, host_ns = self._latest
        self.jumps += 1
        self._forget()
        self._bound(self._arrivals, uptime_us, host_ns)

    def begin_boot(self) -> None:
        """Forget the mapping: the receiver's uptime began again."""
        if self._origin is not None:
            self.boots += 1
        self._forget()

    def boot_count(self, boot_count: int) -> None:
        """Take the boot count of a HELLO, before `heard` for the same frame."""
        if self._boot_count not in {None, boot_count}:
            self.begin_boot()
        self._boot_count = boot_count

    def heard(self, uptime_us: int, host_ns: int) -> None:
        """Take a frame's uptime and when its last byte arrived.

        An uptime that went back by more than a second is a new boot.
        """
        if uptime_us + REORDER_US < self._newest_uptime_us:
            self.begin_boot()
        self._latest = (uptime_us, host_ns)
        self._bound(self._arrivals, uptime_us, host_ns)

    @property
    def is_settled(self) -> bool:
        """Whether a frame that came late can be told from one that came at once.

        A token has come back in this boot, or frames came for so long that some were quick.
        """
        return len(self._tokens) > 0 or self._arrivals.span_ns() >= MIN_SPAN_NS

    @staticmethod
    def token(host_ns: int) -> int:
        """Return the token of a TIME frame that goes out now: the host's time itself."""
        return host_ns

    def echoed(self, token: int, uptime_us: int, host_ns: int) -> None:
        """Take an echoed TIME frame, instead of `heard`; a token that cannot be ours is unused."""
        self.heard(uptime_us, host_ns)
        if 0 <= host_ns - token <= MAX_ROUND_TRIP_NS:
            self._bound(self._tokens, uptime_us, token)

    def _bound(self, bounds: _Bounds, uptime_us: int, host_ns: int) -> None:
        if self._origin is None:
            self._origin = (uptime_us, host_ns)
        first_us, first_ns = self._origin
        elapsed_ns = (uptime_us - first_us) * _NS_PER_US
        point = _Point(elapsed_ns, host_ns - first_ns - elapsed_ns)
        bucket = uptime_us // BUCKET_US
        if bounds.add(bucket, point, self.drift):
            self._arrivals.forget_before(bucket - BUCKETS + 1)
            self._tokens.forget_before(bucket - BUCKETS + 1)
            self._offset_ns = None
        self._newest_uptime_us = max(self._newest_uptime_us, uptime_us)

    def host_ns(self, uptime_us: int) -> int | None:
        """Return the host's time at this uptime of the present boot; None before any frame."""
        if self._origin is None:
            return None
        if self._offset_ns is None:
            self._offset_ns = self._fit()
        first_us, first_ns = self._origin  # The fit may have moved it.
        elapsed_ns = (uptime_us - first_us) * _NS_PER_US
        return first_ns + elapsed_ns + round(self._offset_ns + self.drift * elapsed_ns)

    def _fit(self) -> float:
        self.drift = _mean_drift((self._arrivals, self._tokens), self.drift)
        if len(self._tokens) and (
            self._tokens.tightest(self.drift) > self._arrivals.tightest(self.drift) + JUMP_NS
        ):
            self._forget_jump()
        latest = self._arrivals.offset(self.drift)
        newest_bucket = self._newest_uptime_us // BUCKET_US
        if len(self._tokens) >= MIN_TOKEN_BUCKETS and newest_bucket != self._way_bucket:
            self._way_bucket = newest_bucket
            way_ns = max(0.0, latest - self._tokens.offset(self.drift)) / 2
            self._ways_averaged = min(self._ways_averaged + 1, WAYS_AVERAGED)
            self._way_ns += (way_ns - self._way_ns) / self._ways_averaged
        return latest - self._way_ns


def _mean_drift(sides: Iterable[_Bounds], last: float) -> float:
    known = [(side.drift(), side.samples) for side in sides if side.span_ns() >= MIN_SPAN_NS]
    weight = sum(samples for _, samples in known)
    return sum(drift * samples for drift, samples in known) / weight if weight else last
