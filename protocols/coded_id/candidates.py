"""Bursts that are not settled yet, and which of them may keep their pulses.

Pulses of several tags can form the code of another one. Who is right is known only when every burst
that shares those pulses has been heard, so each waits for that (half a second) and then the
strongest claim wins: bursts of confirmed runs, the longer the run the better, then bursts that
confirm a run, then those that fit their code best.
"""

import itertools
from collections.abc import Iterable
from typing import Final

from protocols.coded_id.bursts import Burst, HeardPulse, measure
from protocols.coded_id.code_book import Code
from protocols.coded_id.runs import Run
from protocols.coded_id.tolerances import NS_PER_MS

_SLOP_NS: Final = 0.5 * NS_PER_MS
_FREQUENCY_HZ: Final = 30.0
_SIGNAL_DB: Final = 3.0
"""Usual deviations of real bursts: what is larger counts against a burst."""
_FULL_STRENGTH: Final = 20
"""Bursts after which a longer run has no stronger claim."""
_TWIN_NS: Final = round(0.5 * NS_PER_MS)
"""Detectors report one pulse twice, 0.2 to 0.3 ms apart, in 165 of 712 bursts of a strong tag."""
_LONE, _CONFIRMING, _CONTINUING = 0.0, 1.0, 2.0


class Candidate:
    """Three or four pulses that may be a burst of `code`."""

    __slots__ = (
        "_burst",
        "code",
        "due_ns",
        "frequency_hz",
        "is_complete",
        "is_settled",
        "pulses",
        "slop_ns",
        "time_ns",
    )

    def __init__(
        self,
        code: Code,
        pulses: tuple[HeardPulse, ...],
        *,
        time_ns: int,
        slop_ns: int,
        due_ns: int,
    ) -> None:
        self.code = code
        self.pulses = pulses
        self.slop_ns = slop_ns
        self.time_ns = time_ns
        self.due_ns = due_ns
        self.is_complete = len(pulses) == len(code.offsets_ns)
        self.is_settled = False
        self.frequency_hz = sum([pulse.frequency_offset_hz for pulse in pulses]) / len(pulses)
        self._burst: Burst | None = None

    @property
    def gaps_ns(self) -> tuple[int, ...]:
        """The times between the pulses."""
        pulses = self.pulses
        return tuple(
            [later.time_ns - earlier.time_ns for earlier, later in itertools.pairwise(pulses)]
        )

    @property
    def cost(self) -> float:
        """Sum of squared deviations, each in units of what is usual."""
        signal = sum([pulse.signal_db for pulse in self.pulses]) / len(self.pulses)
        cost = (self.slop_ns / _SLOP_NS) ** 2
        for pulse in self.pulses:
            cost += ((pulse.frequency_offset_hz - self.frequency_hz) / _FREQUENCY_HZ) ** 2
            cost += ((pulse.signal_db - signal) / _SIGNAL_DB) ** 2
        return cost

    @property
    def burst(self) -> Burst:
        """What the pulses tell as a burst, computed once."""
        burst = self._burst
        if burst is None:
            burst = measure(self.pulses, time_ns=self.time_ns, slop_ns=self.slop_ns)
            self._burst = burst
        return burst

    def shares_pulses_with(self, other: "Candidate") -> bool:
        """Say whether both want one pulse."""
        pulses = other.pulses
        for pulse in self.pulses:  # noqa: SIM110  A generator would cost more than the loop.
            if pulse in pulses:
                return True
        return False

    def has_lost(self) -> bool:
        """Say whether a run has claimed one of the pulses."""
        for pulse in self.pulses:  # noqa: SIM110  As above.
            if pulse.claimed:
                return True
        return False

    def claim(self) -> None:
        """Let nobody else use the pulses."""
        for pulse in self.pulses:
            pulse.claimed = True

    def repeats(self, other: "Candidate", *, gap_ns: float, frequency_hz: float) -> bool:
        """Say whether one transmitter sent both, by gaps and frequency."""
        if abs(self.frequency_hz - other.frequency_hz) > frequency_hz:
            return False
        return all(
            abs(mine - its) <= gap_ns for mine, its in zip(self.gaps_ns, other.gaps_ns, strict=True)
        )


def strength(candidate: Candidate, run: Run | None, *, is_confirming: bool) -> float:
    """Return how strong a claim on its pulses a burst has."""
    if run is not None:
        length = min(run.length, _FULL_STRENGTH)
        # Three pulses of a long run outweigh a whole burst of a run that has just begun.
        return _CONTINUING + (length if candidate.is_complete else length / 2)
    return _CONFIRMING if is_confirming else _LONE


def sharing(first: Candidate, others: Iterable[Candidate]) -> list[Candidate]:
    """Return `first` and all that share pulses with it, directly or by way of another."""
    cluster = [first]
    rest = [other for other in others if other is not first and not other.is_settled]
    position = 0
    while position < len(cluster) and rest:
        member = cluster[position]
        position += 1
        joined = [other for other in rest if other.shares_pulses_with(member)]
        if joined:
            cluster += joined
            rest = [other for other in rest if other not in joined]
    return cluster


def leading(chosen: Candidate, cluster: Iterable[Candidate]) -> Candidate:
    """Return `chosen`, or the same burst begun with the earlier half of a pulse reported twice.

    The time of a burst is when its first pulse arrived, so the earlier half tells it.
    """
    twins = [
        other
        for other in cluster
        if other.code is chosen.code
        and other.is_complete
        and chosen.is_complete
        and 0 <= chosen.time_ns - other.time_ns <= _TWIN_NS
        and other.shares_pulses_with(chosen)
        and not other.has_lost()
    ]
    return min(twins, key=lambda twin: (twin.time_ns, twin.cost), default=chosen)
