"""A run: bursts of one tag at one antenna, followed by its own clock and frequency.

A confirmed run knows its tag better than the list does. Its interval is measured, so that the time
of the next burst is known to a few milliseconds even after many lost ones; its frequency follows
the tag's drift (a real tag went from 2.66 to 1.47 kHz in ten hours).
"""

from typing import Final

from protocols.coded_id.bursts import Burst
from protocols.coded_id.code_book import Code, Interval
from protocols.coded_id.tolerances import NS_PER_MS, Tolerances

_FOLLOW: Final = 0.25
"""Share of a new burst in interval and frequency: the last four or so count."""
_LONG_SPAN: Final = 5
"""Intervals after which the measured interval tells listed ones 2 ms apart."""
_CLEARLY_FARTHER_NS: Final = 2 * NS_PER_MS


class Run:
    """Bursts that follow each other as one tag sends them; changed by `take` alone."""

    __slots__ = (
        "_choices",
        "_drift",
        "_follow_hz",
        "_highest_ns",
        "_lowest_ns",
        "_phase_ns",
        "code",
        "complete",
        "due_ns",
        "expected",
        "first_ns",
        "frequency_hz",
        "interval_ns",
        "is_listed",
        "last_end_ns",
        "last_ns",
        "length",
        "listed",
        "missed",
        "number",
        "silence_ns",
        "told_ns",
        "worst_error_ms",
    )

    def __init__(
        self,
        number: int,
        code: Code,
        choices: tuple[Interval, ...],
        first: Burst,
        *,
        interval_ns: float,
        tolerances: Tolerances,
        is_listed: bool = True,
    ) -> None:
        self.number = number
        self.code = code
        self.is_listed = is_listed
        self.listed = choices[0]
        self.interval_ns = interval_ns
        self.first_ns = first.time_ns
        self.last_ns = first.time_ns
        self.last_end_ns = first.pulses[-1].time_ns
        self.frequency_hz = first.frequency_offset_hz
        self.length = 1
        self.complete = 1
        self.missed = 0
        self.worst_error_ms = 0.0
        self.silence_ns = tolerances.silence_ns(round(interval_ns))
        self.expected = 1
        """The next burst to look for, in intervals from the last one heard."""
        self.due_ns = 0
        """When that is looked for; maintained by the decoder."""
        self.told_ns = first.time_ns
        """When a mismatch was told last."""
        self._phase_ns = tolerances.phase_ms * NS_PER_MS
        self._drift = tolerances.drift_ppm * 1e-6
        self._follow_hz = tolerances.follow_frequency_hz
        self._choices = choices
        slack = tolerances.interval_ms * NS_PER_MS + interval_ns * self._drift
        self._lowest_ns = min(choice.interval_ns for choice in choices) - slack
        self._highest_ns = max(choice.interval_ns for choice in choices) + slack

    @property
    def tag_ids(self) -> tuple[str, ...]:
        """The tags that the run may be of."""
        if len(self._choices) == 1:
            return self.listed.tag_ids
        return tuple(tag for choice in self._choices for tag in choice.tag_ids)

    @property
    def labels(self) -> tuple[str, ...]:
        """Their labels."""
        return tuple(label for choice in self._choices for label in choice.labels)

    def phase_ns(self, since_ns: float) -> float:
        """Return the half width of the prediction `since_ns` after the last burst."""
        return self._phase_ns + since_ns * self._drift

    def error_ns(self, time_ns: int, frequency_hz: float) -> float | None:
        """Return how far a burst at `time_ns` is from the prediction; None if it does not fit."""
        if abs(frequency_hz - self.frequency_hz) > self._follow_hz:
            return None
        since_ns = time_ns - self.last_ns
        intervals = round(since_ns / self.interval_ns)
        if intervals < 1 or since_ns > self.silence_ns + self.interval_ns:
            return None
        error_ns = since_ns - intervals * self.interval_ns
        return error_ns if abs(error_ns) <= self._phase_ns + since_ns * self._drift else None

    def has_seen(self, time_ns: int) -> None:
        """Expect the burst after the one at `time_ns`, which fits but is not settled."""
        self.expected = max(self.expected, round((time_ns - self.last_ns) / self.interval_ns) + 1)

    def take(self, burst: Burst) -> float:
        """Append `burst`, which fits; return its interval error in ms (see `bursts`)."""
        since_ns = burst.time_ns - self.last_ns
        intervals = max(round(since_ns / self.interval_ns), 1)
        burst_ns = self.code.offsets_ns[3]
        listed_ns = self.listed.interval_ns
        error_ms = (burst.time_ns - self.last_end_ns - intervals * listed_ns + burst_ns) / NS_PER_MS
        is_complete = burst.pulse_count == len(self.code.offsets_ns)
        if is_complete:
            measured_ns = since_ns / intervals
            followed_ns = self.interval_ns + _FOLLOW * (measured_ns - self.interval_ns)
            self.interval_ns = min(max(followed_ns, self._lowest_ns), self._highest_ns)
            self.frequency_hz += _FOLLOW * (burst.frequency_offset_hz - self.frequency_hz)
            self.complete += 1
        self.last_ns = burst.time_ns
        # A burst that lost its last pulse ended when that pulse would have been heard.
        last_ns = burst.pulses[-1].time_ns
        lost_end = not is_complete and burst.time_ns + burst_ns - last_ns > burst_ns // 20
        self.last_end_ns = burst.time_ns + burst_ns if lost_end else last_ns
        self.length += 1
        self.missed += intervals - 1
        self.expected = 1
        self.worst_error_ms = max(self.worst_error_ms, abs(error_ms))
        if len(self._choices) > 1:
            self._choose()
        return error_ms

    def _choose(self) -> None:
        """Drop listed intervals that the measured one has ruled out."""
        spans = self.length + self.missed - 1
        if spans < _LONG_SPAN:
            return
        mean_ns = (self.last_ns - self.first_ns) / spans
        distances = [abs(choice.interval_ns - mean_ns) for choice in self._choices]
        limit = min(distances) + _CLEARLY_FARTHER_NS
        self._choices = tuple(
            choice
            for choice, distance in zip(self._choices, distances, strict=True)
            if distance <= limit
        )
        self.listed = min(self._choices, key=lambda choice: abs(choice.interval_ns - mean_ns))

    @property
    def mean_interval_ns(self) -> float:
        """The interval as measured from the run's first to its last burst."""
        spans = self.length + self.missed - 1
        return (self.last_ns - self.first_ns) / spans if spans else self.interval_ns

    def move_to(self, code: Code, choices: tuple[Interval, ...]) -> None:
        """Go on under a new tag list's names."""
        self.code = code
        self._choices = choices
        self.listed = choices[0]
