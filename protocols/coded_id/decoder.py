"""One antenna's decoder: pulses in, bursts and runs out. No clock, no waiting, nothing shared.

    pulses ─► order (late ones) ─► search ─► pending bursts ─► strongest claims ─► runs
                                     └─► BurstSeen at once         └─► lone bursts ─► RunOpened …

Every step is driven by the pulses' own time stamps, so that a recording and a live station give
the same events, whatever portions the pulses come in. `tick` lets that time run on while nothing is
heard. Antennas never mix: each has its own decoder, all share one `CodeBook`.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from protocols.coded_id.burst_search import find_bursts, narrowed
from protocols.coded_id.bursts import HeardPulse
from protocols.coded_id.candidates import Candidate
from protocols.coded_id.code_book import CodeBook
from protocols.coded_id.events import BurstSeen, ClockStepped, Event
from protocols.coded_id.ordering import PulseOrder
from protocols.coded_id.settling import Settlement
from protocols.coded_id.tolerances import NS_PER_MS

_WINDOW_SLACK_NS = 60 * NS_PER_MS
"""Twice the widest prediction (3 ms + 60 ppm of 300 s = 21 ms) and some."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything that was fed, since the decoder was made."""

    pulses: int
    implausible_pulses: int
    late_pulses: int
    pulses_released_early: int
    narrowed_searches: int
    """Made with a narrower frequency limit, for too many pulses lay about."""
    skipped_pulses: int
    """Not searched at all: even within the narrowest limit too many lay about."""
    clock_steps: int
    bursts_seen: int
    lone_bursts_dropped: int
    runs_opened: int
    runs_cut: int
    """Ended because too many were open."""


class AntennaDecoder:
    """Finds the tags of a `CodeBook` in the pulses of one antenna.

    No input raises: pulses that cannot be (times below 0 or beyond 2262, frequencies that are not a
    number…) are counted and left out. Memory is bounded by the book's tolerances.
    """

    def __init__(self, book: CodeBook) -> None:
        self._book = book
        self._tolerances = book.tolerances
        self._order = PulseOrder(book.tolerances)
        self._window: deque[HeardPulse] = deque()
        self._settlement = Settlement(book, self._window, _reach_ns(book))
        self._idle_since: tuple[int, int] | None = None
        self._narrowed = 0
        self._skipped = 0
        self._bursts_seen = 0

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        order = self._order.counts
        return Counters(
            pulses=order.pulses,
            implausible_pulses=order.implausible,
            late_pulses=order.late,
            pulses_released_early=order.released_early,
            narrowed_searches=self._narrowed,
            skipped_pulses=self._skipped,
            clock_steps=order.clock_steps,
            bursts_seen=self._bursts_seen,
            lone_bursts_dropped=self._settlement.lone.dropped,
            runs_opened=self._settlement.runs_opened,
            runs_cut=self._settlement.runs_cut,
        )

    @property
    def open_runs(self) -> int:
        """How many runs of listed tags are open."""
        return sum(run.is_listed for run in self._settlement.runs)

    def feed(self, pulses: Iterable[HeardPulse]) -> list[Event]:
        """Take pulses as they come and return what they have made known.

        Pulses may be out of order by `lateness_s`; how they are portioned makes no difference.
        """
        self._idle_since = None
        for released, step in self._order.feed(pulses):
            if released:
                self._advance(released)
            if step is not None:
                self._begin_anew()
                self._settlement.events.append(ClockStepped(from_ns=step[0], to_ns=step[1]))
        newest_ns = self._order.newest_ns
        if newest_ns is not None:
            now_ns = newest_ns - self._order.lateness_ns
            if now_ns >= self._settlement.next_due_ns:
                self._settlement.settle_until(now_ns)
        return self._take_events()

    def tick(self, now_ns: int) -> list[Event]:
        """Let time run on while no pulse comes; return what that has made known.

        `now_ns` is any clock that is never set (monotonic): only the time between ticks counts,
        so that neither clock steps nor slow delivery of pulses end a run. Call it once a second.
        """
        newest_ns = self._order.newest_ns
        if newest_ns is None:
            return []
        if self._idle_since is None or now_ns < self._idle_since[0]:
            self._idle_since = (now_ns, newest_ns)
        waited_ns = now_ns - self._idle_since[0]
        if waited_ns > 0:
            until_ns = self._idle_since[1] + waited_ns - self._order.lateness_ns
            self._advance(self._order.flush(until_ns))
            self._settlement.settle_until(until_ns)
        return self._take_events()

    def finish(self) -> list[Event]:
        """Settle everything, as at the end of a recording: open runs end."""
        self._advance(self._order.flush())
        self._begin_anew()
        return self._take_events()

    def use(self, book: CodeBook) -> list[Event]:
        """Look for the tags of another list from now on (it was edited).

        Runs whose tags are listed as before go on under their numbers, the others end. The book
        must have the same tolerances.
        """
        self._settlement.use(book)
        self._settlement.reach_ns = _reach_ns(book)
        self._book = book
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events, self._settlement.events = self._settlement.events, []
        return events

    def _begin_anew(self) -> None:
        self._settlement.begin_anew()
        self._window.clear()

    def _advance(self, pulses: list[HeardPulse]) -> None:
        """Search each pulse, in order of time, settling what is due before it."""
        window = self._window
        settlement = self._settlement
        reach_ns = settlement.reach_ns
        range_hz = self._tolerances.frequency_range_hz
        range_db = self._tolerances.signal_range_db
        search_pulses = self._book.search_pulses
        most = self._tolerances.window_pulses
        for pulse in pulses:
            time_ns = pulse.time_ns
            if time_ns >= settlement.next_due_ns:
                settlement.settle_until(time_ns)
            oldest_ns = time_ns - reach_ns
            while window and window[0].time_ns < oldest_ns:
                window.popleft()
            frequency = pulse.frequency_offset_hz
            low = frequency - range_hz
            high = frequency + range_hz
            near = [other for other in window if low <= other.frequency_offset_hz <= high]
            window.append(pulse)
            if len(window) > most:
                window.popleft()
                self._skipped += 1
            if len(near) < 3:  # noqa: PLR2004  Three pulses before the last.
                continue
            low = pulse.signal_db - range_db
            high = pulse.signal_db + range_db
            near = [other for other in near if low <= other.signal_db <= high]
            if len(near) > search_pulses:
                self._narrowed += 1
                near = narrowed(pulse, near, self._book)
                self._skipped += not near
            if len(near) >= 3:  # noqa: PLR2004  As above.
                self._see(pulse, near)

    def _see(self, last: HeardPulse, near: list[HeardPulse]) -> None:
        """Tell the bursts that `last` completes, and let them wait for their rivals."""
        settlement = self._settlement
        for found in find_bursts(last, near, self._book):
            candidate = Candidate(
                found.code,
                found.pulses,
                time_ns=found.pulses[0].time_ns,
                slop_ns=found.slop_ns,
                due_ns=last.time_ns + settlement.reach_ns,
            )
            if candidate.has_lost():
                continue
            if not settlement.is_variant(candidate):
                self._bursts_seen += 1
                run = settlement.expecting(candidate)
                settlement.events.append(
                    BurstSeen(
                        burst=candidate.burst,
                        tag_ids=found.code.tag_ids,
                        run=run.number if run is not None and run.is_listed else None,
                    )
                )
            settlement.add(candidate)


def _reach_ns(book: CodeBook) -> int:
    """Return how long pulses matter: the longest burst, found a prediction's width late."""
    return book.longest_burst_ns + _WINDOW_SLACK_NS
