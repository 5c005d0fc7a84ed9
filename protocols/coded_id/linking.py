"""Lone bursts, and how two of them confirm a run or three show an interval that is not listed."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

import msgspec

from protocols.coded_id.candidates import Candidate
from protocols.coded_id.code_book import Code, Interval
from protocols.coded_id.tolerances import NS_PER_MS, NS_PER_S, Tolerances

_RATIOS: Final = ((1, 2), (1, 3), (2, 3))
"""Distances of two earlier bursts from the latest, in intervals: at most one of three is lost."""
_SHORTEST_UNLISTED_NS: Final = NS_PER_S
"""No tag repeats faster; echoes of one burst do."""

_ALIKE_PER_WITNESS: Final = 3
"""Bursts alike but out of phase that call for one more in phase: two tags that send one code may
both be new, four are not."""


class Link(msgspec.Struct, frozen=True, eq=False):
    """Bursts that repeat at an interval."""

    earlier: tuple[Candidate, ...]
    """In time order, without the latest."""
    choices: tuple[Interval, ...]
    """The listed intervals that fit, best first; one made up for an unlisted interval."""
    interval_ns: float
    """As measured."""


def _strangers(alike: Sequence[Candidate], in_phase: Sequence[Candidate]) -> int:
    """Return how many more bursts must agree because so many alike do not.

    Two bursts that agree prove little among ten that do not: noise, or a hum, makes them up.
    """
    return (len(alike) - len(in_phase)) // _ALIKE_PER_WITNESS


class LoneBursts:
    """Bursts that wait for another one of their transmitter; bounded, the oldest go first."""

    def __init__(self, tolerances: Tolerances) -> None:
        self._tolerances = tolerances
        self._by_code: dict[Code, list[Candidate]] = {}
        self._all: OrderedDict[Candidate, None] = OrderedDict()
        self.dropped = 0
        """Bursts that made room for others before their time."""

    def __len__(self) -> int:
        return len(self._all)

    def clear(self) -> None:
        """Forget all."""
        self._by_code.clear()
        self._all.clear()

    def add(self, candidate: Candidate) -> None:
        """Keep `candidate` until its second comes or its time is over."""
        waiting = self._by_code.setdefault(candidate.code, [])
        waiting.append(candidate)
        self._all[candidate] = None
        if len(waiting) > self._tolerances.lone_bursts_per_code:
            self._drop(waiting[0])
        elif len(self._all) > self._tolerances.lone_bursts:
            self._drop(next(iter(self._all)))

    def _drop(self, candidate: Candidate) -> None:
        self.dropped += 1
        self._remove(candidate)

    def _remove(self, candidate: Candidate) -> None:
        del self._all[candidate]
        waiting = self._by_code[candidate.code]
        waiting.remove(candidate)
        if not waiting:
            del self._by_code[candidate.code]

    def remove(self, candidates: Iterable[Candidate]) -> None:
        """Forget those that have found their run."""
        for candidate in candidates:
            self._remove(candidate)

    def forget_before(self, now_ns: int) -> None:
        """Forget whose time is over, oldest first; called now and then."""
        while self._all:
            oldest = next(iter(self._all))
            if now_ns - oldest.time_ns <= oldest.code.silence_ns:
                break
            self._remove(oldest)

    def _alike(self, latest: Candidate) -> list[Candidate]:
        """Return the earlier bursts of the same transmitter, newest first; forget lost ones."""
        waiting = self._by_code.get(latest.code)
        if not waiting:
            return []
        horizon_ns = latest.time_ns - latest.code.silence_ns
        gone = [one for one in waiting if one.time_ns < horizon_ns or one.has_lost()]
        self.remove(gone)
        gap_ns = self._tolerances.repeat_gap_ms * NS_PER_MS
        alike = [
            one
            for one in self._by_code.get(latest.code, ())
            if one.time_ns < latest.time_ns
            and one.repeats(
                latest, gap_ns=gap_ns, frequency_hz=self._tolerances.repeat_frequency_hz
            )
        ]
        return sorted(alike, key=lambda one: -one.time_ns)

    def _slack_ns(self, since_ns: float) -> float:
        return (
            self._tolerances.interval_ms * NS_PER_MS + since_ns * self._tolerances.drift_ppm * 1e-6
        )

    def _fits(self, since_ns: int, interval_ns: float) -> bool:
        intervals = round(since_ns / interval_ns)
        return intervals >= 1 and (
            abs(since_ns - intervals * interval_ns) <= self._slack_ns(since_ns)
        )

    def _fitting(self, code: Code, since_ns: int) -> list[Interval]:
        return [
            interval
            for interval in code.intervals
            if since_ns <= self._tolerances.silence_ns(interval.interval_ns)
            and self._fits(since_ns, interval.interval_ns)
        ]

    def link(self, latest: Candidate) -> Link | None:
        """Return the run that `latest` confirms together with earlier bursts, or None.

        Where the distance of two bursts fits several intervals of the list, a third one must
        agree; then the interval with the fewest missed bursts is taken.
        """
        alike = self._alike(latest)
        for earlier in alike:
            since_ns = latest.time_ns - earlier.time_ns
            fitting = self._fitting(latest.code, since_ns)
            if not fitting:
                continue
            counts = {round(since_ns / interval.interval_ns) for interval in fitting}
            if len(counts) > 1:
                fitting = self._agreed(fitting, latest, earlier, alike)
                if not fitting:
                    continue
            fewest = min(round(since_ns / interval.interval_ns) for interval in fitting)
            interval_ns = since_ns / fewest
            choices = [
                interval for interval in fitting if round(since_ns / interval.interval_ns) == fewest
            ]
            choices.sort(key=lambda interval: abs(interval.interval_ns - interval_ns))
            in_phase = self._in_phase(latest, alike, interval_ns)
            if len(in_phase) > _strangers(alike, in_phase):
                return Link(in_phase, tuple(choices), interval_ns)
        return None

    def _agreed(
        self,
        fitting: list[Interval],
        latest: Candidate,
        earlier: Candidate,
        alike: list[Candidate],
    ) -> list[Interval]:
        for third in alike:
            if third is earlier:
                continue
            apart_ns = abs(earlier.time_ns - third.time_ns)
            agreed = [
                interval
                for interval in fitting
                if self._fits(latest.time_ns - third.time_ns, interval.interval_ns)
                and self._fits(apart_ns, interval.interval_ns)
            ]
            if agreed:
                return agreed
        return []

    def _in_phase(
        self, latest: Candidate, alike: list[Candidate], interval_ns: float
    ) -> tuple[Candidate, ...]:
        taken: dict[int, Candidate] = {}
        for one in alike:
            since_ns = latest.time_ns - one.time_ns
            if self._fits(since_ns, interval_ns):
                taken.setdefault(round(since_ns / interval_ns), one)
        return tuple(taken[count] for count in sorted(taken, reverse=True))

    def link_unlisted(self, latest: Candidate) -> Link | None:
        """Return the unlisted interval at which `latest` and two or more before it repeat."""
        alike = self._alike(latest)
        if len(alike) + 1 < self._tolerances.mismatch_bursts:
            return None
        for nearer, farther in combinations(alike, 2):
            near_ns = latest.time_ns - nearer.time_ns
            far_ns = latest.time_ns - farther.time_ns
            for near_count, far_count in _RATIOS:
                interval_ns = far_ns / far_count
                if (
                    interval_ns < _SHORTEST_UNLISTED_NS
                    or abs(near_ns - near_count * interval_ns) > self._slack_ns(near_ns)
                    or self._fitting(latest.code, near_ns)
                    or self._fitting(latest.code, far_ns)
                ):
                    continue
                earlier = self._in_phase(latest, alike, interval_ns)
                needed = self._tolerances.mismatch_bursts + _strangers(alike, earlier)
                if len(earlier) + 1 >= needed:
                    code = latest.code
                    unlisted = Interval(round(interval_ns), code.tag_ids, code.labels)
                    return Link(earlier, (unlisted,), interval_ns)
        return None
