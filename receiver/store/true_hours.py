"""Which hour an hour's counts belong to: one that was counted by a wrong clock is moved.

A row of `activity` has the hour as the system clock had it, and a session whose first eight letters
are those of the boot. The boot's clock sample next to that hour says whether the clock was right
then; if not, the boot's good sample next to that one says by how much it was off. An hour is moved
by whole hours, to the nearest. A boot that never had a good sample stays where it is.
"""

import bisect
from collections.abc import Iterable
from typing import Final

import msgspec

BOOT_LETTERS: Final = 8
_HOUR_NS: Final = 3600 * 10**9


class SampledClock(msgspec.Struct, frozen=True):
    """One pair of a boot's two clocks."""

    boot: str
    mono_ns: int
    utc_ns: int
    is_good: bool


class _Boot:
    def __init__(self, samples: list[SampledClock]) -> None:
        self._samples = sorted(samples, key=_utc)
        self._times_ns = [sample.utc_ns for sample in self._samples]
        self._good = [sample for sample in samples if sample.is_good]

    def shift_ns(self, hour_ns: int) -> int:
        middle_ns = hour_ns + _HOUR_NS // 2
        place = bisect.bisect_left(self._times_ns, middle_ns)
        near = self._samples[max(0, place - 1) : place + 1]
        sample = min(near, key=lambda each: abs(each.utc_ns - middle_ns))
        if not self._good:
            return 0
        good = min(self._good, key=lambda each: abs(each.mono_ns - sample.mono_ns))
        return good.utc_ns - good.mono_ns - (sample.utc_ns - sample.mono_ns)


class TrueHours:
    """Answers for every session of a store."""

    def __init__(self, samples: Iterable[SampledClock]) -> None:
        by_boot: dict[str, list[SampledClock]] = {}
        for sample in samples:
            by_boot.setdefault(sample.boot[:BOOT_LETTERS], []).append(sample)
        self._boots = {
            boot: _Boot(samples)
            for boot, samples in by_boot.items()
            if not all(sample.is_good for sample in samples)
        }

    def of(self, session: str, hour_utc_s: int) -> int:
        """Return the hour (its first second, UTC) that a session's hour really was."""
        boot_letters, dash, _ = session.partition("-")
        boot = self._boots.get(boot_letters) if dash else None
        if boot is None:
            return hour_utc_s
        hour_ns = hour_utc_s * 10**9
        true_ns = hour_ns + boot.shift_ns(hour_ns) + _HOUR_NS // 2
        return true_ns // _HOUR_NS * 3600


def _utc(sample: SampledClock) -> int:
    return sample.utc_ns
