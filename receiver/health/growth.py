"""How fast the disk fills, from samples of the last day."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

_WINDOW_S: Final = 86_400.0
_SAMPLE_EVERY_S: Final = 600.0
_LEAST_S: Final = 3600.0
"""Before that nothing is said: a batch more or less would be megabytes a day."""
JUDGED_AFTER_S: Final = 6 * 3600.0
"""Before that no alarm is raised for it: an evening's migration is no winter."""
_DAY_S: Final = 86_400.0


class DiskSample(msgspec.Struct, frozen=True):
    """What lay on the disk at one moment of a steady clock."""

    at_s: float
    used_bytes: int
    """Pages of the store that hold something."""
    free_bytes: int
    """On the store's disk."""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """How fast, and for how long."""

    bytes_per_day: float | None = None
    """Of the store; None before an hour has passed."""
    days_left: float | None = None
    """Until nothing is free, at the store's pace or the disk's, whichever is faster; None where
    neither grows."""
    watched_s: float = 0.0
    """How long the samples reach back."""


class GrowthWatch:
    """Keeps a sample of every ten minutes of a day: 145 of them."""

    def __init__(self) -> None:
        self._samples: deque[DiskSample] = deque()

    def begin_with(self, earlier: Sequence[DiskSample]) -> None:
        """Take samples from before the start, oldest first; those from after it stay behind."""
        self._samples.extendleft(
            reversed([sample for sample in earlier if not self._after(sample)])
        )

    def _after(self, sample: DiskSample) -> bool:
        return bool(self._samples) and sample.at_s >= self._samples[0].at_s

    def take(
        self, sample: DiskSample, *, unused_bytes: int = 0, most_bytes: int | None = None
    ) -> Growth:
        """Take the sample of now; return what follows from all of them.

        The store also fills its `unused_bytes`, pages that deletions freed.
        A store that is kept to `most_bytes` does not fill a disk that has room for so much; then
        only what others write counts.
        """
        samples = self._samples
        if not samples or sample.at_s - samples[-1].at_s >= _SAMPLE_EVERY_S:
            samples.append(sample)
        while len(samples) > 1 and sample.at_s - samples[1].at_s >= _WINDOW_S:
            samples.popleft()
        first = samples[0]
        watched_s = sample.at_s - first.at_s
        if watched_s < _LEAST_S:
            return Growth(watched_s=watched_s)
        grown = (sample.used_bytes - first.used_bytes) / watched_s * _DAY_S
        shrunk = (first.free_bytes - sample.free_bytes) / watched_s * _DAY_S
        pace = max(grown, shrunk)
        room = sample.free_bytes + unused_bytes
        if most_bytes is not None and most_bytes - sample.used_bytes < room:
            pace = shrunk - max(grown, 0.0)
        return Growth(
            bytes_per_day=grown,
            days_left=room / pace if pace > 0 else None,
            watched_s=watched_s,
        )
